"""`python -m api`: serve the API until SIGTERM or SIGINT."""

import gc
import logging
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

import msgspec
import psycopg
from granian import Granian
from granian.constants import Interfaces, RuntimeModes
from granian.http import HTTP1Settings
from granian.log import LogLevels
from litestar import Litestar

from api.access.listening import load_tokens
from api.access.tokens import TokensError
from api.app import create_app
from api.shutdown import STOP_SECONDS, stop_on_signal, stop_while_starting
from mobility.kafka_settings import without_kafka, without_registry
from mobility.settings import Settings, SettingsError, read_settings
from postgres.server_check import UnsuitableServerError, check_server

_log: Final = logging.getLogger("api")


def main() -> int:
    """Serve the API; return the exit status: 2 if it is refused, 1 if the port is in use.

    It is refused with invalid settings, and with a Postgres that can't be used.
    """
    stop_while_starting()
    try:
        settings, _ = _read_settings()
        load_tokens(settings)
        _check_postgres(settings)
    except (SettingsError, TokensError, UnsuitableServerError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    address = f"{settings.api_host}:{settings.api_port}"
    try:
        _check_port(settings.api_host, settings.api_port)
    except OSError as error:
        sys.stderr.write(
            f"The API can't listen on {address}: {error.strerror}. Stop the process that listens "
            "there, or set MOBILITY_API_HOST or MOBILITY_API_PORT.\n"
        )
        return 1
    sys.stdout.write(f"The API listens on http://{address}\n")
    sys.stdout.flush()
    Granian(
        "api.__main__:app",
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        # In the other mode (`mt`) a thread waits for a condition without checking it first. It can
        # miss the notification that the server has stopped; then it never ends.
        runtime_mode=RuntimeModes.st,
        factory=True,
        log_level=LogLevels.warning,
        websockets=False,
        # A client that does not finish the head of its request must not make a stop wait.
        http1_settings=HTTP1Settings(header_read_timeout=1_000 * (STOP_SECONDS - 2)),
    ).serve()
    return 0


def app() -> Litestar:
    """Return the application with the settings of the environment, in the worker process."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    settings, faults = _read_settings()
    for fault in faults:
        _log.warning("rejected messages (/rejected) are not read from Kafka: %s", fault)
    application = create_app(settings)
    application.on_startup.append(stop_on_signal)
    # Objects that exist now stay: a garbage collection over them took 40 ms during requests.
    gc.collect()
    gc.freeze()
    return application


def _read_settings() -> tuple[Settings, Sequence[str]]:
    """Return the settings, and the faults in those of Kafka; raises SettingsError for others.

    With such a fault the API does not read Kafka: all but rejected messages is in the stores, and
    where programs share their variables it may lack the files that they name.
    """
    settings = read_settings(without_kafka(os.environ))
    if not settings.api_kafka:
        return settings, ()
    try:
        return read_settings(without_registry(os.environ)), ()
    except SettingsError as error:
        return msgspec.structs.replace(settings, api_kafka=False), error.faults


def _check_postgres(settings: Settings) -> None:
    """Raise UnsuitableServerError where Postgres can't be used; it may be away for now."""
    if "postgres" in settings.stores:
        with suppress(psycopg.Error):
            check_server(settings.postgres)


def _check_port(host: str, port: int) -> None:
    """Raise OSError if the port is in use: Granian would share it with the other process."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


if __name__ == "__main__":
    sys.exit(main())
