"""Functions that jobs run: registered under stable names, or living in this process only."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, ParamSpec

import anyio.to_thread
import attrs

from pacer._errors import TaskError
from pacer._job import Retry, T

P = ParamSpec("P")


@attrs.frozen(eq=False)
class Task:
    """A function, and how its jobs are run unless they say otherwise."""

    name: str
    function: Callable[..., Any]
    is_async: bool
    timeout: float | None = None
    retry: Retry | None = None

    async def call(self, args: Sequence[Any], kwargs: Mapping[str, Any], limiter: anyio.CapacityLimiter) -> Any:
        """Run the function: on the event loop if it is async, else in a thread of its own."""
        if self.is_async:
            return await self.function(*args, **kwargs)

        def run() -> tuple[Any]:
            return (self.function(*args, **kwargs),)  # in a tuple, because trio refuses a thread's coroutine

        # A thread cannot be stopped: on time-out or cancellation it runs on and its result is dropped.
        (result,) = await anyio.to_thread.run_sync(run, abandon_on_cancel=True, limiter=limiter)
        # Of a lambda or a decorator around a coroutine function: only its result can tell its colour.
        return await result if inspect.isawaitable(result) else result


@attrs.frozen(eq=False)
class Call(Generic[T]):
    """A function with its arguments, for `Scheduler.enqueue_many`. Made by `call`."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    job_id: str | None = None

    def named(self, job_id: str) -> Call[T]:
        """The same call, to become the job with this id: as `Scheduler.options(job_id=...)` for one job of a batch."""
        return attrs.evolve(self, job_id=job_id)


def call(function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> Call[Any]:
    """A function with its arguments, not called yet: `enqueue_many([call(analyse, doc) for doc in docs])`."""
    return Call(function, args, kwargs)


@attrs.define(eq=False)
class TaskRegistry:
    """The functions that one scheduler knows by name."""

    _by_name: dict[str, Task] = attrs.field(init=False, factory=dict)
    _by_function: dict[Callable[..., Any], Task] = attrs.field(init=False, factory=dict)
    names: frozenset[str] = attrs.field(init=False, default=frozenset())

    def register(
        self, function: Callable[..., Any], name: str | None, timeout: float | None, retry: Retry | None
    ) -> None:
        """Make the function known. Raises TaskError if it or its name is known already."""
        if not callable(function):
            msg = f"task: expected a function, got {function!r}"
            raise TaskError(msg)
        task = Task(name or stable_name(function), function, is_async(function), timeout, retry)
        taken = self._by_name.get(task.name)
        if taken is not None:
            msg = f"task: the name {task.name!r} is taken by {taken.function!r}; pass name= to tell them apart"
            raise TaskError(msg)
        self._by_name[task.name] = task
        self._by_function[function] = task
        self.names = frozenset(self._by_name)

    def of(self, function: Callable[..., Any]) -> Task | None:
        """The task of a registered function; None for any other."""
        try:
            return self._by_function.get(function)
        except TypeError:  # an unhashable callable was never registered
            return None

    def named(self, name: str) -> Task | None:
        """The task with this name."""
        return self._by_name.get(name)


def unregistered(function: Callable[..., Any]) -> Task:
    """A task that lives in this process only."""
    if not callable(function):
        msg = f"enqueue: expected a function, got {function!r}; pass its arguments after it, do not call it"
        raise TaskError(msg)
    return Task(stable_name(function), function, is_async(function))


def is_async(function: Callable[..., Any]) -> bool:
    """Whether calling it gives something to await; looks through partials and callable objects."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - its colour is asked for, not whether it exists
    )


def stable_name(function: Callable[..., Any]) -> str:
    """`module.qualname`, the same in every process; a script run as `__main__` is named after its file."""
    while isinstance(function, functools.partial):
        function = function.func
    module = getattr(function, "__module__", None) or type(function).__module__
    name = getattr(function, "__qualname__", None) or type(function).__qualname__
    if module == "__main__":
        main = sys.modules["__main__"]
        spec = getattr(main, "__spec__", None)
        file = getattr(main, "__file__", None)
        if spec is not None:
            module = spec.name.removesuffix(".__main__")
        elif file:
            module = Path(file).stem
    return f"{module}.{name}"
