"""Configuration: one frozen object, read from `MOBILITY_*`, validated before anything starts.

Durations are seconds where the name does not say otherwise. Every fault is reported at once, and no
secret is shown. A secret may be in a file, which the variable with `_FILE` behind its name names.
"""

import hashlib
import json
import math
import re
import typing
from collections.abc import Collection, Iterator, Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from mobility.entities import BY_NAME
from mobility.files import read_text
from mobility.kafka_settings import KAFKA_FILES, contradictions, invalid_brokers
from mobility.secrets import (
    PASSWORDS,
    SECRETS,
    Read,
    file_variable,
    secret_in_file,
    unreadable,
)
from mobility.sketched_measures import SKETCH_BY_NAME
from mobility.store_urls import (
    URL_SETTINGS,
    location_fault,
    names_several_hosts,
    url_fault,
)
from mobility.time_zones import zone_fault
from mobility.value_settings import REGISTRY_FILES, ValueSettings, registry_faults

PREFIX: Final = "MOBILITY_"

TABLES: Final = ("drivers", "passengers", "locations")
"""The settings that name a table, which enrichment joins."""

MAX_MESSAGE_BYTES: Final = 15 * 1024 * 1024
"""The largest message that fits into a batch of Kafka (16 MiB) with its key and headers."""

_CENTURY_HOURS: Final = 876_600
_CENTURY: Final = _CENTURY_HOURS * 3_600

# No setting is so large that what is computed with it does not fit: times in 64-bit milliseconds
# or into a date, sizes into what Kafka's clients take. docs/settings.md has the ranges.
Seconds = Annotated[int, Meta(ge=1, le=_CENTURY)]
SecondsOrZero = Annotated[int, Meta(ge=0, le=_CENTURY)]
Hours = Annotated[int, Meta(ge=1, le=_CENTURY_HOURS)]
Port = Annotated[int, Meta(ge=0, le=65_535)]
ClientLimit = Annotated[int, Meta(ge=0, le=1_000_000)]
Store = Literal["redis", "postgres", "delta"]

FOLLOWS: Final[Mapping[Store, Store]] = {"redis": "postgres"}
"""Which store follows which other one, where both are there."""

_TILES: Final = r"\A(?=.*\{z\})(?=.*\{x\})(?=.*\{y\})https?://[a-zA-Z0-9.-]+(:[0-9]{1,5})?/\S*\Z"


class SettingsError(ValueError):
    """Invalid settings; the message lists every fault, one per line."""

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(["Invalid settings:", *faults]))


