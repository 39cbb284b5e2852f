"""`pacer worker` on the stores that hosts share."""

from __future__ import annotations

import signal

import pytest
from processes import Application
from servers import PASSWORD, PostgresServer, RedisServer

from pacer import JobState


@pytest.fixture(params=["postgres", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    server: PostgresServer | RedisServer = request.getfixturevalue(request.param)
    return server.dsn if isinstance(server, PostgresServer) else server.url


def test_a_job_of_another_process_is_handed_back_by_one_worker_and_done_by_the_next(
    application: Application, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", url)
    monkeypatch.setenv("QUEUE", "worker processes")
    job_id = application.enqueue("wait_for", "done")
    with application.worker("--stop-timeout", "0") as process:
        process.wait_for("JobStarted")
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
    assert "queue 'worker processes' in " in process.said
    assert "@127.0.0.1" in process.said
    assert PASSWORD not in process.said
    application.tell("done")
    application.drain()
    job = application.job(job_id)
    assert (job.state, job.attempt, job.recoveries) == (JobState.SUCCEEDED, 1, 0)


@pytest.mark.parametrize(
    "url", [f"postgresql://pacer:{PASSWORD}@127.0.0.1:1/pacer", f"redis://:{PASSWORD}@127.0.0.1:1/0"]
)
def test_a_server_that_is_not_there_is_worth_another_try_and_no_password_is_shown(
    application: Application, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JOBS", url)
    with application.worker() as process:
        assert process.wait() == 3
    assert process.said.startswith("pacer worker: ")
    assert PASSWORD not in process.said
