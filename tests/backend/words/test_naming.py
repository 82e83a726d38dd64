"""Searching in a result folder with a tiny detector, and writing names into its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.select import open_result
from backend.words import Answer, Found
from backend.words.naming import describe_answer, name_objects, search_result
from backend.words.views import views_of
from protocol.errors import BadArgument, BadResult
from protocol.result.table import read_table
from tests.backend.scene.writing import write_transforms
from tests.backend.select.test_selection import write
from tests.backend.words.test_models import weights_of
from tests.backend.words.tiny import build


@pytest.fixture
def result(tmp_path: Path) -> Path:
    return write(tmp_path / "out", False)


def answer(word: str, *found: tuple[int, float]) -> Answer:
    rows = tuple(Found(label, odds, 3, 4) for label, odds in found)
    return Answer(word, rows, rows[0] if rows else None, ("a", "b"))


def test_a_tiny_detector_searches_rendered_views(result: Path, tmp_path: Path) -> None:
    weights = weights_of(build("grounding_dino", tmp_path / "model"))
    found, warnings = search_result(["cup", "apple"], result, open_result(result), weights)
    assert [each.word for each in found] == ["cup", "apple"]
    assert set(found[0].views) <= {"a", "b"}
    assert found[0].views
    assert warnings == []
    write_transforms(tmp_path / "scene")
    with pytest.raises(BadArgument, match=r"No photograph of .*scene belongs to a view"):
        search_result(["cup"], result, open_result(result), weights, scene=tmp_path / "scene")


def test_a_result_without_cameras_is_searched_in_virtual_views(result: Path) -> None:
    (result / "cameras.json").write_text('{"format": 1, "views": []}')
    opened = open_result(result)
    views, picture = views_of(opened, result)
    assert len(views) == 24
    shown = np.array([view.shown for view in views])
    assert (shown[:, 1:] > 0.3).any(0).all()
    image = picture(views[0])
    assert image.shape == (480, 640, 3)
    assert image[views[0].ids > 0].mean() > image[views[0].ids == 0].mean()


def test_stored_maps_are_used_if_they_fit(result: Path) -> None:
    (result / "labels").mkdir(exist_ok=True)
    ids = np.zeros((40, 80), np.uint16)
    ids[5:35, 5:40] = 2
    Image.fromarray(ids).save(result / "labels" / "a.png")
    opened = open_result(result)
    views, _ = views_of(opened, result)
    np.testing.assert_array_equal(views[0].ids, ids)
    (result / "before-edits").mkdir()
    views, _ = views_of(opened, result)
    assert not np.array_equal(views[0].ids, ids)
    (result / "before-edits").rmdir()
    Image.fromarray(ids + np.uint16(7)).save(result / "labels" / "a.png")
    with pytest.raises(BadResult, match=r"a\.png contains the id 9, but the result has 2 objects"):
        views_of(opened, result)


def test_the_best_word_becomes_the_name(result: Path) -> None:
    before = read_table(result)
    named, total = name_objects(result, [answer("cup", (1, 4.0), (2, 9.0)), answer("plate", (1, 3.0)), answer("pot")])
    assert (named, total) == ({1: "cup 2", 2: "cup"}, 2)
    after = read_table(result)
    assert [row.name for row in after.objects] == ["cup 2", "cup"]
    assert [row.count for row in after.objects] == [row.count for row in before.objects]
    assert not list(result.glob(".names.*"))


def test_objects_that_no_word_names_keep_their_names(result: Path) -> None:
    named, _ = name_objects(result, [answer("cup", (2, 4.0), (7, 9.0))])
    assert named == {2: "cup"}
    assert [row.name for row in read_table(result).objects] == ["Object 1", "cup"]


def test_an_answer_is_said_in_one_line_per_object(result: Path) -> None:
    assert list(describe_answer(result, answer("cup", (2, 4.0)))) == [
        "object 2 (Object 2), score 0.982, detected in 3 of 4 views"
    ]
    nothing = Answer("cup", (), Found(1, -2.0, 1, 4), ("a", "b"))
    (line,) = describe_answer(result, nothing)
    assert line.startswith("Nothing in the result matches 'cup' after 2 views. The best candidate is object 1")
    assert list(describe_answer(result, Answer("cup", (), None, ()))) == [
        "Nothing in the result matches 'cup' after 0 views."
    ]
