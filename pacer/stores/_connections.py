"""Connections that people hand over: what is a connection of which library, and the driver's under SQLAlchemy's."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def is_one_of(connection: Any, module: str, *names: str) -> bool:
    """Whether it is an instance of one of these classes. The module is not loaded for it: then it can be none."""
    loaded = sys.modules.get(module)
    return loaded is not None and isinstance(connection, tuple(getattr(loaded, name) for name in names))


async def driver_connection(connection: Any, begun: Callable[[Any], bool]) -> Any:
    """The driver's connection of one of SQLAlchemy's, inside its transaction; any other connection as it is.

    `begun` says whether the driver's connection is in a transaction.
    """
    module = "sqlalchemy.ext.asyncio"
    if is_one_of(connection, module, "AsyncSession", "async_scoped_session"):
        connection = await connection.connection()
    if not is_one_of(connection, module, "AsyncConnection"):
        return connection
    driver = (await connection.get_raw_connection()).driver_connection
    if not (connection.in_transaction() and begun(driver)):
        # SQLAlchemy begins a transaction with the first statement, and has to know that there is one to commit.
        await connection.exec_driver_sql("SELECT 1")
    return driver


def wrong_kind(connection: Any, kinds: str) -> TypeError:
    """The error for what is no connection of these kinds."""
    kind = type(connection)
    return TypeError(f"using: {kind.__module__}.{kind.__qualname__} is no connection to this store. Give {kinds}.")
