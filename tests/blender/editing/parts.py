"""What the tests of edits share: the Gaussians, labels and selection of a part."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.selection import read_selection, write_selection  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from protocol.ply import read_ply  # noqa: E402
from protocol.splats import Splats  # noqa: E402
from tests.blender.clumps import part  # noqa: E402


def held(name: str) -> Splats:
    """The Gaussians of a part as its first piece has them, in order of their rows."""
    splats = read_splats(pieces_of(part(name))[0].thing.data)
    return splats.pick(np.argsort(splats.extra["splat_row"], kind="stable"))


def select(name: str, rows: np.ndarray) -> None:
    write_selection(pieces_of(part(name))[0].thing.data, rows)


def right_half(name: str) -> np.ndarray:
    """Select the visible points right of the middle; return all Gaussians' distances from the middle in x."""
    (piece,) = pieces_of(part(name))
    middle = 10.0 if name == "plant" else 0.0
    write_selection(piece.seen.data, read_positions(piece.seen.data)[:, 0] > middle)
    return read_positions(piece.thing.data)[:, 0] - middle


def labels_are_right(scene: Any) -> bool:
    parts = [*session.objects_of(scene), session.background_of(scene)]
    counts = [len(read_splats(piece.thing.data)) for each in parts for piece in pieces_of(each)]
    return sum(counts) == sum(each.splatlift.count for each in parts) and all(
        (read_splats(piece.thing.data).extra["label"] == each.splatlift.label).all()
        for each in parts
        for piece in pieces_of(each)
    )


def thing(name: str) -> Any:
    return pieces_of(part(name))[0].thing


def chosen(name: str) -> np.ndarray:
    return read_selection(thing(name).data)


def labels(name: str, folder: Path) -> np.ndarray:
    """What the Gaussians of a part were labelled in the result."""

    return read_ply(folder / "splats.ply").extra["label"][read_splats(thing(name).data).extra["splat_row"]]
