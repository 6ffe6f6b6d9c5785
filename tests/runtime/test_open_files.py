"""The limit of open files."""

import resource

import pytest

from runtime.failures import RefusalError
from runtime.open_files import require_open_files


class Limits:
    """The soft and the hard limit of a process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, soft: int, hard: int) -> None:
        self.both = (soft, hard)
        monkeypatch.setattr(resource, "getrlimit", lambda _which: self.both)
        monkeypatch.setattr(resource, "setrlimit", self.set)

    def set(self, which: int, limits: tuple[int, int]) -> None:
        """Set both."""
        assert which == resource.RLIMIT_NOFILE
        self.both = limits


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1_024, 4_096), (1_024, 4_096)),
        ((resource.RLIM_INFINITY,) * 2, (resource.RLIM_INFINITY,) * 2),
        ((256, 300), (300, 300)),
        ((256, resource.RLIM_INFINITY), (300, resource.RLIM_INFINITY)),
    ],
)
def test_the_soft_limit_is_raised_to_what_is_needed(
    monkeypatch: pytest.MonkeyPatch, before: tuple[int, int], after: tuple[int, int]
) -> None:
    """And no further; where it is enough, nothing is changed."""
    limits = Limits(monkeypatch, *before)
    require_open_files(300, "this")
    assert limits.both == after


def test_a_hard_limit_that_is_too_low_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the limit, what is needed and what for, and what to do."""
    limits = Limits(monkeypatch, 64, 256)
    with pytest.raises(RefusalError) as refused:
        require_open_files(300, "reading a log")
    text = str(refused.value)
    assert "may open 256 files here (`ulimit -Hn`), and reading a log needs 300" in text
    assert "`ulimit -n 300`" in text
    assert limits.both == (64, 256)
