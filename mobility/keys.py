"""The names of Redis keys, for the packages that write them and those that read them."""

from dataclasses import dataclass
from typing import Final

from mobility.entities import Entity
from mobility.settings import Settings

LAST_WINDOW: Final = "last_window_start"
"""The field of a hash of totals with the start of the newest window of an id."""

INSTANCE_ID_FIELD: Final = "life"
"""The field of the meta hash with the instance id of a Redis that is an authority."""

BEFORE: Final = "before"
"""The field of a ledger with the windows that were removed from it, as one; others are starts."""


@dataclass(frozen=True, slots=True)
class RedisKeys:
    """Key names under one prefix. An id comes last in a key, as it may have any characters."""

    prefix: str

    @classmethod
    def of(cls, settings: Settings) -> "RedisKeys":
        """Return the keys that these settings use."""
        return cls(settings.redis_prefix)

    def of_master(self, tag: str) -> "RedisKeys":
        """Return keys that are on one master of a cluster, that with the slot of a hash tag."""
        return RedisKeys(f"{{{tag}}}{self.prefix}")

    def totals(self, entity: Entity, entity_id: str) -> str:
        """Return the hash of an id's running totals."""
        return f"{self.prefix}{entity.name}:{entity_id}"

    def ledger(self, entity: Entity, entity_id: str) -> str:
        """Return the hash of an id's windows, from start (epoch ms) to values as JSON."""
        return f"{self.prefix}ledger:{entity.name}:{entity_id}"

    def index(self, entity: Entity) -> str:
        """Return the sorted set of ids, all of score 0: paged by name."""
        return f"{self.prefix}index:{entity.name}"

    def seen(self, entity: Entity) -> str:
        """Return the sorted set of ids by the time of their last new window, in epoch seconds."""
        return f"{self.prefix}seen:{entity.name}"

    def live(self, entity: Entity) -> str:
        """Return the stream of changes: an entry per call, its windows as JSON in the field `w`."""
        return f"{self.prefix}live:{entity.name}"

    def progress(self, entity: Entity) -> str:
        """Return the hash from shard to its watermark in epoch ms."""
        return f"{self.prefix}progress:{entity.name}"

    def sequence(self, entity: Entity) -> str:
        """Return the hash from shard to the sequence number up to which a follower has it."""
        return f"{self.prefix}sequence:{entity.name}"

    def slots(self, entity: Entity) -> str:
        """Return the hash from shard to the slots that its number is about, in a cluster."""
        return f"{self.prefix}slots:{entity.name}"

    def status(self, process: str) -> str:
        """Return the status record of a process."""
        return f"{self.prefix}status:{process}"

    @staticmethod
    def shards_field(entity: Entity) -> str:
        """Return the field of the meta hash with the number of shards that a follower has."""
        return f"shards:{entity.name}"

    @property
    def processes(self) -> str:
        """Return the set of the processes that have a status record."""
        return f"{self.prefix}processes"

    @property
    def fence(self) -> str:
        """Return the fencing token of the flow that writes."""
        return f"{self.prefix}fence"

    def lease(self, role: str) -> str:
        """Return the holder of a lease, of Redis as the only store; it expires with the lease."""
        return f"{self.prefix}lease:{role}"

    @property
    def meta(self) -> str:
        """Return the hash of the store's fingerprint and writer, and of whom a follower follows."""
        return f"{self.prefix}meta"
