"""The demo's own view of its application: over HTTP, like any other client."""

from __future__ import annotations

import http.client
import json
import re
from typing import Any

import attrs

from pacer.demo._samples import Sample
from pacer.demo._servers import HOST, DemoError

_ENDED = frozenset({"succeeded", "failed", "cancelled", "dropped", "expired", "dead"})
_RUN_ID = re.compile(r"run-(\d+)-.+")


@attrs.frozen
class Progress:
    """What the application said at one moment.

    Attributes:
        jobs: Jobs of this run, and those that others handed in meanwhile, oldest first.
        status: The body of `GET /api/queue/status`.
        absorbed: Answers 429 that the queue has absorbed in this run.
        wanted: How many papers this run analyses.
    """

    jobs: list[dict[str, Any]]
    status: dict[str, Any]
    absorbed: int
    wanted: int

    def count(self, *states: str) -> int:
        """Jobs in one of these states."""
        return sum(job["status"] in states for job in self.jobs)

    @property
    def drained(self) -> bool:
        """Whether there is nothing left to do."""
        idle = not self.status["pending"] and not self.status["running"]
        return idle and self.count(*_ENDED) >= self.wanted


@attrs.define(eq=False)
class DemoClient:
    """Feeds papers to the application and asks how they are doing."""

    port: int
    _run: int = attrs.field(init=False, default=0)
    _wanted: int = attrs.field(init=False, default=0)
    _throttled_before: int = attrs.field(init=False, default=0)
    resumed: bool = attrs.field(init=False, default=False)
    """Whether this goes on with an earlier run."""

    def feed(self, samples: list[Sample]) -> list[dict[str, Any]]:
        """Hand in all samples. Those of a run that was broken off keep their ids, so that nothing is done twice.

        Returns:
            What the application answered, for each sample.
        """
        self._throttled_before = self._request("GET", "/api/queue/status")["throttled_total"]
        jobs = self._request("GET", "/api/jobs")
        runs = [int(match[1]) for job in jobs if (match := _RUN_ID.fullmatch(job["id"]))]
        last = max(runs, default=0)
        ended = {job["id"] for job in jobs if job["status"] in _ENDED}
        self.resumed = last > 0 and any(_job_id(last, sample) not in ended for sample in samples)
        self._run, self._wanted = last if self.resumed else last + 1, len(samples)
        papers = [
            {"job_id": _job_id(self._run, sample), "title": f"{sample.number} {sample.subject}", "text": sample.text}
            for sample in samples
        ]
        accepted: list[dict[str, Any]] = self._request("POST", "/api/analyze-batch", {"papers": papers})["jobs"]
        return accepted

    def progress(self) -> Progress:
        """How things stand."""
        jobs = [job for job in reversed(self._request("GET", "/api/jobs")) if self._concerns_us(job["id"])]
        status = self._request("GET", "/api/queue/status")
        return Progress(jobs, status, status["throttled_total"] - self._throttled_before, self._wanted)

    def _concerns_us(self, job_id: str) -> bool:
        match = _RUN_ID.fullmatch(job_id)
        return match is None or int(match[1]) == self._run

    def _request(self, method: str, path: str, body: Any = None) -> Any:
        return request_json(self.port, method, path, body)


def request_json(port: int, method: str, path: str, body: Any = None) -> Any:
    """One HTTP exchange with a server on loopback. Raises DemoError if it does not go well."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError as error:
        msg = f"the demo's server on port {port} does not answer: {error}"
        raise DemoError(msg) from error
    finally:
        connection.close()
    if answer.status >= 400:
        msg = f"{method} {path} was answered with {answer.status}: {text}"
        raise DemoError(msg)
    return json.loads(text)


def _job_id(run: int, sample: Sample) -> str:
    return f"run-{run}-{sample.number.replace('/', '-')}"
