"""Stores with ledgers that do as others do, but for what a test makes of them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

import attrs

from pacer.protocols import Codec, QueueInfo, Store


@attrs.define(eq=False)
class Around:
    """A ledger that does as the one within; what a class below it says, it does otherwise."""

    ledger: Any

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)


@attrs.frozen(eq=False)
class OddStore:
    """Another store, but with each ledger within another one, as `odd` makes it."""

    store: Store
    odd: Callable[[Any], Any]

    @property
    def codec(self) -> Codec:
        return self.store.codec

    async def queues(self) -> Sequence[QueueInfo]:
        return await self.store.queues()

    @contextlib.asynccontextmanager
    async def open(self, queue: str, rules: Any, worker: str, **how: bool) -> AsyncGenerator[Any]:
        async with self.store.open(queue, rules, worker, **how) as ledger:
            yield self.odd(ledger)
