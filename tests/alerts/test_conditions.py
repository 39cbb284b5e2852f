"""What is wrong with a queue: each condition by itself, on made-up looks."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from looks import a_look, an_end

from pacer import JobState
from pacer.alerts import Condition, Finding, HeldFor, JobEnded, Look, OldestWaiting, PausedFor, QueueFull


def course(condition: Condition, looks: Sequence[Look]) -> list[Finding | None]:
    """What it finds at one look after the other."""
    found: list[Finding | None] = []
    for look in looks:
        found.append(condition.check(look, found[-1] if found else None))
    return found


def firing(found: Sequence[Finding | None]) -> list[bool]:
    return [one is not None and one.firing for one in found]


# -- QueueFull -------------------------------------------------------------------------------------------------------


def test_a_queue_that_is_full_and_refuses_nobody_is_no_trouble():
    found = course(QueueFull(), [a_look(0, pending=50), a_look(10, pending=50)])
    assert firing(found) == [False, False]


def test_a_queue_is_full_from_its_first_refusal_until_there_is_room():
    looks = [
        a_look(0, pending=49),
        a_look(10, pending=50, refused=3),
        a_look(20, pending=50),
        a_look(30, pending=50, refused=2),
        a_look(40, pending=20),
    ]
    found = course(QueueFull(), looks)
    assert firing(found) == [False, True, True, True, False]
    assert found[0] is found[4] is None
    assert found[3] is not None
    assert (found[3].since, found[3].count) == (10, 5)
    assert found[3].text == "5 jobs refused because the queue was full; 50 of 50 wait now"
    assert found[3].fields == {"pending": 50, "capacity": 50, "refused": 5, "retry_after_seconds": 5.0}


def test_a_refusal_is_told_although_there_is_room_by_the_time_of_the_look():
    assert firing(course(QueueFull(), [a_look(0, pending=10, refused=1), a_look(10, pending=10)])) == [True, False]


# -- HeldFor ---------------------------------------------------------------------------------------------------------


def test_a_hold_that_is_announced_for_long_is_told_at_once_and_a_short_one_never():
    assert firing(course(HeldFor(300), [a_look(0, hold_seconds=3600.0)])) == [True]
    assert firing(course(HeldFor(300), [a_look(0, hold_seconds=20.0), a_look(20)])) == [False, False]


def test_holds_that_follow_each_other_are_one_as_long_as_no_job_succeeds():
    """An upstream that refuses every probe: 100 s of hold, a job that runs for a moment, 100 s of hold."""
    looks = [a_look(at, hold_seconds=100.0 if at % 100 else 0.0, pending=5) for at in range(50, 450, 50)]
    found = course(HeldFor(299), looks)
    assert firing(found) == [False, False, False, False, True, True, True, True]
    assert found[-1] is not None
    assert found[-1].since == 50


def test_a_job_that_succeeds_ends_a_hold():
    looks = [
        a_look(0, hold_seconds=100.0, pending=5, succeeded=7),
        a_look(100, pending=5, succeeded=8),
        a_look(200, hold_seconds=100.0, pending=5, succeeded=8),
    ]
    found = course(HeldFor(150), looks)
    assert firing(found) == [False, False, False]
    assert found[1] is None
    assert found[2] is not None
    assert found[2].since == 200


def test_a_hold_after_which_nothing_waits_is_over():
    looks = [a_look(0, hold_seconds=400.0, pending=1), a_look(400)]
    assert firing(course(HeldFor(300), looks)) == [True, False]


def test_a_hold_says_how_much_of_it_is_over_and_why():
    looks = [
        a_look(at, hold_seconds=600.0 - at, hold_reason="upstream said wait 600 s", pending=4, failures_in_a_row=2)
        for at in (0, 60)
    ]
    found = course(HeldFor(300), looks)[1]
    assert found is not None
    assert found.text == "no job starts, for 60 s now and 9 min more: upstream said wait 600 s"
    assert found.fields == {
        "held_seconds": 60,
        "remaining_seconds": 540.0,
        "reason": "upstream said wait 600 s",
        "failures_in_a_row": 2,
        "pending": 4,
    }


def test_a_queue_that_is_paused_by_hand_is_not_held():
    assert course(HeldFor(1), [a_look(0, paused=True), a_look(100, paused=True)]) == [None, None]


# -- PausedFor -------------------------------------------------------------------------------------------------------


def test_a_pause_is_told_when_it_has_lasted():
    found = course(PausedFor(60), [a_look(at, paused=at < 100, pending=1) for at in (0, 50, 60, 90, 100)])
    assert firing(found) == [False, False, True, True, False]
    assert found[3] is not None
    assert found[3].text == "paused by hand for 90 s; 1 job waits"


def test_a_pause_can_be_told_at_once():
    assert firing(course(PausedFor(0), [a_look(0, paused=True)])) == [True]


# -- OldestWaiting ---------------------------------------------------------------------------------------------------


def test_a_job_has_waited_too_long_once_it_has_waited_longer():
    looks = [a_look(at, ready=ready) for at, ready in ((0, None), (590, 590.0), (600, 600.0), (610, 610.0), (620, 5.0))]
    assert firing(course(OldestWaiting(600), looks)) == [False, False, False, True, False]


def test_since_is_when_it_began_to_be_too_long():
    found = OldestWaiting(600).check(a_look(1000, ready=700.0, pending=2, waiting_for="paused by hand"), None)
    assert found is not None
    assert found.since == 900
    assert found.text == "a job has waited for 12 min: paused by hand; 2 jobs wait, 0 run"


# -- JobEnded --------------------------------------------------------------------------------------------------------


def test_one_job_that_ended_is_named_with_its_error():
    found = JobEnded("dead").check(a_look(9, ended=[an_end("a", 5.0)]), None)
    assert found is not None
    assert found.text == "job a (analyse) is dead: interrupted by 4 crashes"
    assert (found.since, found.count, found.lasts) == (5.0, 1, False)
    assert found.fields == {
        "job_id": "a",
        "task": "analyse",
        "state": "dead",
        "error": "interrupted by 4 crashes",
        "dead_jobs": 1,
    }


def test_several_are_counted_and_the_last_of_them_named():
    ended = [an_end("c", 7.0), an_end("b", 6.0, JobState.FAILED, "ValueError: no"), an_end("a", 5.0)]
    found = JobEnded("dead", JobState.FAILED).check(a_look(9, ended=ended), None)
    assert found is not None
    assert found.text == "2 jobs dead, 1 job failed; the last is c (analyse): interrupted by 4 crashes"
    assert (found.since, found.count) == (5.0, 3)


def test_of_very_many_it_says_that_there_are_more():
    found = JobEnded("dead").check(a_look(200, ended=[an_end(f"j{n}", 200.0 - n) for n in range(100)]), None)
    assert found is not None
    assert found.text.startswith("100 or more jobs dead; the last is j0")


def test_states_of_others_are_not_its_business():
    assert JobEnded("failed").check(a_look(9, ended=[an_end("a", 5.0)]), None) is None


@pytest.mark.parametrize("states", [(), ("queued",), ("running", "dead")])
def test_states_that_are_not_final_are_refused(states: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="JobEnded: states must be one or more of succeeded, failed, cancelled"):
        JobEnded(*states)


@pytest.mark.parametrize("make", [lambda: HeldFor(0), lambda: PausedFor(-1), lambda: OldestWaiting(float("inf"))])
def test_impossible_times_are_refused(make):
    with pytest.raises(ValueError, match="seconds must be a finite number"):
        make()
