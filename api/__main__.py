"""`python -m api`: serve until SIGTERM or SIGINT."""

import gc
import logging
import os
import socket
import sys

from granian import Granian
from granian.constants import Interfaces, RuntimeModes
from granian.log import LogLevels
from litestar import Litestar

from api.access.listening import tokens_of
from api.access.tokens import TokensError
from api.app import create_app
from api.live.shutdown import end_with_the_server
from mobility.settings import SettingsError, read_settings


def main() -> int:
    """Serve the API; return the exit status: 2 for bad settings, 1 where the port is taken."""
    try:
        settings = read_settings(os.environ)
        tokens_of(settings)
    except (SettingsError, TokensError) as error:
        sys.stderr.write(f"The settings can't be used:\n{error}\n")
        return 2
    where = f"{settings.api_host}:{settings.api_port}"
    try:
        _check_free(settings.api_host, settings.api_port)
    except OSError as error:
        sys.stderr.write(
            f"The API can't listen on {where}: {error.strerror}. "
            "Stop what does, or set MOBILITY_API_HOST or MOBILITY_API_PORT.\n"
        )
        return 1
    sys.stdout.write(f"The API listens on http://{where}\n")
    sys.stdout.flush()
    Granian(
        "api.__main__:app",
        address=settings.api_host,
        port=settings.api_port,
        interface=Interfaces.ASGI,
        # The other mode can miss its own word that it has stopped, and is killed then: its thread
        # waits for a condition without looking whether it holds already.
        runtime_mode=RuntimeModes.st,
        factory=True,
        log_level=LogLevels.warning,
        websockets=False,
        workers_kill_timeout=10,
    ).serve()
    return 0


def app() -> Litestar:
    """Return the application of this process's environment, in the worker that serves it."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    made = create_app(read_settings(os.environ))
    made.on_startup.append(end_with_the_server)
    # What is loaded by now stays: looking for garbage in it took 40 ms, in the midst of answers.
    gc.collect()
    gc.freeze()
    return made


def _check_free(host: str, port: int) -> None:
    """Raise OSError where the port is taken: Granian would share it and answer now and then."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)


if __name__ == "__main__":
    sys.exit(main())
