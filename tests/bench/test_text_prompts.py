"""The text protocol of LERF-Mask and 3D-OVS: made folders from photographs to scores, answers counted by hand."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bench.simulated_detector
import bench.text_prompts
from backend.evaluate.lerf_mask import LerfMaskScore
from backend.evaluate.ovs import OvsScore
from backend.scene import load_scene, split_views
from backend.words import Answer, Found
from bench.made_prompts import NAMES, Layout, read_names, write_made
from bench.text_prompts import app, detector_search, score_scene
from protocol.errors import BadArgument, Unavailable
from tests.backend.words import tiny

OBJECTS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of each layout, and their results below "out"."""
    root = tmp_path_factory.mktemp("made")
    layouts: tuple[Layout, ...] = ("lerf-mask", "3d-ovs")
    for layout in layouts:
        write_made(root / layout, layout, objects=OBJECTS, views=24, test_views=2, size=96, noise="clean")
    return root


def run(made: Path, layout: Layout, *options: str):
    line = ["score", str(made / layout), "--protocol", layout, "--out", str(made / "out"), "--splats", "splats.ply"]
    return CliRunner().invoke(app, [*line, "--device", "cpu", *options])


def rows(output: str) -> dict[str, list[str]]:
    """Return the cells of each row of the printed tables after the first, by the first."""
    cells = ([part.strip() for part in line.split("│")[1:-1]] for line in output.splitlines() if line.startswith("│"))
    return {row[0]: row[1:] for row in cells}


def exact_search(*unknown: str):
    """Return a search that answers with the object of the largest overlap with the exact ids of a made scene."""

    def search(scene: Path, views, pictures, words: Sequence[str]) -> list[Answer]:
        names = read_names(scene)
        exact = np.array([np.asarray(Image.open(scene / f"gt/instance/{view.name}.png")) for view in views])
        ids = np.array([view.ids for view in views])
        found = []
        for word in words:
            label = int(np.bincount(ids[(exact == names[word]) & (ids > 0)]).argmax())
            found.append(Answer(word, () if word in unknown else (Found(label, 9.0, 3, 4),), None, ("0000",)))
        return found

    return search


@pytest.mark.parametrize("layout", ["lerf-mask", "3d-ovs"])
def test_a_made_folder_from_photographs_to_scores(made: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    for chance in ("MISSED", "WRONG", "MISTAKEN", "MISTAKEN_ABSENT"):
        monkeypatch.setattr(bench.simulated_detector, chance, 0.0)
    scene, result = made / layout, made / "out" / layout
    assert [view.name for view in split_views(load_scene(scene).views, "own")[1]] == ["0024", "0025"]
    done = run(made, layout, "--simulated")
    assert done.exit_code == 0, done.output
    found = rows(done.output)
    assert all(float(found[name][1]) > 90 for name in [*NAMES[:OBJECTS], "mean"])
    assert ("Accuracy" in done.output) == (layout == "3d-ovs")
    assert "with the simulated detector" in done.output
    assert "Contrastive" in done.output, "published figures are beside ours"

    answers, _ = score_scene(scene, result, layout, exact_search())
    right = {name: f"object {answer.found[0].label} " for name, answer in answers.items()}
    assert len(set(right.values())) == OBJECTS
    assert all(found[name][0].startswith(right[name]) and "," not in found[name][0] for name in NAMES[:OBJECTS])


@pytest.mark.parametrize("layout", ["lerf-mask", "3d-ovs"])
def test_a_prompt_without_an_answer_has_an_empty_mask(made: Path, layout: Layout) -> None:
    scene, result = made / layout, segmented(made, layout)
    _, whole = score_scene(scene, result, layout, exact_search())
    assert whole.iou.keys() == set(NAMES[:OBJECTS])
    assert whole.mean_iou > 0.95
    _, less = score_scene(scene, result, layout, exact_search(NAMES[0]))
    assert less.iou == {**whole.iou, NAMES[0]: 0.0}
    assert (less.missing, less.masks) == (0, whole.masks)
    assert not any(np.asarray(Image.open(file)).any() for file in (result / "text").glob(f"*/{NAMES[0]}.png"))
    if isinstance(less, LerfMaskScore) and isinstance(whole, LerfMaskScore):
        assert less.mean_boundary_iou == pytest.approx(whole.mean_boundary_iou - whole.boundary_iou[NAMES[0]] / OBJECTS)
    if isinstance(less, OvsScore) and isinstance(whole, OvsScore):
        assert less.accuracy < whole.accuracy


def segmented(made: Path, layout: Layout) -> Path:
    """Return a result of a made folder, made once."""
    result = made / "out" / layout
    if not result.is_dir():
        assert run(made, layout, "--simulated").exit_code == 0
    return result


def test_a_real_detector_looks_at_the_photographs(made: Path, tmp_path: Path) -> None:
    """Weights are random, so any answer is right; the photographs are those of training views only."""
    model = tiny.build("owlv2", tmp_path / "model")
    search = detector_search(str(model), None, "cpu")
    looked = []

    def spied(scene, views, pictures, words):
        looked.extend(view.name for view in views)
        photograph = np.asarray(Image.open(scene / "images" / f"{views[0].name}.png"))
        assert np.array_equal(pictures(views[0]), photograph)
        return search(scene, views, pictures, words)

    answers, scored = score_scene(made / "lerf-mask", segmented(made, "lerf-mask"), "lerf-mask", spied)
    assert looked == [f"{number:04d}" for number in range(24)]
    assert set(answers) == set(scored.iou)
    assert all(answer.views for answer in answers.values())


def test_missing_weights_are_one_sentence_before_anything_is_computed(made: Path, monkeypatch) -> None:
    monkeypatch.setattr(bench.text_prompts, "run", lambda *_: pytest.fail("segmented before the model was found"))
    done = run(made, "lerf-mask")
    assert isinstance(done.exception, Unavailable)
    assert str(done.exception).startswith("The model IDEA-Research/grounding-dino-tiny is not on this machine.")
    done = run(made, "lerf-mask", "--simulated", "--model", "x/y")
    assert isinstance(done.exception, BadArgument)


def test_the_simulated_detector_needs_a_made_folder(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made / "lerf-mask", tmp_path / "scene")
    (tmp_path / "scene/gt/names.json").unlink()
    with pytest.raises(BadArgument, match=r"has no gt/names\.json"):
        read_names(tmp_path / "scene")
    with pytest.raises(BadArgument, match="exists"):
        write_made(tmp_path / "scene", "lerf-mask")
    with pytest.raises(BadArgument, match="at most 9"):
        write_made(tmp_path / "new", "lerf-mask", objects=10)


def test_a_made_folder_has_the_published_layout(made: Path) -> None:
    names = json.loads((made / "lerf-mask/gt/names.json").read_text())
    assert names == {name: i + 1 for i, name in enumerate(NAMES[:OBJECTS])}
    masks = {file.relative_to(made / "lerf-mask/test_mask").as_posix() for file in made.glob("lerf-mask/test_mask/*/*")}
    assert masks <= {f"{number}/{name}.png" for number in "01" for name in NAMES[:3]}
    assert len(masks) >= 3
    assert (made / "3d-ovs/segmentations/classes.txt").read_text().split("\n")[:-1] == list(NAMES[:3])
    assert len(list(made.glob("3d-ovs/segmentations/*/*.png"))) == 6
    assert not np.asarray(Image.open(made / "lerf-mask/object_mask/0025.png")).any()
