"""Whether an answer says "not now" or "no", and for how long."""

from __future__ import annotations

import re

from pacer._job import Outcome, OutcomeKind
from pacer._upstream._answers import Answer
from pacer._upstream._limits import read_limits, said_wait, wait_for_used_up
from pacer._upstream._times import duration, seconds_until
from pacer.protocols import LimitReport

_TOO_MANY_REQUESTS, _OVERLOADED = 429, 529  # the latter is Anthropic's
_FORBIDDEN, _UNAVAILABLE = 403, 503

# With these a service says "pay first": waiting does not help.
_PERMANENT = frozenset(
    {
        # DashScope
        "Arrearage",
        "CommodityNotPurchased",
        "PostpaidBillOverdue",
        "PrepaidBillOverdue",
        # OpenAI; the second word of their answers is insufficient_quota
        "billing_hard_limit_reached",
        "billing_not_active",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "project_spend_limit_exceeded",
        # Anthropic
        "enforced_spend_limit_reached",
    }
)
# On OpenAI permanent, on DashScope "too many tokens this minute" - with the same sentence about billing.
_QUOTA = frozenset({"insufficient_quota", "Throttling.AllocationQuota"})
# Not now, whatever the status: AWS answers 400.
_TRANSIENT = frozenset(
    {
        # DashScope; `Throttling` is a word of AWS too
        "Throttling",
        "Throttling.AllocationQuota",
        "Throttling.BurstRate",
        "Throttling.Concurrency",
        "Throttling.RateQuota",
        "LimitRequests",
        "limit_burst_rate",
        "limit_requests",
        # OpenAI
        "server_is_overloaded",
        "slow_down",
        # Anthropic, in a stream that began with 200
        "overloaded_error",
        "rate_limit_error",
        # OpenAI, likewise
        "rate_limit_exceeded",
        # AWS
        "EC2ThrottledException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
# DashScope has no capacity; the first one says so with other failures too.
_CAPACITY = frozenset({"ModelServingError", "ModelUnavailable"})

_LIMIT_0 = re.compile(r"\blimit: 0(?![\d.])")
_IN_WORDS = re.compile(r"\b(?:re)?try (?:again )?in ((?:[0-9.]+[a-zµ]+)+)", re.IGNORECASE)


def read_refusal(answer: Answer, now: float) -> Outcome:
    """What an answer that was raised means for the run: "not now" is a throttle, anything else a failure.

    The outcome's `error` is the service's error code, or the status; never a sentence of its body.
    """
    limits = read_limits(answer.headers, now)
    said = _said(answer, now)
    not_now = not _is_final(answer, said) and _is_not_now(answer, said, limits)
    return Outcome(
        OutcomeKind.THROTTLED if not_now else OutcomeKind.FAILED,
        error=answer.codes[0] if answer.codes else f"HTTP {answer.status}",
        retry_after=wait_for_used_up(limits) if said is None else said,
        limits=limits,
    )


def _said(answer: Answer, now: float) -> float | None:
    """The wait that is named: in a header, else in the body, else in its sentence."""
    wait = said_wait(answer.headers, now)
    if wait is None and answer.retry_delay:
        wait = seconds_until(answer.retry_delay, now)
    if wait is None and (words := _IN_WORDS.search(answer.message)):
        wait = duration(words[1])
    return wait


def _is_final(answer: Answer, said: float | None) -> bool:
    """Whether waiting does not help: there is no money, or the service says that it must not be asked again."""
    codes, message = set(answer.codes), answer.message.lower()
    if codes & _PERMANENT or _LIMIT_0.search(message):
        return True
    if codes & _QUOTA:
        if "free allocated quota" in message or answer.host.endswith("api.openai.com"):
            return True
        return not answer.host.endswith(".aliyuncs.com") and "billing" in message
    return said is None and "false" in answer.headers.get("x-should-retry", ())  # of OpenAI and Anthropic


def _is_not_now(answer: Answer, said: float | None, limits: tuple[LimitReport, ...]) -> bool:
    if answer.status in (_TOO_MANY_REQUESTS, _OVERLOADED) or not _TRANSIENT.isdisjoint(answer.codes):
        return True
    if not _CAPACITY.isdisjoint(answer.codes):
        return answer.status == _UNAVAILABLE or "too many requests" in answer.message.lower()
    if answer.status == _UNAVAILABLE:  # alone it says that something is broken, with a time that it is not now
        return said is not None
    if answer.status == _FORBIDDEN:  # GitHub's
        return said is not None or any(one.remaining == 0 for one in limits)
    return False
