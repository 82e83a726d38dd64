"""Growing and shrinking the selection."""

from __future__ import annotations

from pathlib import Path

import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.grow import grow, shrink  # noqa: E402
from blender_addon.editing.selection import write_selection  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from protocol.errors import BadArgument  # noqa: E402
from tests.blender.clumps import clumps, part, write_clumps  # noqa: E402
from tests.blender.editing.parts import chosen, thing  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def test_growing_and_shrinking_go_over_the_edge_of_the_selection(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in", clumps(2000))
    session.import_folder(tmp_path / "in")
    x = read_positions(thing("mug").data)[:, 0]
    start = x > 0.2
    write_selection(thing("mug").data, start)
    more = grow([part("mug"), part("lamp")])
    grown = chosen("mug")
    assert more == grown.sum() > start.sum()
    assert grown[start].all()
    assert x[grown].min() > -0.3
    assert not chosen("lamp").any()
    assert grow([part("mug")], steps=50, reach=2.0) == 2000
    write_selection(thing("mug").data, start)
    fewer = shrink([part("mug")])
    assert fewer == chosen("mug").sum() < start.sum()
    assert start[chosen("mug")].all()
    assert x[chosen("mug")].min() > 0.2
    assert shrink([part("mug")], steps=50, reach=2.0) == 0
    with pytest.raises(BadArgument, match="No Gaussians are selected"):
        shrink([part("mug")])
