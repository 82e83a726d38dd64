"""The command line as a person meets it: a process, its exit status, and one line on stderr."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from backend.cli import main
from backend.cli_options import parse_settings
from backend.demo.scene import write_scene as write_demo_scene
from protocol.errors import BadArgument


def backend(*arguments: object, timeout: float = 120) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backend", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)


@pytest.fixture
def scene(tmp_path):
    return write_scene(tmp_path / "scene")


def write_scene(folder: Path) -> Path:
    """Write a COLMAP scene with one 8 x 8 photograph and its mask."""
    for part in ("images", "masks", "sparse/0"):
        (folder / part).mkdir(parents=True)
    Image.new("RGB", (8, 8), (90, 120, 60)).save(folder / "images" / "a.png")
    Image.fromarray(np.ones((8, 8), np.uint16)).save(folder / "masks" / "a.png")
    (folder / "sparse/0/cameras.txt").write_text("1 PINHOLE 8 8 9 9 4 4\n")
    (folder / "sparse/0/images.txt").write_text("1 1 0 0 0 0 0 3 1 a.png\n\n")
    (folder / "sparse/0/points3D.txt").write_text("1 0 0 0 90 120 60 0.5\n")
    return folder


SEGMENT = "segment {scene} --out {tmp}/out "

BAD_ARGUMENTS = {
    "no such command": ("lift", "No such command"),
    "no scene": ("segment --out {tmp}/out", "SCENE"),
    "no output": ("segment {scene}", "--out"),
    "scene is not there": ("segment {tmp}/nowhere --out {tmp}/out", "nowhere"),
    "negative seed": (SEGMENT + "--seed -1", "seed"),
    "zero steps": (SEGMENT + "--steps 0", "steps"),
    "unknown method": (SEGMENT + "--method magic", "magic"),
    "unknown device": (SEGMENT + "--device tpu", "tpu"),
    "cuda that is not there": (SEGMENT + "--device cuda", "CUDA"),
    "unknown split": (SEGMENT + "--test-views some", "some"),
    "split leaves nothing to train on": (SEGMENT + "--test-views last:0.9", "last:0.9"),
    "setting without value": (SEGMENT + "--set tau", "NAME=VALUE"),
    "unknown setting": (SEGMENT + "--set colour=1", "colour"),
    "output is a file": ("segment {scene} --out {scene}/images/a.png", "is a file"),
    "output holds something else": ("segment {scene} --out {scene}", "not written by a segmentation"),
    "splats are not there": (SEGMENT + "--splats {tmp}/no.ply", "no.ply"),
    "inspect nothing": ("inspect {tmp}/nowhere", "nowhere"),
    "inspect masks that are not there": ("inspect {scene} --masks {tmp}/no", "no"),
    "inspect photographs with masks of others": (
        "inspect {scene}/images --masks {scene}/sparse",
        "no mask with the name of",
    ),
    "inspect too few photographs": ("inspect {scene}/images", "holds 1 photographs"),
    "objects of nothing": ("objects {tmp}/no.ply --out {tmp}/out", "no.ply"),
    "objects of a photograph": ("objects {scene}/images/a.png --out {tmp}/out", "a.png"),
    "an id in words": (SEGMENT + "--void-id none", "void-id"),
    "masks of nothing": ("masks {tmp}/nowhere", "nowhere"),
    "masks by a model that is nowhere": ("masks {scene} --out {tmp}/m --model owner/none", "HF_HUB_OFFLINE"),
    "masks by what is no model": ("masks {scene} --out {tmp}/m --model {scene}/images", "config.json"),
    "masks where there are some": ("masks {scene}", "--out"),
    "masks of no photographs": ("masks {scene} --out {tmp}/m --views 0", "'0'"),
    "a model where there are masks": (SEGMENT + "--masks-model {scene}/images", "config.json"),
    "a model and geometry": (SEGMENT + "--masks geometry --masks-model {scene}", "--masks"),
    "reconstruct to no ply": ("reconstruct {scene} --out {tmp}/a.obj", "a.obj"),
    "reconstruct nothing": ("reconstruct {tmp}/nowhere --out {tmp}/a.ply", "nowhere"),
    "evaluate nothing": ("evaluate {tmp}/no --truth {scene}/masks", "no"),
    "evaluate by no known protocol": ("evaluate {scene}/masks --truth {scene}/masks --protocol coco", "coco"),
    "evaluate id maps passing over missing masks": ("evaluate {scene} --truth {scene}/masks --missing skip", "skip"),
    "evaluate masks without truth": ("evaluate {scene} --truth {tmp}/no --protocol lerf-mask", "no"),
    "select by nothing": ("select {scene}", "exactly one of --pixel, --gaussian and --text"),
    "select by an empty text": ("select {scene} --text=", "The text is empty"),
    "select by another script": ("select {scene} --text яблоко", "not a Latin letter"),
    "name from no list": ("name {scene} --words {scene}/none.txt", "none.txt cannot be read"),
    "select from no result": ("select {scene} --gaussian 1", "objects.json"),
    "correct no result": ("correct {scene} background 1", "objects.json"),
    "correct by nothing": ("correct {scene}", "Exactly one kind of correction"),
    "correct and undo at once": ("correct {scene} background 1 --undo", "Exactly one kind of correction"),
    "undo only here": ("correct {scene} --undo --here", "--here"),
    "correct nothing with photographs": ("correct {scene} background 1 --scene {scene}", "--scene has no effect"),
    "redraw no result": ("redraw {scene}", "objects.json"),
    "correct from no file": ("correct {scene} --corrections {tmp}/no.json", "no.json"),
    "export from no result": ("export {scene} 1 --to {tmp}/a.ply", "objects.json"),
    "serve without a next port": ("serve --bind tcp://0.0.0.0:65535 --data {tmp}/data", "65535"),
    "pairing kept in a file": ("pairing --data {scene}/images/a.png", "a.png"),
    "pairing for no name": ("pairing --for Anna --data {tmp}/data", "cannot be called 'Anna'"),
    "an unknown client revoked": ("pairing --revoke anna --data {tmp}/data", "no client 'anna'"),
    "pairing and list at once": ("pairing --for anna --list --data {tmp}/data", "exclude each other"),
    "pairing renewed and listed": ("pairing --renew --list --data {tmp}/data", "no effect with"),
    "serve at no address": ("serve --bind kitchen --data {tmp}/data", "kitchen"),
    "serve at no metrics address": ("serve --bind tcp://127.0.0.1:* --data {tmp}/data --metrics kitchen", "kitchen"),
    "serve with an address of Ray alone": ("serve --data {tmp}/data --ray-address http://a:8265", "--executor ray"),
    "serve at no cluster": ("serve --data {tmp}/data --executor ray --ray-address head:8265", "http://HOST:PORT"),
    "status of a folder without a server": ("status --data {tmp}", "has used the folder"),
    "status of two servers": ("status --data {tmp} --server tcp://127.0.0.1:5757", "Both --data and --server"),
    "status with a broken pairing string": ("status --server tcp://127.0.0.1:1 --pairing SL2", "does not begin with"),
}


@pytest.mark.parametrize("case", BAD_ARGUMENTS)
def test_bad_arguments_end_in_one_line_and_status_2(case, tmp_path, scene, monkeypatch, capsys):
    line, says = BAD_ARGUMENTS[case]
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(sys, "argv", ["backend", *(word.format(tmp=tmp_path, scene=scene) for word in line.split())])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    complaint = [text for text in capsys.readouterr().err.splitlines() if text.startswith("backend: ")]
    assert len(complaint) == 1
    assert says in complaint[0]
    assert sorted(tmp_path.rglob("*")) == before, "nothing half-written is left"


def test_a_bad_argument_in_a_process_of_its_own():
    done = backend("segment", "/nowhere/at/all", "--out", "/nowhere/else/out")
    assert done.returncode == 2
    assert done.stderr.startswith("backend: ")
    assert done.stderr.count("\n") == 1
    assert "/nowhere/at/all" in done.stderr
    assert not Path("/nowhere").exists(), "no folder is left for an output that was not made"


def test_an_interrupted_run_says_so_and_leaves_nothing_half_written(tmp_path):
    write_demo_scene(tmp_path / "room", objects=3, views=6, size=64)
    command = [sys.executable, "-m", "backend", "segment", str(tmp_path / "room"), "--out", str(tmp_path / "out")]
    run = subprocess.Popen([*command, "--steps", "100000"], stderr=subprocess.PIPE, text=True)
    assert run.stderr is not None
    while "reconstruct" not in run.stderr.readline():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130
    assert said.splitlines()[-1].startswith("backend: Interrupted")
    assert not (tmp_path / "out").exists()
    assert [p.name for p in tmp_path.iterdir() if ".part" in p.name] == []


def test_evaluate_prints_a_table_or_json(tmp_path):
    ids = np.arange(16, dtype=np.uint16).reshape(4, 4) // 4
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        Image.fromarray(ids).save(tmp_path / folder / "v.png")
    done = backend("evaluate", tmp_path / "a", "--truth", tmp_path / "b", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["pq_things"] == 100
    assert "pq_things  100.0" in backend("evaluate", tmp_path / "a", "--truth", tmp_path / "b").stdout


def test_evaluate_by_a_protocol(tmp_path, monkeypatch, capsys):
    Image.fromarray(np.arange(16, dtype=np.uint16).reshape(4, 4) // 4).save(tmp_path / "v.png")
    line = ["backend", "evaluate", str(tmp_path), "--truth", str(tmp_path), "--protocol", "messy-rooms"]
    for more, says in (([], "background  pq 100.0"), (["--json"], '"protocol": "messy-rooms"')):
        monkeypatch.setattr(sys, "argv", line + more)
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        assert says in capsys.readouterr().out


def test_doctor_tells_what_is_there():
    done = backend("doctor")
    assert done.returncode == 0
    assert "torch" in done.stdout
    assert "numba" in done.stdout


def test_settings_read_as_numbers_truth_values_and_words():
    assert parse_settings(["a=1", "b=0.5", "c=true", "d=bits", "e=[1]"]) == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": "bits",
        "e": "[1]",
    }
    with pytest.raises(BadArgument, match="NAME=VALUE"):
        parse_settings(["=3"])
