"""The servers of a Redis that follows: one, or the masters of a cluster.

One server takes ids, changes and position in a transaction. In a cluster the ids go to their
masters by plain commands, to all at once, and the position follows when every reply is here. A key
whose slot has moved, or is moving, is written where the server says
(https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#redirection-and-resharding).
"""

import secrets
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import polars as pl
import redis
from redis.cluster import RedisCluster

from mobility.entities import Entity
from mobility.keys import RedisKeys
from mobility.settings import Settings, masked
from redis_cluster.connection import Master, connect, masters
from redis_cluster.records import FollowerRecord, combined
from redis_cluster.slots import SLOTS, slot_of, slots_of
from sinks.follower_connection import FollowerConnection, LostDataError, Position
from sinks.live_changes import gap_command
from sinks.redis_commands import NO_COMMANDS, Commands, command, totals_commands

_REDIRECTED: Final = (
    redis.exceptions.MovedError,
    redis.exceptions.AskError,
    redis.exceptions.TryAgainError,
)
"""What a master answers for keys that are not there, or not there alone."""

_MAX_REDIRECTIONS: Final = 16


class RecordMovedError(RuntimeError):
    """The record of a master is on another one now: the position was not written, all else was."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What is written at once: totals of ids (TOUCHED_SCHEMA), changes, and then the position.

    `expiry` are the seconds that an id stays, or the column that has them. The `changes` are
    commands on the stream of changes.
    """

    totals: pl.DataFrame | None = None
    expiry: str | int = 0
    changes: Commands = NO_COMMANDS
    position: Position | None = None


