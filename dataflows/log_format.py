"""The format of the log (MOBILITY_VALUE) for the flow, which waits for a schema registry."""

import logging
from typing import TYPE_CHECKING, Final

from broker.errors import StopRequestedError
from dataflows.refusals import refused_by_kafka
from mobility.settings import Settings
from mobility.topics import trips_topic
from mobility.validation import REQUIRED
from mobility.values import FORMATS, ValueFormat
from runtime.failures import RefusalError
from runtime.signals import stop_requested

if TYPE_CHECKING:
    from broker.schema_registry import SchemaRegistry

_log: Final = logging.getLogger(__name__)


def log_format(settings: Settings) -> ValueFormat:
    """Return where in a message its trip is; a schema registry is asked for the newest schema.

    Raises RefusalError where that has not the fields of a trip, or the registry refuses the login.
    """
    if settings.value != "avro":
        return FORMATS[settings.value]
    # A third of a second to import, which nothing else needs.
    from broker.avro_values import Avro  # noqa: PLC0415
    from broker.schema_registry import SchemaRegistry  # noqa: PLC0415

    with refused_by_kafka():
        registry = SchemaRegistry(settings, patience=None, stopping=stop_requested)
        try:
            check_schema(registry, f"{trips_topic(settings)}-value")
        except StopRequestedError as error:
            # The flow stops before it reads anything, as it would have done anyhow.
            _log.warning("%s", error)
    return Avro(registry, settings.max_message_bytes)


def check_schema(registry: "SchemaRegistry", subject: str) -> None:
    """Refuse a subject whose newest schema has not the fields that each trip needs.

    Older messages may have other schemas, and each is read by its own. Raises RefusalError, and
    what the registry raises.
    """
    from broker.avro_schema import UnsupportedSchemaError, field_names  # noqa: PLC0415 - as above

    schema = registry.latest(subject)
    if schema is None:
        _log.warning(
            "The schema registry has no subject %s: its schema can't be checked at the start",
            subject,
        )
        return
    what = f"The newest schema of {subject} (id {schema.id})"
    if schema.kind == "JSON":
        return
    if schema.kind != "AVRO":
        msg = f"{what} is of the type {schema.kind}, but only AVRO and JSON are read."
        raise RefusalError(msg)
    try:
        fields = field_names(schema)
    except UnsupportedSchemaError as error:
        msg = f"Messages can't be read by the newest schema of {subject} (id {schema.id}): {error}."
        raise RefusalError(msg) from error
    missing = [name for name in REQUIRED if name not in fields]
    if missing:
        remedy = "Register a schema with the fields of a trip, or read another topic."
        if {"before", "after", "op"} <= set(fields):
            remedy = (
                "It is that of change events: let the connector send rows (Debezium's "
                "transformation ExtractNewRecordState)."
            )
        msg = f"{what} has no field {', '.join(missing)}: no message would be a trip.\n{remedy}"
        raise RefusalError(msg)
