from pacer import Scheduler

scheduler = Scheduler()


@scheduler.every(
    cron="0 7 * * mon-fri",
    tz="Europe/Berlin",
    missed="once",  # after a night without the application one report is enough
    unique="report",  # none is enqueued while one still waits or runs
    expires=4 * 3600,  # and at noon nobody wants it any more
)
async def report() -> None: ...


@scheduler.every(cron="30 2 L * *", missed="all", name="closing")
async def close_the_month() -> None: ...
