"""Which queues there are in a database."""

from __future__ import annotations

from pacer._overview import QueueInfo
from pacer.stores._parts import stored_terms
from pacer.stores._postgres._migrate import check_server, version_of
from pacer.stores._postgres._privileges import guest_advice
from pacer.stores._postgres._session import Session
from pacer.stores._postgres._sql import QUEUES
from pacer.stores._postgres._statement import Statement
from pacer.stores._postgres._target import Target


def queues_in(target: Target) -> list[QueueInfo]:
    """By name, none if there are no tables; nothing is made or changed. Raises StoreError."""
    session = Session(target, guest_advice(target.schema))
    try:
        connection = session.connect()
        with session.errors():
            check_server(connection, session.name)
            if not version_of(connection, target.schema, session.name):
                return []
        rows = session.rows((Statement.of(QUEUES, target.schema).text, ()))
        return [QueueInfo(name, stored_terms(parts)) for name, parts in rows]
    finally:
        session.close()
