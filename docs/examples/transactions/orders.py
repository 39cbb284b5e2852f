import aiosqlite
import anyio

from pacer import Scheduler
from pacer.stores.sqlite import SqliteStore

# share=True: the shop's own tables are in the same file.
scheduler = Scheduler(store=SqliteStore("shop.db", share=True))


@scheduler.task(name="ship")
async def ship(order: str) -> str:
    return f"{order} is on its way"


async def take_order(shop: aiosqlite.Connection, order: str, *, paid: bool) -> None:
    await shop.execute("INSERT INTO orders VALUES (?)", (order,))
    receipt = await scheduler.using(shop).options(job_id=order).enqueue(ship, order)
    print(f"{order}: about number {receipt.position} to be shipped")
    if paid:
        await shop.commit()  # the order and its job, both
    else:
        await shop.rollback()  # neither


async def main() -> None:
    async with aiosqlite.connect("shop.db") as shop:
        await shop.execute("CREATE TABLE orders (name TEXT PRIMARY KEY)")
        async with scheduler:
            await take_order(shop, "table", paid=False)
            await take_order(shop, "chair", paid=True)
            print(await scheduler.wait("chair"))
        print(await shop.execute_fetchall("SELECT name FROM orders"))


if __name__ == "__main__":
    anyio.run(main)
