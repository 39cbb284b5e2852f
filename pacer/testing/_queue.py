"""The contracts of queues and of their orders."""

from __future__ import annotations

import copy
import itertools
import json
import math
from collections.abc import Sequence
from typing import Any

from pacer.protocols import Admission, JobOrder, JobQueue
from pacer.testing._expect import (
    Call,
    CallLog,
    Check,
    SampleJob,
    check_recipe,
    expect,
    expect_equal,
    expect_pure,
    plain,
)

_JOBS = [
    SampleJob(
        id=f"{at}-{priority}-{key}-{len(cost)}",
        key=key,
        priority=priority,
        created_at=at,
        ready_at=at + 5,
        expires_at=expires_at,
        cost=cost,
    )
    for at in (0.0, 1.5, 1_700_000_000.0)
    for priority in (-1_000_000, -1, 0, 1, 1_000_000)
    for key in (None, "tenant", "None", "")
    for cost, expires_at in (({}, None), ({"requests": 1.0, "tokens": 1e6}, at + 30.0), ({"requests": 0.0}, 0.5))
]
_DURATIONS = (1e-9, 30.0, 1e9)
# More states than anybody needs for three jobs at once of a few keys.
_MOST_TEXT = 10_000


def check_order_recipe(order: JobOrder[Any]) -> None:
    """The order is a recipe: it can be compared, hashed, copied and printed."""
    check_recipe(order)


def _placed(log: CallLog, state: Any, job: SampleJob, seconds: float) -> tuple[Any, Any]:
    answer = log.call("place", state, job, lambda: seconds)
    usable = isinstance(answer, tuple) and len(answer) == 2
    expect(usable, f"{type(log.part).__name__}.place answers with a sort key and a state; got {answer!r}")
    return answer[0], answer[1]