class Settings(ValueSettings, frozen=True, kw_only=True):
    """The settings. Each field is the variable `MOBILITY_<FIELD>`."""

    # Where the stores are.
    redis: str = "redis://127.0.0.1:6379/0"
    postgres: str = "postgresql://mobility@127.0.0.1:5432/mobility"
    delta: str | None = None
    stores: tuple[Store, ...] = ()

    # Several tenants on one cluster.
    topic_prefix: Annotated[str, Meta(pattern=r"\A[a-zA-Z0-9._-]{0,100}\Z")] = ""
    redis_prefix: str = ""

    # How topics are made.
    partitions: Annotated[int, Meta(ge=1, le=10_000)] = 4
    replication: Annotated[int, Meta(ge=1, le=100)] = 1
    retention_hours: Hours = 168

    # What a window is and when a trip is late: these change answers, see `fingerprint`.
    window: Annotated[int, Meta(ge=1, le=31 * 86_400)] = 300
    event_time: Literal["start", "end"] = "start"
    out_of_orderness: SecondsOrZero = 30
    allowed_lateness: SecondsOrZero = 600
    future_tolerance: SecondsOrZero = 300
    region: Literal["h3", "location"] = "h3"
    h3_resolution: Annotated[int, Meta(ge=0, le=15)] = 9
    refunds: bool = False
    max_message_bytes: Annotated[int, Meta(ge=1, le=MAX_MESSAGE_BYTES)] = 1024 * 1024

    # Tables that enrichment joins: parquet files.
    drivers: str | None = None
    passengers: str | None = None
    locations: str | None = None

    # The recovery folder of the flow, for an audit or a backfill: which tables and rules each
    # offset is judged by.
    recovery_dir: str | None = None

    # Sketches that are computed beside the measures of every window.
    measures: tuple[str, ...] = ()

    # How the flow reads and writes.
    read: Literal["forever", "once"] = "forever"
    timestamp: Literal["log_append", "create"] = "log_append"
    enriched: tuple[str, ...] = ()
    shards: Annotated[int, Meta(ge=1, le=1_000)] = 4
    batch_size: Annotated[int, Meta(ge=1, le=1_000_000)] = 20_000
    fetch_memory_mb: Annotated[int, Meta(ge=1, le=32_000)] = 256
    idle_after: Seconds = 5
    punctuate_after: Seconds = 600
    alignment: Seconds = 3_600
    early_every: Seconds = 1
    snapshot_interval: Seconds = 10
    status_dir: str | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: Port = 0

    # What the launcher passes to the processes of its cluster.
    cluster: str = ""
    fence: Annotated[int, Meta(ge=1, le=2**63 - 1)] | None = None
    accept_gap: bool = False

    # How often the running audit compares, and the port of its metrics (0: none).
    audit_every: Seconds = 60
    audit_port: Port = 0

    # How long the stores remember.
    redis_expiry: Seconds = 86_400
    redis_ledger_hours: Hours = 48
    retention: Annotated[
        str, Meta(pattern=r"\A(?:panes:[1-9][0-9]{0,4}d(?:,hours:[1-9][0-9]{0,4}d)?)?\Z")
    ] = ""

    # Where the API listens, by which names and from which pages it may be asked, and by whom.
    api_host: str = "127.0.0.1"
    api_port: Port = 8_000
    api_hosts: tuple[str, ...] = ()
    api_origins: tuple[str, ...] = ()
    api_tokens: str | None = None
    api_rate: ClientLimit = 200
    api_live_readers: ClientLimit = 1_000

    # Whether the API reads dead letters and late trips from Kafka, whose client it needs for that.
    api_kafka: bool = True

    # Whose local times the API reads and answers where a request names no time zone: no number of
    # the flow depends on it.
    timezone: str = "UTC"

    # The workspace that this system is: commands that are printed or shown name it.
    workspace: Annotated[str, Meta(pattern=r"\A(?:[A-Za-z0-9][A-Za-z0-9._-]{0,63})?\Z")] = ""

    # How far behind the flow may be while the API counts as ready (0: as far as it likes).
    ready_lag: Annotated[int, Meta(ge=0, le=10**12)] = 100_000
    ready_age: SecondsOrZero = 1_800

    # The tiles below the cells on the map of the pages. Without them no other host is contacted.
    map_tiles: Annotated[str, Meta(pattern=_TILES)] | None = None
    map_credit: str | None = None

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self.__rich_repr__())
        return f"Settings({', '.join(shown)})"

    def __rich_repr__(self) -> Iterator[tuple[str, object]]:  # type: ignore[override] # as a tuple
        for name in _TYPES:
            value = getattr(self, name)
            yield name, value if value is None else hidden(name, value)

    @property
    def window_ms(self) -> int:
        """The window's length in milliseconds."""
        return self.window * 1_000

    @property
    def open_ms(self) -> int:
        """How long after its start a window takes trips: its length and the allowed lateness."""
        return self.window_ms + self.allowed_lateness * 1_000

    @property
    def retention_ms(self) -> dict[str, int]:
        """How long Postgres keeps panes and hours, in ms of event time; others for ever."""
        kept = (each.partition(":") for each in self.retention.split(",") if each)
        return {name: int(days.removesuffix("d")) * 86_400_000 for name, _, days in kept}

    @property
    def authorities(self) -> tuple[Store, ...]:
        """The stores that are written on their own: each has all windows, and follows no other."""
        return tuple(group[0] for group in written_together(self.stores))

    @property
    def by_authority(self) -> "tuple[Settings, ...]":
        """These settings once for each authority, with it and its followers as their stores."""
        groups = written_together(self.stores)
        return tuple(msgspec.structs.replace(self, stores=group) for group in groups)

    @property
    def is_followed(self) -> bool:
        """Whether Redis follows Postgres."""
        return {"redis", "postgres"} <= {*self.stores}

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
        return " ".join(f"{_variable(n)}={getattr(self, n)}" for n in ANSWER_SETTINGS)


def written_together(stores: Collection[Store]) -> list[tuple[Store, ...]]:
    """Return the stores in groups: an authority, and behind it those that follow it.

    >>> written_together(("redis", "delta", "postgres"))
    [('delta',), ('postgres', 'redis')]
    """
    authorities = [store for store in stores if FOLLOWS.get(store) not in stores]
    return [
        (each, *(store for store in stores if FOLLOWS.get(store) == each)) for each in authorities
    ]


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
    "timestamp",
    "value",
)

_ADDED_LATER: Final = {
    name: getattr(Settings(), name) for name in ("max_message_bytes", "timestamp", "value")
}

_TYPES: Final = typing.get_type_hints(Settings, include_extras=True)


def _variable(field: str) -> str:
    return f"{PREFIX}{field.upper()}"


_KNOWN: Final = {
    "enriched": ("entity", tuple(BY_NAME)),
    "measures": ("optional measure", tuple(SKETCH_BY_NAME)),
}
"""By setting that takes names, or `all`: what they are names of, and the names."""

_FIELDS: Final = {_variable(field): field for field in _TYPES} | {
    file_variable(_variable(field)): field for field in SECRETS
}
"""The field that each variable sets."""


