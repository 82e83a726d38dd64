"""Small captures written to disk in each layout, all of the same three photographs, for the tests of the readers."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pycolmap
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial.transform import Rotation

WIDTH, HEIGHT = 40, 30
FOCAL = 35.0
STEMS = ("v_1", "v_2", "v_10")
POINTS = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, -0.5]])
COLOURS = np.array([[255, 0, 0], [10, 20, 30]], np.uint8)


def camera_to_world(i: int) -> NDArray[np.float64]:
    """Return the (4, 4) pose of photograph ``i`` with OpenCV axes."""
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", [0.1 * i, 0.5 + i, 0.2]).as_matrix()
    pose[:3, 3] = [i, -0.5 * i, 2.0]
    return pose


def opengl(i: int) -> list[list[float]]:
    """Return the same pose as Blender and nerfstudio write it: y up, looking along -z."""
    return (camera_to_world(i) * [1.0, -1.0, -1.0, 1.0]).tolist()


def photograph(i: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> Image.Image:
    return Image.new("RGB", size, (40 * i, 100, 200))


def write_photographs(folder: Path, ending: str = ".png", size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for i, stem in enumerate(STEMS):
        photograph(i, size).save(folder / f"{stem}{ending}")


def write_mask(file: Path, ids: NDArray) -> None:
    """Write an id map by the ending of ``file``."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".npy":
        np.save(file, ids)
    elif file.suffix == ".npz":
        np.savez_compressed(file, masks=ids)
    else:
        Image.fromarray(ids).save(file)


def write_colmap(
    root: Path,
    *,
    model: str = "sparse/0",
    text: bool = False,
    camera: str = "PINHOLE",
    params: tuple[float, ...] = (FOCAL, FOCAL, WIDTH / 2, HEIGHT / 2),
    names: tuple[str, ...] = tuple(f"{stem}.png" for stem in STEMS),
) -> Path:
    """Write a COLMAP capture and return the folder of its reconstruction."""
    reconstruction = pycolmap.Reconstruction()
    reconstruction.add_camera_with_trivial_rig(
        pycolmap.Camera(camera_id=1, model=camera, width=WIDTH, height=HEIGHT, params=list(params))
    )
    for i, name in enumerate(names):
        world_to_camera = np.linalg.inv(camera_to_world(i))[:3]
        image = pycolmap.Image(image_id=i + 1, camera_id=1, name=name)
        reconstruction.add_image_with_trivial_frame(image, pycolmap.Rigid3d(world_to_camera))
    for xyz, rgb in zip(POINTS, COLOURS, strict=True):
        reconstruction.add_point3D(xyz, pycolmap.Track(), rgb)
    folder = root / model
    folder.mkdir(parents=True, exist_ok=True)
    (reconstruction.write_text if text else reconstruction.write_binary)(folder)
    write_photographs(root / "images")
    return folder


def transforms(folder: str = "images/", ending: str = ".png", **values: object) -> dict:
    """Return the content of a ``transforms.json``; ``values`` replace or add fields of the file."""
    frames = [{"file_path": f"{folder}{stem}{ending}", "transform_matrix": opengl(i)} for i, stem in enumerate(STEMS)]
    known = {"w": WIDTH, "h": HEIGHT, "fl_x": FOCAL, "fl_y": FOCAL, "cx": WIDTH / 2, "cy": HEIGHT / 2}
    return {**known, "frames": frames, **values}


def write_transforms(root: Path, content: object = None) -> None:
    write_photographs(root / "images")
    (root / "transforms.json").write_text(json.dumps(transforms() if content is None else content))


def write_nerf_synthetic(root: Path) -> None:
    """Write a capture whose training and test photographs have the same file names."""
    for split in ("train", "test"):
        write_photographs(root / split)
        frames = transforms(f"./{split}/", "")["frames"]
        angle = 2 * np.arctan(WIDTH / 2 / FOCAL)
        (root / f"transforms_{split}.json").write_text(json.dumps({"camera_angle_x": angle, "frames": frames}))


def messy_rooms() -> dict:
    quats = [Rotation.from_matrix(np.array(opengl(i))[:3, :3]).as_quat()[[3, 0, 1, 2]] for i in range(3)]
    return {
        "camera": {
            "K": [[FOCAL / WIDTH, 0, -0.5], [0, -FOCAL / HEIGHT, -0.5], [0, 0, -1]],
            "positions": [camera_to_world(i)[:3, 3].tolist() for i in range(3)],
            "quaternions": [quat.tolist() for quat in quats],
        }
    }


def write_messy_rooms(root: Path, content: object = None) -> None:
    """Write a capture whose photographs are 0.png, 1.png and 2.png."""
    (root / "color").mkdir(parents=True)
    for i in range(3):
        photograph(i).save(root / "color" / f"{i}.png")
        write_mask(root / "detic_instance" / f"{i}.npy", np.full((HEIGHT, WIDTH), i, np.int16))
    (root / "metadata.json").write_text(json.dumps(messy_rooms() if content is None else content))


def write_panoptic_lifting(root: Path) -> None:
    """Write a capture whose photographs are 0.png, 1.png and 2.png; the second is for testing."""
    for folder in ("color", "pose", "intrinsic"):
        (root / folder).mkdir(parents=True)
    K = np.diag([FOCAL, FOCAL, 1.0, 1.0])
    K[:2, 2] = WIDTH / 2, HEIGHT / 2
    np.savetxt(root / "intrinsic/intrinsic_color.txt", K)
    for i in range(3):
        photograph(i).save(root / "color" / f"{i}.png")
        np.savetxt(root / "pose" / f"{i}.txt", camera_to_world(i))
        write_mask(root / "m2f_instance" / f"{i}.png", np.full((HEIGHT, WIDTH), i, np.uint16))
    (root / "splits.json").write_text(json.dumps({"train": ["0", "2"], "test": ["1"]}))


def write_splats(file: Path, count: int) -> None:
    """Write a PLY of Gaussians of degree 0, all with the same values."""
    columns = ["x", "y", "z", *(f"f_dc_{i}" for i in range(3)), "opacity"]
    columns += [*(f"scale_{i}" for i in range(3)), *(f"rot_{i}" for i in range(4))]
    lines = ["ply", "format ascii 1.0", f"element vertex {count}", *(f"property float {name}" for name in columns)]
    file.write_text("\n".join([*lines, "end_header", *[" ".join("1" for _ in columns)] * count, ""]))