def _calls(order: JobOrder[Any]) -> list[Call]:
    """All of the jobs come in, and leave in every way there is."""
    log, state = CallLog(order), order.initial_state()
    waiting: list[tuple[float, int, SampleJob]] = []
    for number, job in enumerate(_JOBS):
        key, state = _placed(log, state, job, _DURATIONS[number % len(_DURATIONS)])
        waiting.append((key, number, job))
        leaving = min(waiting, key=lambda entry: entry[:2])
        match number % 7:
            case 0 | 1:  # the next one starts
                waiting.remove(leaving)
                state = log.call("started", state, leaving[2], leaving[0])
            case 2:  # and is put back: it keeps its key
                state = log.call("started", state, leaving[2], leaving[0])
            case 3:  # one is passed over, because its lane is blocked
                leaving = waiting.pop(len(waiting) // 2)
                state = log.call("started", state, leaving[2], leaving[0])
            case 4:  # somebody cancels it, and the order is told nothing
                waiting.pop(len(waiting) // 3)
    return log.calls


def check_order_keys(order: JobOrder[Any]) -> None:
    """The sort key is a finite number for every job, so that heaps, indexes and sorted sets agree on it."""
    name = type(order).__name__
    for call in _calls(order):
        if call.method == "place":
            key, _ = call.answer
            usable = isinstance(key, int | float) and math.isfinite(key)
            expect(usable, f"{name}.place: the sort key is a finite number; got {key!r} for {call.arguments[0]!r}")


def check_order_state_is_plain(order: JobOrder[Any]) -> None:
    """Every state, the first included, survives JSON unchanged."""
    name = type(order).__name__
    plain(order.initial_state(), f"{name}.initial_state")
    for call in _calls(order):
        plain(call.answer[1] if call.method == "place" else call.answer, f"{name}.{call.method}")


def check_order_state_stays_small(order: JobOrder[Any]) -> None:
    """The state does not grow with the jobs that have gone: it is written down with each of them."""
    name, state = type(order).__name__, order.initial_state()
    for number in range(1000):
        job = SampleJob(id=f"job-{number}", key=("a", "b", None)[number % 3], created_at=float(number))
        key, state = order.place(state, job, lambda: 30.0)
        state = order.started(state, job, key)
    size = len(json.dumps(state))
    promise = (
        f"{name}: the state stays small, but after 1000 jobs of 3 keys that have all gone it has {size} characters"
    )
    expect(size <= _MOST_TEXT, promise)


def check_order_is_pure(order: JobOrder[Any]) -> None:
    """Save and restore in mid-run changes no answer; states and recipe are not mutated; no clock, no dice."""
    expect_pure(_calls, order)


ORDER_CHECKS: Sequence[Check] = (
    check_order_recipe,
    check_order_keys,
    check_order_state_is_plain,
    check_order_state_stays_small,
    check_order_is_pure,
)
"""The promises of a job order, one function each."""


def check_job_order(order: JobOrder[Any]) -> None:
    """Run all of ORDER_CHECKS on an order. Raises AssertionError naming the broken promise."""
    for check in ORDER_CHECKS:
        check(order)


def _admissions(queue: JobQueue) -> list[tuple[int, int, Admission]]:
    capacity = queue.capacity
    sizes = sorted({0, 1, 2, capacity - 1, capacity, capacity + 1, 3 * capacity + 7})
    return [
        (incoming, waiting, queue.admit(incoming, waiting, lambda wait=wait: wait))  # type: ignore[misc]
        for incoming, waiting in itertools.product(sizes, sizes)
        for wait in (None, 0.0, 30.0, 1e9)
        if incoming > 0 and waiting >= 0
    ]


def check_queue_recipe(queue: JobQueue) -> None:
    """The queue is a recipe: it can be compared, hashed, copied and printed. Its jobs are elsewhere, in the store."""
    check_recipe(queue)


def check_queue_settings(queue: JobQueue) -> None:
    """The capacity is 1 or more, `wait_timeout` is None or 0 or more, and the order keeps its own contract."""
    name = type(queue).__name__
    capacity, timeout = queue.capacity, queue.wait_timeout
    expect(isinstance(capacity, int) and capacity >= 1, f"{name}.capacity is 1 or more; got {capacity!r}")
    expect(timeout is None or timeout >= 0, f"{name}.wait_timeout is None or 0 or more; got {timeout!r}")
    check_job_order(queue.order)


def check_queue_is_bounded(queue: JobQueue) -> None:
    """No admission leaves more jobs waiting than `capacity`, and only jobs that wait can be dropped."""
    name = type(queue).__name__
    for incoming, waiting, admission in _admissions(queue):
        said = f"{name}.admit({incoming} jobs beside {waiting})"
        expect(isinstance(admission, Admission), f"{said} answers with an Admission; got {admission!r}")
        if not admission.accepted:
            continue
        expect(0 <= admission.drop <= waiting, f"{said}: drops only jobs that wait; got {admission!r}")
        # A queue that jobs came back to may be above its capacity; then it need not get below by itself.
        most = max(queue.capacity, waiting)
        expect(
            waiting - admission.drop + incoming <= most,
            f"{said}: at most {queue.capacity} jobs wait afterwards; got {admission!r}",
        )


def check_queue_refusals(queue: JobQueue) -> None:
    """A refusal drops nobody, and says after how many seconds to come back (None: when there is room), and why."""
    name = type(queue).__name__
    for incoming, waiting, admission in _admissions(queue):
        if admission.accepted:
            continue
        said = f"{name}.admit({incoming} jobs beside {waiting})"
        after = admission.retry_after
        expect(admission.drop == 0, f"{said}: a refusal drops nobody; got {admission!r}")
        usable = after is None or (isinstance(after, int | float) and 0 <= after < math.inf)
        expect(usable, f"{said}: retry_after is None or a number of seconds, 0 or more; got {admission!r}")
        expect(isinstance(admission.reason, str), f"{said}: the reason is text; got {admission!r}")


def check_queue_can_be_entered(queue: JobQueue) -> None:
    """An empty queue takes a job that would start at once."""
    admission = queue.admit(1, 0, lambda: 0.0)
    promise = f"{type(queue).__name__}.admit: an empty queue takes a job that would start at once; got {admission!r}"
    expect(admission.accepted, promise)


def check_queue_is_pure(queue: JobQueue) -> None:
    """The same question has the same answer: a queue counts nothing by itself."""
    name = type(queue).__name__
    pristine = copy.deepcopy(queue)
    first = _admissions(queue)
    expect_equal(_admissions(queue), first, f"{name}.admit: the same question has the same answer")
    expect_equal(queue, pristine, f"{name}: a recipe does not change while it is used")


QUEUE_CHECKS: Sequence[Check] = (
    check_queue_recipe,
    check_queue_settings,
    check_queue_is_bounded,
    check_queue_refusals,
    check_queue_can_be_entered,
    check_queue_is_pure,
)
"""The promises of a queue, one function each."""


def check_job_queue(queue: JobQueue) -> None:
    """Run all of QUEUE_CHECKS on a queue. Raises AssertionError naming the broken promise."""
    for check in QUEUE_CHECKS:
        check(queue)
