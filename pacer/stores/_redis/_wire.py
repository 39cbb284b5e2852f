"""One connection to a server, on one thread: scripts in, answers out."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import attrs
import redis
import redis.exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from pacer._errors import StoreError, StoreUnavailableError
from pacer.stores._from_url import redacted, splits_a_password
from pacer.stores._redis._errors import code, moved_to, shown, store_error
from pacer.stores._redis._scripts import Script

_pack: Any
try:
    from hiredis import pack_command as _pack
except ImportError:
    _pack = None  # the driver does without it, and takes longer

# Unless the URL says otherwise (`?socket_timeout=...`).
_ANSWER_WITHIN: Final = 5.0
# Whatever the URL says: in which form answers come.
_SETTLED: Final = {"protocol": 2, "decode_responses": False, "health_check_interval": 0, "retry_on_timeout": False}
# A connection that has been idle for so long is looked at before anything is sent that must not be sent twice.
_IDLE: Final = 1.0
_MOST_MOVES: Final = 5

Argument = str | bytes


@attrs.define(eq=False)
class Wire:
    """Sends one command after the other, and connects anew after an error.

    The driver's own retries are off: it would send a command again of which nobody knows whether it was done.
    """

    url: str
    connect_timeout: float
    name: str = attrs.field(init=False)
    _connection: Any = attrs.field(init=False, default=None)
    _node: dict[str, Any] = attrs.field(init=False, factory=dict)
    """Where in a cluster the queue is, if that is elsewhere than the URL says."""
    _used_at: float = attrs.field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self.name = shown(self.url)

    def connect(self) -> None:
        """Connect, if there is no connection."""
        self._guarded("connecting", self._connected)

    def masters(self) -> list[Wire]:
        """A connection to each server that has a part of the data, where these are the nodes of a cluster."""
        try:
            answer = self.ask("HELLO")
        except StoreUnavailableError:
            raise
        except StoreError:  # a proxy, which is one for all of them
            return [self]
        said = dict(zip(answer[::2], answer[1::2], strict=True))
        if said.get(b"mode") != b"cluster":
            return [self]
        nodes = dict.fromkeys((slots[2][0], slots[2][1]) for slots in self.ask("CLUSTER", "SLOTS"))
        return [self._at(host.decode() if host else None, port) for host, port in nodes]

    def _at(self, host: str | None, port: int) -> Wire:
        """Another connection; the same host if none is named."""
        wire = Wire(self.url, self.connect_timeout)
        wire._node = {**self._node, "port": port, **({"host": host} if host else {})}
        return wire

    def close(self) -> None:
        """Disconnect. Never raises."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.disconnect()

    def ask(self, *command: Argument | int) -> Any:
        """The answer to a command that only reads; it is sent once more if the connection was lost."""
        return self._guarded(str(command[0]), lambda: self._moving(command), again=True)

    def run(self, script: Script, keys: Sequence[Argument], arguments: Sequence[Argument | int], *, again: bool) -> Any:
        """The answer of a script. `again`: it may be sent once more if the connection was lost before it came."""
        return self._guarded("a script", lambda: self._evaluated(script, keys, arguments), again=again)

    def _guarded(self, action: str, call: Any, *, again: bool = False) -> Any:
        try:
            if not again:
                self._look()
            return self._repeated(call) if again else call()
        except (redis.exceptions.RedisError, OSError) as error:
            if not isinstance(error, redis.exceptions.ResponseError) or code(error) in ("READONLY", "MOVED"):
                self.close()
                self._node = {}
            raise store_error(error, self.name, action) from error
        finally:
            self._used_at = time.monotonic()

    def _repeated(self, call: Any) -> Any:
        """Once more if a connection that was there before has broken: an idle one may long be dead."""
        fresh = self._connection is None
        try:
            return call()
        except (redis.exceptions.AuthenticationError, redis.exceptions.BusyLoadingError):
            raise
        except (redis.exceptions.ConnectionError, OSError):
            if fresh:
                raise
            self.close()
            return call()

    def _look(self) -> None:
        """Whether an idle connection is still there; in doubt there will be a new one."""
        if self._connection is None or time.monotonic() - self._used_at < _IDLE:
            return
        try:
            if not self._connection.can_read():  # nobody has asked for anything that could be read
                return
        except (redis.exceptions.RedisError, OSError):
            pass
        self.close()

    # -- sending -----------------------------------------------------------------------------------------------------

    def _evaluated(self, script: Script, keys: Sequence[Argument], arguments: Sequence[Argument | int]) -> Any:
        try:
            return self._moving(("EVALSHA", script.sha, len(keys), *keys, *arguments))
        except redis.exceptions.NoScriptError:  # the server was started anew, or has forgotten it
            return self._moving(("EVAL", script.text, len(keys), *keys, *arguments))

    def _moving(self, command: Sequence[Argument | int]) -> Any:
        """A cluster names the node that has the queue, where it is not this one; it has done nothing then."""
        for _ in range(_MOST_MOVES):
            try:
                return self._sent(command)
            except redis.exceptions.ResponseError as error:
                node = moved_to(error)
                if node is None:
                    raise
                self._node = {**self._node, **node}
                self.close()
        return self._sent(command)

    def _sent(self, command: Sequence[Argument | int]) -> Any:
        connection = self._connected()
        packed = connection.pack_command(*command) if _pack is None else (_pack(tuple(command)),)
        connection.send_packed_command(packed, check_health=False)
        return connection.read_response()

    def _connected(self) -> Any:
        if self._connection is None:
            pool = redis.ConnectionPool.from_url(
                self.url,
                socket_connect_timeout=self.connect_timeout,
                socket_timeout=_ANSWER_WITHIN,
                **keepalive(self.url),
            )
            settle(pool.connection_kwargs, retry=Retry(NoBackoff(), 0), **self._node)
            connection: Any = pool.make_connection()
            connection.connect()
            self._connection = connection
        return self._connection


def settle(options: dict[str, Any], **more: Any) -> None:
    """Make the options of a connection what they have to be here, whatever the URL says."""
    options.update(_SETTLED, **more)
    # There are none in this form of answers, and without hiredis a newer driver does not get past them.
    options.pop("maint_notifications_config", None)


def check_url(url: str) -> str:
    """The URL, if the driver understands it. Raises ValueError or TypeError, without the password."""
    if not isinstance(url, str):
        msg = f"RedisStore: url must be a str, got {type(url).__name__}"
        raise TypeError(msg)
    try:
        redis.ConnectionPool.from_url(url).make_connection()
        shown(url)
        why = "it is cut off in the middle of the password" if splits_a_password(url) else ""
    except ValueError as error:
        # What is said of a port may be a part of the password.
        why = "the port is none" if str(error).startswith("Port") else str(error).rstrip(".")
    except TypeError as error:  # so its connection tells of an option that it does not have
        why = f"redis-py has no option {str(error).rpartition(' ')[2]}"
    except redis.RedisError as error:
        why = str(error)
    if why:
        msg = (
            f"RedisStore: url {redacted(url)!r} cannot be used: {why}. Expected one such as redis://host:6379/0, or "
            "redis://:password@host:6379/0 with special characters of the password as %XX."
        )
        raise ValueError(msg)
    return url


def keepalive(url: str) -> dict[str, bool]:
    """The driver's setting that has the system notice when the other end of a connection is gone."""
    return {} if url.startswith("unix:") else {"socket_keepalive": True}
