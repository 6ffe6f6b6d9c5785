"""Redis servers of a test's own: another program, and the nodes of a cluster."""

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import redis

from redis_cluster.connection import masters
from redis_cluster.slots import SLOTS
from stack.ports import HOST, find_free_port
from stack.processes import find_process
from stack.redis import Redis
from stack.service import start_service, stop_service
from tests.waiting import until

NODE_TIMEOUT_MS = 1_000
"""After which a node that does not answer is failed over."""


class Server(Redis):
    """A server in a folder of its own, on a free port."""

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        """Use the program of the stack, if no other is given."""
        folder.mkdir(parents=True)
        super().__init__(folder, {self.name: find_free_port()})
        self._program = program

    @property
    def program(self) -> Path:
        """The given one."""
        return self._program or super().program

    def start(self) -> None:
        """Start it, and wait until it answers."""
        asyncio.run(start_service(self))

    def stop(self) -> None:
        """Stop it."""
        asyncio.run(stop_service(self.folder, self.name))

    def kill(self) -> None:
        """Kill it, as a crash of the machine does."""
        process = find_process(self.folder, self.name)
        assert process is not None
        process.kill()
        asyncio.run(process.wait_for_exit(10))

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop it from running meanwhile: connections to it stay open, and get no answer."""
        process = find_process(self.folder, self.name)
        assert process is not None
        process.send(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send(signal.SIGCONT)

    def call(self, *words: object) -> Any:  # noqa: ANN401 - any reply
        """Send one command over a connection of its own."""
        with redis.Redis(port=self.port, decode_responses=True) as client:
            return client.execute_command(*words)


class Node(Server):
    """A node of a cluster."""

    def __init__(self, folder: Path, program: Path | None = None) -> None:
        """Choose a port for the other nodes as well: the usual one may be that of a client."""
        super().__init__(folder, program)
        self.bus_port = find_free_port(frozenset({self.port}))

    @property
    def options(self) -> dict[str, str]:
        """Those of the stack, and those of a cluster."""
        return super().options | {
            "cluster-enabled": "yes",
            "cluster-port": str(self.bus_port),
            "cluster-node-timeout": str(NODE_TIMEOUT_MS),
            "cluster-replica-validity-factor": "0",
            "repl-diskless-sync-delay": "0",
        }


class Cluster:
    """Nodes of a Redis Cluster: three masters, and perhaps a replica of each."""

    def __init__(
        self, folder: Path, *, with_replicas: bool = False, program: Path | None = None
    ) -> None:
        """Prepare them; `start` starts them."""
        number = 6 if with_replicas else 3
        self.nodes = [Node(folder / f"node{each}", program) for each in range(number)]

    def start(self) -> None:
        """Start the nodes and divide the slots."""
        for node in self.nodes:
            node.start()
        first, *others = self.nodes
        for node in others:
            first.call("CLUSTER", "MEET", HOST, node.port, node.bus_port)
        for index, node in enumerate(self.nodes[:3]):
            start, end = SLOTS * index // 3, SLOTS * (index + 1) // 3 - 1
            node.call("CLUSTER", "ADDSLOTSRANGE", start, end)
        self.wait()
        for master, replica in zip(self.nodes[:3], self.nodes[3:], strict=False):
            replica.call("CLUSTER", "REPLICATE", self.id_of(master))
        for replica in self.nodes[3:]:
            until(partial(replica.call, "ROLE"), "the replica", lambda role: role[3] == "connected")
        self.wait()

    @property
    def url(self) -> str:
        """The URL of the cluster, with the first two nodes."""
        return f"redis://{HOST}:{self.nodes[0].port},{HOST}:{self.nodes[1].port}/0"

    def wait(self) -> None:
        """Wait until all nodes that run know all nodes that run, and all slots."""

        def states() -> list[bool]:
            return [
                {
                    "cluster_state:ok",
                    f"cluster_slots_ok:{SLOTS}",
                    f"cluster_known_nodes:{len(self.nodes)}",
                }
                <= {*str(node.call("CLUSTER", "INFO")).split()}
                for node in self._running()
            ]

        until(states, "the cluster", all)

    def id_of(self, node: Server) -> str:
        """Return the id of a node."""
        return str(node.call("CLUSTER", "MYID"))

    def client(self) -> redis.RedisCluster:
        """Return a client of its own."""
        return redis.RedisCluster(
            host=HOST, port=self._running()[0].port, decode_responses=True, protocol=2
        )

    def empty(self) -> None:
        """Delete all keys of all masters."""
        with self.client() as client:
            client.flushall(target_nodes=client.PRIMARIES)

    def slots_of(self, node: Server) -> list[int]:
        """Return the slots of a master."""
        with self.client() as client:
            return [
                slot
                for each in masters(client.nodes_manager)
                if each.port == node.port
                for run in each.owned
                for slot in run
            ]

    def move_slot(self, slot: int, source: Server, target: Server) -> None:
        """Move a slot with its keys, key by key, as `redis-cli --cluster reshard` does."""
        source_id, target_id = self.id_of(source), self.id_of(target)
        target.call("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source.call("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        while keys := source.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            source.call("MIGRATE", HOST, target.port, "", 0, 5_000, "KEYS", *keys)
        for node in (target, source):
            node.call("CLUSTER", "SETSLOT", slot, "NODE", target_id)

    def stop(self) -> None:
        """Stop all nodes."""
        for node in self.nodes:
            node.stop()

    def _running(self) -> list[Server]:
        return [node for node in self.nodes if find_process(node.folder, node.name)]


@contextmanager
def running_cluster(
    folder: Path, *, with_replicas: bool = False, program: Path | None = None
) -> Iterator[Cluster]:
    """Yield a cluster, which is stopped in the end."""
    cluster = Cluster(folder, with_replicas=with_replicas, program=program)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
