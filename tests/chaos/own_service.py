"""A service for one test only, for faults that would affect other tests."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, TypeVar

from stack.kafka import Kafka
from stack.ports import HOST, choose_ports, saved_ports
from stack.service import Service, start_service
from stack.services import discard_folder, open_folder

S = TypeVar("S", bound=Service)


class ProxiedKafka(Kafka):
    """A broker with a second listener, which is advertised with the port of a proxy.

    Clients connect to the advertised address, so a proxy without it would be used once only.
    """

    ports: ClassVar = {**Kafka.ports, "kafka-target": 0, "kafka-proxy": 0}

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, ports)
        self.target_port = ports["kafka-target"]
        """The port that the proxy forwards to."""
        self.proxy_port = ports["kafka-proxy"]
        """The port that the proxy has to listen on."""

    def properties(self) -> dict[str, str]:
        """Return the configuration of the broker, with the second listener."""
        properties = super().properties()
        properties["listeners"] += f",PROXY://{HOST}:{self.target_port}"
        properties["advertised.listeners"] += f",PROXY://{HOST}:{self.proxy_port}"
        properties["listener.security.protocol.map"] += ",PROXY:PLAINTEXT"
        properties["inter.broker.listener.name"] = "PLAINTEXT"
        return properties


@contextmanager
def run_own_service(kind: type[S], folder: Path) -> Iterator[S]:
    """Run a service in a folder, on ports that stay the same after a restart."""
    open_folder(folder)
    try:
        choose_ports(folder, dict.fromkeys(kind.ports, 0))
        service = kind(folder, saved_ports(folder))
        asyncio.run(start_service(service))
        yield service
    finally:
        asyncio.run(discard_folder(folder))
