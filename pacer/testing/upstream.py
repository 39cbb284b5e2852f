"""An upstream that answers by a script: for tests of what your jobs do when it is busy, slow or broken.

    upstream = ScriptedUpstream([ok({"text": "One"}), throttled(retry_after=30), error(500), slow(2.0, ok()), lost()])
    client = httpx.AsyncClient(transport=upstream.transport, base_url="https://api.example")

It is no server: there are no sockets, no time-outs of reading, no connection pools, no streams that break off halfway,
and one process only. Tests of these want a real server on this machine, in real time.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import anyio
import anyio.from_thread
import attrs

from pacer._errors import Throttled
from pacer._validation import not_negative, optional_seconds, seconds
from pacer.feedback import limits

__all__ = ["Answer", "ScriptedUpstream", "UpstreamCall", "UpstreamError", "error", "lost", "ok", "slow", "throttled"]

# Times are sums of floats: what is sooner by less than this is not.
_ROUNDING = 1e-6


class UpstreamError(Exception):
    """What a `ScriptedUpstream` that is called as a function raises for `error` and `lost`.

    Attributes:
        status: The HTTP status; 0 if the connection was lost.
        body: The answer's body.
    """

    def __init__(self, status: int, body: Any = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body

    def __str__(self) -> str:
        return f"the upstream answered {self.status}" if self.status else "the connection to the upstream was lost"


@attrs.frozen(kw_only=True)
class Answer:
    """One answer of a `ScriptedUpstream`. Made by `ok`, `throttled`, `error`, `slow` and `lost`.

    Attributes:
        status: HTTP status; 0 for none, because the connection is lost.
        body: The body: text or bytes as they are, all else as JSON.
        headers: Header fields.
        seconds: How long the upstream takes to answer.
        wait: Seconds after the answer in which no other request may come; 0 for none.
        why: What the answer says of that.
    """

    status: int
    body: Any = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    seconds: float = attrs.field(default=0.0, converter=seconds, validator=not_negative)
    wait: float = 0.0
    why: str = ""


def ok(
    body: Any = None,
    *,
    limit: int | None = None,
    remaining: int | None = None,
    reset: float | None = None,
    headers: Mapping[str, str] | None = None,
) -> Answer:
    """The answer 200.

    Args:
        body: Text or bytes as they are; all else as JSON.
        limit: Requests that the upstream allows a window, sent as `x-ratelimit-limit-requests`; None: it does not say.
        remaining: How many of them are left, likewise. With 0 no request may come before `reset` is over.
        reset: Seconds until the limit is full again, likewise.
        headers: More header fields. If they say that a limit is used up, no request may come before it is not.
    """
    said = {"limit": limit, "remaining": remaining, "reset": None if reset is None else f"{reset:g}s"}
    fields = {f"x-ratelimit-{name}-requests": str(value) for name, value in said.items() if value is not None}
    return _with_wait(Answer(status=200, body=body, headers={**fields, **(headers or {})}))


def throttled(
    retry_after: float | None = None, *, status: int = 429, body: Any = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """The answer "not now".

    Args:
        retry_after: Seconds in which no request may come, sent as `Retry-After`, and if they are no whole number as
            `retry-after-ms` too. None: it does not say.
        status: 429 (default), or another one.
        body: As for `ok`; by default an error in OpenAI's form.
        headers: More header fields.
    """
    wait = optional_seconds(retry_after)
    fields: dict[str, str] = {}
    if wait is not None:
        fields["retry-after"] = str(math.ceil(wait))
        if wait != math.ceil(wait):
            fields["retry-after-ms"] = f"{wait * 1000:.0f}"
    if body is None:
        body = {"error": {"message": "Rate limit reached.", "type": "requests", "code": "rate_limit_exceeded"}}
    answer = Answer(status=status, body=body, headers={**fields, **(headers or {})})
    if wait is None:
        return _with_wait(answer)
    return attrs.evolve(answer, wait=wait, why=f"Retry-After of {wait:g} s")


def error(status: int = 500, body: Any = None, *, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that is an error.

    Args:
        status: 500 by default.
        body: As for `ok`.
        headers: Header fields.
    """
    return Answer(status=status, body=body, headers=dict(headers or {}))


