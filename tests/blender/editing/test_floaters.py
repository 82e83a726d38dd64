"""Removing floaters keeps the larger pieces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.floaters import remove_floaters  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from tests.blender.clumps import clump, clumps, part, write_clumps  # noqa: E402
from tests.blender.editing.parts import thing  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def test_floaters_go_and_larger_pieces_stay(tmp_path: Path) -> None:
    whole = clumps(1000)
    strays = clump((0, 0, 5), 4, 7, (1, 1, 1)).with_columns(label=np.full(4, 1, np.int32))
    large = clump((0, 0, -6), 200, 8, (1, 1, 1)).with_columns(label=np.full(200, 1, np.int32))
    added = [each.with_columns(confidence=np.ones(len(each), np.float32)) for each in (strays, large)]
    write_clumps(tmp_path / "in", merge_splats([whole, *added]))
    session.import_folder(tmp_path / "in")
    assert remove_floaters([part("mug"), part("plant")]) == 4
    assert part("mug").splatlift.count == 1200
    z = read_positions(thing("mug").data)[:, 2]
    assert z.max() < 2
    assert (z < -4).sum() == 200
    assert remove_floaters([part("mug")]) == 0
    assert remove_floaters([part("mug")], largest=0.3) == 200


def test_long_gaussians_touch_what_their_ends_reach(tmp_path: Path) -> None:
    """A thin one bridges two balls that stand apart."""
    for long in (False, True):
        balls = [clump((x, 0, 0), 400, n, (0.5, 0.5, 0.5)) for n, x in enumerate((0.0, 4.0))]
        bridge = balls[0].pick(np.array([0]))
        bridge.means[:] = (2, 0, 0)
        bridge.quats[:] = (1, 0, 0, 0)
        bridge.scales[:] = np.log((1.5 if long else 0.01, 0.01, 0.01))
        whole = merge_splats([*balls, bridge])
        whole = whole.with_columns(label=np.ones(801, np.int32), confidence=np.ones(801, np.float32))
        rest = clumps(50)
        bpy.ops.wm.read_homefile(use_empty=True)
        write_clumps(tmp_path / str(long), merge_splats([whole, rest.pick(rest.extra["label"] > 1)]))
        session.import_folder(tmp_path / str(long))
        # The half of fewer Gaussians is a floater unless the bridge holds it.
        assert (remove_floaters([part("mug")], gap=1.5, largest=0.6) > 300) is not long
