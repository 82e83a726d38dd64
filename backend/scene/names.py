"""Names of views: unique, and valid as file names on any system."""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

NOT_IN_FILE_NAMES = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f]')
MAX_BYTES = 200
"""Most bytes of a name: file systems allow 255, and an ending is added."""


def view_names(paths: Sequence[str]) -> list[str]:
    """Return one unique name per photograph.

    A name is the photograph's stem. If two photographs share a stem, all names of the scene contain their folders below
    the common one, joined by underscores ("train_r_0"); remaining duplicates are numbered ("_2").

    Args:
        paths: relative, with forward slashes.
    """
    stems = [_as_file_name(PurePosixPath(path).stem) for path in paths]
    if _all_differ(stems):
        return stems
    common = posixpath.commonpath([PurePosixPath(path).parent.as_posix() for path in paths])
    below = [PurePosixPath(path).relative_to(common).with_suffix("") for path in paths]
    return _numbered([_as_file_name("_".join(path.parts)) for path in below])


def _as_file_name(text: str) -> str:
    short = text.encode("utf-8", "replace")[-MAX_BYTES:].decode("utf-8", "ignore")
    return NOT_IN_FILE_NAMES.sub("_", short).rstrip(". ") or "view"


def _all_differ(names: Sequence[str]) -> bool:
    # Some file systems treat A.png and a.png as the same file.
    return len({name.casefold() for name in names}) == len(names)


def _numbered(names: Sequence[str]) -> list[str]:
    taken = set()
    counts: Counter[str] = Counter()
    result = []
    for name in names:
        candidate = name
        while candidate.casefold() in taken:
            counts[name] += 1
            candidate = f"{name}_{counts[name] + 1}"
        taken.add(candidate.casefold())
        result.append(candidate)
    return result
