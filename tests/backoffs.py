"""Backoff policies, plain and nested, for tests that hold for all of them."""

from __future__ import annotations

from typing import Any

import attrs
from hypothesis import strategies as st

import pacer.backoff
from pacer.backoff import (
    CappedDoublings,
    CircuitBreaker,
    ConstantBackoff,
    DecorrelatedJitter,
    EqualJitter,
    ExponentialBackoff,
    FullJitter,
    GiveUpAfter,
    HonourRetryAfter,
    LinearBackoff,
    NoBackoff,
    RetryBudget,
)
from pacer.protocols import BackoffPolicy, Failure

ALL: list[type[Any]] = [getattr(pacer.backoff, name) for name in pacer.backoff.__all__]
WRAPPERS = [policy for policy in ALL if "policy" in {field.name for field in attrs.fields(policy)}]

SETTINGS: dict[type[Any], dict[str, Any]] = {
    CappedDoublings: {"initial": 1, "doublings": 3},
    ConstantBackoff: {"seconds": 1},
    DecorrelatedJitter: {"initial": 1},
    ExponentialBackoff: {"initial": 1},
    GiveUpAfter: {"attempts": 3},
    LinearBackoff: {"initial": 1},
}
"""What cannot be left out when a policy is built, but for the policy that it wraps."""


def wrap(wrapper: type[Any], policy: object) -> Any:
    """The wrapper around a policy, with settings that do."""
    return wrapper(policy, **SETTINGS.get(wrapper, {}))


_initial = st.floats(1e-3, 60)
_maximum = st.floats(60, 86400)
_count = st.integers(1, 10)

plain_policies: st.SearchStrategy[BackoffPolicy] = st.one_of(
    st.builds(NoBackoff),
    st.builds(ConstantBackoff, st.floats(0, 3600)),
    st.builds(LinearBackoff, _initial, step=_initial, maximum=_maximum, after=_count),
    st.builds(ExponentialBackoff, _initial, maximum=_maximum, factor=st.floats(1, 10), after=_count),
    st.builds(CappedDoublings, _initial, maximum=_maximum, doublings=st.integers(0, 50)),
    st.builds(DecorrelatedJitter, _initial, maximum=_maximum),
)


def _wrapped(inner: st.SearchStrategy[BackoffPolicy]) -> st.SearchStrategy[BackoffPolicy]:
    return st.one_of(
        st.builds(FullJitter, inner),
        st.builds(EqualJitter, inner),
        st.builds(HonourRetryAfter, inner),
        st.builds(GiveUpAfter, inner, attempts=_count, seconds=st.none() | st.floats(1, 1e5)),
        st.builds(GiveUpAfter, inner, seconds=st.floats(1, 1e5)),
        st.builds(CircuitBreaker, inner, failures=_count, open_for=st.floats(1, 600)),
        st.builds(RetryBudget, inner, share=st.floats(0.01, 1), at_least=st.floats(0, 100)),
    )


policies: st.SearchStrategy[BackoffPolicy] = st.recursive(plain_policies, _wrapped, max_leaves=4)
"""Any policy of pacer, inside of any others."""

failures: st.SearchStrategy[Failure] = st.builds(
    Failure,
    count=st.integers(1, 20) | st.integers(1, 10**6),
    previous=st.floats(0, 1e6),
    elapsed=st.floats(0, 1e7),
    retry_after=st.none() | st.floats(0, 1e5),
    successes=st.floats(0, 1e6),
    retries=st.floats(0, 1e6),
)
