"""Distinguishes classes of things, which are countable, from classes of stuff, such as walls, floor and sky.

A model's configuration contains the names of its classes, but not their kind. The kind comes from the vocabularies of
the usual panoptic data sets: COCO (133 classes, 53 of stuff), ADE20K (150, 50) and Cityscapes (19, 11), as published.
"""

from __future__ import annotations

from collections.abc import Sequence


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip() for name in text.split("|"))


COCO = _names(
    """
    banner|blanket|bridge|cardboard|counter|curtain|door-stuff|floor-wood|flower|fruit|gravel|house|light|
    mirror-stuff|net|pillow|platform|playingfield|railroad|river|road|roof|sand|sea|shelf|snow|stairs|tent|
    towel|wall-brick|wall-stone|wall-tile|wall-wood|water-other|window-blind|window-other|tree-merged|
    fence-merged|ceiling-merged|sky-other-merged|cabinet-merged|table-merged|floor-other-merged|pavement-merged|
    mountain-merged|grass-merged|dirt-merged|paper-merged|food-other-merged|building-other-merged|rock-merged|
    wall-other-merged|rug-merged
    """
)
ADE20K = _names(
    """
    wall|building|sky|floor|tree|ceiling|road, route|grass|sidewalk, pavement|earth, ground|mountain, mount|
    plant|water|house|sea|rug|field|rock, stone|base, pedestal, stand|sand|skyscraper|grandstand, covered stand|
    path|runway|stairway, staircase|river|bridge, span|blind, screen|hill|bar|hovel, hut, hutch, shack, shanty|
    tower|dirt track|land, ground, soil|escalator, moving staircase, moving stairway|buffet, counter, sideboard|
    poster, posting, placard, notice, bill, card|stage|
    conveyer belt, conveyor belt, conveyer, conveyor, transporter|canopy|pool|falls|tent|cradle|
    tank, storage tank|lake|blanket, cover|pier|crt screen|shower
    """
)
CITYSCAPES = _names(
    """
    road|sidewalk|building|wall|fence|pole|traffic light|traffic sign|vegetation|terrain|sky
    """
)
STUFF = (COCO, ADE20K, CITYSCAPES)
"""Classes of stuff of each vocabulary."""


def things_of(labels: Sequence[str]) -> dict[str, bool]:
    """Return for each class whether it is a thing; empty if the vocabulary is unknown.

    A vocabulary is recognised if it contains all stuff classes of one of :data:`STUFF`; spaces around names are
    ignored.
    """
    names = {label.strip() for label in labels}
    fitting = [stuff for stuff in STUFF if stuff <= names]
    if not fitting:
        return {}
    stuff = max(fitting, key=len)
    return {label: label.strip() not in stuff for label in labels}
