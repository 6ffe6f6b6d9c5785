"""A few connections to Postgres, opened when they are needed and kept for the next question."""

import asyncio
import os
import socket
from collections.abc import Mapping
from typing import Any, Final

import psycopg
from psycopg import sql

Row = tuple[Any, ...]
Question = sql.SQL | sql.Composed

CONNECT_SECONDS: Final = 2
"""libpq's shortest: it takes 1 for 2."""

ANSWER_SECONDS: Final = 2.0


class Connections:
    """Asks one question a connection at a time; those beyond the size wait for their turn.

    `session` is asked first on every new connection. Nothing is opened before the first question.
    A question that takes longer than `seconds` fails.
    """

    def __init__(
        self,
        url: str,
        session: Question,
        values: Mapping[str, object] | None = None,
        *,
        size: int = 8,
        seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._url = url
        self._session = session
        self._values = values
        self._seconds = seconds
        self._places = asyncio.Semaphore(size)
        self._idle: list[psycopg.AsyncConnection[Row]] = []

    async def fetch(
        self, question: Question, values: Mapping[str, object] | None = None
    ) -> list[Row]:
        """Return the rows that answer a question; raises psycopg.Error, TimeoutError or OSError."""
        async with self._places:
            while self._idle:
                connection = self._idle.pop()
                try:
                    return await self._ask(connection, question, values)
                except psycopg.OperationalError:
                    # The server may have closed it long ago, which says nothing about now.
                    continue
            return await self._ask(await self._connect(), question, values)

    async def close(self) -> None:
        """Close the connections that nobody is using."""
        while self._idle:
            await self._idle.pop().close()

    async def _connect(self) -> psycopg.AsyncConnection[Row]:
        connection = await psycopg.AsyncConnection.connect(
            self._url, autocommit=True, connect_timeout=CONNECT_SECONDS, client_encoding="UTF8"
        )
        await self._ask(connection, self._session, self._values)
        return self._idle.pop()

    async def _ask(
        self,
        connection: psycopg.AsyncConnection[Row],
        question: Question,
        values: Mapping[str, object] | None,
    ) -> list[Row]:
        hang_up = asyncio.get_running_loop().call_later(self._seconds, _hang_up, connection)
        try:
            cursor = await connection.execute(question, values)
            rows = await cursor.fetchall()
        except BaseException as error:
            await connection.close()
            if asyncio.get_running_loop().time() >= hang_up.when():
                raise TimeoutError from error
            raise
        finally:
            hang_up.cancel()
        self._idle.append(connection)
        return rows


def _hang_up(connection: psycopg.AsyncConnection[Row]) -> None:
    """Make a question fail at once that a server took and does not answer.

    Cancelling it would not: psycopg then waits for the server to agree.
    """
    with socket.socket(fileno=os.dup(connection.fileno())) as wire:
        wire.shutdown(socket.SHUT_RDWR)
