"""Commands over one connection to Redis, and transactions of them.

A client's pipeline sends commands one by one while keys are watched; here they are sent at once
(https://redis.io/docs/latest/develop/using-commands/transactions/).
"""

from collections.abc import Iterable, Sequence
from typing import Any

import redis
from redis.connection import Connection

from sinks.redis_commands import NO_COMMANDS, Commands, command


def execute(connection: Connection, commands: Commands, *, strict: bool = True) -> list[Any]:
    """Send commands at once; return their replies, errors among them if not `strict`.

    Where it raises, replies may be left on the connection, which is to be closed.
    """
    connection.send_packed_command([commands.payload])  # type: ignore[no-untyped-call] # redis has no annotations there
    return read_replies(connection, commands.count, strict=strict)


def read_replies(connection: Connection, count: int, *, strict: bool = False) -> list[Any]:
    """Return the replies to so many commands, errors among them if not `strict`."""
    replies: list[Any] = []
    for _ in range(count):
        try:
            replies.append(connection.read_response())
        except redis.ResponseError as error:
            if strict:
                raise
            replies.append(error)
    return replies


def in_transaction(commands: Commands) -> Commands:
    """Return commands between MULTI and EXEC."""
    return command("MULTI") + commands + command("EXEC")


def executed(replies: Sequence[Any]) -> list[Any] | None:
    """Return the replies of the commands of a transaction, from those of `in_transaction`.

    None where a watched key had changed, so that nothing was done. Raises redis.RedisError where a
    command was not accepted or has failed.
    """
    result = replies[-1]
    for reply in (*replies, *(result if isinstance(result, list) else ())):
        if isinstance(reply, redis.RedisError):
            raise reply
    return list(result) if isinstance(result, list) else None


def pairs(reply: dict[str, str] | list[str]) -> Iterable[tuple[str, str]]:
    """Return the fields of a hash, which RESP 3 has as a map and RESP 2 as a list."""
    return reply.items() if isinstance(reply, dict) else zip(*2 * [iter(reply)], strict=True)


class Transaction:
    """Reads and then writes, if nothing of what was read has changed in between."""

    def __init__(self, connection: Connection, guard: Commands = NO_COMMANDS, now: int = 0) -> None:
        """Write `guard` with whatever is written. `now` is the time of Redis, in epoch seconds."""
        self.now = now
        self.is_ended = False
        self._connection = connection
        self._guard = guard

    def read(self, commands: Commands, watched: Sequence[str] = ()) -> list[Any]:
        """Watch keys from now on, if any; return the replies of commands that read."""
        watch = command("WATCH", *watched) if watched else NO_COMMANDS
        return execute(self._connection, watch + commands)[watch.count :]

    def commit(self, commands: Commands) -> list[Any]:
        """Execute commands and return their replies.

        Raises redis.WatchError where a watched key has changed, and then nothing was done.
        """
        self.is_ended = True
        both = in_transaction(self._guard + commands)
        replies = executed(execute(self._connection, both, strict=False))
        if replies is None:
            msg = "a watched key has changed"
            raise redis.WatchError(msg)
        return replies[self._guard.count :]

    def end(self) -> None:
        """End without a write, if it has not ended."""
        if not self.is_ended:
            execute(self._connection, command("UNWATCH"))
