"""Names of objects in the names of masks: one subfolder for each object (chair/0.png), or one file (0_chair.png)."""

from __future__ import annotations

import re
from collections.abc import Iterator

_NO_OBJECT = re.compile(
    r"vis|viz|visual\w*|colou?r(s|ed|map)?|overlays?|blend(s|ed)?|raw|ids?|binary|grey|gray|png|jpe?g|json|np[yz]|rle|"
    r"previews?|thumbs?|thumbnails?|depths?|disparity|normals?|flow|confidences?|scores?|images?|imgs?|rgb|photos?|"
    r"frames?|full|half|small|large|resized|scaled|old|new|backup|copy|orig|original|final|fixed|refined|inverted|"
    r"cam|camera|left|right|train|val|valid|test|v\d+|x\d+|\d+x"
)
"""Words that name a version or another form of the same masks, not an object."""
_MASK_WORD = re.compile(
    r"masks?|segs?|segmented|segments?|segmentations?|instances?|inst|sam\d?|labels?|semantic|panoptic|obj|objects?|"
    r"out|outputs?|pred|predictions?|results?"
)
_BETWEEN = re.compile(r"[ ._\-]+")


def is_object(name: str) -> bool:
    """Whether a name may be that of an object: it has a word, and none for another form of the same masks."""
    words = [word for word in _BETWEEN.split(name.casefold()) if word and not _MASK_WORD.fullmatch(word)]
    return any(word.isalpha() and len(word) > 1 for word in words) and not any(map(_NO_OBJECT.fullmatch, words))


def split_objects(name: str) -> Iterator[tuple[str, str]]:
    """Yield photograph and object of a name such as "frame_1_coffee_table", those of the longest photograph first."""
    for gap in reversed(list(_BETWEEN.finditer(name))):
        photograph, thing = name[: gap.start()], name[gap.end() :]
        if photograph and is_object(thing):
            yield photograph, thing
