"""When an alert is told: once, as often as its pacing lets it, and by one process. Times are handed in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from looks import a_look, an_end

from pacer import JobState
from pacer.alerts import Alert, Finding, JobEnded, Look, OldestWaiting, QueueFull
from pacer.alerts._watch import FALLBACK_INTERVAL, Times, Watch
from pacer.pacing import MinInterval, TokenBucket
from pacer.protocols import When

BAD, GOOD = 700.0, 5.0


def nobody(message: Any) -> None:
    raise AssertionError


@attrs.define(eq=False)
class Processes:
    """Some processes that know one alert, and what they have told, as `(process, time, what, count)`."""

    make: Callable[[], Alert]
    watches: dict[str, Watch] = attrs.field(factory=dict)
    times: Times = attrs.field(factory=Times)
    told: list[tuple[str, float, str, int]] = attrs.field(factory=list)

    def start(self, name: str) -> None:
        alert = self.make()
        self.watches[name] = Watch(alert, alert.pacing)

    def look(self, at: float, *names: str, **facts: Any) -> None:
        """These processes look, one after the other."""
        for name in names or self.watches:
            self._look(name, a_look(at, **facts))

    def _look(self, name: str, look: Look) -> None:
        watch = self.watches[name]
        if self.times.seen is not None:
            look = attrs.evolve(look, ended=[one for one in look.ended if one.ended_at > self.times.seen])
        tell = watch.looked(look, self.times)
        if tell is None:
            return
        self.told.append((name, look.now, tell, watch.sent(tell, look.now)))
        which = "over" if tell == "over" else "began"
        if look.ended:
            self.times = attrs.evolve(self.times, seen=look.ended[0].ended_at)
            which = "happened"
        self.times = attrs.evolve(self.times, **{which: look.now})


def waiting(**changes: Any) -> Processes:
    settings = {"pacing": MinInterval(1800), **changes}
    return Processes(lambda: Alert(OldestWaiting(600), nobody, **settings))


def alone(**changes: Any) -> Processes:
    found = waiting(**changes)
    found.start("a")
    return found


def test_trouble_that_lasts_is_one_message_and_one_when_it_is_over():
    one = alone()
    for at in range(0, 36_000, 10):
        one.look(at, ready=BAD if 100 <= at < 20_000 else GOOD)
    assert one.told == [("a", 100, "firing", 1), ("a", 20_060, "over", 0)]


def test_trouble_that_is_gone_for_less_than_a_minute_is_the_same():
    one = alone()
    for at in range(0, 1000, 10):
        one.look(at, ready=GOOD if 300 <= at < 350 or at >= 600 else BAD)
    assert one.told == [("a", 0, "firing", 1), ("a", 660, "over", 0)]


def test_it_can_be_over_at_once():
    one = alone(over_after=0)
    one.look(0, ready=BAD)
    one.look(10, ready=GOOD)
    assert one.told == [("a", 0, "firing", 1), ("a", 10, "over", 0)]


def test_trouble_that_comes_again_and_again_is_told_as_often_as_pacing_lets_it():
    """100 s of trouble, 100 s of peace. What was not told is counted in the next message."""
    one = alone()
    for at in range(0, 4000, 10):
        one.look(at, ready=BAD if at % 200 < 100 else GOOD)
    assert one.told == [
        ("a", 0, "firing", 1),
        ("a", 160, "over", 0),
        ("a", 1800, "firing", 9),
        ("a", 1960, "over", 0),
        ("a", 3600, "firing", 9),
        ("a", 3760, "over", 0),
    ]


def test_trouble_that_began_too_soon_to_be_told_is_told_when_it_still_lasts():
    one = alone()
    for at in range(0, 2500, 10):
        one.look(at, ready=BAD if at < 50 or at >= 1000 else GOOD)
    assert one.told == [("a", 0, "firing", 1), ("a", 110, "over", 0), ("a", 1800, "firing", 1)]


def test_reminders_come_as_often_as_pacing_lets_them():
    one = alone(remind=True)
    for at in range(0, 4000, 10):
        one.look(at, ready=BAD)
    assert [at for _, at, _, _ in one.told] == [0, 1800, 3600]


def test_a_token_bucket_tells_of_the_first_few():
    one = alone(pacing=TokenBucket(1, per=3600, burst=3), over_after=0)
    for at in range(0, 400, 10):
        one.look(at, ready=BAD if at % 100 < 50 else GOOD)
    assert [at for _, at, what, _ in one.told if what == "firing"] == [0, 100, 200]


def test_one_process_tells_and_the_others_know():
    some = waiting()
    for name in "abc":
        some.start(name)
    for at in range(0, 5000, 10):
        some.look(at, ready=BAD if at < 1000 or at >= 2000 else GOOD)
    assert [(at, what) for _, at, what, _ in some.told] == [(0, "firing"), (1060, "over"), (2000, "firing")]


def test_after_a_restart_in_the_middle_of_it_nothing_is_told_again_and_its_end_is():
    some = alone()
    some.look(0, ready=BAD)
    some.watches.clear()
    some.start("b")
    for at in range(600, 1500, 10):
        some.look(at, ready=BAD if at < 1000 else GOOD)
    assert some.told == [("a", 0, "firing", 1), ("b", 1060, "over", 0)]


def test_after_a_restart_the_pace_goes_on():
    some = alone(over_after=0)
    some.look(0, ready=BAD)
    some.look(10, ready=GOOD)
    some.watches.clear()
    some.start("b")
    for at in range(20, 2000, 10):
        some.look(at, ready=BAD)
    assert some.told[2:] == [("b", 1800, "firing", 1)]


def test_while_a_message_is_on_its_way_the_next_one_waits():
    one = alone(over_after=0)
    one.look(0, ready=BAD)
    one.watches["a"].sending = True
    one.look(10, ready=GOOD)
    assert len(one.told) == 1
    one.watches["a"].sending = False
    one.look(20, ready=GOOD)
    assert one.told[1:] == [("a", 20, "over", 0)]


def test_refusals_are_counted_whether_they_are_told_or_not():
    some = Processes(lambda: Alert(QueueFull(), nobody, pacing=MinInterval(1000), over_after=20))
    some.start("a")
    for at in range(0, 2000, 10):
        full = at % 200 < 50
        some.look(at, refused=4 if full else 0, pending=50 if full else 10)
    # A burst is 20. Of the first, 4 are told at once and the others when it is over; of the next four, all later.
    assert some.told[:3] == [("a", 0, "firing", 4), ("a", 70, "over", 16), ("a", 1000, "firing", 4 * 20 + 4)]


def ended() -> Processes:
    found = Processes(lambda: Alert(JobEnded("dead"), nobody, pacing=MinInterval(600)))
    found.times = Times(seen=0.0)
    for name in "ab":
        found.start(name)
    return found


def test_jobs_that_ended_are_told_once_by_one_process_and_have_no_end():
    some = ended()
    for at in range(0, 2000, 10):
        some.look(at, ended=[an_end("x", 95.0)] if at >= 95 else [])
    assert some.told == [("a", 100, "firing", 1)]


def test_jobs_that_end_too_soon_after_a_message_are_told_together_as_soon_as_may_be():
    some = ended()
    ends = [an_end(f"j{n}", 95.0 + 10 * n) for n in range(20)]
    for at in range(0, 2000, 10):
        some.look(at, ended=[one for one in reversed(ends) if one.ended_at <= at])
    assert some.told == [("a", 100, "firing", 1), ("a", 700, "firing", 19)]


def test_a_condition_that_raises_is_a_fault_and_tells_nothing():
    class Broken:
        def check(self, look: Look, before: Finding | None) -> Finding | None:
            raise RuntimeError("no idea")

    alert = Alert(Broken(), nobody, name="broken")
    watch = Watch(alert, alert.pacing)
    assert watch.looked(a_look(0), Times()) is None
    assert [(fault.part, fault.question, fault.problem) for fault in watch.guard.take_faults()] == [
        ("Broken", "check", "RuntimeError: no idea")
    ]


def test_a_condition_that_answers_something_else_is_a_fault():
    class Broken:
        def check(self, look: Look, before: Finding | None) -> Any:
            return True

    alert = Alert(Broken(), nobody, name="broken")
    watch = Watch(alert, alert.pacing)
    assert watch.looked(a_look(0), Times()) is None
    assert [fault.problem for fault in watch.guard.take_faults()] == ["answered True"]


@attrs.frozen
class BrokenPace(MinInterval):
    def earliest(self, state: Any, now: float, job: Any, running: int) -> When:
        raise RuntimeError("no pace")


def test_a_pace_that_raises_lets_one_message_out_in_an_hour():
    one = alone(pacing=BrokenPace(1), over_after=0)
    for at in range(0, 8000, 10):
        one.look(at, ready=BAD if at % 100 < 50 else GOOD)
    firing = [at for _, at, what, _ in one.told if what == "firing"]
    assert firing == [0, FALLBACK_INTERVAL, 2 * FALLBACK_INTERVAL]
    assert one.watches["a"].guard.take_faults()[-1].problem == "RuntimeError: no pace"


# -- settings --------------------------------------------------------------------------------------------------------


def test_an_alert_is_named_after_its_condition():
    names = [Alert(one, nobody).name for one in (OldestWaiting(600), QueueFull(), JobEnded("dead", JobState.STALE))]
    assert names == ["OldestWaiting(600)", "QueueFull()", "JobEnded(dead, stale)"]


def test_an_alert_with_a_condition_of_ones_own_has_the_same_name_in_all_processes():
    class Plain:
        def check(self, look: Look, before: Finding | None) -> Finding | None: ...

    class Saying(Plain):
        def __repr__(self) -> str:
            return "Saying(3)"

    assert [Alert(Plain(), nobody).name, Alert(Saying(), nobody).name] == ["Plain", "Saying(3)"]


@attrs.frozen
class Wanting:
    states: Any

    def check(self, look: Look, before: Finding | None) -> Finding | None: ...


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Alert(600, nobody), TypeError, "when must be a Condition such as"),
        (lambda: Alert(QueueFull, nobody), TypeError, "a class; call it"),
        (lambda: Alert(Wanting(["queued"]), nobody), TypeError, "must be final ones of JobState"),
        (lambda: Alert(Wanting(3), nobody), TypeError, "must be final ones of JobState"),
        (lambda: Finding(text=3, since=0.0), TypeError, "text"),
        (lambda: Finding(text="", since=float("nan")), ValueError, "since must be a finite number"),
        (lambda: Alert(QueueFull(), None), TypeError, "call must be a function of one argument"),
        (lambda: Alert(QueueFull(), nobody, pacing=60), TypeError, "pacing must be a PacingPolicy such as"),
        (lambda: Alert(QueueFull(), nobody, name=""), ValueError, "name"),
        (lambda: Alert(QueueFull(), nobody, timeout=0), ValueError, "timeout must be a finite number above 0"),
        (lambda: Alert(QueueFull(), nobody, check_every=0.5), ValueError, "check_every must be 1 s or more"),
    ],
)
def test_impossible_settings_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