def slow(seconds: float, answer: Answer | None = None) -> Answer:
    """An answer that takes its time, on the event loop's clock. Needs a client that is async.

    Args:
        seconds: How long.
        answer: The answer; by default `ok()`.
    """
    return attrs.evolve(ok() if answer is None else answer, seconds=seconds)


def lost() -> Answer:
    """No answer: the connection is lost. Clients see an error of reading."""
    return Answer(status=0)


def _all(answers: Iterable[Answer]) -> tuple[Answer, ...]:
    return tuple(answers)


def _with_wait(answer: Answer) -> Answer:
    used_up = [one.reset_in for one in limits(answer.headers) if one.remaining == 0 and one.reset_in is not None]
    if not used_up:
        return answer
    return attrs.evolve(answer, wait=max(used_up), why=f"limit, which is used up for {max(used_up):g} s")


@attrs.define(eq=False)
class UpstreamCall:
    """One request to a `ScriptedUpstream`. Times are seconds on the event loop's clock, which is virtual in most tests.

    Attributes:
        at: When it came.
        answered_at: When it was answered; None if it has not been (yet).
        too_soon: Seconds by which it came sooner than the upstream had allowed; 0 if it did not.
        why: Which of the earlier answers had not allowed it; empty if it was allowed.
        answer: What it is answered.
        request: The arguments, or the client library's request with method, URL, headers and content.
    """

    at: float
    answer: Answer
    request: Any
    too_soon: float = 0.0
    why: str = ""
    answered_at: float | None = None

    @property
    def json(self) -> Any:
        """The content of an HTTP request, which is JSON."""
        return json.loads(self.request.content)


