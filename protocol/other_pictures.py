"""Pictures that are not photographs of the scene, by their names: thumbnails, masked copies, depth maps."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from protocol.folder_names import words_of

_DEPTH_WORD = re.compile(r"depths?|disparity|disparities|confidences?")
_AUXILIARY_WORD = re.compile(rf"{_DEPTH_WORD.pattern}|normals?|flow|thumbs?|thumbnails?|previews?")
"""Words in the names of folders with pictures that are not photographs of the scene; in the names of files, fewer."""
_COPY_WORD = r"masked|thumb|thumbnail|preview"
_COPY = re.compile(rf"(?:{_COPY_WORD})[ ._\-]+(?P<after>.+)|(?P<before>.+?)[ ._\-]+(?:{_COPY_WORD})")
"""Names of small or masked copies, which some tools write next to the photographs."""


def original_of(stem: str) -> str | None:
    """Return the name of the photograph that a thumbnail or masked copy shows ("thumb_7", "7_masked"), or None."""
    found = _COPY.fullmatch(stem)
    return found and (found["after"] or found["before"])


def is_auxiliary(path: PurePosixPath) -> bool:
    """Whether a picture is a depth map, a thumbnail or similar, by the words in its name and those of its folders."""
    of_folders = (word for folder in path.parts[:-1] for word in words_of(folder))
    return any(map(_AUXILIARY_WORD.fullmatch, of_folders)) or any(map(_DEPTH_WORD.fullmatch, words_of(path.stem)))
