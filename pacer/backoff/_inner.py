"""What wrappers need to know of the policy that they wrap."""

from __future__ import annotations

from pacer._validation import part
from pacer.protocols import BackoffPolicy

a_policy = part(BackoffPolicy, "ExponentialBackoff(1)")


def most_running(policy: BackoffPolicy, failures: int) -> int | None:
    """How many jobs the policy allows at once after so many failures in a row; None if it sets no limit."""
    ask = getattr(policy, "most_running", None)
    answer: int | None = None if ask is None else ask(failures)
    return answer