@attrs.define(eq=False)
class ScriptedUpstream:
    """Answers requests one after the other by a script, and checks that none comes sooner than it has allowed.

    As an HTTP service: `transport` is for clients of httpx and httpx2, sync or async, and thereby for the SDKs of
    OpenAI, Anthropic and others. As a function: `await upstream(...)` gives the body, or raises `Throttled` or
    `UpstreamError`.

    As a context manager it calls `verify` when its block ends well.

    Args:
        answers: The script: `ok()`, `throttled(retry_after=30)`, `error(500)`, `slow(2.0)`, `lost()`.
        then: What all requests after those are answered; None (default): there must be none.
        pause: Seconds that have to lie between an answer and the next request; 0 by default.
        strict: Answer 429 to requests that come too soon, as a real service does, instead of by the script; by
            default (False) they are answered by the script, and `verify` tells of them.
    """

    answers: Sequence[Answer] = attrs.field(converter=_all)
    then: Answer | None = attrs.field(default=None, kw_only=True)
    pause: float = attrs.field(default=0.0, converter=seconds, validator=not_negative, kw_only=True)
    strict: bool = attrs.field(default=False, kw_only=True)
    calls: list[UpstreamCall] = attrs.field(init=False, factory=list, repr=False)
    """All requests, in the order in which they came."""
    _used: int = attrs.field(init=False, default=0)
    _unexpected: int = attrs.field(init=False, default=0)
    _allowed_at: float = attrs.field(init=False, default=-math.inf)
    _why: str = attrs.field(init=False, default="")

    # -- as a function -----------------------------------------------------------------------------------------------

    async def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """One request: gives the body of the answer.

        Raises:
            Throttled: The answer is 429.
            UpstreamError: It is another error, or none.
            AssertionError: The script is over.
        """
        call = await self._answered((args, kwargs))
        answer = call.answer
        if answer.status == 429:
            raise Throttled(answer.wait or None, "429", limits=limits(answer.headers))
        if not 200 <= answer.status < 400:
            raise UpstreamError(answer.status, answer.body)
        return answer.body

    # -- as an HTTP service ------------------------------------------------------------------------------------------

    @property
    def transport(self) -> Any:
        """For `httpx.AsyncClient(transport=...)`, `httpx.Client(transport=...)`, and the same of httpx2."""
        return _Transport(self)

    # -- afterwards --------------------------------------------------------------------------------------------------

    @property
    def times(self) -> list[float]:
        """When requests came, in seconds since the first one."""
        return [round(call.at - self.calls[0].at, 6) for call in self.calls]

    def verify(self) -> None:
        """Check that all answers were asked for, no others, and none sooner than allowed.

        Raises:
            AssertionError: It says which.
        """
        __tracebackhide__ = True  # pytest then shows the line of the test
        problems = [
            f"request {number} came {call.too_soon:g} s too soon, at {call.at:g} s: {call.why}"
            for number, call in enumerate(self.calls, 1)
            if call.too_soon
        ]
        if self._unexpected:
            problems.append(f"{self._unexpected} requests came after the script was over; pass then= to answer them")
        if self._used < len(self.answers):
            problems.append(f"only {self._used} of {len(self.answers)} answers were asked for")
        if problems:
            raise AssertionError("the upstream was not used as it allows:\n  " + "\n  ".join(problems))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        __tracebackhide__ = True
        if kind is None:
            self.verify()

    # -- one request -------------------------------------------------------------------------------------------------

    async def _answered(self, request: Any) -> UpstreamCall:
        call = self._take(request)
        if call.answer.seconds:
            await anyio.sleep(call.answer.seconds)
        self._done(call)
        return call

    def _answered_in_thread(self, request: Any) -> UpstreamCall:
        call = self._take(request)
        if call.answer.seconds:
            msg = "slow() takes the event loop's time, which a synchronous client keeps from passing; use an async one"
            raise AssertionError(msg)
        self._done(call)
        return call

    def _take(self, request: Any) -> UpstreamCall:
        now = _now()
        early = self._allowed_at - now
        too_soon = round(early, 6) if early > _ROUNDING else 0.0
        if too_soon and self.strict:
            answer = throttled(retry_after=too_soon)
        elif self._used < len(self.answers):
            answer = self.answers[self._used]
            self._used += 1
        elif self.then is not None:
            answer = self.then
        else:
            self._unexpected += 1
            number = len(self.calls) + self._unexpected
            msg = f"the upstream's script is over: this is request {number}; pass then= to answer it"
            raise AssertionError(msg)
        call = UpstreamCall(now, answer, request, too_soon, self._why if too_soon else "")
        self.calls.append(call)
        return call

    def _done(self, call: UpstreamCall) -> None:
        call.answered_at = _now()
        number = self.calls.index(call) + 1
        waits = [(call.answer.wait, call.answer.why), (self.pause, f"pause of {self.pause:g} s")]
        for wait, why in waits:
            if wait and call.answered_at + wait > self._allowed_at:
                self._allowed_at = call.answered_at + wait
                self._why = f"answer {number}, at {call.answered_at:g} s, had said a {why}"


def _now() -> float:
    """The event loop's clock, from a thread that works for it too."""
    try:
        return anyio.current_time()
    except RuntimeError:
        pass
    try:
        return anyio.from_thread.run_sync(anyio.current_time)
    except RuntimeError:
        return time.monotonic()


@attrs.frozen(eq=False)
class _Transport:
    """A transport of httpx or httpx2: it answers in the classes of the library that asks."""

    _upstream: ScriptedUpstream

    async def handle_async_request(self, request: Any) -> Any:
        await request.aread()
        return _response(request, (await self._upstream._answered(request)).answer)

    def handle_request(self, request: Any) -> Any:
        request.read()
        return _response(request, self._upstream._answered_in_thread(request).answer)

    def close(self) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


def _response(request: Any, answer: Answer) -> Any:
    library = sys.modules[type(request).__module__.partition(".")[0]]
    if not answer.status:
        msg = "the connection to the upstream was lost"
        raise library.ReadError(msg, request=request)
    content = {"content": answer.body} if isinstance(answer.body, str | bytes) else {"json": answer.body}
    return library.Response(answer.status, headers=dict(answer.headers), request=request, **content)
