"""What is refused, and the sentence with which."""

from __future__ import annotations

import contextlib
import json
import math
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.scene import load_scene, read_mask
from protocol.errors import BadArgument, BadMask, BadScene, Fault
from tests.backend.scene import writing
from tests.backend.scene.writing import FOCAL, HEIGHT, STEMS, WIDTH

Write = Callable[[Path], object]


def changed(**values: Any) -> Write:
    """A ``transforms.json`` with other fields."""
    return lambda root: writing.write_transforms(root, writing.transforms(**values))


def frame(**values: Any) -> Write:
    """A ``transforms.json`` whose first frame has other fields."""

    def write(root: Path) -> None:
        content = writing.transforms()
        content["frames"][0] |= values
        writing.write_transforms(root, content)

    return write


def pose(change: Callable[[np.ndarray], object]) -> Write:
    """A ``transforms.json`` whose first pose is changed in place."""
    matrix = np.array(writing.opengl(0))
    change(matrix)
    return frame(transform_matrix=matrix.tolist())


def set_item(key: Any, value: Any) -> Callable[[np.ndarray], object]:
    return lambda array: array.__setitem__(key, value)


def room(change: Callable[[dict], object]) -> Write:
    """A Messy-Rooms capture whose camera is changed in place."""

    def write(root: Path) -> None:
        content = writing.messy_rooms()
        change(content["camera"])
        writing.write_messy_rooms(root, content)

    return write


def colmap(**options: Any) -> Write:
    return lambda root: writing.write_colmap(root, **options)


def damaged(name: str, change: Callable[[bytes], bytes]) -> Write:
    """A COLMAP capture with one file of the reconstruction changed."""

    def write(root: Path) -> None:
        file = writing.write_colmap(root, text=name.endswith(".txt")) / name
        file.write_bytes(change(file.read_bytes()))

    return write


def poke(at: int, form: str, value: float) -> Callable[[bytes], bytes]:
    def change(data: bytes) -> bytes:
        packed = struct.pack(form, value)
        return data[:at] + packed + data[at + len(packed) :]

    return change


def masked(name: str, content: np.ndarray | bytes) -> Write:
    """A COLMAP capture with one mask."""

    def write(root: Path) -> None:
        writing.write_colmap(root)
        file = root / "masks" / name
        if isinstance(content, bytes):
            file.parent.mkdir()
            file.write_bytes(content)
        else:
            writing.write_mask(file, content)

    return write


def first_photograph(write_file: Callable[[Path], object]) -> Write:
    def write(root: Path) -> None:
        writing.write_colmap(root)
        write_file(root / "images" / f"{STEMS[0]}.png")

    return write


def after(write: Write, then: Callable[[Path], object]) -> Write:
    return lambda root: (write(root), then(root))


def no_photographs(root: Path) -> None:
    for file in (root / "images").iterdir():
        file.unlink()


def text(name: str, content: str) -> Write:
    return lambda root: (root / name).write_text(content)


FULL = np.ones((HEIGHT, WIDTH), np.uint8)
SHADES = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint32).reshape(HEIGHT, WIDTH, 3).astype(np.uint8)
MASK = f"{STEMS[0]}.png"


def without_the_first_image(root: Path) -> None:
    """A frame still names it."""
    file = root / "sparse/0/images.txt"
    file.write_text(
        "\n".join(f"# {line}" if f" {STEMS[0]}." in line else line for line in file.read_text().split("\n"))
    )


def without_empty_lines(root: Path) -> None:
    file = root / "sparse/0/images.txt"
    file.write_text("".join(line for line in file.read_text().splitlines(keepends=True) if line.strip()))


