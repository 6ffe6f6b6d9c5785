"""The callbacks by which long steps report what they do."""

from collections.abc import Callable

OnMessagesRead = Callable[[int], None]
"""Called with the number of messages that were read."""

OnStatus = Callable[[str], None]
"""Called with a text that says what is done now."""
