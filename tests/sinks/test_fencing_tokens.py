"""One fencing token for several stores."""

from collections.abc import Callable

from sinks.fencing_tokens import take_in_all


def place(stored: list[int]) -> Callable[[int], int]:
    """Return what takes a token in a place, which is above those that it has given out."""

    def take(offered: int) -> int:
        stored.append(max(offered, stored[-1] + 1))
        return stored[-1]

    return take


def test_the_highest_token_is_taken_everywhere() -> None:
    """Also in places that were content with a lower one."""
    tokens = [[3], [70], [9]]
    assert take_in_all([place(each) for each in tokens], 50) == 71
    assert tokens == [[3, 50, 71], [70, 71], [9, 71]]


def test_one_place_is_asked_once() -> None:
    """Without a place the token is the one that is offered."""
    tokens = [3]
    assert take_in_all([place(tokens)], 50) == 50
    assert tokens == [3, 50]
    assert take_in_all([], 50) == 50


def test_a_start_at_the_same_time_is_last_everywhere_or_nowhere() -> None:
    """Another one takes a token in the first place after, and in the second one before this."""
    first, second = [0], [0]
    take_first, take_second = place(first), place(second)

    def interrupted(offered: int) -> int:
        if second == [0]:
            assert take_in_all([take_first, take_second], offered) == offered + 1
        return take_second(offered)

    assert take_in_all([take_first, interrupted], 10) == 12
    assert (first[-1], second[-1]) == (12, 12)
