"""What PostgreSQL and Redis have in common answers as the memory store does, whatever is done to it."""

from __future__ import annotations

import anyio
from hypothesis import HealthCheck, given, settings
from like_memory import CASES, check_like_memory
from memory_server import MemoryServerStore


@given(**CASES)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_queue_on_a_server_answers_as_the_memory_store(queue, pacing, concurrency, operations):
    anyio.run(check_like_memory, MemoryServerStore, queue, pacing, concurrency, operations)
