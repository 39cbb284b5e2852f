"""Workers are killed with SIGKILL at random moments, two hundred of them, while others go on."""

from __future__ import annotations

from random import Random

from pool import Pool, Process

KILLS = 200


def test_nothing_is_lost_or_done_twice_and_the_pace_is_kept(workers: Pool) -> None:
    """The clocks of some of them are an hour off; that changes nothing."""
    random = Random(KILLS)
    for skew in (0.0, 3600.0, -3600.0, 0.0):
        workers.start(skew=skew)
    for _ in range(KILLS):
        workers.wait_for_lines(random.randint(1, 10))
        workers.kill(random.choice(workers.alive))
        workers.start(skew=random.choice([0.0, 3600.0, -3600.0]))
    history = workers.finish()
    assert history.violations() == []
    assert len(list(history.of("acknowledged"))) > KILLS
    runs = history.by_job("began").values()
    assert sum(len(one) > 1 for one in runs) > KILLS / 20, "few kills hit a running job: little has been shown"


def test_a_worker_that_was_stopped_past_its_lease_cannot_settle_what_it_held(workers: Pool) -> None:
    """It sleeps with its jobs, others take them over and settle them, and it wakes up and knows nothing of that."""
    sleeper = workers.start(takes=0.4)
    workers.start()
    workers.wait_for("settled", who=sleeper.name)
    held = set[str]()
    while not held:
        workers.wait_for("began", len(workers.seen("began")) + 1)
        workers.stop(sleeper)
        held = began_and_not_ended(workers, sleeper)
        if not held:
            workers.wake(sleeper)
    for job in held:
        workers.wait_for("settled", job=job)
    workers.wake(sleeper)
    workers.wait_for("fenced", who=sleeper.name)
    workers.now()
    workers.wait_for("settled", who=sleeper.name)  # and goes on
    history = workers.finish()
    assert history.violations() == []


def began_and_not_ended(workers: Pool, process: Process) -> set[str]:
    ended = {entry.job for entry in workers.seen("ended")}
    return {entry.job for entry in workers.seen("began") if entry.who == process.name} - ended
