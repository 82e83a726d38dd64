"""Finds the photograph that a name in a list or of a mask means."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import PurePosixPath

from protocol.endings import PHOTOGRAPH_ENDINGS, without_ending
from protocol.folder_names import folded

SEVERAL = -1
"""Used instead of a photograph's number if a key matches several photographs."""
Finder = Callable[[str], int | None]


def photograph_finder(photographs: Sequence[str], names: Sequence[str] = (), others: Sequence[str] = ()) -> Finder:
    """Return a function from a key to the number of a photograph; ``others`` are numbered after ``photographs``."""
    exact: dict[str, int] = {}
    loose: dict[str, int] = {}
    start = 0
    for group, named in ((photographs, names), (others, ())):
        paths = [PurePosixPath(path) for path in group]
        bare = [without_ending(str(path), PHOTOGRAPH_ENDINGS) for path in paths]
        # Longer paths take precedence over shorter ones.
        depth = max((len(path.parts) for path in paths), default=0)
        both = ([str(path) for path in paths], bare)
        ends = [_ends(each, kept) for kept in range(depth, 0, -1) for each in both]
        joined = [[end.replace("/", glue) for end in each] for glue in ("_", "-", "__") for each in ends]
        levels = [*both, named, *ends, *joined]
        for level in levels:
            for table, form in ((exact, str), (loose, folded)):
                fresh: dict[str, int] = {}
                for number, key in enumerate(level, start):
                    key = form(key)
                    # The number among the others does not matter.
                    fresh[key] = number if start or fresh.get(key, number) == number else SEVERAL
                for key, number in fresh.items():
                    table.setdefault(key, number)
        start += len(group)

    def find(key: str) -> int | None:
        number = exact.get(key)
        return loose.get(folded(key)) if number is None else number

    return find


def _ends(paths: Sequence[str], kept: int) -> list[str]:
    """Return the last ``kept`` names of each path."""
    return ["/".join(path.split("/")[-kept:]) for path in paths]
