"""The example of the docs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import httpx
import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "dashboard" / "main.py"


@pytest.mark.anyio
@pytest.mark.asyncio_only
@pytest.mark.real_time
async def test_the_example_lets_in_whoever_knows_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("QUEUE_PASSWORD", "a password")
    spec = importlib.util.spec_from_file_location("docs_example_dashboard", EXAMPLE)
    assert spec
    assert spec.loader
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    transport = httpx.ASGITransport(example.app)
    async with (
        example.app.router.lifespan_context(example.app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        receipt = (await client.post("/summaries", params={"text": "One fish"})).json()
        await example.scheduler.wait(receipt["job_id"])
        for password, status in ((None, 401), ("guessed", 401), ("a password", 200)):
            auth = None if password is None else httpx.BasicAuth("operator", password)
            for path in ("/queue/", "/queue/static/main.js", "/queue/data/jobs?state=succeeded"):
                answer = await client.get(path, auth=auth)
                assert answer.status_code == status
                assert ("www-authenticate" in answer.headers) is (status == 401)
        assert [job["id"] for job in answer.json()["jobs"]] == [receipt["job_id"]]