class FollowerServers:
    """Writes to all of them. All methods raise redis.RedisError where one does not answer."""

    def __init__(self, settings: Settings) -> None:
        """Write with the fencing token of the settings."""
        self.name = f"Redis at {masked(settings.redis)}"
        self._settings = settings
        self._keys = RedisKeys.of(settings)
        self._holder = secrets.token_hex(8)
        self._cluster: RedisCluster | None = None
        self._topology = ""
        self._servers: list[FollowerConnection] = []
        self._joining: dict[tuple[str, int], FollowerConnection] = {}
        self._server_of_slot = pl.Series(dtype=pl.Int64)

    @property
    def count(self) -> int:
        """The number of servers, between which ids are divided."""
        return len(self._servers) or 1

    def open(self) -> str | None:
        """Connect and take the token; return the instance id of the Postgres that Redis follows.

        What it returns and raises is that of `FollowerConnection.open`. A master without any is
        new in the cluster.
        """
        self._disconnect()
        self._discover()
        if self._cluster is None:
            self._servers = [FollowerConnection(self._settings)]
        else:
            self._use(masters(self._cluster.nodes_manager))
        found = {server.open() for server in self._servers} - {None}
        if self._cluster is not None:
            self._topology = self._servers[0].topology()
        return found.pop() if len(found) == 1 else "" if found else None

    def refresh(self, entity: Entity, instance_id: str, written: Mapping[int, int]) -> bool:
        """Use the masters that the cluster has now; return whether they are others than before.

        If so, they are to be claimed and prepared, and the position written: no record is about
        slots that have moved. Raises LostDataError where a replica has taken over, a record has not
        the numbers `written`, or a new master follows another Postgres.
        """
        if self._cluster is None or (topology := self._servers[0].topology()) == self._topology:
            return False
        self._cluster.nodes_manager.initialize()
        before = [server.master for server in self._servers if server.master is not None]
        found = masters(self._cluster.nodes_manager)
        if _has_failed_over(before, found):
            msg = f"a master of {self.name} was replaced by its replica, which may lack something"
            raise LostDataError(msg)
        new = self._use(found)
        if {server.open() for server in new} - {None, instance_id}:
            msg = f"{self.name} has got a master with other data"
            raise LostDataError(msg)
        self._check(before, entity, written)
        self._topology = topology
        return before != [server.master for server in self._servers]

    def claim(self, instance_id: str) -> None:
        """Record which Postgres this Redis follows."""
        for server in self._servers:
            server.claim(instance_id)

    def clear(self) -> None:
        """Delete everything but the status records."""
        for server in self._servers:
            server.clear()

    def prepare(self, entity: Entity) -> None:
        """Let each shard have its fields, and none from another number of shards."""
        for server in self._servers:
            server.prepare(entity)

    def state(self, entity: Entity) -> FollowerRecord:
        """Return how far Redis says that it is."""
        return combined([server.state(entity) for server in self._servers])

    def raise_numbers(self, entity: Entity, read: Mapping[int, int], number: int) -> None:
        """Set the sequence numbers of shards that still have those that were `read`."""
        for server in self._servers:
            server.raise_numbers(entity, read, number)

    def write(self, entity: Entity, batch: Batch) -> bool:
        """Write a batch; return whether some of it was redirected.

        Raises LostDataError, and then the position was not written, and to one server nothing; and
        RecordMovedError.
        """
        prefix = self._keys.totals(entity, "")
        if self._cluster is None:
            [server] = self._servers
            commands = batch.changes
            if batch.totals is not None:
                commands = totals_commands(prefix, batch.totals, batch.expiry) + commands
            if batch.position is not None:
                commands += server.position_commands(entity, batch.position)
            if commands.count:
                server.write(commands)
            return False
        is_redirected = False
        if batch.totals is not None:
            is_redirected = self._write_totals(prefix, batch.totals, batch.expiry)
        if batch.changes.count:
            is_redirected |= self._write_changes(entity, batch.changes)
        if batch.position is not None:
            try:
                for server in self._servers:
                    server.write(server.position_commands(entity, batch.position))
            except _REDIRECTED as error:
                raise RecordMovedError(str(error)) from error
        return is_redirected

    def close(self) -> None:
        """Close the connections; `open` opens others."""
        self._disconnect()
        self._forget_cluster()

    def _disconnect(self) -> None:
        for server in (*self._servers, *self._joining.values()):
            server.close()
        self._servers = []
        self._joining.clear()

    def _discover(self) -> None:
        """See what Redis is. A cluster is asked again by way of every node that was known."""
        if self._cluster is not None:
            try:
                self._cluster.nodes_manager.initialize()
            except (redis.RedisError, redis.exceptions.RedisClusterException, OSError):
                self._forget_cluster()
        if self._cluster is None:
            client = connect(self._settings.redis, socket_connect_timeout=5, socket_timeout=10)
            if isinstance(client, RedisCluster):
                self._cluster = client
            else:
                client.close()

    def _forget_cluster(self) -> None:
        if self._cluster is not None:
            with suppress(redis.RedisError, OSError):
                self._cluster.close()
            self._cluster = None

    def _use(self, found: Sequence[Master]) -> list[FollowerConnection]:
        """Use these masters, over the connections that there are; return the new connections."""
        known = {
            (each.master.host, each.master.port, each.master.tag): each
            for each in self._servers
            if each.master is not None
        }
        servers, new = [], []
        owners = [-1] * SLOTS
        for index, master in enumerate(found):
            server = known.pop((master.host, master.port, master.tag), None)
            if server is None:
                server = FollowerConnection(self._settings, master, self._holder)
                new.append(server)
            server.master = master
            servers.append(server)
            for run in master.owned:
                owners[run.start : run.stop] = [index] * len(run)
        for server in (*known.values(), *self._joining.values()):
            server.close()
        self._joining.clear()
        self._servers = servers
        self._server_of_slot = pl.Series(owners, dtype=pl.Int64)
        if -1 in owners:
            msg = f"{self.name} has no master for some slots"
            raise redis.exceptions.ClusterDownError(msg)
        return new

    def _check(self, before: Iterable[Master], entity: Entity, written: Mapping[int, int]) -> None:
        """Raise LostDataError where the record of an earlier master has lower numbers."""
        for master in before:
            keys = self._keys.of_master(master.tag)
            record = self._server(slot_of(keys.meta)).record(keys, entity)
            if any(record.sequence.get(shard, -1) < number for shard, number in written.items()):
                msg = f"{self.name} has lost data"
                raise LostDataError(msg)

    def _server(self, slot: int) -> FollowerConnection:
        index: int = self._server_of_slot[slot]
        return self._servers[index]

    def _write_totals(self, prefix: str, totals: pl.DataFrame, expiry: str | int) -> bool:
        """Write ids to their masters; return whether some were redirected."""
        owners = self._server_of_slot.gather(slots_of(prefix, totals["id"]))
        parts = totals.with_columns(owners.alias("server")).partition_by(
            "server", as_dict=True, include_key=False
        )
        by_server = {self._servers[index]: part for (index,), part in parts.items()}
        for number in range(_MAX_REDIRECTIONS):
            by_server = self._exchange(prefix, by_server, expiry, asking=number > 0)
            if not by_server:
                return number > 0
        msg = f"{self.name} redirects without end"
        raise redis.exceptions.ClusterError(msg)

    def _exchange(
        self,
        prefix: str,
        by_server: Mapping[FollowerConnection, pl.DataFrame],
        expiry: str | int,
        *,
        asking: bool,
    ) -> dict[FollowerConnection, pl.DataFrame]:
        """Write ids to servers; return those that are to be written to others."""
        sent = []
        for server, part in by_server.items():
            commands = totals_commands(prefix, part, expiry, asking=asking)
            server.send(commands)
            sent.append((server, part, commands.count))
        redirected: dict[FollowerConnection, list[pl.DataFrame]] = defaultdict(list)
        for server, part, count in sent:
            rows = dict[int, FollowerConnection]()
            for index, reply in enumerate(server.replies(count)):
                if isinstance(reply, redis.RedisError):
                    rows[index // (count // part.height)] = self._target(server, reply)
            for row, target in rows.items():
                redirected[target].append(part.slice(row, 1))
        return {target: pl.concat(found) for target, found in redirected.items()}

    def _write_changes(self, entity: Entity, changes: Commands) -> bool:
        """Write to the stream of changes; one that has moved gets an entry for a gap instead."""
        key = self._keys.live(entity)
        server = self._server(slot_of(key))
        server.send(changes)
        errors = [each for each in server.replies(changes.count) if isinstance(each, Exception)]
        for number in range(_MAX_REDIRECTIONS):
            if not errors:
                return number > 0
            server = self._target(server, errors[0])
            server.send(command("ASKING") + gap_command(key))
            errors = [each for each in server.replies(2) if isinstance(each, Exception)]
        msg = f"{self.name} redirects without end"
        raise redis.exceptions.ClusterError(msg)

    def _target(self, server: FollowerConnection, error: Exception) -> FollowerConnection:
        """Return the server to which an error redirects; raises any other error."""
        # A MovedError is an AskError.
        if server.master is None or not isinstance(error, redis.exceptions.AskError):
            raise error
        # Without a host it is that of the server which answers.
        address = str(error.host or server.master.host), int(error.port)
        for each in self._servers:
            if each.master is not None and (each.master.host, each.master.port) == address:
                return each
        if address not in self._joining:
            master = replace(server.master, host=address[0], port=address[1])
            self._joining[address] = FollowerConnection(self._settings, master, self._holder)
            self._joining[address].join()
        return self._joining[address]


def _has_failed_over(before: Sequence[Master], now: Sequence[Master]) -> bool:
    """Return whether a server that was no master has the record of one."""
    addresses = {(each.host, each.port) for each in before}
    tags = {each.tag for each in before}
    return any((each.host, each.port) not in addresses and each.tag in tags for each in now)
