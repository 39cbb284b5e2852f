"""What a shell offers to complete: names that the store knows. Never an error, and nothing that takes long."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import typer

_LOOKED_AT = 50


def complete_queue(ctx: typer.Context, incomplete: str) -> list[str]:
    """Queues in the store."""

    async def names(target: Any) -> Iterable[str]:
        from pacer._operate._target import store_of  # noqa: PLC0415 - only where something is completed

        return [info.name for info in await store_of(target).queues()]

    return _completed(ctx, incomplete, names)


def complete_task(ctx: typer.Context, incomplete: str) -> list[str]:
    """Functions that workers of the queue know."""

    async def names(target: Any) -> Iterable[str]:
        from pacer._operate._target import guest_of  # noqa: PLC0415

        async with guest_of(target) as guest:
            return sorted({task for one in await guest.scheduler.workers() for task in one.tasks})

    return _completed(ctx, incomplete, names)


def complete_job(ctx: typer.Context, incomplete: str) -> list[str]:
    """Some of the jobs that run or wait."""

    async def names(target: Any) -> Iterable[str]:
        from pacer._operate._target import guest_of  # noqa: PLC0415

        async with guest_of(target) as guest:
            pages = [await guest.scheduler.jobs(state, limit=_LOOKED_AT) for state in ("running", "queued")]
            return [job.id for page in pages for job in page.jobs]

    return _completed(ctx, incomplete, names)


def complete_number(ctx: typer.Context, incomplete: str) -> list[str]:
    """Numbers that can be set."""

    async def names(target: Any) -> Iterable[str]:
        from pacer._operate._target import guest_of  # noqa: PLC0415

        async with guest_of(target) as guest:
            return [f"{one.path}=" for one in await guest.scheduler.numbers()]

    return _completed(ctx, incomplete, names)


def _completed(ctx: typer.Context, incomplete: str, names: Callable[[Any], Awaitable[Iterable[str]]]) -> list[str]:
    import anyio  # noqa: PLC0415

    from pacer._operate._target import Target  # noqa: PLC0415

    try:
        target = Target.of(*(ctx.params.get(name) for name in ("store", "queue", "app", "within")))
        found = anyio.run(names, target, backend="asyncio")
    except BaseException:
        return []
    return [name for name in found if name.startswith(incomplete)]
