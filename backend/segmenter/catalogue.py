"""Known models of the hub, searched in the local cache if none is named, with size and licence as published.

Any other model of the same classes can be named. docs/masks.md lists these models, and a test compares the two lists.
"""

from __future__ import annotations

from typing import NamedTuple


class Known(NamedTuple):
    """A model on the hub.

    Attributes:
        name: owner and name on the hub.
        title: its name in papers.
        megabytes: size of its weights in 10^6 bytes, as published or four bytes per parameter.
        licence: according to the publisher.
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
"""The first one in the cache is used."""
DEFAULT = KNOWN[0].name
