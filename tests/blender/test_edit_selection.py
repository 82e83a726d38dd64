"""Selecting by likeness and by neighbourhood, and what stands apart: against brute force and known arrangements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

bpy = pytest.importorskip("bpy")

from blender_addon import session  # noqa: E402
from blender_addon.editing.duplicate import duplicate  # noqa: E402
from blender_addon.editing.floaters import remove_floaters  # noqa: E402
from blender_addon.editing.grow import grow, shrink  # noqa: E402
from blender_addon.editing.merge import merge  # noqa: E402
from blender_addon.editing.neighbours import around, connected, usual_distance  # noqa: E402
from blender_addon.editing.parts import pieces_of  # noqa: E402
from blender_addon.editing.saving import save_edits  # noqa: E402
from blender_addon.editing.selection import read_selection, write_selection  # noqa: E402
from blender_addon.editing.similar import Point, Similar, select_like  # noqa: E402
from blender_addon.splats.attributes import read_splats  # noqa: E402
from blender_addon.splats.columns import read_positions  # noqa: E402
from protocol.errors import BadArgument, BadResult  # noqa: E402
from protocol.splats import merge as merge_splats  # noqa: E402
from tests.blender.editing import clump, clumps, part, write_clumps  # noqa: E402

pytestmark = pytest.mark.usefixtures("every_form")


def thing(name: str) -> Any:
    return pieces_of(part(name))[0].thing


def chosen(name: str) -> np.ndarray:
    return read_selection(thing(name).data)


def labels(name: str, folder: Path) -> np.ndarray:
    """What the Gaussians of a part were labelled in the result."""
    from protocol.ply import read_ply

    return read_ply(folder / "splats.ply").extra["label"][read_splats(thing(name).data).extra["splat_row"]]


def distances(points: np.ndarray) -> np.ndarray:
    return np.linalg.norm(points[:, None].astype(float) - points[None], axis=2)


@pytest.mark.parametrize("count", [2, 5, 150, 3000])
def test_the_usual_distance_is_the_median_to_the_sixth_neighbour(count: int) -> None:
    points = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32) * (1, 5, 1)
    sixth = np.sort(distances(points), axis=1)[:, min(6, count - 1)]
    # Of many points only some are asked.
    tolerance = 1e-5 if count <= 200 else 0.1 * float(np.median(sixth))
    assert usual_distance(points.astype(np.float32)) == pytest.approx(float(np.median(sixth)), abs=tolerance)


def test_points_in_one_place_have_no_distance() -> None:
    assert usual_distance(np.zeros((1, 3), np.float32)) == 0
    assert usual_distance(np.zeros((0, 3), np.float32)) == 0
    assert usual_distance(np.ones((9, 3), np.float32)) == 0
    assert connected(np.ones((9, 3), np.float32), 0.0).tolist() == [0] * 9


@pytest.mark.parametrize("seed", range(8))
def test_pieces_join_what_is_near_and_part_what_is_far(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = (rng.random((400, 3)) * (10, 10, 2)).astype(np.float32)
    width = 0.5
    numbers = connected(points, width)
    apart = distances(points)
    # Nothing nearer than a cell is parted, nothing further than two cells' diagonal is joined directly.
    near = np.argwhere(apart < width)
    assert (numbers[near[:, 0]] == numbers[near[:, 1]]).all()
    reach = apart <= 2 * np.sqrt(3) * width
    for number in range(numbers.max() + 1):
        own = np.flatnonzero(numbers == number)
        seen = {int(own[0])}
        edge = [int(own[0])]
        while edge:
            for other in np.flatnonzero(reach[edge.pop()] & (numbers == number)).tolist():
                if other not in seen:
                    seen.add(other)
                    edge.append(other)
        assert seen == set(own.tolist())
    assert (np.diff(np.bincount(numbers)) <= 0).all()


def test_a_long_chain_is_one_piece() -> None:
    line = np.zeros((5000, 3), np.float32)
    line[:, 0] = np.random.default_rng(0).permutation(5000)
    assert connected(line, 1.0).max() == 0
    line[line[:, 0] > 2500, 0] += 3
    assert np.bincount(connected(line, 1.0)).tolist() == [2501, 2499]


@pytest.mark.parametrize("seed", range(4))
def test_around_reaches_half_as_far_surely_and_never_twice(seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.random((600, 3)).astype(np.float32)
    rows = rng.random(600) < 0.02
    found = around(points, rows, 0.2)
    nearest = distances(points)[:, rows].min(1)
    assert found[nearest < 0.1].all()
    assert not found[nearest > 0.4].any()
    assert found[rows].all()
    assert not around(points, np.zeros(600, bool), 0.2).any()


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
