"""Configuration: one frozen object, read from `MOBILITY_*`, validated before anything starts.

Durations are seconds where the name does not say otherwise. Every fault is reported at once, and no
secret is shown.
"""

import hashlib
import json
import re
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from mobility.entities import BY_NAME, ENTITIES

PREFIX: Final = "MOBILITY_"

MAX_MESSAGE_BYTES: Final = 15 * 1024 * 1024
"""The largest message that fits into a batch of Kafka (16 MiB) with its key and headers."""

Positive = Annotated[int, Meta(gt=0)]
NonNegative = Annotated[int, Meta(ge=0)]
Store = Literal["redis", "postgres"]

_TILES: Final = r"\A(?=.*\{z\})(?=.*\{x\})(?=.*\{y\})https?://[a-zA-Z0-9.-]+(:[0-9]{1,5})?/\S*\Z"


class SettingsError(ValueError):
    """Invalid settings; the message lists every fault, one per line."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(["Invalid settings:", *faults]))


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings. Each field is the variable `MOBILITY_<FIELD>`."""

    # Where the services are.
    kafka: str = "127.0.0.1:9092"
    redis: str = "redis://127.0.0.1:6379/0"
    postgres: str = "postgresql://mobility@127.0.0.1:5432/mobility"
    stores: tuple[Store, ...] = ()

    # Several tenants on one cluster.
    topic_prefix: Annotated[str, Meta(pattern=r"\A[a-zA-Z0-9._-]{0,100}\Z")] = ""
    redis_prefix: str = ""

    # How topics are made.
    partitions: Positive = 4
    replication: Positive = 1
    retention_hours: Positive = 168

    # What a window is and when a trip is late: these change answers, see `fingerprint`.
    window: Positive = 300
    event_time: Literal["start", "end"] = "start"
    out_of_orderness: NonNegative = 30
    allowed_lateness: NonNegative = 600
    future_tolerance: NonNegative = 300
    region: Literal["h3", "location"] = "h3"
    h3_resolution: Annotated[int, Meta(ge=0, le=15)] = 9
    refunds: bool = False
    max_message_bytes: Annotated[int, Meta(gt=0, le=MAX_MESSAGE_BYTES)] = 1024 * 1024

    # Tables that enrichment joins: parquet files, none is assumed.
    drivers: str | None = None
    passengers: str | None = None
    locations: str | None = None

    # The recovery folder of the flow, for an audit or a backfill: which tables and rules each
    # offset is judged by.
    recovery_dir: str | None = None

    # How the flow reads and writes.
    read: Literal["forever", "once"] = "forever"
    enriched: tuple[str, ...] = ()
    shards: Positive = 4
    batch_size: Positive = 20_000
    fetch_memory_mb: Positive = 256
    idle_after: Positive = 5
    punctuate_after: Positive = 600
    alignment: Positive = 3_600
    early_every: Positive = 1
    snapshot_interval: Positive = 10
    status_dir: str | None = None
    metrics_port: Annotated[int, Meta(ge=0, le=65_535)] = 0

    # What the launcher passes to the processes of its cluster.
    cluster: str = ""
    fence: Positive | None = None
    accept_gap: bool = False

    # How often the running audit compares, and the port of its metrics (0: none).
    audit_every: Positive = 60
    audit_port: Annotated[int, Meta(ge=0, le=65_535)] = 0

    # How long the stores remember.
    redis_expiry: Positive = 86_400
    redis_ledger_hours: Positive = 48

    # Where the API listens, by which names and from which pages it may be asked, and by whom.
    api_host: str = "127.0.0.1"
    api_port: Annotated[int, Meta(ge=0, le=65_535)] = 8_000
    api_hosts: tuple[str, ...] = ()
    api_origins: tuple[str, ...] = ()
    api_tokens: str | None = None
    api_rate: NonNegative = 200
    api_live_readers: NonNegative = 1_000

    # How far behind the flow may be while the API counts as ready (0: as far as it likes).
    ready_lag: NonNegative = 100_000
    ready_age: NonNegative = 1_800

    # The tiles below the cells on the map of the pages: without, no other host is asked for any.
    map_tiles: Annotated[str, Meta(pattern=_TILES)] | None = None
    map_credit: str | None = None

    @property
    def window_ms(self) -> int:
        """The window's length in milliseconds."""
        return self.window * 1_000

    @property
    def fingerprint(self) -> str:
        """Twelve hex digits over the settings that change answers.

        Kept in recovery state and in the stores, so that a start with others can be refused.
        """
        answers = {
            name: value
            for name in ANSWER_SETTINGS
            # A setting that was added later is left out at its default: older state must resume.
            if (value := getattr(self, name)) != _ADDED_LATER.get(name)
        }
        return hashlib.sha256(json.dumps(answers, sort_keys=True).encode()).hexdigest()[:12]

    @property
    def answers(self) -> str:
        """The settings behind the fingerprint as text, for messages."""
        return " ".join(f"{PREFIX}{n.upper()}={getattr(self, n)}" for n in ANSWER_SETTINGS)


