"""What librdkafka reports about the connections of a client, and what that means."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from confluent_kafka import KafkaError

from broker.access import TOKEN_FAILURE, login_failure
from broker.errors import AccessError, BrokerError
from broker.probe import obstacle, refused_certificate
from mobility.settings import Settings

_WORDS: Final = re.compile(r"(?:(?:\w+://)?(\S+:\d+)/\S+: )?(.*?)(?: \(after \d+ms .*)?", re.DOTALL)
"""An address, librdkafka's words, and how long it took."""

_REPORTED: Final = frozenset(
    {
        KafkaError._AUTHENTICATION,  # noqa: SLF001 - the public names of librdkafka's own errors
        KafkaError._SSL,  # noqa: SLF001
        KafkaError._TRANSPORT,  # noqa: SLF001
        KafkaError._RESOLVE,  # noqa: SLF001
    }
)


# A connection that fails is retried within ten seconds and reports again: an older error is over.
_RECENT_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Error:
    code: int
    words: str
    at: float


class ConnectionErrors:
    """Collects the errors of a client's connections: `note` is its `error_cb`."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._by_address: dict[str, _Error] = {}
        self._is_cut_off = False

    def note(self, error: KafkaError) -> None:
        """Take an error."""
        code, text = error.code(), error.str()
        if code == KafkaError._ALL_BROKERS_DOWN:  # noqa: SLF001 - its public name is this
            self._is_cut_off = True
        elif code in _REPORTED and (match := _WORDS.fullmatch(text)):
            address = match[1] or self._first_address
            self._by_address.pop(address, None)  # so that the newest is the last
            self._by_address[address] = _Error(code, match[2], self._clock())
            self._is_cut_off |= TOKEN_FAILURE in text  # no broker is asked then

    def refusal(self) -> BrokerError | None:
        """Return why no broker takes this client; None where one does, or may before long.

        Cheap, except where connections to all brokers have failed since the last call.
        """
        if not self._is_cut_off:
            return None
        self._is_cut_off = False
        return self.reason()

    def last_words(self) -> str:
        """Return what was reported last, in brackets, for a message; nothing where nothing was."""
        recent = list(self._recent().items())
        return f" ({recent[-1][0]}: {recent[-1][1].words})" if recent else ""

    def reason(self) -> BrokerError | None:
        """Return what in settings, certificates or login is wrong; None where that is not known.

        An AccessError where another attempt would fail too. It opens connections of its own, which
        takes seconds where nobody answers.
        """
        recent = self._recent()
        for address, error in recent.items():
            if error.code == KafkaError._AUTHENTICATION:  # noqa: SLF001 - its public name is this
                return login_failure(self._settings, address, error.words)
        for address in recent or (self._first_address,):
            if found := obstacle(self._settings, address):
                return AccessError(found)
        for address, error in recent.items():
            if "alert" in error.words and "certificate" in error.words:
                return AccessError(refused_certificate(self._settings, address))
            if error.code == KafkaError._SSL:  # noqa: SLF001 - its public name is this
                return AccessError(f"No secured connection to Kafka at {address}: {error.words}.")
        return None

    def _recent(self) -> dict[str, _Error]:
        since = self._clock() - _RECENT_SECONDS
        return {place: error for place, error in self._by_address.items() if error.at >= since}

    @property
    def _first_address(self) -> str:
        return self._settings.kafka.partition(",")[0].strip()
