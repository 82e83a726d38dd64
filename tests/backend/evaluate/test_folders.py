"""Folders of id maps, good and bad."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from backend.evaluate.folders import evaluate_folder, read_ids
from protocol.errors import BadArgument, BadMask, BadResult, Fault


def save(folder, name, ids):
    folder.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(ids, np.uint16)).save(folder / f"{name}.png")


def test_namesakes_are_compared_and_16_bit_ids_survive(tmp_path):
    ids = np.array([[0, 60_000], [0, 60_000]])
    save(tmp_path / "out" / "labels", "a", ids)
    save(tmp_path / "truth", "a", ids)
    save(tmp_path / "truth", "b", ids)
    score = evaluate_folder(tmp_path / "out", tmp_path / "truth")
    assert (score.pq_things, score.views) == (100, 1)
    assert read_ids(tmp_path / "truth" / "a.png").max() == 60_000


def test_npy_truth(tmp_path):
    save(tmp_path / "out", "a", [[0, 1]])
    (tmp_path / "truth").mkdir()
    np.save(tmp_path / "truth" / "a.npy", np.array([[0, 70_000]]))
    assert evaluate_folder(tmp_path / "out", tmp_path / "truth").pq_things == 100


def bad_png(tmp_path):
    save(tmp_path / "truth", "a", [[1]])
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.png").write_bytes(b"no picture")


def colour_png(tmp_path):
    save(tmp_path / "truth", "a", [[1]])
    (tmp_path / "labels").mkdir()
    Image.new("RGB", (2, 2)).save(tmp_path / "labels" / "a.png")


def pickled_npy(tmp_path):
    save(tmp_path / "truth", "a", [[1]])
    (tmp_path / "labels").mkdir()
    np.save(tmp_path / "labels" / "a.npy", np.array([{}]), allow_pickle=True)


def no_namesake(tmp_path):
    save(tmp_path / "truth", "a", [[1]])
    save(tmp_path / "labels", "b", [[1]])


def nothing_predicted(tmp_path):
    save(tmp_path / "truth", "a", [[1]])
    (tmp_path / "labels").mkdir()


def no_truth(tmp_path):
    save(tmp_path / "labels", "a", [[1]])


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (bad_png, BadMask, "a.png cannot be read"),
        (colour_png, BadMask, r"shape \(2, 2, 3\)"),
        (pickled_npy, BadMask, "a.npy cannot be read"),
        (no_namesake, BadArgument, "has the same file name"),
        (nothing_predicted, BadResult, "No id maps"),
        (no_truth, BadArgument, "does not exist"),
    ],
)
def test_bad_folders_end_in_a_sentence(tmp_path, make, kind: type[Fault], says):
    make(tmp_path)
    with pytest.raises(kind, match=says):
        evaluate_folder(tmp_path, tmp_path / "truth")
