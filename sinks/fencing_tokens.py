"""One fencing token for several places that give out their own."""

from collections.abc import Callable, Sequence

Take = Callable[[int], int]
"""Takes a token in one place: the one that is offered, or a higher one where that is not enough."""


def take_in_all(takes: Sequence[Take], offered: int) -> int:
    """Return a token that was taken in every place; it is not below the one `offered`.

    Where a place needs a higher one, that is taken in the others as well: so of two starts at the
    same time the same one is the last everywhere.
    """
    token, taken = offered, dict[int, int]()
    while behind := [n for n in range(len(takes)) if taken.get(n) != token]:
        token = taken[behind[0]] = takes[behind[0]](token)
    return token
