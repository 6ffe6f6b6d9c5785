"""Sends whole columns to Kafka, by a function of librdkafka that confluent_kafka does not offer.

Its `produce` takes one message, and each delivery takes the interpreter's lock, even where only
failures are reported. `rd_kafka_produce_batch` takes an array of messages by their addresses and
blocks no other thread. The library is the one that confluent_kafka has loaded (ADR 15).

Source: rdkafka.h of librdkafka 2, "Producer API" and "Event interface".
"""

import ctypes
import threading
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import polars as pl
from confluent_kafka import KafkaError, KafkaException, cimpl
from numpy.typing import NDArray

_PRODUCER: Final = 0
_OK: Final = 0
_COPY: Final = 0x2
_EVENT_DELIVERIES: Final = 0x1
_ERROR_BYTES: Final = 512

PARTITION_UNASSIGNED: Final = -1
"""RD_KAFKA_PARTITION_UA: the partitioner decides."""

_MESSAGE: Final = np.dtype(
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
    """Return the library with the signatures of the functions that are called here."""
    # A symbol is looked up in what the extension module is linked with, too.
    library = ctypes.CDLL(cimpl.__file__)
    pointer, text, number = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
    signatures: dict[str, tuple[Any, ...]] = {
        "conf_new": (pointer,),
        "conf_set": (number, pointer, text, text, text, ctypes.c_size_t),
        "conf_set_events": (None, pointer, number),
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
        "event_message_next": (ctypes.POINTER(_Message), pointer),
        "event_destroy": (None, pointer),
        "err2str": (text, number),
    }
    for name, (result, *arguments) in signatures.items():
        function = getattr(library, f"rd_kafka_{name}")
        function.restype, function.argtypes = result, arguments
    return library


_library: Final = _load()


class ColumnProducer:
    """A producer of whole columns of keys and values.

    `failed` is called with a line for each message that the broker has not taken, from within the
    methods. Any number of threads may use it.
    """

    def __init__(self, config: Mapping[str, object], failed: Callable[[str], None]) -> None:
        """Open it; raises KafkaException for a setting that librdkafka does not take."""
        self._failed = failed
        self._most = int(str(config["queue.buffering.max.messages"])) // 2
        self._handle = _opened(config)
        self._reports = _library.rd_kafka_queue_get_main(self._handle)
        self._topics: dict[str, int] = {}
        self._lock = threading.Lock()
        closing = weakref.finalize(self, _close, self._handle, self._reports, self._topics)
        # When the process ends, its threads do, and nothing may be waited for.
        closing.atexit = False

    def __len__(self) -> int:
        """Return how many messages are not yet delivered."""
        return int(_library.rd_kafka_outq_len(self._handle))

    def send(self, topic: str, keys: pl.Series, values: pl.Series) -> None:
        """Queue a message a row, in their order a key, waiting while the queue is full.

        Keys and values are strings without nulls, equally many; raises ValueError otherwise.
        """
        if keys.is_empty():
            return
        key, value = _Texts(keys), _Texts(values)
        if len(keys) != len(values):
            msg = f"{len(keys)} keys for {len(values)} values"
            raise ValueError(msg)
        messages = np.zeros(len(keys), _MESSAGE)
        messages["key"], messages["key_len"] = key.addresses, key.lengths
        messages["payload"], messages["len"] = value.addresses, value.lengths
        for start in range(0, len(messages), self._most):
            self._queue(self._topic(topic), topic, messages[start : start + self._most])

    def poll(self, seconds: float) -> None:
        """Handle reports of messages that were not delivered; wait so long for the first."""
        milliseconds = int(seconds * 1_000)
        while event := _library.rd_kafka_queue_poll(self._reports, milliseconds):
            while message := _library.rd_kafka_event_message_next(event):
                report = message.contents
                name = _library.rd_kafka_topic_name(report.rkt).decode()
                self._failed(f"{name} partition {report.partition}: {_text(report.err)}")
            _library.rd_kafka_event_destroy(event)
            milliseconds = 0

    def flush(self, seconds: float) -> int:
        """Wait until all is delivered, at most so long; return how many messages are not."""
        _library.rd_kafka_flush(self._handle, int(seconds * 1_000))
        self.poll(0)
        return len(self)

    def _topic(self, name: str) -> int:
        with self._lock:
            if name not in self._topics:
                topic = _library.rd_kafka_topic_new(self._handle, name.encode(), None)
                if not topic:
                    raise _invalid(name)
                self._topics[name] = topic
            return self._topics[name]

    def _queue(self, topic: int, name: str, messages: NDArray[np.void]) -> None:
        while messages.size:
            while len(self) > self._most:
                self.poll(0.01)
            taken = _library.rd_kafka_produce_batch(
                topic, PARTITION_UNASSIGNED, _COPY, messages.ctypes.data, messages.size
            )
            if taken == messages.size:
                return
            # The queue is bounded in bytes as well, and other threads fill it.
            full = messages["err"] == KafkaError._QUEUE_FULL  # noqa: SLF001 - its public name
            for error in messages["err"][~full & (messages["err"] != _OK)]:
                self._failed(f"{name}: {_text(int(error))}")
            messages = messages[full]
            if messages.size:
                self.poll(0.01)


class _Texts:
    """Addresses and lengths of a column's texts, valid as long as this object lives."""

    def __init__(self, texts: pl.Series) -> None:
        if texts.null_count():
            msg = f"{texts.name!r} has nulls"
            raise ValueError(msg)
        self.lengths = texts.str.len_bytes().to_numpy().astype(np.uintp)
        self._bytes = np.frombuffer(texts.str.join("").item().encode(), np.uint8)
        self.addresses = self._bytes.ctypes.data + np.cumsum(self.lengths) - self.lengths


def _opened(config: Mapping[str, object]) -> int:
    """Return the handle of a new producer, which reports by events."""
    buffer = ctypes.create_string_buffer(_ERROR_BYTES)
    conf = _library.rd_kafka_conf_new()
    for name, setting in config.items():
        text = str(setting).lower() if isinstance(setting, bool) else str(setting)
        if _library.rd_kafka_conf_set(conf, name.encode(), text.encode(), buffer, _ERROR_BYTES):
            raise _invalid(buffer.value.decode())
    _library.rd_kafka_conf_set_events(conf, _EVENT_DELIVERIES)
    handle = _library.rd_kafka_new(_PRODUCER, conf, buffer, _ERROR_BYTES)
    if not handle:
        raise _invalid(buffer.value.decode())
    return int(handle)


def _invalid(what: str) -> KafkaException:
    code = KafkaError._INVALID_ARG  # noqa: SLF001 - its public name is this
    return KafkaException(KafkaError(code, what))


def _close(handle: int, reports: int, topics: dict[str, int]) -> None:
    for topic in topics.values():
        _library.rd_kafka_topic_destroy(topic)
    _library.rd_kafka_queue_destroy(reports)
    _library.rd_kafka_destroy(handle)


def _text(error: int) -> str:
    return str(_library.rd_kafka_err2str(error).decode())