BAD_SCENES: dict[str, tuple[Write, type[Fault], str]] = {
    # the folder
    "nothing in the folder": (lambda root: None, BadScene, "is empty"),
    "photographs without cameras": (
        lambda root: writing.write_photographs(root / "images"),
        BadScene,
        "or transforms.json, or transforms_train.json, or metadata.json with color/",
    ),
    # COLMAP
    "a table is missing": (
        after(colmap(), lambda root: (root / "sparse/0/cameras.bin").unlink()),
        BadScene,
        r"expected cameras, images and points3D .*; .*sparse/0 contains images\.bin and points3D\.bin, "
        "but not all three files with",
    ),
    "tables of two endings": (
        after(colmap(), lambda root: (root / "sparse/0/images.bin").rename(root / "sparse/0/images.txt")),
        BadScene,
        r"sparse/0 contains cameras\.bin and images\.txt and points3D\.bin, but not all three files with the same "
        "ending",
    ),
    "a table of another case": (
        after(colmap(), lambda root: (root / "sparse/0/points3D.bin").rename(root / "sparse/0/points3d.bin")),
        BadScene,
        r"contains cameras\.bin and images\.bin and points3d\.bin, but not all three files with the same ending and "
        r"exact names",
    ),
    "photographs alone": (
        lambda root: (writing.write_photographs(root / "images"), (root / "poses_bounds.npy").write_bytes(b"")),
        BadScene,
        r"in its subfolders; found images/, poses_bounds\.npy\.",
    ),
    "photographs in an archive": (
        after(colmap(), lambda root: (shutil.rmtree(root / "images"), (root / "images.zip").write_bytes(b""))),
        BadScene,
        r"None of the 3 photographs .*; found the file .*images\.zip\.",
    ),
    "a frame of an image that is not listed": (
        after(colmap(text=True), without_the_first_image),
        BadScene,
        r"COLMAP cannot read .*image 1 in frame 1 does not exist",
    ),
    "a text without lines of points": (
        after(colmap(text=True), without_empty_lines),
        BadScene,
        r"images\.txt has no line of 2D points after the photograph 'v_1\.png'",
    ),
    "cameras behind a link": (
        after(colmap(), lambda root: (shutil.rmtree(root / "sparse"), (root / "sparse").symlink_to("/"))),
        BadScene,
        r"sparse leads out of the scene folder and was ignored",
    ),
    "no photograph is there": (
        after(colmap(), no_photographs),
        BadScene,
        r"None of the 3 photographs that .*images\.bin lists is in .*images .*'v_1\.png'",
    ),
    "an image outside": (
        colmap(names=("../secret.png",)),
        BadScene,
        r"None of the 1 photographs .* \(the first is '\.\./secret\.png'\); v_1\.png and 2 more are there",
    ),
    "an image that may be either of two": (
        after(colmap(names=("v_1.tif",)), lambda root: writing.photograph(0).save(root / "images" / "v_1.jpg")),
        BadScene,
        r"lists 'v_1\.tif', which matches .*v_1\.jpg or .*v_1\.png",
    ),
    "two images that may be one": (
        colmap(names=("a/v_1.png", "b/v_1.png")),
        BadScene,
        r"lists 'a/v_1\.png' and 'b/v_1\.png', which both match .*v_1\.png",
    ),
    "photographs behind a link": (
        after(colmap(), lambda root: ((root / "images").rename(root / "a"), (root / "images").symlink_to("/"))),
        BadScene,
        r"None of the 3 photographs .*images leads out of the scene folder and was ignored",
    ),
    "two captures": (
        lambda root: (writing.write_colmap(root / "garden"), writing.write_colmap(root / "kitchen")),
        BadScene,
        r"contains several captures: garden, kitchen\.",
    ),
    "a fisheye lens": (
        colmap(camera="OPENCV_FISHEYE", params=(FOCAL, FOCAL, 20.0, 15.0, 0.1, 0.0, 0.0, 0.0)),
        BadScene,
        "has the camera model OPENCV_FISHEYE; supported models are SIMPLE_PINHOLE, PINHOLE, .*",
    ),
    "zero focal length": (colmap(params=(0.0, 0.0, 20.0, 15.0)), BadScene, "has the focal length 0, 0; both must be"),
    "infinite principal point": (colmap(params=(9.0, 9.0, math.inf, 15.0)), BadScene, "parameter that is not finite"),
    "cameras.bin cut off": (damaged("cameras.bin", lambda data: data[:-9]), BadScene, r"cameras\.bin is truncated"),
    "images.bin cut off": (damaged("images.bin", lambda data: data[:-30]), BadScene, r"images\.bin is truncated"),
    "points3D.bin cut off": (damaged("points3D.bin", lambda data: data[:40]), BadScene, r"points3D\.bin is truncated"),
    "frames.bin cut off": (damaged("frames.bin", lambda data: data[:-1]), BadScene, r"frames\.bin is truncated"),
    "rigs.bin is empty": (damaged("rigs.bin", lambda data: b""), BadScene, r"rigs\.bin is truncated"),
    "images.bin with extra bytes": (
        damaged("images.bin", lambda data: data + b"\0"),
        BadScene,
        r"images\.bin is truncated",
    ),
    "points3D.bin counts too many": (
        damaged("points3D.bin", poke(0, "<Q", 2**60)),
        BadScene,
        r"points3D\.bin is truncated or damaged: its \d+ bytes do not contain the declared records",
    ),
    "an unknown camera model": (damaged("cameras.bin", poke(12, "<i", 99)), BadScene, r"cameras\.bin is truncated"),
    "images.txt is prose": (
        damaged("images.txt", lambda data: b"a b c\n\n"),
        BadScene,
        r"images\.txt, line 1, is not an image with a pose: 'a b c'",
    ),
    "an image without a camera": (
        damaged("images.txt", lambda data: b"1 1 0 0 0 0 0 0 7 v_1.png\n\n"),
        BadScene,
        r"images\.txt, line 1, names the camera 7, which cameras\.txt lacks",
    ),
    "an image without a rotation": (
        damaged("images.txt", lambda data: b"1 0 0 0 0 0 0 0 1 v_1.png\n\n"),
        BadScene,
        r"images\.txt, line 1, has a quaternion of zeros",
    ),
    "an image without a rotation, in binary": (
        damaged("images.bin", lambda data: data[:12] + bytes(32) + data[44:]),
        BadScene,
        r"images\.bin has a quaternion of zeros",
    ),
    "images.txt in UTF-16": (
        damaged("images.txt", lambda data: data.decode().encode("utf-16")),
        BadScene,
        r"images\.txt is not UTF-8 text",
    ),
    "two images of one name": (
        damaged("images.txt", lambda data: data.replace(b"v_2.png", b"v_1.png")),
        BadScene,
        r"images\.txt lists 'v_1\.png' twice, with different poses",
    ),
    "decimal commas": (
        damaged("cameras.txt", lambda data: b"1 PINHOLE 40 30 35,0 35,0 20 15\n"),
        BadScene,
        r"cameras\.txt, line 1, is not a camera: '1 PINHOLE 40 30 35,0 35,0 20 15'",
    ),
    "a point that is not finite": (
        damaged("points3D.txt", lambda data: b"# points\n1 nan 0 0 1 2 3 0.1\n"),
        BadScene,
        r"points3D\.txt, line 2, is not a point: '1 nan 0 0 1 2 3 0\.1'",
    ),
    "an image name in no alphabet": (
        damaged("images.bin", lambda data: data.replace(b"v_1.png", b"v_\xff.png")),
        BadScene,
        r"images\.bin contains an image name that is not UTF-8",
    ),
    "cameras.txt names no camera": (
        damaged("cameras.txt", lambda data: b""),
        BadScene,
        r"images\.txt, line 5, names the camera 1, which cameras\.txt lacks",
    ),
    "images.txt lists nothing": (
        damaged("images.txt", lambda data: b"# nothing\n"),
        BadScene,
        r"images\.txt lists no photograph with a pose|COLMAP cannot read",
    ),
    # photographs
    "a photograph of another shape": (
        first_photograph(lambda file: writing.photograph(0, (WIDTH, WIDTH)).save(file)),
        BadScene,
        r"v_1\.png is 40 x 40 pixels, but its camera has 40 x 30",
    ),
    "a photograph that is not an image": (
        first_photograph(lambda file: file.write_bytes(b"no image")),
        BadScene,
        r"The photograph .*v_1\.png cannot be read",
    ),
    # transforms.json
    "broken JSON": (text("transforms.json", '{"frames": ['), BadScene, r"transforms\.json cannot be read as JSON"),
    "JSON nested without end": (text("transforms.json", "[" * 100_000), BadScene, "cannot be read as JSON"),
    "JSON without frames": (
        text("transforms.json", "{}"),
        BadScene,
        r"does not have the expected structure: frames is missing\.",
    ),
    "a path that is a number": (
        frame(file_path=7),
        BadScene,
        r"structure: frames\[0\]\.file_path must be text, but is a number\.",
    ),
    "a list of frames that is an object": (
        changed(frames={"0": 1}),
        BadScene,
        "frames must be a list, but is an object",
    ),
    "a list of cameras": (text("transforms.json", "[]"), BadScene, "the file must be an object, but is a list"),
    "a pose in one row": (
        frame(transform_matrix=[0.0] * 16),
        BadScene,
        r"frames\[0\]\.transform_matrix\[0\] must be a list, but is a number",
    ),
    "an angle in degrees": (
        changed(fl_x=None, camera_angle_x=60.0),
        BadScene,
        r"The camera of .* has camera_angle_x = 60, which is not an angle of view in radians between 0 and 3\.14",
    ),
    "an absolute path": (frame(file_path="/etc/passwd"), BadScene, "'/etc/passwd', which is not inside"),
    "a path to another drive": (frame(file_path="C:\\a.png"), BadScene, "which is not inside"),
    "a path that is too long": (frame(file_path="a" * 300), BadScene, "which is not inside"),
    "a mask outside": (frame(mask_path="../../m.png"), BadScene, r"'\.\./\.\./m\.png', which is not inside"),
    "points outside": (changed(ply_file_path="../p.ply"), BadScene, r"'\.\./p\.ply', which is not inside"),
    "points that are not a PLY": (
        after(changed(ply_file_path="p.ply"), text("p.ply", "ply\nformat ascii 1.0\nelement vertex 1\nend_header\n")),
        BadScene,
        r"The sparse points .*p\.ply cannot be read",
    ),
    "a pose that is not finite": (
        pose(set_item((0, 3), math.nan)),
        BadScene,
        "images/v_1.png .* value that is not finite",
    ),
    "a scaled pose": (pose(set_item(0, [2.0, 0, 0, 0])), BadScene, "is not a rotation: its axes are scaled"),
    "a mirrored pose": (pose(lambda m: m.__imul__([-1.0, 1.0, 1.0, 1.0])), BadScene, "is not a rotation"),
    "a pose of two rows": (frame(transform_matrix=[[1, 0, 0, 0]] * 2), BadScene, r"has shape \(2, 4\)"),
    "a ragged pose": (frame(transform_matrix=[[1, 0], [1]]), BadScene, "its rows differ in length"),
    "zero focal length in JSON": (
        changed(fl_x=0.0),
        BadScene,
        "has the focal length 0, 35; both must be greater than zero",
    ),
    "no focal length": (changed(fl_x=None, fl_y=None), BadScene, "has no focal length: expected fl_x, fl_y"),
    "an angle of no camera": (
        changed(fl_x=None, camera_angle_x=7.0),
        BadScene,
        "camera_angle_x = 7, which is not an angle of view",
    ),
    "a size of nothing": (changed(w=0), BadScene, "has an invalid size, 0 x 30"),
    "a fisheye in JSON": (changed(is_fisheye=True), BadScene, "has a fisheye lens; supported models"),
    "another model in JSON": (
        changed(camera_model="EQUIRECTANGULAR"),
        BadScene,
        "has the camera model EQUIRECTANGULAR; supported",
    ),
    "a lens that folds": (changed(k1=-5.0), BadScene, "cannot be inverted at the border"),
    # Messy-Rooms
    "positions without quaternions": (
        room(lambda c: c["quaternions"].pop()),
        BadScene,
        "3 positions and 2 quaternions",
    ),
    "a quaternion of zeros": (
        room(lambda c: c["quaternions"].__setitem__(1, [0, 0, 0, 0])),
        BadScene,
        "which is not a rotation",
    ),
    "a position that is not finite": (
        room(lambda c: c["positions"][0].__setitem__(1, math.inf)),
        BadScene,
        "Pose 0 .* value that is not finite",
    ),
    "K of two rows": (room(lambda c: c["K"].pop()), BadScene, "is not a 3 x 3 matrix"),
    "K without focal length": (room(lambda c: c["K"][0].__setitem__(0, 0)), BadScene, "has the focal length 0, 35"),
    "more photographs than poses": (
        room(lambda c: (c["quaternions"].pop(), c["positions"].pop())),
        BadScene,
        r"2\.png has no pose: .* has poses 0 to 1",
    ),
    # masks
    "a mask of another shape": (
        masked(MASK, np.ones((HEIGHT, WIDTH + 3), np.uint8)),
        BadMask,
        r"v_1\.png is 43 x 30 pixels, but its photograph has 40 x 30",
    ),
    "a mask scaled differently in x and y": (
        masked(MASK, np.ones((HEIGHT, WIDTH * 2), np.uint8)),
        BadMask,
        "is 80 x 30 pixels, but its photograph has 40 x 30",
    ),
    "a mask of another aspect": (masked(MASK, np.ones((24, 27), np.uint8)), BadMask, "is 27 x 24 pixels"),
    "a mask that is a photograph": (masked(MASK, SHADES), BadMask, "holds 256 colours, like a photograph"),
    "a mask compressed with loss": (
        masked("v_1.jpg", SHADES[..., 0]),
        BadMask,
        "compressed as JPEG, which changes ids",
    ),
    "two masks of a photograph": (
        after(masked(MASK, FULL), lambda root: writing.write_mask(root / "masks" / "v_1.npy", FULL)),
        BadMask,
        r"Several files match the photograph .*v_1\.png as its mask: .*v_1\.npy, .*v_1\.png; this affects 1 of 3",
    ),
    "several masks of a photograph with several ids": (
        after(masked("v_1_0.png", FULL), lambda root: writing.write_mask(root / "masks" / "v_1_1.png", SHADES[..., 0])),
        BadMask,
        r"v_1_1\.png is one of 2 masks of its photograph and contains \d+ ids; each file must show one instance",
    ),
    "a polygon of two corners": (
        masked("v_1.json", b'[{"segmentation": [[1, 2, 3, 4]]}]'),
        BadMask,
        "contains a polygon without three corners",
    ),
    "run lengths that fill nothing": (
        masked("v_1.json", b'[{"segmentation": {"size": [30, 40], "counts": [100, 50]}}]'),
        BadMask,
        "contains run lengths that do not match 40 x 30 pixels",
    ),
    "a mask that is no PNG": (masked(MASK, b"PNG"), BadMask, r"The mask .*v_1\.png cannot be read"),
    "a mask of fractions": (
        masked("v_1.npy", FULL * 0.5),
        BadMask,
        "holds float64 values; integers, booleans or whole numbers",
    ),
    "a mask of objects": (masked("v_1.npy", FULL.astype(object)), BadMask, "holds object values"),
    "a mask of one dimension": (masked("v_1.npy", FULL[0]), BadMask, r"holds uint8 of shape \(40,\)"),
    "a stack of ids": (masked("v_1.npy", np.stack([FULL * 3, FULL])), BadMask, "a stack with values up to 3"),
    "an empty mask": (masked("v_1.npy", FULL[:0]), BadMask, r"of shape \(0, 40\)"),
    "a mask of no bytes": (masked("v_1.npy", b""), BadMask, r"v_1\.npy cannot be read"),
    "a mask that is no archive": (masked("v_1.npz", b"PK\3\4"), BadMask, r"v_1\.npz cannot be read"),
}


