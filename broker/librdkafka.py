"""The functions of librdkafka that confluent_kafka does not offer.

The library is the one that confluent_kafka has loaded (ADR 15). Source: rdkafka.h of librdkafka 2,
"Main configuration property interface", "Producer API" and "Event interface".
"""

import ctypes
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from confluent_kafka import KafkaError, KafkaException, cimpl

PRODUCER: Final = 0
OK: Final = 0
COPY: Final = 0x2
EVENT_DELIVERIES: Final = 0x1
EVENT_ERROR: Final = 0x8
_TEXT_BYTES: Final = 512

PARTITION_UNASSIGNED: Final = -1
"""RD_KAFKA_PARTITION_UA: the partitioner decides."""

MESSAGE: Final = np.dtype(
    [
        ("err", np.int32),
        ("rkt", np.uintp),
        ("partition", np.int32),
        ("payload", np.uintp),
        ("len", np.uintp),
        ("key", np.uintp),
        ("key_len", np.uintp),
        ("offset", np.int64),
        ("private", np.uintp),
    ],
    align=True,
)
"""rd_kafka_message_t; numpy aligns as C does."""


class _Message(ctypes.Structure):
    """The beginning of rd_kafka_message_t, as far as a report of a delivery is read."""

    _fields_ = (
        ("err", ctypes.c_int),
        ("rkt", ctypes.c_void_p),
        ("partition", ctypes.c_int32),
    )


def _load() -> ctypes.CDLL:
    """Return the library with the signatures of the functions that are called."""
    # Symbols of librdkafka are found through the extension module, which is linked with it.
    loaded = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[Any, ...]] = {
        "conf_new": (pointer,),
        "conf_set": (number, pointer, text, text, text, ctypes.c_size_t),
        "conf_set_events": (None, pointer, number),
        "conf_destroy": (None, pointer),
        "new": (pointer, number, pointer, text, ctypes.c_size_t),
        "destroy": (None, pointer),
        "topic_new": (pointer, pointer, text, pointer),
        "topic_name": (text, pointer),
        "topic_destroy": (None, pointer),
        "produce_batch": (number, pointer, ctypes.c_int32, number, pointer, number),
        "outq_len": (number, pointer),
        "flush": (number, pointer, number),
        "queue_get_main": (pointer, pointer),
        "queue_poll": (pointer, pointer, number),
        "queue_destroy": (None, pointer),
        "event_type": (number, pointer),
        "event_error": (number, pointer),
        "event_error_string": (text, pointer),
        "event_error_is_fatal": (number, pointer),
        "event_message_next": (ctypes.POINTER(_Message), pointer),
        "event_destroy": (None, pointer),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(loaded, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return loaded


library: Final = _load()


def open_producer(config: Mapping[str, object]) -> int:
    """Return the handle of a new producer, which reports by events.

    Raises KafkaException for a setting that librdkafka does not take.
    """
    conf = library.rd_kafka_conf_new()
    for name, setting in config.items():
        if fault := _set(conf, name, setting):
            library.rd_kafka_conf_destroy(conf)
            raise invalid(fault)
    library.rd_kafka_conf_set_events(conf, EVENT_DELIVERIES | EVENT_ERROR)
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    # A created client owns the configuration. If none is created, it must be freed here.
    handle = library.rd_kafka_new(PRODUCER, conf, text, _TEXT_BYTES)
    if not handle:
        library.rd_kafka_conf_destroy(conf)
        raise invalid(text.value.decode())
    return int(handle)


def invalid_properties(properties: Mapping[str, str]) -> Iterator[str]:
    """Yield what is wrong with each property that librdkafka does not know or does not accept."""
    conf = library.rd_kafka_conf_new()
    for name, setting in properties.items():
        if fault := _set(conf, name, setting):
            yield f"{name}: {fault}"  # it may name the property that this is an alias of
    library.rd_kafka_conf_destroy(conf)


def invalid(what: str) -> KafkaException:
    """Return the error of an invalid argument."""
    code = KafkaError._INVALID_ARG  # noqa: SLF001 - its public name is this
    return KafkaException(KafkaError(code, what))


def event_error(event: int) -> KafkaError:
    """Return the error of an event."""
    text = library.rd_kafka_event_error_string(event).decode()
    is_fatal = bool(library.rd_kafka_event_error_is_fatal(event))
    return KafkaError(library.rd_kafka_event_error(event), text, fatal=is_fatal)


def _set(conf: int, name: str, setting: object) -> str:
    """Set a property; return what is wrong with it, nothing where it was taken."""
    text = ctypes.create_string_buffer(_TEXT_BYTES)
    value = str(setting).lower() if isinstance(setting, bool) else str(setting)
    if library.rd_kafka_conf_set(conf, name.encode(), value.encode(), text, _TEXT_BYTES):
        return text.value.decode()
    return ""
