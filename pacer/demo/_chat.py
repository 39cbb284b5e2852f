"""Calling an OpenAI-compatible chat service from a job."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from pacer.feedback import report_response

STAND_IN_PORT = 8766
STAND_IN_KEY = "stand-in"
_DASHSCOPE = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1"
_TASK = "Du analysierst Drucksachen eines Parlaments. Nenne Dokumentart, Themen, Kernaussagen, Fragen und Beträge."


@attrs.frozen(kw_only=True)
class ChatService:
    """Which service is called, and with what.

    Attributes:
        base_url: Of its OpenAI-compatible interface.
        api_key: Its bearer key.
        model: The model's name.
        local: Whether it is the stand-in of this demo.
    """

    base_url: str
    api_key: str = attrs.field(repr=False)
    model: str
    local: bool = False

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> ChatService:
        """DashScope if DASHSCOPE_API_KEY is set, else the service at OPENAI_BASE_URL if that is, else the stand-in.

        DASHSCOPE_BASE_URL and DASHSCOPE_MODEL, OPENAI_API_KEY and OPENAI_MODEL complete them. OPENAI_API_KEY alone
        selects nothing: a demo must not spend money because a key happens to be set.
        """
        if key := environment.get("DASHSCOPE_API_KEY"):
            return cls(
                base_url=environment.get("DASHSCOPE_BASE_URL", _DASHSCOPE),
                api_key=key,
                model=environment.get("DASHSCOPE_MODEL", "qwen-plus"),
            )
        if base_url := environment.get("OPENAI_BASE_URL"):
            return cls(
                base_url=base_url,
                api_key=environment.get("OPENAI_API_KEY", "none"),
                model=environment.get("OPENAI_MODEL", "gpt-4o-mini"),
            )
        return cls.stand_in(STAND_IN_PORT)

    @classmethod
    def stand_in(cls, port: int) -> ChatService:
        """The stand-in on this machine."""
        base_url = f"http://127.0.0.1:{port}/compatible-mode/v1"
        return cls(base_url=base_url, api_key=STAND_IN_KEY, model="qwen-plus", local=True)

    def client(self) -> AsyncOpenAI:
        """A client that leaves retries to pacer: its own would multiply the attempts and know no common pace.

        What the service says of its limits with each answer is reported for the job that asked.
        """
        http_client = DefaultAsyncHttpxClient(event_hooks={"response": [report_response]})
        return AsyncOpenAI(
            base_url=self.base_url, api_key=self.api_key, max_retries=0, timeout=300, http_client=http_client
        )


async def analyse(client: AsyncOpenAI, model: str, document: str) -> str:
    """Have the model analyse one document.

    Raises:
        openai.APIError: The service refused, or did not answer. What of it means "not now" the scheduler sees itself.
        ValueError: What it answered is no chat completion.
    """
    answer = await client.chat.completions.create(
        model=model,
        messages=[{"role": "system", "content": _TASK}, {"role": "user", "content": document}],
    )
    try:
        content = answer.choices[0].message.content
    except (AttributeError, IndexError, TypeError):  # the client library does not check what it was sent
        content = None
    if not content:
        msg = "the service answered without a text; is its base URL that of an OpenAI-compatible interface?"
        raise ValueError(msg)
    return content
