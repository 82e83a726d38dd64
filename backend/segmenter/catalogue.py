"""Models of the hub that are searched for in the local cache where none is named, with size and licence as published.

Any other model of the same classes can be named. docs/masks.md lists these, and a test compares the two.
"""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """A model on the hub.

    Attributes:
        name: owner and name on the hub.
        title: what it is called in papers.
        megabytes: size of its weights, 10^6 bytes, as published or four bytes a parameter.
        licence: as the publisher states it.
    """

    name: str
    title: str
    megabytes: int
    licence: str


KNOWN = (
    Known("facebook/sam2.1-hiera-small", "SAM 2.1 small", 184, "apache-2.0"),
    Known("facebook/sam2.1-hiera-tiny", "SAM 2.1 tiny", 156, "apache-2.0"),
    Known("facebook/sam2.1-hiera-base-plus", "SAM 2.1 base plus", 323, "apache-2.0"),
    Known("facebook/sam2.1-hiera-large", "SAM 2.1 large", 898, "apache-2.0"),
    Known("facebook/sam-vit-base", "SAM base", 375, "apache-2.0"),
    Known("facebook/sam-vit-huge", "SAM huge", 2564, "apache-2.0"),
    Known("syscv-community/sam-hq-vit-base", "SAM-HQ base", 379, "apache-2.0"),
    Known("yonigozlan/EdgeTAM-hf", "EdgeTAM", 56, "apache-2.0"),
    Known("facebook/sam3", "SAM 3", 3440, "other"),
    Known("tue-mps/coco_panoptic_eomt_large_640", "EoMT large", 1270, "mit"),
    Known("facebook/mask2former-swin-base-coco-panoptic", "Mask2Former base", 432, "other"),
)
"""The first that is in the cache is used."""
DEFAULT = KNOWN[0].name
