"""The answer of an upstream that an exception carries, found by its shape: no client library is imported for it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from pacer._errors import Throttled
from pacer._upstream._headers import Headers, read_headers

# Exceptions that were raised from one another; more are a circle, or nobody's answer any more.
_MOST_CAUSES = 10
# A body that explains a refusal is short.
_LONGEST_BODY = 100_000
_LONGEST_MESSAGE = 5_000
# What may be shown as an error code: one word, neither a sentence nor a number.
_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,63}", re.ASCII)


@attrs.frozen(kw_only=True)
class Answer:
    """What an upstream answered.

    Attributes:
        status: HTTP status; 0 if it is not known.
        headers: Its header fields.
        host: Who answered; empty if that is not known.
        codes: Words by which the body says what is wrong, the most exact first.
        message: The body's sentence about it; for pattern matching only, never to be shown.
        retry_delay: How long the body asks to wait, as it writes it; empty if it does not.
    """

    status: int
    headers: Headers
    host: str = ""
    codes: tuple[str, ...] = ()
    message: str = ""
    retry_delay: str = ""


def answer_of(error: BaseException) -> Answer | None:
    """The answer that the exception carries, or else the nearest of those that it was raised from; None without one."""
    for one in causes(error):
        try:
            found = _carried_by(one)
        except Exception:  # noqa: S112 - an exception of somebody else's making: looking at it may raise anything
            continue
        if found is not None:
            return found
    return None


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, what that was raised from, ..."""
    one: BaseException | None = error
    for _ in range(_MOST_CAUSES):
        if one is None:
            return
        yield one
        # Who raises Throttled while handling an answer means that answer, also without `from`.
        handled = one.__context__ if isinstance(one, Throttled) and not one.__suppress_context__ else None
        one = one.__cause__ or handled


def _carried_by(error: BaseException) -> Answer | None:
    response = getattr(error, "response", None)
    if isinstance(response, Mapping):
        return _from_botocore(response)
    for source in (response, error):  # `is None`, because a refusal is falsy in requests
        status = None if source is None else _status(source)
        if status is not None:
            return Answer(
                status=status,
                headers=read_headers(getattr(source, "headers", None)),
                host=_host(source),
                **_explanation(_body(error, response)),
            )
    if isinstance(getattr(error, "body", None), Mapping):  # an error that came in a stream that had begun well
        return Answer(status=0, headers={}, **_explanation(_body(error, None)))
    return None


def _status(source: Any) -> int | None:
    """Of httpx, requests and most SDKs `status_code`; of aiohttp and urllib `status`; of google-genai `code`."""
    names = ("status_code", "status", "code") if hasattr(source, "details") else ("status_code", "status")
    for name in names:
        value = getattr(source, name, None)
        if isinstance(value, int) and 100 <= value <= 599:
            return int(value)
    return None


def _from_botocore(response: Mapping[str, Any]) -> Answer | None:
    metadata = response.get("ResponseMetadata")
    if not isinstance(metadata, Mapping) or not isinstance(status := metadata.get("HTTPStatusCode"), int):
        return None
    return Answer(status=status, headers=read_headers(metadata.get("HTTPHeaders")), **_explanation(response))


def _host(source: Any) -> str:
    try:
        url = getattr(source, "url", "")
    except Exception:  # httpx's, of a response that was made without a request
        return ""
    return str(getattr(url, "host", None) or str(url).partition("//")[2].partition("/")[0]).lower()


def _body(error: BaseException, response: Any) -> Any:
    """The body as the library has read it. Nothing is read from a connection here: that could take for ever."""
    for found in (getattr(error, "body", None), getattr(error, "details", None)):
        if isinstance(found, Mapping | list):
            return found
        if isinstance(found, str | bytes) and found:
            return _parsed(found)
    # Of httpx and requests: in memory already. (Of others, `content` may be a stream.)
    if getattr(response, "is_stream_consumed", False) or getattr(response, "_content_consumed", False):
        return _parsed(response.content)
    return None


def _parsed(text: Any) -> Any:
    if not isinstance(text, str | bytes) or len(text) > _LONGEST_BODY:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _explanation(body: Any) -> dict[str, Any]:
    """Codes, message and delay of an error's body, in the shapes that services use."""
    if isinstance(body, list) and body:
        body = body[0]  # Google's, through its OpenAI-compatible interface
    if not isinstance(body, Mapping):
        return {}
    inner = body.get("error", body.get("Error", body))
    if not isinstance(inner, Mapping):
        return {"codes": tuple(_words(inner))}
    details = inner.get("details")
    exact = details.get("error_code") if isinstance(details, Mapping) else None
    words = (exact, inner.get("code"), inner.get("Code"), inner.get("status"), inner.get("type"))
    message = inner.get("message", inner.get("Message"))
    return {
        "codes": tuple(_words(*words)),
        "message": message[:_LONGEST_MESSAGE] if isinstance(message, str) else "",
        "retry_delay": _retry_delay(body, details),
    }


def _words(*candidates: Any) -> Iterator[str]:
    for word in candidates:
        if isinstance(word, str) and _CODE.fullmatch(word):
            yield word


def _retry_delay(body: Mapping[str, Any], details: Any) -> str:
    """Google's `RetryInfo` ("26s"), or the `retryAfterSeconds` of AWS."""
    for one in details if isinstance(details, list) else ():
        if isinstance(one, Mapping) and str(one.get("@type", "")).endswith("google.rpc.RetryInfo"):
            return str(one.get("retryDelay", ""))
    return str(body.get("retryAfterSeconds", ""))
