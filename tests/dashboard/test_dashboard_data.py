"""Lists of jobs, numbers of parts, and arguments for those who ask."""

from __future__ import annotations

import anyio
import pytest
from mounted import failing, make_scheduler, mounted, sleeper

from pacer import BoundedQueue
from pacer.backoff import ExponentialBackoff
from pacer.stores.sqlite import SqliteStore

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only]


async def test_a_list_comes_page_by_page_in_the_order_in_which_jobs_start() -> None:
    scheduler = make_scheduler(queue=BoundedQueue(500))
    async with mounted(scheduler) as page:
        for number in range(121):
            await scheduler.options(job_id=f"job-{number:03}").enqueue(sleeper)
        await anyio.sleep(1)
        seen: list[str] = []
        pages, after = 0, None
        while pages == 0 or after is not None:
            found = (await page.get("data/jobs", **({"after": after} if after else {}))).json()
            assert len(found["jobs"]) <= 50
            seen += [job["id"] for job in found["jobs"]]
            pages, after = pages + 1, found["after"]
    assert seen == [f"job-{number:03}" for number in range(1, 121)]
    assert pages == 3


async def test_a_list_is_of_one_state_one_task_and_one_key() -> None:
    scheduler = make_scheduler()
    scheduler.task(name="sleeper")(sleeper)
    scheduler.task(name="failing")(failing)
    async with mounted(scheduler) as page:
        await scheduler.options(job_id="failed", key="a").enqueue(failing)
        await scheduler.drain()
        await anyio.sleep(11)
        for name, key, task in (
            ("runs", "a", sleeper),
            ("one", "a", sleeper),
            ("two", "b", sleeper),
            ("x", "a", failing),
        ):
            await scheduler.options(job_id=name, key=key).enqueue(task)
        await anyio.sleep(1)

        async def ids(**asked: str) -> list[str]:
            return [job["id"] for job in (await page.get("data/jobs", **asked)).json()["jobs"]]

        assert await ids() == ["one", "two", "x"]
        assert await ids(state="running") == ["runs"]
        assert await ids(state="failed") == ["failed"]
        assert await ids(state="stale") == []
        assert await ids(task="sleeper", key="a") == ["one"]
        assert await ids(key="c") == []


@pytest.mark.parametrize(
    "asked", [{"state": "lost"}, {"limit": "0"}, {"limit": "100000"}, {"after": "nonsense"}, {"limit": "many"}]
)
async def test_a_list_that_makes_no_sense_is_refused_in_a_sentence(asked: dict[str, str]) -> None:
    async with mounted(make_scheduler()) as page:
        answer = await page.get("data/jobs", **asked)
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert answer.json()["detail"].endswith(".")


async def test_a_long_mark_that_is_none_is_not_repeated_in_full() -> None:
    async with mounted(make_scheduler()) as page:
        answer = await page.get("data/jobs", after="x" * 10_000)
    assert answer.status_code == 422
    assert len(answer.text) < 500


async def test_a_list_has_no_arguments_and_no_results() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler, show_arguments=True) as page:
        await scheduler.enqueue(sleeper, 1, "secret")
        await scheduler.drain()
        await scheduler.enqueue(sleeper, 1, "secret")
        texts = [(await page.get("data/jobs", state=state)).text for state in ("queued", "succeeded")]
    assert all('"id"' in text for text in texts)
    assert not [text for text in texts if "secret" in text or "slept" in text]


async def test_numbers_say_what_the_code_says_and_what_holds() -> None:
    scheduler = make_scheduler(backoff=ExponentialBackoff(15, maximum=300))
    async with mounted(scheduler, auth=None) as page:
        await scheduler.set_numbers({"pacing.seconds": 2.5})
        numbers = {one["path"]: one for one in (await page.get("data/numbers")).json()}
    assert numbers["pacing.seconds"] == {"path": "pacing.seconds", "value": 2.5, "recipe": 10.0, "by_hand": True}
    assert numbers["queue.capacity"] == {"path": "queue.capacity", "value": 50.0, "recipe": 50.0, "by_hand": False}
    assert "backoff.initial" in numbers


async def test_arguments_are_shown_to_those_who_ask_where_that_is_wanted() -> None:
    scheduler = make_scheduler()
    scheduler.task(name="sleeper")(sleeper)
    async with mounted(scheduler, show_arguments=True) as page:
        await scheduler.options(job_id="a/b c").enqueue(sleeper, 30, secret="<b>\ud83d" + "x" * 50_000)
        found = (await page.get("data/arguments", job="a/b c")).json()
        assert found["positional"] == ["30"]
        assert found["named"]["secret"].startswith("'<b>")
        assert len(found["named"]["secret"]) <= 20_000
        assert (await page.get("data/arguments", job="nobody")).status_code == 404


async def test_arguments_are_hidden_where_nobody_said_otherwise() -> None:
    scheduler = make_scheduler()
    async with mounted(scheduler) as page:
        await scheduler.options(job_id="job").enqueue(sleeper, 30, "secret")
        assert (await page.get("data/arguments", job="job")).status_code == 404
        assert 'data-arguments="false"' in (await page.open()).text


@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_arguments_that_are_not_kept_are_said_to_be_not_kept(tmp_path: object) -> None:
    scheduler = make_scheduler(store=SqliteStore(f"{tmp_path}/jobs.db"))
    scheduler.task(name="sleeper")(sleeper)
    async with mounted(scheduler, show_arguments=True) as page:
        receipt = await scheduler.enqueue(sleeper, 0)
        await scheduler.wait(receipt)
        answer = await page.get("data/arguments", job=receipt.job_id)
    assert answer.status_code == 404
    assert answer.json()["detail"].startswith("The arguments of this job are not kept")