def masked(url: str) -> str:
    """Return the URL with its password, if any, shown as `***`.

    >>> masked("postgresql://u:secret@host/db")
    'postgresql://u:***@host/db'
    """
    # A password that is not percent-encoded ends at the last @. So a user name may have one too;
    # but what follows a name, an @ and a colon may be the port of a host.
    user = r"//(?:[^/?#:@]*:|[^/?#:]*:(?![0-9]{1,5}(?:[,/?#]|\Z)))"
    shown = re.sub(rf"(?s)({user})(?:[^/?#]*|.*)(@)", r"\1***\2", url)
    return re.sub(r"(?i)(password=)[^&\s]*", r"\1***", shown)


def hidden(field: str, value: object) -> object:
    """Return a setting's value as it may be shown."""
    if field in PASSWORDS:
        return "***"
    return masked(value) if isinstance(value, str) else value


def read_settings(environ: Mapping[str, str], read: Read = read_text) -> Settings:
    """Read the settings from `MOBILITY_*`; `read` returns the text of a file that one names.

    Raises SettingsError with every fault: unknown variables, values that do not fit or contradict
    each other, bad URLs, files that can't be read.
    """
    faults: list[str] = []
    values: dict[str, Any] = {}
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        field = _FIELDS.get(variable)
        if field is None:
            faults.append(f"{variable}: no such setting")
            continue
        try:
            is_direct = variable == _variable(field)
            text = environ[variable] if is_direct else secret_in_file(environ, variable, read)
            values[field] = _converted(field, text)
        except msgspec.ValidationError as error:
            shown = hidden(field, environ[variable]) if is_direct else environ[variable]
            faults.append(f"{variable}={shown}: {error}")
    settings = Settings(**values)
    # A value that does not fit was left out: among the others it would seem to be missing.
    if not any(fault.startswith(f"{PREFIX}KAFKA_") for fault in faults):
        faults += contradictions(settings)
    if not any(fault.startswith((f"{PREFIX}SCHEMA_", f"{PREFIX}VALUE")) for fault in faults):
        faults += registry_faults(settings)
    files = {_variable(field): getattr(settings, field) for field in KAFKA_FILES + REGISTRY_FILES}
    faults += [*_invalid_urls(settings), *invalid_brokers(settings), *unreadable(files, read)]
    if faults:
        raise SettingsError(faults)
    return settings


def to_environ(settings: Settings) -> dict[str, str]:
    """Return the variables that `read_settings` turns into these settings, defaults left out."""
    return {
        _variable(name): _as_text(value)
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
    value = text if field in PASSWORDS else text.strip()
    if field == "timezone" and (fault := zone_fault(value)) is not None:
        msg = f"no such time zone ({fault})"
        raise msgspec.ValidationError(msg)
    return msgspec.convert(value, _TYPES[field], strict=False)


def _names(field: str, text: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if field not in _KNOWN:
        return msgspec.convert(names, _TYPES[field])  # type: ignore[no-any-return]
    what, known = _KNOWN[field]
    if names == ("all",):
        return known
    if unknown := [name for name in names if name not in known]:
        msg = f"no such {what}: {', '.join(unknown)} (there are {', '.join(known)}, or `all`)"
        raise msgspec.ValidationError(msg)
    return names


def _invalid_urls(settings: Settings) -> Iterator[str]:
    for field in URL_SETTINGS:
        url = getattr(settings, field)
        if (fault := url_fault(field, url)) is not None:
            # Without `//` it is no URL, so it may be a password alone.
            yield f"{_variable(field)}={masked(url) if '//' in url else '***'}: {fault}"
    if "redis" in settings.authorities and names_several_hosts(settings.redis):
        yield (
            f"MOBILITY_REDIS={masked(settings.redis)}: several hosts are a Redis Cluster, which "
            "can't be the only store: set MOBILITY_STORES=redis,postgres, or name one server"
        )
    retention = settings.retention_ms
    if retention.get("hours", math.inf) < retention.get("panes", 0):
        yield (
            f"MOBILITY_RETENTION={settings.retention}: hours are made of panes, "
            "and kept at least as long"
        )
    if retention.get("panes", math.inf) < settings.open_ms:
        yield (
            f"MOBILITY_RETENTION={settings.retention} is shorter than a window takes trips: "
            f"{settings.open_ms / 86_400_000:.1f} days (MOBILITY_WINDOW, MOBILITY_ALLOWED_LATENESS)"
        )
    if settings.delta is None and "delta" in settings.stores:
        yield "MOBILITY_STORES=delta needs MOBILITY_DELTA: a folder, or a URL of an object store"
    if settings.delta is not None and (fault := location_fault(settings.delta)) is not None:
        yield f"MOBILITY_DELTA={masked(settings.delta)}: {fault}"
