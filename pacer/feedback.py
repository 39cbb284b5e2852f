"""What an upstream says of its limits, read from its answers, and handed to the scheduler without work.

Three ways lead from an answer to the pacing policy:

- **An exception that carries the answer** (of httpx, requests, aiohttp, urllib, botocore, the SDKs of OpenAI,
  Anthropic, Google and others; also one that was raised `from` it) says "not now" by itself when a job's function lets
  it through. It need not be caught, nor turned into `Throttled`.
- **A hook** of the HTTP client reports every answer, the good ones too: `report_response`.
- **By hand**: `current_job().report(headers=..., cost=...)`, and `raise Throttled(...)`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pacer._context import reporting_job
from pacer._upstream._headers import read_headers
from pacer._upstream._limits import read_limits, said_wait, wait_for_used_up
from pacer._upstream._times import unix_time
from pacer.protocols import LimitReport

__all__ = ["limits", "report_response", "report_response_sync", "retry_after"]


def retry_after(headers: Any, *, now: float | datetime | None = None) -> float | None:
    """How long an answer asks to wait.

    In order: `retry-after-ms`; `Retry-After` (RFC 9110, section 10.2.3), as seconds, with or without a fraction, as
    one of the three forms of an HTTP date, or as a duration ("6m0s"); else, if a limit is said to be used up, the time
    until it is not any more, of several the latest. The `t` of a `RateLimit` field therefore never overrules a
    `Retry-After`.

    Args:
        headers: Any mapping or list of pairs, of str or bytes, in any case: of httpx, requests, aiohttp, ...
        now: Unix time or aware datetime, for dates; the answer's own `Date` goes before it, so that a wrong clock on
            either side does no harm. Without either of them, dates are not read.

    Returns:
        Seconds, finite, 0 or more, at most 366 days; None if there is nothing that can be meant as a wait. A date in
        the past is 0. A number above 366 days is read as a Unix time, in seconds or milliseconds, if that makes it
        a time between yesterday and a year from now. Of several values the longest wait counts.

    Raises:
        ValueError: `now` is no time. Odd headers never raise.
    """
    clock = unix_time(now)
    fields = read_headers(headers)
    said = said_wait(fields, clock)
    return wait_for_used_up(read_limits(fields, clock)) if said is None else said


def limits(headers: Any, *, now: float | datetime | None = None) -> tuple[LimitReport, ...]:
    """What an answer says of the upstream's limits.

    | Fields | Of |
    | --- | --- |
    | `x-ratelimit-{limit,remaining,reset}-{requests,tokens,...}` | OpenAI and those that speak its dialect |
    | `x-ratelimit-{limit,remaining,reset}`, `ratelimit-{limit,remaining,reset}` | GitHub, and the IETF draft up to 06 |
    | either with a window: `-minute`, `-requests-day`, ... | Kong, Cerebras |
    | `anthropic-{ratelimit,priority}-{requests,tokens,input-tokens,...}-{limit,remaining,reset}` | Anthropic |
    | `RateLimit: "burst";r=50;t=30` with `RateLimit-Policy: "burst";q=100;w=60` | the IETF draft from 08 |

    A report's name is the dimension as costs name it, with `_` for `-`: "requests", "tokens", "input_tokens",
    "priority_input_tokens"; of fields without a dimension "requests". If one dimension has several limits, the one with
    the least left bears that name, and the others add their policy or window: "requests/daily", "requests/minute".

    A reset is read like the values of `retry_after`: OpenAI writes durations, GitHub Unix times, Anthropic dates
    (RFC 3339). What it is the end of is the service's choice: with OpenAI and Anthropic the limit is then full again,
    so that single requests are possible sooner.

    Not for answers of a cache: with an `Age` above 0 there are no reports. Malformed fields are ignored, as the draft
    demands.

    Args:
        headers: As for `retry_after`.
        now: As for `retry_after`.

    Returns:
        One report for each limit, all its numbers finite and 0 or more.

    Raises:
        ValueError: `now` is no time. Odd headers never raise.
    """
    return read_limits(read_headers(headers), unix_time(now))


async def report_response(response: Any) -> None:
    """Report an answer's headers for the current job: a hook for clients that await their hooks.

        client = httpx.AsyncClient(event_hooks={"response": [report_response]})

    The SDKs of OpenAI and Anthropic take such a client, and have one of their own that takes hooks:
    `AsyncOpenAI(http_client=DefaultAsyncHttpxClient(event_hooks={"response": [report_response]}))`.

    Outside of a job it does nothing, and it never raises.

    Args:
        response: Whatever has `headers`.
    """
    report_response_sync(response)


def report_response_sync(response: Any, *_: Any, **__: Any) -> None:
    """The same for clients that call their hooks: `httpx.Client`, and `hooks={"response": ...}` of requests.

    Args:
        response: Whatever has `headers`.
    """
    job = reporting_job()
    if job is not None:
        job.report(headers=getattr(response, "headers", None))