def load_all(root: Path) -> None:
    """Load a scene and its masks: pixels are not read before they are asked for."""
    for view in load_scene(root).views:
        read_mask(view)


@pytest.mark.parametrize("name", BAD_SCENES)
def test_bad_scenes(tmp_path: Path, name: str) -> None:
    write, kind, sentence = BAD_SCENES[name]
    write(tmp_path)
    with pytest.raises(kind, match=sentence) as caught:
        load_all(tmp_path)
    assert caught.value.sentence.endswith(".")
    assert "\n" not in caught.value.sentence


def test_a_flood_of_entries_is_refused_before_it_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writing.write_transforms(tmp_path)
    (tmp_path / "transforms.json").write_bytes(b'{"frames":[' + b"[]," * 8_400_000 + b"[]]}")
    monkeypatch.setattr(json, "loads", lambda *_: pytest.fail("it was parsed"))
    with pytest.raises(BadScene, match=r"transforms\.json has more entries than a list of photographs can have"):
        load_all(tmp_path)


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadScene, match=r"The scene folder .*nowhere does not exist"):
        load_scene(tmp_path / "nowhere")
    (tmp_path / "scene.zip").write_bytes(b"PK")
    with pytest.raises(BadScene, match=r"scene\.zip is an archive"):
        load_scene(tmp_path / "scene.zip")


