"""What `pacer doctor` finds, by code."""

from __future__ import annotations

from command_line import Done, Place


def found(done: Done) -> dict[str, str]:
    """Severities by code."""
    assert done.json["findings"] == [] or {*done.json["findings"][0]} == {
        *("code", "severity", "what", "means", "do", "queue")
    }
    return {one["code"]: one["severity"] for one in done.json["findings"]}


async def examined(place: Place, *arguments: str, code: int) -> dict[str, str]:
    done = await place.pacer("doctor", "--json", *arguments)
    assert done.code == code, done
    return found(done)
