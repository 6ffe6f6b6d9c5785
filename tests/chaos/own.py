"""A service of one test's own, for what can't be done to the ones that all tests share."""

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


class LinkedKafka(Kafka):
    """A broker with a second listener, whose clients are sent to a link in front of it.

    A broker tells its clients where to go, so a proxy alone would be left after the first word.
    """

    ports: ClassVar = {**Kafka.ports, "kafka-linked": 0, "kafka-link": 0}

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, ports)
        self.linked_port = ports["kafka-linked"]
        """Where the link passes on to."""
        self.link_port = ports["kafka-link"]
        """Where the link has to listen."""

    def _write_properties(self, data: Path) -> None:
        super()._write_properties(data)
        path = self.folder / "kafka.properties"
        properties = dict(line.split("=", 1) for line in path.read_text().splitlines())
        properties["listeners"] += f",LINK://{HOST}:{self.linked_port}"
        properties["advertised.listeners"] += f",LINK://{HOST}:{self.link_port}"
        properties["listener.security.protocol.map"] += ",LINK:PLAINTEXT"
        properties["inter.broker.listener.name"] = "PLAINTEXT"
        path.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))


@contextmanager
def own(kind: type[S], folder: Path) -> Iterator[S]:
    """Run a service in a folder, on ports that stay the same when it is started again."""
    open_folder(folder)
    try:
        choose_ports(folder, dict.fromkeys(kind.ports, 0))
        service = kind(folder, saved_ports(folder))
        asyncio.run(start_service(service))
        yield service
    finally:
        asyncio.run(discard_folder(folder))
