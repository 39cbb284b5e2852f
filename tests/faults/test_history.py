"""The history checker finds what it is there to find."""

from __future__ import annotations

import attrs
import pytest
from history import Entry, History

from pacer import JobState

SERVER = 1_700_000_000.0


def entry(what: str, who: str, job: str, at: float, decided: float | None = None) -> Entry:
    """At `at`; what is decided then is so on the server's clock, and the wall clock agrees with that."""
    wall = SERVER + at
    return Entry(what=what, who=who, job=job, at=at, decided=wall if decided is None else SERVER + decided, wall=wall)


def course(job: str, who: str, start: float, end: float) -> list[Entry]:
    """A job as it should be."""
    return [
        entry("asked", who, job, start - 2),
        entry("acknowledged", who, job, start - 1),
        entry("claimed", who, job, start),
        entry("began", who, job, start),
        entry("ended", who, job, end),
        entry("settled", who, job, end),
    ]


def history(*entries: Entry, **states: JobState) -> History:
    jobs = {one.job: JobState.SUCCEEDED for one in entries if one.what == "acknowledged"}
    ordered = sorted(entries, key=lambda one: one.at)
    return History(ordered, {**jobs, **states}, interval=1.0, concurrency=1, lease=10.0)


def kinds(found: History) -> list[str]:
    """The checks that complain, by name."""
    checks = (
        found.lost,
        found.settled_twice,
        found.run_after_its_end,
        found.settled_by_another,
        found.settled_without_a_run,
        found.too_many_at_once,
        found.too_soon,
        found.before_their_time,
    )
    complaints = [check.__name__ for check in checks if list(check())]
    assert bool(complaints) == bool(found.violations())
    return complaints


GOOD = [*course("a", "w1", 10, 12), *course("b", "w2", 12, 13)]


def test_all_is_well() -> None:
    assert kinds(history(*GOOD)) == []


def test_a_job_that_is_not_there_at_the_end_was_lost() -> None:
    found = history(*GOOD)
    assert kinds(attrs.evolve(found, states={"a": JobState.SUCCEEDED})) == ["lost"]


def test_a_job_that_still_waits_was_lost() -> None:
    assert kinds(history(*GOOD, b=JobState.QUEUED)) == ["lost"]


def test_a_job_that_is_cancelled_was_lost_unless_somebody_wished_it() -> None:
    assert kinds(history(*GOOD[:6], *GOOD[6:8], b=JobState.CANCELLED)) == ["lost"]
    assert kinds(history(*GOOD[:6], *GOOD[6:8], entry("cancelled", "", "b", 12), b=JobState.CANCELLED)) == []


def test_a_job_that_nobody_asked_for_was_made_up() -> None:
    assert kinds(history(*GOOD, *course("c", "w1", 20, 21)[2:])) == ["lost"]


def test_one_end_more_is_found() -> None:
    assert kinds(history(*GOOD, entry("settled", "w1", "a", 14, decided=14))) == ["settled_twice"]


def test_a_job_that_is_given_out_after_its_end_is_found() -> None:
    assert "run_after_its_end" in kinds(history(*GOOD, entry("claimed", "w1", "b", 15)))


def test_a_job_that_was_taken_over_may_not_be_settled_by_whoever_had_it_before() -> None:
    late = [
        entry("claimed", "w1", "a", 10),
        entry("began", "w1", "a", 10),
        entry("stopped", "w1", "", 11),
        entry("recovered", "w2", "a", 21),
        entry("claimed", "w2", "a", 22),
        entry("ended", "w1", "a", 23),
    ]
    asked = course("a", "w1", 10, 10)[:2]
    assert kinds(history(*asked, *late)) == []
    assert kinds(history(*asked, *late, entry("fenced", "w1", "a", 23))) == []
    assert kinds(history(*asked, *late, entry("settled", "w1", "a", 23))) == ["settled_by_another"]


def test_a_job_that_never_ran_cannot_succeed() -> None:
    without = [one for one in GOOD if (one.what, one.job) != ("ended", "b")]
    assert kinds(history(*without)) == ["settled_without_a_run"]


def test_two_jobs_at_once_are_found() -> None:
    assert kinds(history(*course("a", "w1", 10, 12), *course("b", "w2", 11.5, 13))) == ["too_many_at_once"]


def test_what_a_killed_worker_ran_runs_no_longer() -> None:
    killed = [*course("a", "w1", 10, 10)[:4], entry("killed", "w1", "", 11)]
    assert kinds(history(*killed, *course("b", "w2", 12, 13))) == []


def test_a_run_counts_for_as_long_as_its_lease_held_for_certain() -> None:
    cut_off = [*course("a", "w1", 10, 30)[:5], entry("recovered", "w2", "a", 21), entry("fenced", "w1", "a", 30)]
    assert kinds(history(*cut_off, *course("b", "w2", 22, 23))) == []
    assert kinds(history(*cut_off, *course("b", "w2", 13, 14))) == ["too_many_at_once"]


def test_a_run_that_begins_when_its_lease_is_over_does_not_count() -> None:
    """Its worker was stopped between the claim and the run."""
    late = [*course("a", "w1", 10, 30)[:2], entry("recovered", "w2", "a", 21), entry("fenced", "w1", "a", 31)]
    woken = [entry("claimed", "w1", "a", 25, decided=10), entry("began", "w1", "a", 25), entry("ended", "w1", "a", 30)]
    assert kinds(history(*late, *woken, *course("b", "w2", 26, 27))) == []


@pytest.mark.parametrize(("apart", "complaints"), [(1.0, []), (0.999, ["too_soon"])])
def test_two_starts_that_were_decided_too_close_are_found(apart: float, complaints: list[str]) -> None:
    late = attrs.evolve(entry("claimed", "w2", "b", 13), decided=SERVER + 10 + apart)
    others = [one for one in course("b", "w2", 13, 14) if one.what != "claimed"]
    assert kinds(history(*course("a", "w1", 10, 12), late, *others)) == complaints


def test_a_start_before_its_time_on_the_servers_clock_is_found() -> None:
    early = attrs.evolve(entry("claimed", "w1", "a", 10), wall=SERVER + 9.7)
    others = [one for one in course("a", "w1", 10, 12) if one.what != "claimed"]
    assert kinds(history(early, *others)) == ["before_their_time"]
