"""The table of peers: versions, options and notes."""

from dataclasses import dataclass
from typing import Final

from mobility.entities import ENTITIES

EVERY_ENTITY: Final = tuple(entity.name for entity in ENTITIES)


@dataclass(frozen=True, slots=True)
class Peer:
    """A peer: its script in this folder, and the packages that it needs.

    Without packages it uses this project's environment. `most_trips` limits its log, for peers that
    would take hours; a peer that `drops` trips in a catch-up by design may differ from the oracle.
    One with `stores` writes no topics: its windows are in Postgres. `jars` are Maven coordinates of
    what it needs beside its packages; such a peer needs Java.
    """

    name: str
    script: str
    packages: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    entities: tuple[str, ...] = EVERY_ENTITY
    most_trips: int | None = None
    drops: bool = False
    jars: tuple[str, ...] = ()
    stores: bool = False
    note: str = ""


_FLINK: Final = ("apache-flink==2.3.0",)
_KAFKA: Final = ("org.apache.flink:flink-sql-connector-kafka:5.0.0-2.2",)
_JDBC: Final = (
    "org.apache.flink:flink-connector-jdbc-core:4.0.0-2.0",
    "org.apache.flink:flink-connector-jdbc-postgres:4.0.0-2.0",
    "org.postgresql:postgresql:42.7.8",
)

NAIVE: Final = Peer(
    "bytewax-fold-window",
    "run_naive.py",
    # Its first windows close after 60,000 trips, which takes most time: 20,000 trips give 7,000
    # trips/s, 80,000 give 1,175, 100,000 give 709, and 200,000 took more than eight minutes.
    most_trips=80_000,
    note="Bytewax 0.21.1 as documented: one object per trip, `fold_window`",
)

CONSUMER: Final = Peer(
    "python-consumer",
    "run_consumer.py",
    most_trips=20_000,
    stores=True,
    note="the consumer that people write first: an object, a `SET` and an upsert per entity "
    "for each message, all rows in Redis and Postgres",
)

FLINK_JDBC: Final = Peer(
    "flink-jdbc",
    "run_flink.py",
    _FLINK,
    ("--tuned", "--jdbc"),
    jars=(*_KAFKA, *_JDBC),
    stores=True,
    note="`flink-tuned` into Postgres alone: upserts of up to 10,000 rows, sent as statements of "
    "many rows",
)

PEERS: Final = (
    NAIVE,
    CONSUMER,
    Peer(
        "flink-documented",
        "run_flink.py",
        _FLINK,
        jars=_KAFKA,
        note="Flink SQL, window TVF in a statement set, parallelism 2, timestamps parsed in "
        "SQL; no checkpoints",
    ),
    Peer(
        "flink-tuned",
        "run_flink.py",
        _FLINK,
        ("--tuned",),
        jars=_KAFKA,
        note="the same with TIMESTAMP_LTZ read by the JSON format, lz4, linger, larger batches",
    ),
    FLINK_JDBC,
    Peer(
        "quix",
        "run_quix.py",
        ("quixstreams==3.28.1",),
        entities=("driver",),
        most_trips=200_000,
        drops=True,
        note="Quix Streams, one entity of four; drops trips on a catch-up, the last window stays "
        "open",
    ),
    Peer(
        "pathway",
        "run_pathway.py",
        ("pathway==0.33.0",),
        note="Pathway, `windowby` and `reduce` in static mode: each window is written "
        "once, at the end",
    ),
)

BY_NAME: Final = {peer.name: peer for peer in PEERS}
