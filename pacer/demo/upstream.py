"""A stand-in for a rate-limited chat service: a real HTTP server with real limits and an imitated model.

It speaks the OpenAI-compatible dialect of DashScope, also under DashScope's own path `/compatible-mode/v1`, counts
requests and tokens a minute and requests a second exactly, and answers 429 with DashScope's error codes beyond that.
Every answer tells what is left of the minute, as OpenAI does.
`GET /calls` tells what was asked of it and when, so that a caller's pace can be proved from this side.
"""

from __future__ import annotations

import hashlib
import math
import secrets
from collections import deque
from collections.abc import Callable, Container
from random import Random
from typing import Annotated, Literal

import anyio
import attrs

from pacer._extras import needed
from pacer.demo._analysis import analyse, count_tokens
from pacer.demo._limits import Limits, Refusal, SlidingLog

with needed("demo"):
    from fastapi import APIRouter, FastAPI, Header, Request, Response
    from fastapi.exceptions import RequestValidationError
    from fastapi.responses import JSONResponse
    from pydantic import BaseModel

__all__ = ["Limits", "create_upstream"]

# Seconds that a model of this size takes to answer; the answer's length decides where between.
FASTEST_ANSWER, SLOWEST_ANSWER = 4.0, 9.0
# How old the other users' calls are when they come to light, as a share of the window.
OTHERS_AGE = 0.8
CALLS_KEPT = 10_000


class Message(BaseModel):
    """One message of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class ChatRequest(BaseModel):
    """What a client asks. Fields that the stand-in has no use for are accepted and ignored."""

    model: str
    messages: list[Message]
    stream: bool = False


class Call(BaseModel):
    """One request as the upstream saw it.

    Attributes:
        at: Seconds since the first one.
        status: HTTP status of the answer.
        code: Error code; empty for an answer.
        tokens: Tokens charged.
        document: Fingerprint of the last message.
        answered: Whether the answer was sent off in full.
    """

    at: float
    status: int
    code: str
    tokens: int
    document: str
    answered: bool = False


class Calls(BaseModel):
    """The log of calls, oldest first."""

    calls: list[Call]


@attrs.define(eq=False)
class Upstream:
    """The state of one stand-in."""

    log: SlidingLog
    speed: float
    key: str
    others_before: Container[int]
    seed: int
    clock: Callable[[], float]
    calls: deque[Call] = attrs.field(init=False, factory=lambda: deque(maxlen=CALLS_KEPT))
    _arrivals: int = attrs.field(init=False, default=0)
    _started_at: float | None = attrs.field(init=False, default=None)

    async def complete(self, chat: ChatRequest) -> Response:
        """Answer, or refuse."""
        prompt = chat.messages[-1].content
        answer = analyse(prompt)
        prompt_tokens, answer_tokens = sum(count_tokens(one.content) for one in chat.messages), count_tokens(answer)
        tokens = prompt_tokens + answer_tokens
        if tokens > self.log.limits.tokens:
            return _error(
                400, "invalid_parameter_error", f"Range of input length should be [1, {self.log.limits.tokens}]"
            )
        refusal = self._admit(tokens)
        call = self._note(prompt, tokens, refusal)
        limits = self._limit_headers()
        if refusal is not None:
            return _throttled(refusal, limits)
        await anyio.sleep(self._answer_time(prompt) / self.speed)
        call.answered = True
        return JSONResponse(
            _completion(chat.model, answer, prompt_tokens, answer_tokens, call.document), headers=limits
        )

    def authorised(self, authorization: str) -> bool:
        """Whether the bearer key is the right one."""
        return secrets.compare_digest(authorization.encode(), f"Bearer {self.key}".encode())

    def _admit(self, tokens: int) -> Refusal | None:
        self._arrivals += 1
        now, limits = self.clock(), self.log.limits
        if self._arrivals in self.others_before:
            # Limits hold for an account, whose other users one hears of only when they have used them up.
            self.log.charge(now - OTHERS_AGE * limits.window, limits.requests, limits.tokens // 2)
        return self.log.admit(now, tokens)

    def _limit_headers(self) -> dict[str, str]:
        """What is left of the window, as OpenAI says it: until it is full again, in Go's notation."""
        now, limits = self.clock(), self.log.limits
        requests, tokens = self.log.left(now)
        reset = f"{self.log.until_empty(now):.3f}s"
        return {
            "X-RateLimit-Limit-Requests": str(limits.requests),
            "X-RateLimit-Remaining-Requests": str(requests),
            "X-RateLimit-Reset-Requests": reset,
            "X-RateLimit-Limit-Tokens": str(limits.tokens),
            "X-RateLimit-Remaining-Tokens": str(tokens),
            "X-RateLimit-Reset-Tokens": reset,
        }

    def _note(self, prompt: str, tokens: int, refusal: Refusal | None) -> Call:
        now = self.clock()
        if self._started_at is None:
            self._started_at = now
        call = Call(
            at=now - self._started_at,
            status=200 if refusal is None else 429,
            code="" if refusal is None else refusal.code,
            tokens=tokens if refusal is None else 0,
            document=hashlib.sha256(prompt.encode()).hexdigest()[:12],
        )
        self.calls.append(call)
        return call

    def _answer_time(self, prompt: str) -> float:
        return Random(f"{self.seed}:{prompt}").uniform(FASTEST_ANSWER, SLOWEST_ANSWER)  # noqa: S311 - no secret


