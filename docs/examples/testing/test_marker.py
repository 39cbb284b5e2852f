import anyio
import pytest


@pytest.mark.virtual_time
async def test_an_hour_passes_at_once() -> None:
    await anyio.sleep(3600)
    assert anyio.current_time() == 3600


@pytest.mark.virtual_time("asyncio", "trio")
async def test_on_both_event_loops() -> None:
    with anyio.move_on_after(5) as scope:
        await anyio.sleep(60)
    assert scope.cancelled_caught
