"""A file that goes away while it is in use: jobs in it would be lost, so none is taken."""

from __future__ import annotations

from pathlib import Path

import attrs
import pytest

from pacer._errors import StoreUnavailableError

pytestmark = [pytest.mark.anyio, pytest.mark.asyncio_only, pytest.mark.real_time]

TASKS = frozenset({"work"})


async def test_nothing_is_acknowledged_in_a_file_that_was_deleted(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        file.path.unlink()
        with pytest.raises(StoreUnavailableError, match="deleted, moved or replaced while it was in use"):
            await ledger.add([make_job("j2")])
        with pytest.raises(StoreUnavailableError, match="stop all processes"):
            await ledger.snapshot()
    assert not file.path.exists()


async def test_nothing_is_acknowledged_in_a_file_that_another_has_taken_the_place_of(file, make_job):
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        file.path.rename(file.path.with_name("moved.db"))
        async with file.open("w2") as successor:
            assert (await successor.snapshot()).waiting == 0
            with pytest.raises(StoreUnavailableError, match="replaced while it was in use"):
                await ledger.claim(TASKS, 1)


async def test_a_file_that_is_put_back_goes_on_being_used(file, make_job):
    aside = file.path.with_name("moved.db")
    async with file.open() as ledger:
        await ledger.add([make_job("j1")])
        file.path.rename(aside)
        with pytest.raises(StoreUnavailableError):
            await ledger.add([make_job("j2")])
        aside.rename(file.path)
        await ledger.add([make_job("j2")])
        assert [job.id for job in (await ledger.claim(TASKS, 2)).jobs] == ["j1", "j2"]


async def test_a_relative_path_means_the_same_file_when_the_process_changes_its_directory(
    file, make_job, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    relative = attrs.evolve(file, path=Path(file.path.name))
    (tmp_path / "elsewhere").mkdir()
    async with relative.open() as ledger:
        monkeypatch.chdir(tmp_path / "elsewhere")
        await ledger.add([make_job("j1")])
    async with file.open("w2") as ledger:
        assert [job.id for job in (await ledger.claim(TASKS, 1)).jobs] == ["j1"]