def create_upstream(
    limits: Limits | None = None,
    *,
    speed: float = 1.0,
    key: str = "stand-in",
    others_before: Container[int] = (),
    seed: int = 0,
    clock: Callable[[], float] = anyio.current_time,
) -> FastAPI:
    """The stand-in as an ASGI application; serve it on loopback only.

    Args:
        limits: What it allows in real time; `Limits()` by default.
        speed: Divides all times: answers and the limits' windows.
        key: The bearer key that callers must show.
        others_before: Just before these requests, counted from 1, the account's other users turn out to have used up
            the minute. The request is then refused whatever the caller's own pace.
        seed: Decides, with the document, how long an answer takes.
        clock: Seconds, monotonic; the event loop's by default.
    """
    scaled = (limits or Limits()).scaled(speed)
    upstream = Upstream(SlidingLog(scaled), speed, key, others_before, seed, clock)
    app = FastAPI(title="Stand-in for a rate-limited chat service")
    router = APIRouter()

    @router.post("/chat/completions", response_model=None)
    async def chat_completions(chat: ChatRequest, authorization: Annotated[str, Header()] = "") -> Response:
        if not upstream.authorised(authorization):
            return _error(401, "invalid_api_key", "Incorrect API key provided.")
        if chat.stream or not chat.messages:
            return _error(400, "invalid_parameter_error", "stream must be false, and messages must not be empty")
        return await upstream.complete(chat)

    @app.get("/calls")
    async def calls() -> Calls:
        return Calls(calls=list(upstream.calls))

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: Exception) -> Response:
        return _error(400, "invalid_parameter_error", "The request body is not a chat completion request.")

    app.include_router(router, prefix="/v1")
    app.include_router(router, prefix="/compatible-mode/v1")
    return app


def _throttled(refusal: Refusal, limits: dict[str, str]) -> Response:
    # OpenAI sends both; Retry-After alone knows whole seconds only.
    headers = {
        **limits,
        "Retry-After": str(math.ceil(refusal.retry_after)),
        "Retry-After-Ms": str(math.ceil(refusal.retry_after * 1000)),
    }
    return _error(429, refusal.code, refusal.message, headers)


def _error(status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:
    body = {"error": {"message": message, "type": code, "param": None, "code": code}}
    return JSONResponse(body, status, headers)


def _completion(model: str, answer: str, prompt_tokens: int, answer_tokens: int, document: str) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{document}",
        "object": "chat.completion",
        "created": 0,  # the stand-in knows no calendar
        "model": model,
        "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": answer}},
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": answer_tokens,
            "total_tokens": prompt_tokens + answer_tokens,
        },
    }
