"""What a chat service allows in a minute and in a second, counted exactly."""

from __future__ import annotations

from collections import deque

import attrs

# A call leaves its window this much later than arithmetic says, lest a client that waits exactly as long as it was told
# is refused for a rounding error.
_ROUNDING = 1e-9


@attrs.frozen(kw_only=True)
class Limits:
    """An account's allowance; by default that of a dated Qwen snapshot on DashScope.

    Attributes:
        requests: Requests in any `window`.
        tokens: Tokens, of prompts and answers together, in any `window`.
        burst: Requests in any `burst_window`.
        window: Seconds that count as a minute.
        burst_window: Seconds that count as a second.
    """

    requests: int = 60
    tokens: int = 100_000
    burst: int = 1
    window: float = 60.0
    burst_window: float = 1.0

    def scaled(self, speed: float) -> Limits:
        """The same allowance in a world where everything is `speed` times as fast."""
        return attrs.evolve(self, window=self.window / speed, burst_window=self.burst_window / speed)


@attrs.frozen
class Refusal:
    """Why a call is not taken, and when it would be.

    Attributes:
        code: DashScope's error code in its OpenAI-compatible mode.
        message: For people.
        retry_after: Seconds.
    """

    code: str
    message: str
    retry_after: float


_REQUESTS = "You exceeded your current requests list. Requests rate limit exceeded, please try again later."
_TOKENS = "You exceeded your current quota. Allocated quota exceeded, please increase your quota limit."
_BURST = "Request rate increased too quickly. To ensure system stability, please smooth out your requests."


@attrs.define(eq=False)
class SlidingLog:
    """Every admitted call with its time: the one algorithm that is exact in every window. Refused calls do not count.

    State grows with the number of calls in one window, which is what an exact answer costs.
    """

    limits: Limits
    _calls: deque[tuple[float, int]] = attrs.field(init=False, factory=deque)

    def admit(self, now: float, tokens: int) -> Refusal | None:
        """Take the call, or say why not."""
        self._forget(now)
        refusals = [refusal for refusal in self._refusals(now, tokens) if refusal.retry_after > 0]
        if refusals:
            return max(refusals, key=lambda refusal: refusal.retry_after)
        self._calls.append((now, tokens))
        return None

    def charge(self, at: float, requests: int, tokens: int) -> None:
        """Calls that somebody else made with the same account, at a time that may lie in the past."""
        tokens_each, rest = divmod(tokens, requests)
        others = [(at, tokens_each + (index < rest)) for index in range(requests)]
        self._calls = deque(sorted([*self._calls, *others]))

    def left(self, now: float) -> tuple[int, int]:
        """How many requests and tokens the window that ends now has room for."""
        self._forget(now)
        used = sum(tokens for _, tokens in self._calls)
        return max(0, self.limits.requests - len(self._calls)), max(0, self.limits.tokens - used)

    def until_empty(self, now: float) -> float:
        """Seconds until the window holds no call any more."""
        return max(0.0, self._calls[-1][0] + self.limits.window - now) if self._calls else 0.0

    def _forget(self, now: float) -> None:
        while self._calls and self._calls[0][0] + self.limits.window <= now:
            self._calls.popleft()

    def _refusals(self, now: float, tokens: int) -> list[Refusal]:
        limits = self.limits
        return [
            Refusal("limit_requests", _REQUESTS, self._until_free(now, limits.requests, limits.window)),
            Refusal("limit_burst_rate", _BURST, self._until_free(now, limits.burst, limits.burst_window)),
            Refusal("insufficient_quota", _TOKENS, self._until_tokens(now, limits.tokens - tokens)),
        ]

    def _until_free(self, now: float, limit: int, window: float) -> float:
        """Seconds until fewer than `limit` calls lie in the window that ends then."""
        if len(self._calls) < limit:
            return 0.0
        return self._wait(now, self._calls[-limit][0] + window)

    def _until_tokens(self, now: float, room: int) -> float:
        """Seconds until the calls in the window have used at most `room` tokens."""
        used = 0
        for at, tokens in reversed(self._calls):
            used += tokens
            if used > room:
                return self._wait(now, at + self.limits.window)
        return 0.0

    @staticmethod
    def _wait(now: float, free_at: float) -> float:
        return free_at - now + _ROUNDING if free_at > now else 0.0