ANSWER_SETTINGS: Final = (
    "window",
    "event_time",
    "out_of_orderness",
    "allowed_lateness",
    "future_tolerance",
    "region",
    "h3_resolution",
    "refunds",
    "max_message_bytes",
)

_ADDED_LATER: Final = {"max_message_bytes": Settings().max_message_bytes}

_TYPES: Final = typing.get_type_hints(Settings, include_extras=True)
_URL_SCHEMES: Final = {
    "redis": ("redis://", "rediss://", "unix://"),
    "postgres": ("postgresql://", "postgres://"),
}
_BROKER: Final = re.compile(r"\A(\[[0-9a-fA-F:]+\]|[\w.-]+):(\d{1,5})\Z")
_MAX_PORT: Final = 65_535


def masked(url: str) -> str:
    """Return the URL with its password, if any, shown as `***`.

    >>> masked("postgresql://u:secret@host/db")
    'postgresql://u:***@host/db'
    """
    hidden = re.sub(r"(//[^/?#:@]*:)[^/?#]*(@)", r"\1***\2", url)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", hidden)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the settings from `MOBILITY_*`.

    Raises SettingsError with every fault: unknown variables, values that do not fit, bad URLs.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        field = variable.removeprefix(PREFIX).lower()
        if field not in _TYPES or variable != variable.upper():
            faults.append(f"{variable}: no such setting")
            continue
        try:
            values[field] = _converted(field, environ[variable])
        except msgspec.ValidationError as error:
            faults.append(f"{variable}={masked(environ[variable])}: {error}")
    settings = Settings(**values)
    faults += _invalid_urls(settings)
    if faults:
        raise SettingsError(faults)
    return settings


def to_environ(settings: Settings) -> dict[str, str]:
    """Return the variables that `read_settings` turns into these settings, defaults left out."""
    return {
        f"{PREFIX}{name.upper()}": _as_text(value)
        for name in _TYPES
        if (value := getattr(settings, name)) != getattr(Settings(), name) and value is not None
    }


def _as_text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _converted(field: str, text: str) -> object:
    if typing.get_origin(_TYPES[field]) is tuple:
        return _names(field, text)
    return msgspec.convert(text.strip(), _TYPES[field], strict=False)


def _names(field: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if field == "enriched":
        if names == ("all",):
            return tuple(entity.name for entity in ENTITIES)
        for name in names:
            if name not in BY_NAME:
                known = ", ".join(BY_NAME)
                msg = f"no such entity: {name} (there are {known}, or `all`)"
                raise msgspec.ValidationError(msg)
        return names
    return msgspec.convert(names, _TYPES[field])  # type: ignore[no-any-return]


def _invalid_urls(settings: Settings) -> list[str]:
    faults = [
        f"MOBILITY_{field.upper()}={masked(url)}: expected a URL that starts with "
        f"{' or '.join(schemes)}"
        for field, schemes in _URL_SCHEMES.items()
        if not (url := getattr(settings, field)).startswith(schemes)
    ]
    for broker in settings.kafka.split(","):
        match = _BROKER.match(broker.strip())
        if match is None or not 0 < int(match[2]) <= _MAX_PORT:
            faults.append(f"MOBILITY_KAFKA={settings.kafka}: expected host:port[,host:port]")
            break
    return faults
