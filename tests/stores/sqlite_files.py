"""A SQLite file on a manual clock, and rules to open it with."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import attrs

from pacer._job import JobRecord, Outcome, OutcomeKind
from pacer._rules import Rules
from pacer.backoff import NoBackoff
from pacer.estimators import MovingAverage
from pacer.pacing import Unpaced
from pacer.queues._bounded import BoundedQueue
from pacer.stores._ledger import StoredLedger
from pacer.stores.sqlite import SqliteStore
from pacer.testing import ManualClock

TASKS = frozenset({"work"})
SUCCEEDED = Outcome(OutcomeKind.SUCCEEDED)


def make_rules(**parts: Any) -> Rules:
    usual = {
        "queue": BoundedQueue(100_000),
        "pacing": Unpaced(),
        "backoff": NoBackoff(),
        "estimator": MovingAverage(),
        "concurrency": 1000,
    }
    return Rules(**{**usual, **parts})


@attrs.define(eq=False)
class File:
    """One SQLite file."""

    path: Path
    clock: ManualClock = attrs.field(factory=ManualClock)
    rules: Rules = attrs.field(factory=make_rules)

    def store(self, **settings: Any) -> SqliteStore:
        return SqliteStore(self.path, **{"clock": self.clock, **settings})

    def open(
        self,
        worker: str = "w1",
        queue: str = "default",
        rules: Rules | None = None,
        *,
        takeover: bool = False,
        guest: bool = False,
        **settings: Any,
    ) -> AbstractAsyncContextManager[StoredLedger]:
        return self.store(**settings).open(queue, rules or self.rules, worker, takeover=takeover, guest=guest)


def job(job_id: str, **fields: Any) -> JobRecord:
    return JobRecord(job_id, **{"task": "work", "payload": "[[],{}]", **fields})