def test_no_mask_folder(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    with pytest.raises(BadArgument, match=r"The mask folder .*nowhere does not exist"):
        load_scene(tmp_path, tmp_path / "nowhere")


def test_mask_folder_of_another_scene(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    writing.write_mask(tmp_path / "other" / "frame_7.png", FULL)
    with pytest.raises(BadMask, match=r"contains no mask of any photograph: expected v_1\.png or v_1\.npy or v_1\.npz"):
        load_scene(tmp_path, tmp_path / "other")


def test_several_arrays_without_a_known_name(tmp_path: Path) -> None:
    writing.write_colmap(tmp_path)
    (tmp_path / "masks").mkdir()
    np.savez(tmp_path / "masks" / "v_1.npz", a=FULL, b=FULL)
    with pytest.raises(BadMask, match=r"holds 2 arrays \(a\.npy, b\.npy\); no array is named masks"):
        load_scene(tmp_path)


def test_masks_cut_off_after_their_header(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH), np.uint8)
    for ending in (".png", ".npy", ".npz"):
        root = tmp_path / ending[1:]
        masked(f"v_1{ending}", noise)(root)
        file = root / "masks" / f"v_1{ending}"
        data = bytearray(file.read_bytes())
        if ending == ".npz":
            # The directory of a zip file is at its end, so the middle of the file is damaged instead.
            data[300:320] = bytes(20)
        else:
            del data[-200:]
        file.write_bytes(data)
        with pytest.raises(BadMask, match="cannot be read"):
            load_all(root)


@pytest.mark.parametrize("seed", range(12))
def test_random_damage_is_refused_or_survived(tmp_path: Path, seed: int) -> None:
    """Eight bytes overwritten anywhere in a reconstruction: a scene or a Fault, never anything else."""
    rng = np.random.default_rng(seed)
    folder = writing.write_colmap(tmp_path)
    for file in sorted(folder.iterdir()):
        data = bytearray(file.read_bytes())
        at = int(rng.integers(0, len(data)))
        data[at : at + 8] = rng.bytes(min(8, len(data) - at))
        original = file.read_bytes()
        file.write_bytes(data)
        with contextlib.suppress(Fault):
            assert load_scene(tmp_path).views
        file.write_bytes(original)


def test_json_that_names_a_frame_twice_has_one_view(tmp_path: Path) -> None:
    content = writing.transforms()
    content["frames"].append(content["frames"][0])
    writing.write_transforms(tmp_path, content)
    assert len(load_scene(tmp_path).views) == 3


def test_json_that_names_a_frame_twice_with_other_cameras(tmp_path: Path) -> None:
    content = writing.transforms()
    content["frames"].append({**content["frames"][0], "transform_matrix": writing.opengl(2)})
    writing.write_transforms(tmp_path, content)
    with pytest.raises(BadScene, match=r"lists 'images/v_1\.png' twice, with different cameras\."):
        load_scene(tmp_path)


@pytest.mark.parametrize("damage", ["floats", "no size"])
def test_tiff_that_is_no_photograph(tmp_path: Path, damage: str) -> None:
    writing.write_colmap(tmp_path, names=("v_1.tif",))
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "images").mkdir()
    file = tmp_path / "images" / "v_1.tif"
    if damage == "floats":
        Image.fromarray(np.ones((30, 40), np.float32)).save(file)
    else:
        # A list of no tags, where width and height should be.
        file.write_bytes(struct.pack("<2sHIHI", b"II", 42, 8, 0, 0))
    with pytest.raises(BadScene, match=r"The photograph .*v_1\.tif cannot be read"):
        load_scene(tmp_path)


def test_json_with_a_lone_surrogate(tmp_path: Path) -> None:
    writing.write_transforms(tmp_path)
    content = writing.transforms()
    content["frames"][0]["file_path"] = "\ud800.png"
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    assert "1 of 3 listed photographs" in load_scene(tmp_path).warnings[0]


def test_an_absurdly_large_photograph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    writing.write_colmap(tmp_path)
    with pytest.raises(BadScene, match=r"v_1\.png cannot be read: it has more than [0-9,]+ pixels"):
        load_scene(tmp_path)
