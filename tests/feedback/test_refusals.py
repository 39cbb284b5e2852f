"""What exceptions that carry an answer mean: "not now", or "no"."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.error import HTTPError

import anthropic
import anyio
import attrs
import httpx
import httpx2
import openai
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from listening import Listening

from pacer import JobFailedError, Outcome, OutcomeKind, Scheduler, Throttled
from pacer._upstream._answers import answer_of
from pacer._upstream._refusals import read_refusal
from pacer.protocols import LimitReport
from pacer.testing import Recorder

UNIX_NOW = 1_792_567_680.0
OPENAI, DASHSCOPE = "https://api.openai.com/v1/chat", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat"
THROTTLED, FAILED = OutcomeKind.THROTTLED, OutcomeKind.FAILED


def httpx_error(
    status: int, headers: dict[str, str] | None = None, body: Any = None, url: str = "https://api.example"
) -> httpx.HTTPStatusError:
    response = httpx.Response(status, headers=headers, json=body, request=httpx.Request("POST", url))
    return httpx.HTTPStatusError("refused", request=response.request, response=response)


def outcome(error: BaseException) -> Outcome:
    answer = answer_of(error)
    assert answer is not None
    return read_refusal(answer, UNIX_NOW)


def kind(
    status: int, code: str = "", message: str = "", url: str = "https://api.example", **headers: str
) -> OutcomeKind:
    body = {"error": {"code": code, "message": message, "type": code}}
    return outcome(
        httpx_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, body, url)
    ).kind


# -- which answers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [429, 529])
def test_these_say_not_now_also_without_a_word_more(status: int) -> None:
    assert outcome(httpx_error(status)) == Outcome(THROTTLED, error=f"HTTP {status}")


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 408, 500, 502, 503, 504])
def test_these_are_failures_by_themselves(status: int) -> None:
    assert outcome(httpx_error(status)).kind is FAILED


def test_a_503_with_a_time_says_not_now_and_other_server_errors_keep_theirs_for_the_retry() -> None:
    assert outcome(httpx_error(503, {"Retry-After": "120"})) == Outcome(THROTTLED, error="HTTP 503", retry_after=120.0)
    assert outcome(httpx_error(500, {"Retry-After": "120"})) == Outcome(FAILED, error="HTTP 500", retry_after=120.0)


def test_a_503_of_capacity_says_not_now_without_a_time() -> None:
    assert kind(503, "slow_down") is THROTTLED
    assert kind(503, "server_is_overloaded") is THROTTLED
    assert kind(503, "ModelUnavailable", "throttled due to system capacity limits") is THROTTLED
    assert kind(500, "ModelServingError", "Too many requests. Your requests are being throttled") is THROTTLED
    assert kind(500, "ModelServingError", "Failed to request LLM") is FAILED


def test_githubs_403_says_not_now_when_a_limit_is_used_up_or_a_time_is_named() -> None:
    used_up = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(UNIX_NOW) + 90)}
    assert outcome(httpx_error(403, used_up, {"message": "API rate limit exceeded"})) == Outcome(
        THROTTLED,
        error="HTTP 403",
        retry_after=90.0,
        limits=(LimitReport(name="requests", remaining=0.0, reset_in=90.0),),
    )
    assert kind(403, retry_after="60") is THROTTLED
    assert kind(403, x_ratelimit_remaining="7", x_ratelimit_reset="60") is FAILED


@pytest.mark.parametrize(
    "code",
    [
        "Throttling",
        "Throttling.RateQuota",
        "Throttling.BurstRate",
        "limit_requests",
        "LimitRequests",
        "limit_burst_rate",
    ],
)
def test_dashscopes_codes_of_throttling(code: str) -> None:
    assert kind(429, code, url=DASHSCOPE) is THROTTLED
    assert kind(400, code, url=DASHSCOPE) is THROTTLED


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (429, "CommodityNotPurchased"),
        (429, "PrepaidBillOverdue"),
        (429, "PostpaidBillOverdue"),
        (400, "Arrearage"),
        (429, "billing_not_active"),
        (429, "credit_balance_exhausted"),
        (429, "project_spend_limit_exceeded"),
    ],
)
def test_who_has_to_pay_first_need_not_wait(status: int, code: str) -> None:
    assert kind(status, code, retry_after="5") is FAILED


_BILLING = "You exceeded your current quota, please check your plan and billing details."


@pytest.mark.parametrize(
    ("code", "message", "url", "expected"),
    [
        ("insufficient_quota", _BILLING, OPENAI, FAILED),
        ("insufficient_quota", "", OPENAI, FAILED),
        ("insufficient_quota", _BILLING, "http://127.0.0.1:4000/v1", FAILED),  # a proxy: only the sentence is left
        ("insufficient_quota", "You exceeded your current quota.", "http://127.0.0.1:4000/v1", THROTTLED),
        ("insufficient_quota", _BILLING, DASHSCOPE, THROTTLED),
        ("insufficient_quota", "Allocated quota exceeded, please increase your quota limit.", DASHSCOPE, THROTTLED),
        ("insufficient_quota", "Free allocated quota exceeded.", DASHSCOPE, FAILED),
        ("Throttling.AllocationQuota", "Allocated quota exceeded", DASHSCOPE, THROTTLED),
        ("Throttling.AllocationQuota", "Free allocated quota exceeded.", DASHSCOPE, FAILED),
        ("insufficient_quota", _BILLING, "https://aliyuncs.com.example/v1", FAILED),
    ],
)
def test_insufficient_quota_is_permanent_with_openai_and_passes_with_dashscope(
    code: str, message: str, url: str, expected: OutcomeKind
) -> None:
    assert kind(429, code, message, url) is expected


def gemini(message: str, *details: dict[str, Any]) -> dict[str, Any]:
    return {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": message, "details": list(details)}}


RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "26s"}


def test_googles_retry_info_is_the_wait() -> None:
    body = gemini("You exceeded your current quota, please check your plan and billing details.", {"x": 1}, RETRY_INFO)
    expected = Outcome(THROTTLED, error="RESOURCE_EXHAUSTED", retry_after=26.0)
    assert outcome(httpx_error(429, body=body)) == expected
    assert outcome(httpx_error(429, body=[body])) == expected  # through its OpenAI-compatible interface
    assert outcome(httpx_error(429, {"Retry-After": "3"}, body)).retry_after == 3.0


def test_a_limit_of_0_is_no_matter_of_waiting() -> None:
    metric = "Quota exceeded for metric: generate_content_free_tier_requests"
    assert outcome(httpx_error(429, body=gemini(f"{metric}, limit: 0, model: m", RETRY_INFO))).kind is FAILED
    assert outcome(httpx_error(429, body=gemini(f"{metric}, limit: 0.5, model: m", RETRY_INFO))).kind is THROTTLED
    assert outcome(httpx_error(429, body=gemini(f"{metric}, limit: 05", RETRY_INFO))).kind is THROTTLED


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please retry in 10h17m5.72s.", 37025.72),
        ("Rate limit reached for m. Limit: 3 / min. Please try again in 20s. Contact us", 20.0),
        ("Please try again in 76ms", 0.076),
        ("Please retry in a while", None),
        ("Please retry in " + "1s" * 2000, 2000.0),
        ("Please retry in " + "9" * 4000 + "s", None),
        ("Please retry in 99999999h", None),
    ],
)
def test_a_wait_in_words_is_the_last_that_is_looked_for(message: str, seconds: float | None) -> None:
    body = {"error": {"message": message, "code": "rate_limit_exceeded"}}
    assert outcome(httpx_error(429, body=body)).retry_after == seconds
    assert outcome(httpx_error(429, {"retry-after": "3"}, body)).retry_after == 3.0


def test_should_retry_false_is_final_only_without_a_wait() -> None:
    assert kind(429, x_should_retry="false") is FAILED
    assert kind(429, x_should_retry="false", retry_after="9000") is THROTTLED
    assert kind(429, x_should_retry="true") is THROTTLED


def test_the_reason_is_a_code_and_never_a_sentence() -> None:
    for code in ("sk-proj-abc def", "<b>x</b>", "x" * 65, "", "429", "a\nb", 5, None, ["x"]):
        body = {"error": {"code": code, "message": "key sk-secret of user@example.com"}}
        assert outcome(httpx_error(429, body=body)).error == "HTTP 429"
    anthropics = {"type": "error", "error": {"type": "rate_limit_error", "message": "sk-secret"}}
    assert outcome(httpx_error(429, body=anthropics)).error == "rate_limit_error"
    assert (
        outcome(httpx_error(429, body={"code": "Throttling", "message": "m", "request_id": "r"})).error == "Throttling"
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"[" * 50_000,
        b"9" * 10_000,
        b'"text"',
        b"[]",
        b"[1]",
        b'{"error": null}',
        b'{"error": "rate"}',
        b"\xff",
    ],
    ids=lambda content: content[:9].decode("latin-1"),
)
def test_a_body_of_any_kind_is_survived(content: bytes) -> None:
    response = httpx.Response(429, headers={"retry-after": "5"}, content=content)
    error = httpx.HTTPStatusError("refused", request=httpx.Request("GET", "http://x"), response=response)
    assert outcome(error).retry_after == 5.0


WORDS = st.text(max_size=20) | st.sampled_from(["26s", "limit: 0", "insufficient_quota", "try again in 5s"])
NAMES = ["error", "Error", "code", "Code", "status", "type", "message", "details", "retryDelay", "@type"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
)


@given(st.integers(100, 599), JSON)
def test_no_body_whatever_raises_or_gives_a_wait_that_is_none(status: int, body: object) -> None:
    error = openai.APIStatusError("no", response=httpx2_response(status, {}, {}), body=body)
    said = outcome(error)
    assert said.retry_after is None or 0 <= said.retry_after <= 366 * 86400
    assert re.fullmatch(r"[A-Za-z][\w.-]{0,63}|HTTP \d{3}", said.error, re.ASCII)


def test_a_body_that_has_not_been_read_is_left_alone() -> None:
    reads = []

    def stream() -> Any:
        reads.append(1)
        yield b"{}"

    response = httpx.Response(429, content=stream())
    error = httpx.HTTPStatusError("refused", request=httpx.Request("GET", "http://x"), response=response)
    assert outcome(error) == Outcome(THROTTLED, error="HTTP 429")
    assert not reads


# -- which exceptions ------------------------------------------------------------------------------------------------

HEADERS = {"Retry-After": "7", "x-ratelimit-remaining-tokens": "0"}
CODED = {"error": {"code": "limit_requests", "message": "m"}}
EXPECTED = Outcome(
    THROTTLED, error="limit_requests", retry_after=7.0, limits=(LimitReport(name="tokens", remaining=0.0),)
)


def httpx2_response(status: int, body: Any, headers: dict[str, str] = HEADERS) -> httpx2.Response:
    return httpx2.Response(status, headers=headers, json=body, request=httpx2.Request("POST", OPENAI))


def requests_error(body: object = CODED) -> requests.HTTPError:
    response = requests.Response()
    response.status_code = 429
    response.headers.update(HEADERS)
    response.url = DASHSCOPE
    response._content, response._content_consumed = json.dumps(body).encode(), True
    return requests.HTTPError("429", response=response)


@attrs.define
class ClientError(Exception):
    """Of the shape that botocore documents for its own."""

    response: dict[str, Any]


def test_the_error_of_httpx() -> None:
    assert outcome(httpx_error(429, HEADERS, CODED)) == EXPECTED


def test_the_error_of_openai() -> None:
    error = openai.RateLimitError("slow", response=httpx2_response(429, CODED), body=CODED["error"])
    assert outcome(error) == EXPECTED


def test_the_error_of_anthropic() -> None:
    body = {"type": "error", "error": {"type": "rate_limit_error", "message": "m"}}
    limit = {"details": {"error_code": "enforced_spend_limit_reached"}, **body["error"]}
    error = anthropic.RateLimitError("slow", response=httpx2_response(429, body), body=body)
    assert outcome(error) == attrs.evolve(EXPECTED, error="rate_limit_error")
    final = anthropic.RateLimitError("no", response=httpx2_response(429, body), body={**body, "error": limit})
    assert (outcome(final).kind, outcome(final).error) == (FAILED, "enforced_spend_limit_reached")
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    in_a_stream = anthropic.APIStatusError("overloaded", response=httpx2_response(200, {}), body=overloaded)
    assert outcome(in_a_stream).kind is THROTTLED


def test_an_error_within_a_stream_has_a_body_and_no_status() -> None:
    error = openai.APIError("slow", httpx2.Request("POST", OPENAI), body={"code": "rate_limit_exceeded", "message": ""})
    assert outcome(error) == Outcome(THROTTLED, error="rate_limit_exceeded")
    error = openai.APIError("broken", httpx2.Request("POST", OPENAI), body={"code": "server_error", "message": ""})
    assert outcome(error).kind is FAILED


def test_the_error_of_requests_whose_responses_are_falsy() -> None:
    error = requests_error()
    assert not error.response
    assert outcome(error) == EXPECTED
    of_dashscope = requests_error({"code": "insufficient_quota", "message": _BILLING})
    assert outcome(of_dashscope).kind is THROTTLED


def test_the_error_of_urllib_whose_body_stays_unread() -> None:
    assert outcome(HTTPError("http://x", 429, "slow", HEADERS, None)) == attrs.evolve(EXPECTED, error="HTTP 429")  # type: ignore[arg-type]


def test_the_error_of_botocore_which_calls_a_throttle_400() -> None:
    metadata = {"HTTPStatusCode": 400, "HTTPHeaders": {"retry-after": "7", "x-ratelimit-remaining-tokens": "0"}}
    response = {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}, "ResponseMetadata": metadata}
    assert outcome(ClientError(response)) == attrs.evolve(EXPECTED, error="ThrottlingException")
    del metadata["HTTPHeaders"]
    assert outcome(ClientError({**response, "retryAfterSeconds": 9})).retry_after == 9.0
    response["Error"] = {"Code": "ValidationException", "Message": "no"}
    assert outcome(ClientError(response)).kind is FAILED


@attrs.define
class GenAIError(Exception):
    """Of the shape that google-genai documents for its own."""

    code: int
    status: str
    details: dict[str, Any]


def test_the_error_of_google_genai() -> None:
    error = GenAIError(429, "RESOURCE_EXHAUSTED", gemini("slow", RETRY_INFO))
    assert outcome(error) == Outcome(THROTTLED, error="RESOURCE_EXHAUSTED", retry_after=26.0)


@attrs.define
class ApiError(Exception):
    """Of SDKs that keep the parts of an answer and not the answer."""

    status_code: int
    headers: dict[str, str]
    body: str


def test_the_error_of_an_sdk_that_keeps_no_response() -> None:
    assert outcome(ApiError(429, HEADERS, json.dumps(CODED))) == EXPECTED
    too_long = json.dumps({**CODED, "text": "x" * 100_000})
    assert outcome(ApiError(429, HEADERS, too_long)) == attrs.evolve(EXPECTED, error="HTTP 429")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("429"),
        SystemExit(429),
        httpx.ConnectTimeout("slow", request=httpx.Request("GET", "http://x")),
        openai.APITimeoutError(httpx2.Request("GET", "http://x")),
        anthropic.APIConnectionError(request=httpx2.Request("GET", "http://x")),
        ClientError({}),
        ClientError({"ResponseMetadata": None}),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_without_an_answer_has_none(error: BaseException) -> None:
    assert answer_of(error) is None


class OddError(Exception):
    @property
    def response(self) -> object:
        raise RuntimeError("closed")


@attrs.define
class CodedError(Exception):
    code: object = 429


def test_odd_exceptions_are_passed_over_and_their_cause_is_looked_at() -> None:
    for odd in (OddError(), CodedError(), CodedError(lambda: 429)):
        assert answer_of(odd) is None
        odd.__cause__ = httpx_error(429)
        assert outcome(odd).kind is THROTTLED


def test_the_nearest_answer_of_a_chain_counts() -> None:
    outer, middle, inner = ValueError("could not fetch"), httpx_error(500), httpx_error(429)
    middle.__cause__, outer.__cause__ = inner, middle
    assert outcome(outer).kind is FAILED
    outer.__cause__ = KeyError()
    outer.__cause__.__cause__ = inner
    assert outcome(outer).kind is THROTTLED


def test_a_circle_of_causes_comes_to_an_end() -> None:
    one, other = ValueError(), KeyError()
    one.__cause__, other.__cause__ = other, one
    assert answer_of(one) is None


# -- in a scheduler --------------------------------------------------------------------------------------------------


@pytest.mark.anyio
async def test_a_429_that_nobody_catches_holds_the_queue_and_the_job_comes_back() -> None:
    starts = []

    async def ask() -> str:
        starts.append(anyio.current_time())
        if len(starts) == 1:
            raise httpx_error(429, {"Retry-After": "30", "x-ratelimit-remaining-tokens": "0"}, CODED)
        return "done"

    pacing = Listening()
    async with Scheduler(pacing=pacing) as scheduler:
        receipt = await scheduler.enqueue(ask)
        assert await scheduler.wait(receipt) == "done"
        job = await scheduler.job(receipt.job_id)
    assert starts == [0, 30]
    assert (job.throttles, job.attempt) == (1, 1)
    assert pacing.heard[0].kind is THROTTLED
    assert pacing.heard[0].limits == (LimitReport(name="tokens", remaining=0.0),)


@pytest.mark.anyio
async def test_a_permanent_refusal_fails_at_once_and_shows_the_error_as_before() -> None:
    calls = []

    async def ask() -> None:
        calls.append(1)
        raise httpx_error(429, {"Retry-After": "5"}, {"error": {"code": "PrepaidBillOverdue"}})

    async with Scheduler() as scheduler:
        with pytest.raises(JobFailedError, match="HTTPStatusError: refused"):
            await scheduler.wait(await scheduler.enqueue(ask))
    assert len(calls) == 1


@pytest.mark.anyio
async def test_throttled_without_a_time_takes_what_the_answer_says_that_it_was_raised_from() -> None:
    starts = []

    async def ask() -> None:
        starts.append(anyio.current_time())
        if len(starts) > 2:
            return
        try:
            raise httpx_error(429, {"Retry-After": "30", "x-ratelimit-remaining": "0"}, CODED)
        except httpx.HTTPStatusError as error:
            if len(starts) == 1:
                raise Throttled from error
            raise Throttled(limits=(LimitReport(name="tokens", remaining=5.0),), reason="mine")  # noqa: B904 - handled

    pacing, recorder = Listening(), Recorder()
    async with Scheduler(pacing=pacing, observers=(recorder,)) as scheduler:
        await scheduler.wait(await scheduler.enqueue(ask))
    assert starts == [0, 30, 60]
    assert [one.error for one in pacing.heard] == ["limit_requests", "mine", ""]
    assert [one.name for one in pacing.heard[1].limits] == ["requests", "tokens"]


@pytest.mark.anyio
async def test_what_throttled_says_itself_goes_before_the_answer() -> None:
    starts = []

    async def ask() -> None:
        starts.append(anyio.current_time())
        if len(starts) == 1:
            raise Throttled(5, "mine") from httpx_error(429, {"Retry-After": "30"}, CODED)
        if len(starts) == 2:
            try:
                raise httpx_error(429, {"Retry-After": "30"})
            except httpx.HTTPStatusError:
                raise Throttled from None

    async with Scheduler() as scheduler:
        await scheduler.wait(await scheduler.enqueue(ask))
    assert starts == [0, 5, 6]


@pytest.mark.anyio
async def test_a_group_of_refusals_waits_for_the_longest_and_hears_all_limits() -> None:
    starts = []

    async def ask() -> None:
        starts.append(anyio.current_time())
        if len(starts) == 1:
            errors = [httpx_error(429, {"Retry-After": "5", "x-ratelimit-remaining": "0"}), Throttled(30, "longest")]
            raise ExceptionGroup("both", errors)

    pacing = Listening()
    async with Scheduler(pacing=pacing) as scheduler:
        await scheduler.wait(await scheduler.enqueue(ask))
    assert starts == [0, 30]
    assert pacing.heard[0].error == "longest"
    assert pacing.heard[0].limits == (LimitReport(name="requests", remaining=0.0),)


@pytest.mark.anyio
async def test_a_failure_keeps_the_limits_and_the_wait_that_its_answer_names() -> None:
    async def ask(status: int) -> None:
        raise httpx_error(status, {"Retry-After": "30", "x-ratelimit-remaining": "3"})

    async def ask_for_both() -> None:
        raise ExceptionGroup("both", [httpx_error(500, {"Retry-After": "9"}), OSError("no route")])

    pacing = Listening()
    async with Scheduler(pacing=pacing) as scheduler:
        for function, args in ((ask, (500,)), (ask_for_both, ())):
            with pytest.raises(JobFailedError):
                await scheduler.wait(await scheduler.enqueue(function, *args))
    single, group = pacing.heard
    assert (single.kind, single.retry_after, single.error) == (FAILED, 30.0, "HTTPStatusError: refused")
    assert single.limits == (LimitReport(name="requests", remaining=3.0),)
    assert (group.kind, group.retry_after) == (FAILED, 9.0)
    assert group.error.startswith("ExceptionGroup: both")
