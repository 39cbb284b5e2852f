import anyio
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pacer import Scheduler, UnknownJobError
from pacer.stores.sqlite import SqliteStore

# The same with PostgresStore(dsn) and "postgresql+psycopg://..." or "+asyncpg".
engine = create_async_engine("sqlite+aiosqlite:///shop.db")
scheduler = Scheduler(store=SqliteStore("shop.db", share=True))


class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"
    name: Mapped[str] = mapped_column(primary_key=True)


@scheduler.task(name="ship")
async def ship(order: str) -> str:
    return f"{order} is on its way"


async def take_order(name: str) -> None:
    async with AsyncSession(engine) as session, session.begin():
        session.add(Order(name=name))
        await scheduler.using(session).options(job_id=name).enqueue(ship, name)
        if name == "unicorn":
            raise ValueError(name)


async def main() -> None:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with scheduler:
        await take_order("chair")
        print(await scheduler.wait("chair"))
        try:
            await take_order("unicorn")
        except ValueError:
            print("no unicorn")
        try:
            await scheduler.job("unicorn")
        except UnknownJobError as error:
            print(error)
    await engine.dispose()


if __name__ == "__main__":
    anyio.run(main)
