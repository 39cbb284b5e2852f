"""The server is killed with SIGKILL while workers are at it, and comes back."""

from __future__ import annotations

from pool import Pool
from servers import Server


def test_workers_wait_for_a_server_that_was_killed_and_go_on(server: Server, workers: Pool) -> None:
    for _ in range(3):
        workers.start(moody=True)
    for _ in range(3):
        workers.now()
        workers.wait_for("settled", 20)
        server.kill()
        workers.now()
        workers.wait_for("store-failed")
        server.start()
    workers.now()
    for process in workers.alive:
        workers.wait_for("settled", who=process.name)
    history = workers.finish()
    assert history.violations() == []


def test_workers_wait_for_a_server_that_is_away_for_longer_than_they_try_at_once(server: Server, workers: Pool) -> None:
    """Each of them has given up several times, and tries again; one that starts meanwhile does so too."""
    first = [workers.start() for _ in range(2)]
    for process in first:
        workers.wait_for("settled", who=process.name)
    server.kill()
    late = workers.start()
    workers.now()
    for process in first:
        workers.wait_for("store-failed", 12, who=process.name)
        workers.wait_for("refused", 5, who=process.name)
    workers.wait_for("refused", 5, who=late.name)
    server.start()
    workers.now()
    for process in [*first, late]:
        workers.wait_for("settled", who=process.name)
    history = workers.finish()
    assert history.violations() == []
