"""What one commit writes, as the values of a statement."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from pacer._minutes import Tally
from pacer.stores._postgres._columns import Arrays, number_array, text_array
from pacer.stores._postgres._writing import Shape
from pacer.stores._server._backend import Head, Place, Writing

HEAD: Final = [field.name for field in attrs.fields(Head)]
_LONGEST_NOTICE: Final = 8000


def head_values(head: Head) -> dict[str, Any]:
    """By column."""
    return {name: getattr(head, name) for name in HEAD}


@attrs.frozen
class Commit:
    """One commit.

    Attributes:
        shape: What there is in it.
        values: By name, without those that depend on what was there before.
    """

    shape: Shape
    values: dict[str, Any]

    @classmethod
    def of(cls, writing: Writing, worker: str) -> Commit:
        """Of what this worker writes."""
        new = [one for one in writing.changes if one.was is Place.NOWHERE]
        old = [one for one in writing.changes if one.was is not Place.NOWHERE] if new else writing.changes
        back = [one for one in old if one.anew]
        old = [one for one in old if not one.anew] if back else old
        added = Arrays.inserted(new, "i_") if new else None
        changed = Arrays.updated(old, "u_") if old else None
        again = Arrays.replaced(back, "a_") if back else None
        shape = Shape(
            mine=worker not in writing.workers,
            workers=bool(writing.workers),
            changed=None if changed is None else changed.plain,
            again=again is not None,
            added=None if added is None else added.plain,
            unstaged=bool(writing.unstage),
            minutes=bool(writing.minutes),
            notice=writing.notice is not None,
        )
        values = {"again": len(back), **_values(writing)}
        for arrays in (added, changed, again):
            if arrays is not None:
                values.update(arrays.literals)
        return cls(shape, values)


def _values(writing: Writing) -> dict[str, Any]:
    values: dict[str, Any] = {
        "time": writing.time,
        "worker": writing.worker,
        "commit": writing.commit,
        "notice": _fitting(writing.notice),
    }
    if writing.unstage:
        values["unstage"] = number_array(writing.unstage)
    if writing.minutes:
        values.update(_minutes(writing.minutes))
    if writing.workers:
        values.update(_workers(writing))
    return values


def _fitting(notice: str | None) -> str | None:
    """The notice, unless it is longer than PostgreSQL takes: an empty one says to look at everything."""
    return notice if notice is None or len(notice.encode("utf-8", "replace")) < _LONGEST_NOTICE else ""


def _minutes(minutes: Sequence[Tally]) -> Mapping[str, Any]:
    tallies = {int(tally[0]): json.dumps(tally) for tally in minutes}
    return {
        "minutes": number_array(list(tallies)),
        "tallies": text_array(list(tallies.values())),
        "minute": max(tallies),
    }


def _workers(writing: Writing) -> Mapping[str, Any]:
    said = writing.workers.items()
    return {
        "workers": text_array([worker for worker, _ in said]),
        "until": number_array([None if one is None else one[0] for _, one in said]),
        "tasks": text_array([None if one is None else one[1] for _, one in said]),
        "commits": number_array([writing.commit if worker == writing.worker else 0 for worker, _ in said]),
    }
