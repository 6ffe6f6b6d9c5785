"""Kafka: broker and controller in one process (KRaft), with jars from the user's cache."""

import asyncio
import base64
import shutil
import struct
import sys
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Final

from stack.checkout import module_environ
from stack.jars import jar_folder
from stack.java import find_java
from stack.ports import HOST
from stack.processes import run_to_end
from stack.service import Health, Service, StackStartError, start_failure

_DOWNLOAD_SECONDS: Final = 900.0
_FORMAT_SECONDS: Final = 60.0
_PING_SECONDS: Final = 2.0
_API_VERSIONS: Final = 18

# All are relative to the state folder, where Kafka runs: log.dirs is split at commas, and neither
# properties nor log4j accept every character of a folder's name.
_PROPERTIES: Final = "kafka.properties"
_LOG4J_FILE: Final = "kafka.log4j2.xml"
_TEMPORARY: Final = "kafka.tmp"

_JVM: Final = (
    # One broker on a small machine: with these it starts faster, and is as fast afterwards.
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    # Write nothing outside the state folder: neither counters nor unpacked compression libraries.
    "-XX:-UsePerfData",
    f"-Djava.io.tmpdir={_TEMPORARY}",
)

_LOG4J: Final = """\
<Configuration status="WARN">
  <Appenders>
    <Console name="log"><PatternLayout pattern="%d %p %m (%c{1})%n"/></Console>
  </Appenders>
  <Loggers>
    <Logger name="org.apache.kafka.common.config" level="WARN"/>
    <Root level="INFO"><AppenderRef ref="log"/></Root>
  </Loggers>
</Configuration>
"""

# For a cluster of one broker: no replicas, and no wait for others to join a group.
_SINGLE_NODE: Final = {
    "node.id": "1",
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(16 << 20),
    "replica.fetch.max.bytes": str(16 << 20),
    "log.cleaner.dedupe.buffer.size": str(8 << 20),
    "num.io.threads": "4",
    "num.network.threads": "2",
}


class Kafka(Service):
    """A Kafka cluster of one broker, which creates no topics automatically."""

    name = "kafka"
    ports: ClassVar = {"kafka": 9092, "kafka-controller": 9093}
    start_limit = 90.0
    heap: ClassVar[tuple[str, ...]] = ("-Xms256m", "-Xmx768m")

    def __init__(self, folder: Path, ports: Mapping[str, int]) -> None:
        super().__init__(folder, ports)
        self.controller_port = ports.get("kafka-controller", 0)

    @property
    def url(self) -> str:
        """The bootstrap server."""
        return f"{HOST}:{self.port}"

    async def prepare(self) -> list[str | Path]:
        """Download the jars and format the data folder if they don't exist."""
        java = await find_java()
        await self._fetch_jars()
        (self.folder / _LOG4J_FILE).write_text(_LOG4J)
        shutil.rmtree(self.folder / _TEMPORARY, ignore_errors=True)
        (self.folder / _TEMPORARY).mkdir(mode=0o700)
        if not self.data.exists():
            await self._format(java)
        self._write_properties(self.data)
        return [*self._java(java), "kafka.Kafka", _PROPERTIES]

    async def health(self) -> Health:
        """Request the API versions: the broker answers once it is not fenced any more."""
        try:
            async with asyncio.timeout(_PING_SECONDS):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                try:
                    writer.write(api_versions_request())
                    head = await reader.readexactly(10)
                finally:
                    writer.close()
        except (OSError, EOFError):  # TimeoutError is an OSError
            return "silent"
        _, correlation, error = struct.unpack(">iih", head)
        return "healthy" if (correlation, error) == (_API_VERSIONS, 0) else "silent"

    async def _fetch_jars(self) -> None:
        if jar_folder().exists():
            return
        # In another process, which can be killed at any time, unlike a thread.
        download = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "stack.jars", env=module_environ()
        )
        try:
            async with asyncio.timeout(_DOWNLOAD_SECONDS):
                code = await download.wait()
        except TimeoutError:
            code = 1
        finally:
            if download.returncode is None:
                download.kill()
                await download.wait()
        if code != 0:
            msg = (
                "kafka can't be started: its jars could not be downloaded (see above). That needs "
                "the network once; or set MOBILITY_KAFKA to a running broker."
            )
            raise StackStartError(msg)

    async def _format(self, java: Path) -> None:
        # In another folder, which is then renamed: an incomplete format must not be used.
        draft = self.folder / "kafka.new"
        shutil.rmtree(draft, ignore_errors=True)
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        self._write_properties(draft)
        command = [
            *self._java(java),
            "kafka.tools.StorageTool",
            "format",
            "--standalone",
            f"--cluster-id={cluster}",
            f"--config={_PROPERTIES}",
        ]
        if await run_to_end(command, self.log, _FORMAT_SECONDS, cwd=self.folder) != 0:
            raise start_failure(self, "could not format its data folder")
        draft.rename(self.data)

    def _java(self, java: Path) -> list[str | Path]:
        return [
            java,
            *self.heap,
            *_JVM,
            f"-Dlog4j2.configurationFile={_LOG4J_FILE}",
            "-cp",
            f"{jar_folder()}/*",
        ]

    def properties(self) -> dict[str, str]:
        """Return the configuration of the broker, except for its data folder."""
        broker = f"PLAINTEXT://{HOST}:{self.port}"
        controller = f"{HOST}:{self.controller_port}"
        return _SINGLE_NODE | {
            "listeners": f"{broker},CONTROLLER://{controller}",
            "advertised.listeners": broker,
            "controller.quorum.bootstrap.servers": controller,
        }

    def _write_properties(self, data: Path) -> None:
        properties = self.properties() | {"log.dirs": data.name}
        lines = (f"{name}={value}\n" for name, value in properties.items())
        (self.folder / _PROPERTIES).write_text("".join(lines))


def api_versions_request() -> bytes:
    """Return an ApiVersions request, version 0 (KIP-35), with no client id."""
    body = struct.pack(">hhih", _API_VERSIONS, 0, _API_VERSIONS, -1)
    return struct.pack(">i", len(body)) + body
