"""The format of the log (MOBILITY_VALUE) for programs that read it once."""

from mobility.settings import Settings
from mobility.values import FORMATS, ValueFormat


def value_format(settings: Settings) -> ValueFormat:
    """Return where in a message its trip is.

    A schema registry that does not answer is waited for for some seconds. Raises AccessError where
    no client of the registry can be made.
    """
    if settings.value != "avro":
        return FORMATS[settings.value]
    # A third of a second to import, which nothing else needs.
    from broker.avro_values import Avro  # noqa: PLC0415
    from broker.schema_registry import SchemaRegistry  # noqa: PLC0415

    return Avro(SchemaRegistry(settings), settings.max_message_bytes)
