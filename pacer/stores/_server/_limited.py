"""Arguments and results up to a size: a server that many share is no place for large ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from pacer._errors import NotEncodableError
from pacer.protocols import Codec


@attrs.frozen
class LimitedCodec:
    """Another codec that refuses what it makes of large arguments and results."""

    codec: Codec
    most: int
    """Bytes."""

    def encode_call(self, task: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Raises NotEncodableError."""
        return self._within(self.codec.encode_call(task, args, kwargs), f"the arguments of {task}")

    def decode_call(self, payload: Any) -> tuple[Sequence[Any], Mapping[str, Any]]:
        """As the other does."""
        return self.codec.decode_call(payload)

    def encode_result(self, task: str, result: Any) -> Any:
        """Raises NotEncodableError."""
        return self._within(self.codec.encode_result(task, result), f"the result of {task}")

    def decode_result(self, payload: Any) -> Any:
        """As the other does."""
        return self.codec.decode_result(payload)

    def _within(self, payload: Any, what: str) -> Any:
        size = _size(payload, self.most)
        if size > self.most:
            msg = (
                f"{what}: {size} bytes, and the store takes {self.most}. Pass an id or a path with which the job finds "
                f"the data, or give the store a larger max_payload."
            )
            raise NotEncodableError(msg)
        return payload


def _size(payload: Any, most: int) -> int:
    if isinstance(payload, str):
        # A character has at most four bytes: most texts need not be encoded to know that they are small enough.
        return len(payload) if len(payload) * 4 <= most else len(payload.encode("utf-8", "surrogatepass"))
    return len(payload) if isinstance(payload, bytes) else 0
