"""Selecting similar Gaussians: by embedding, by colour, and by asking the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.grow import grow  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.selection import write_selection  # noqa: E402
from blender_addon.editing.similar import Point, Similar, select_like  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from protocol.errors import BadArgument, BadResult  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from tests.blender.clumps import clump, clumps, part, write_clumps  # noqa: E402
from tests.blender.editing.parts import chosen, labels, thing  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def test_like_by_embedding_is_what_has_that_cosine(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_clumps(folder, embedding=True)
    session.import_folder(folder)
    embedding = np.load(folder / "embedding.npy").astype(np.float32)
    merge([part("mug"), part("plant")], part("mug"))
    rows = read_splats(thing("mug").data).extra["splat_row"]
    found = select_like([part("mug"), part("lamp")], Point(thing("mug"), 17), threshold=0.8)
    one, several = embedding[rows[17]], embedding[rows]
    cosines = several @ one / np.linalg.norm(several, axis=1) / np.linalg.norm(one)
    np.testing.assert_array_equal(chosen("mug"), cosines >= 0.8)
    assert found == Similar(int(chosen("mug").sum() + chosen("lamp").sum()), "embedding")
    own = labels("mug", folder)
    assert (own[chosen("mug")] == own[17]).all()
    assert (chosen("mug") == (own == own[17])).mean() > 0.95
    assert not chosen("lamp").any()


def test_like_the_selected_ones_and_besides_them(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_clumps(folder, embedding=True)
    session.import_folder(folder)
    merge([part("mug"), part("plant")], part("mug"))
    own = labels("mug", folder)
    seeds = np.zeros(600, bool)
    seeds[np.flatnonzero(own == 2)[:5]] = True
    stray = np.flatnonzero(own == 1)[0]
    write_selection(thing("mug").data, seeds)
    select_like([part("mug")])
    assert (chosen("mug") == (own == 2)).mean() > 0.95
    kept = seeds.copy()
    kept[:] = False
    kept[stray] = True
    write_selection(thing("mug").data, kept)
    select_like([part("mug")], Point(thing("mug"), int(np.flatnonzero(seeds)[0])), extend=True)
    assert chosen("mug")[stray]


def test_the_embedding_is_found_again_after_saving_and_importing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_clumps(folder, embedding=True)
    scene = session.import_folder(folder)
    duplicate([part("plant")])
    bpy.data.collections.remove(part("lamp"))
    save_edits(scene)
    bpy.ops.wm.read_homefile(use_empty=True)
    session.import_folder(folder)
    merge([part("mug"), part("plant.001")], part("mug"))
    rows = read_splats(thing("mug").data).extra["splat_row"]
    first = np.flatnonzero(read_positions(thing("mug").data)[:, 0] > 5)[0]
    select_like([part("mug")], Point(thing("mug"), int(first)), threshold=0.8)
    embedding = np.load(folder / "before-edits" / "embedding.npy").astype(np.float32)
    one, several = embedding[rows[first]], embedding[rows]
    cosines = several @ one / np.linalg.norm(several, axis=1) / np.linalg.norm(one)
    np.testing.assert_array_equal(chosen("mug"), cosines >= 0.8)


def test_like_by_colour_stops_at_gaps_and_other_colours(tmp_path: Path) -> None:
    write_clumps(tmp_path / "in")
    session.import_folder(tmp_path / "in")
    twin = clump((0, 0, 6), 200, 4, (0.9, 0.1, 0.1))
    other = clump((1.0, 0, 0), 200, 5, (0.1, 0.1, 0.9))
    whole = clumps()
    bpy.ops.wm.read_homefile(use_empty=True)
    columns = {"label": np.full(200, 1, np.int32), "confidence": np.ones(200, np.float32)}
    added = [each.with_columns(**columns) for each in (twin, other)]
    write_clumps(tmp_path / "more", merge_splats([whole, *added]))
    session.import_folder(tmp_path / "more")
    rows = read_splats(thing("mug").data).extra["splat_row"]
    red = rows < 1200
    found = select_like([part("mug")], Point(thing("mug"), int(np.flatnonzero(red)[0])), threshold=0.85)
    assert found.by == "colour"
    assert not chosen("mug")[~red].any()
    assert chosen("mug")[red].mean() > 0.97


def test_a_server_is_asked_where_the_result_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_clumps(folder)
    session.import_folder(folder)
    (folder / "splats.ply").unlink()
    rows = read_splats(thing("mug").data).extra["splat_row"]
    answer = np.random.default_rng(0).random(1200) < 0.4
    asked: list[Any] = []

    def ask(*question: Any) -> np.ndarray:
        asked.append(question)
        return answer

    found = select_like([part("mug")], Point(thing("mug"), 5), threshold=0.6, ask=ask)
    assert asked == [(folder, int(rows[5]), 0.6)]
    np.testing.assert_array_equal(chosen("mug"), answer[rows])
    assert found.by == "embedding"


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    write_clumps(folder, embedding=True, meshes=True)
    session.import_folder(folder)
    with pytest.raises(BadArgument, match="No Gaussian is selected"):
        select_like([part("mug")])
    with pytest.raises(BadArgument, match="Gaussian 300 does not exist"):
        select_like([part("mug")], Point(thing("mug"), 300))
    np.save(folder / "embedding.npy", np.zeros((3, 4), np.float16))
    with pytest.raises(BadResult, match="has rows for 3 Gaussians"):
        select_like([part("mug")], Point(thing("mug"), 1))
    np.save(folder / "embedding.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(BadResult, match="cannot be read"):
        select_like([part("mug")], Point(thing("mug"), 1))
    bpy.ops.wm.read_homefile(use_empty=True)
    session.import_folder(folder, "MESH")
    with pytest.raises(BadArgument, match="shown as a mesh"):
        grow([part("mug")])
