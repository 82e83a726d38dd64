"""Structure from motion with pycolmap: SIFT, matching, incremental mapping."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from backend.colmap_library import pycolmap
from backend.feature_matching import CONTRAST, extract_features, match_features, write_images
from backend.mapping.gather import Photograph, copy_name, matched_size
from backend.mapping.pairs import choose_pairs
from backend.progress import Progress, part_of
from protocol.errors import BadScene
from protocol.lists import first_of
from protocol.unposed import FEWEST

ATTEMPTS = {"features.db": CONTRAST, "faint_features.db": 0.003}
"""Databases and the least contrast of their features. The second one is made if the first leaves photographs out."""
ENOUGH = 0.9
"""Share of photographs with a pose that makes a second attempt unnecessary."""
GAIN = 0.1
"""Share of the photographs by which the second attempt must place more, because faint features are less accurate."""
PARTS = ((0.15, 0.6), (0.75, 0.24))
"""Where each attempt begins in the stage "poses", and its share of that stage."""
TILE = 16
"""Pairs are matched in tiles of this many times this many photographs, because each call of pycolmap prepares every
photograph of its pairs again."""
TRIALS = 1000
"""Most samples of RANSAC for the geometry of a pair. Of pycolmap's 10,000, pairs without common surfaces use all: in a
room of 80 photographs they took 85 % of the time of matching, for 2 % more inliers."""
OFTEN = 10
"""Least number of photographs of one camera for a second distortion coefficient, see :func:`_refine_lenses`."""
SHARE = 0.5
"""Least share of the photographs that must get a pose."""
STILL = 0.003
"""Median motion of matched features, as a share of the longest side, below which the camera has not moved."""
ADVICE = (
    "Take more sharp photographs of textured surfaces, without zoom. Step aside between them and let neighbouring "
    "photographs overlap."
)


@dataclass(frozen=True)
class Mapped:
    """The largest model, at the photographs' original size and with their names.

    Attributes:
        model: the pycolmap model; its images are the photographs with a pose.
        left_out: names of photographs without a pose.
        others: number of photographs in each further model that are not in the largest, largest first.
    """

    model: pycolmap.Reconstruction
    left_out: tuple[str, ...]
    others: tuple[int, ...]


def map_photographs(
    photographs: Sequence[Photograph], folder: Path, *, what: Path, video: bool, seed: int, progress: Progress
) -> Mapped:
    """Compute poses and sparse points.

    Features of photographs at :func:`backend.mapping.gather.matched_size` are matched; cameras are added one by one
    with bundle adjustment (Schoenberger and Frahm 2016, "Structure-from-Motion Revisited"). If many photographs get no
    pose, a second attempt with fainter features follows; see :data:`ATTEMPTS`. Photographs of one size and one lens
    share a camera with the model SIMPLE_RADIAL, and RADIAL in a final adjustment if there are :data:`OFTEN` of them.

    Args:
        photographs: at least :data:`protocol.unposed.FEWEST`.
        folder: contains the reduced copies ``000000.png`` and so on; databases are added. Features and matches that are
            in them already are not computed again.
        what: the user's folder or video, for error messages.
        video: whether the photographs are consecutive frames.
        seed: random seed.

    Raises:
        BadScene: if too few photographs get a pose.
    """
    count = len(photographs)
    best: list[pycolmap.Reconstruction] = []
    for attempt, (name, contrast) in enumerate(ATTEMPTS.items()):
        database = folder / name
        told = part_of(progress, *PARTS[attempt])
        _match_all(database, folder, photographs, contrast, video=video, seed=seed, progress=told)
        if attempt == 0:
            _check_motion(database, count, what)
        models = _map(database, folder, count, seed, told)
        if attempt == 0 or _placed(models) >= _placed(best) + GAIN * count:
            best = models
        if _placed(best) >= ENOUGH * count:
            break
    return _largest(best, photographs, what)


def _placed(models: Sequence[pycolmap.Reconstruction]) -> int:
    """Return the number of photographs of the largest model, which is the first one."""
    return models[0].num_reg_images() if models else 0


def _match_all(
    database: Path,
    folder: Path,
    photographs: Sequence[Photograph],
    contrast: float,
    *,
    video: bool,
    seed: int,
    progress: Progress,
) -> None:
    """Fill a database with features and verified matches."""
    names = [copy_name(number) for number in range(len(photographs))]
    if not _is_whole(database, len(names)):
        _make_database(database, photographs, names)
    _extract(database, folder, photographs, contrast, progress)
    _match(database, _pairs(database, len(names), video, seed), seed, progress)


def _pairs(database: Path, count: int, video: bool, seed: int) -> list[tuple[int, int]]:
    """Return the pairs to match; the descriptors, which take much memory, are not kept while pairs are matched."""
    descriptors = []
    with pycolmap.Database.open(database) as opened:
        for number in range(1, count + 1):
            descriptors.append(np.asarray(opened.read_descriptors(number).data, np.uint8).reshape(-1, 128))
    return choose_pairs(descriptors, video=video, seed=seed)


def _make_database(database: Path, photographs: Sequence[Photograph], names: Sequence[str]) -> None:
    known: dict[tuple[object, ...], int] = {}
    empty = pycolmap.Reconstruction()
    for number, (photograph, name) in enumerate(zip(photographs, names, strict=True), start=1):
        key = (photograph.width, photograph.height, round(photograph.focal, 1), photograph.lens)
        if key not in known:
            known[key] = len(known) + 1
            empty.add_camera_with_trivial_rig(_camera(photograph, known[key]))
        image = pycolmap.Image(name=name, camera_id=known[key], image_id=number)
        empty.add_image_with_trivial_frame(image, pycolmap.Rigid3d())
    new = database.with_name("new.db")
    for file in (*_files_of(new), *_files_of(database)):
        file.unlink(missing_ok=True)
    write_images(new, empty)
    new.rename(database)


def _files_of(database: Path) -> list[Path]:
    return [database.with_name(database.name + end) for end in ("", "-wal", "-shm")]


def _is_whole(database: Path, count: int) -> bool:
    """Whether there is a database of so many photographs, and a power cut did not damage it."""
    if not database.is_file():
        return False
    try:
        with closing(sqlite3.connect(database)) as opened:
            checked = opened.execute("PRAGMA quick_check").fetchone()
            return checked == ("ok",) and opened.execute("SELECT count(*) FROM images").fetchone() == (count,)
    except sqlite3.DatabaseError:
        return False


def _camera(photograph: Photograph, number: int) -> pycolmap.Camera:
    camera = pycolmap.Camera(
        model="SIMPLE_RADIAL",
        params=[photograph.focal, photograph.width / 2, photograph.height / 2, 0],
        width=photograph.width,
        height=photograph.height,
        camera_id=number,
    )
    camera.rescale(*matched_size(photograph.width, photograph.height))
    camera.has_prior_focal_length = photograph.known
    return camera


def _extract(
    database: Path, folder: Path, photographs: Sequence[Photograph], contrast: float, progress: Progress
) -> None:
    kind = "faint features" if contrast < CONTRAST else "features"
    count = len(photographs)
    done = 0
    for octave, numbers in _by_first_octave(photographs).items():
        before = done
        names = [copy_name(number) for number in numbers]
        for batch_start in extract_features(database, folder, names, first_octave=octave, contrast=contrast):
            done = before + batch_start
            progress("poses", 0.24 * done / count, f"{kind} of photograph {done + 1} of {count}")
        done = before + len(numbers)


def _by_first_octave(photographs: Sequence[Photograph]) -> dict[int, list[int]]:
    """Return the numbers of photographs by the first octave of their features.

    In octave -1 pycolmap doubles the size. Photographs that are enlarged twofold or more contain no finer features, so
    they begin with octave 0, which takes a third of the time.
    """
    octaves: dict[int, list[int]] = {}
    for number, photograph in enumerate(photographs):
        enlarged = matched_size(photograph.width, photograph.height)[0] >= 2 * photograph.width
        octaves.setdefault(0 if enlarged else -1, []).append(number)
    return octaves


def _match(database: Path, pairs: Sequence[tuple[int, int]], seed: int, progress: Progress) -> None:
    tiled = sorted(pairs, key=lambda pair: (pair[0] // TILE, pair[1] // TILE, pair))
    names = [(copy_name(one), copy_name(other)) for one, other in tiled]
    for done in match_features(database, names, seed=seed, max_trials=TRIALS):
        progress("poses", 0.24 + 0.41 * done / len(pairs), f"matching {done:,} of {len(pairs):,} pairs")


def _check_motion(database: Path, count: int, what: Path) -> None:
    """Refuse photographs that were all taken from one position without a rotation.

    Raises:
        BadScene: if most matched features do not move.
    """
    ways: list[float] = []
    with pycolmap.Database.open(database) as opened:
        keypoints: dict[int, NDArray[np.float32]] = {}
        for pair, geometry in zip(*opened.read_two_view_geometries(), strict=True):
            one, other = pycolmap.pair_id_to_image_pair(pair)
            matches = geometry.inlier_matches
            if len(matches):
                for number in {one, other} - keypoints.keys():
                    keypoints[number] = _positions(opened.read_keypoints(number))
                gaps = keypoints[one][matches[:, 0]] - keypoints[other][matches[:, 1]]
                ways.append(float(np.median(np.linalg.norm(gaps, axis=1))))
        longest = max(max(camera.width, camera.height) for camera in opened.read_all_cameras())
    if ways and np.median(ways) < STILL * longest:
        raise BadScene(
            f"The {count} photographs of {what} are too similar: their features move by {np.median(ways):.1f} pixels "
            f"at an image size of {longest}, so depth cannot be computed.",
            "Walk around the scene while you take photographs.",
        )


def _positions(keypoints: object) -> NDArray[np.float32]:
    if isinstance(keypoints, np.ndarray):
        return keypoints[:, :2]
    return np.array([[point.x, point.y] for point in keypoints], np.float32).reshape(-1, 2)  # type: ignore[attr-defined]


def _map(database: Path, folder: Path, count: int, seed: int, progress: Progress) -> list[pycolmap.Reconstruction]:
    """Return the models, the largest first."""
    options = pycolmap.IncrementalPipelineOptions()
    options.random_seed = seed
    options.mapper.random_seed = seed
    options.triangulation.random_seed = seed
    options.num_threads = 1  # sums in a fixed order, for reproducible poses
    options.mapper.num_threads = 1
    options.min_model_size = FEWEST
    token = pycolmap.CancellationToken()
    stopped: list[BaseException] = []
    placed = 2

    def report() -> None:
        nonlocal placed
        placed += 1
        try:
            progress("poses", 0.65 + 0.35 * min(1.0, placed / count), f"{min(placed, count)} of {count} placed")
        except BaseException as error:  # noqa: BLE001, raised again below: it must not pass through pycolmap
            stopped.append(error)
            token.cancel()

    progress("poses", 0.65, "placing the first two photographs")
    output = folder / "models"
    output.mkdir(exist_ok=True)
    models = pycolmap.incremental_mapping(
        database, folder, output, options, next_image_callback=report, cancellation_token=token
    )
    if stopped:
        raise stopped[0]
    return sorted(models.values(), key=lambda each: -each.num_reg_images())


def _largest(models: Sequence[pycolmap.Reconstruction], photographs: Sequence[Photograph], what: Path) -> Mapped:
    count = len(photographs)
    in_largest = set(models[0].reg_image_ids()) if models else set()
    placed = {number - 1 for number in in_largest}
    left_out = [photograph.name for number, photograph in enumerate(photographs) if number not in placed]
    others = sorted((len(set(each.reg_image_ids()) - in_largest) for each in models[1:]), reverse=True)
    others = tuple(size for size in others if size >= FEWEST)
    if len(placed) < max(FEWEST, SHARE * count):
        raise _too_few_placed(what, count, len(placed), left_out, others)
    model = models[0]
    for number in sorted(set(model.images) - set(model.reg_image_ids())):
        model.deregister_frame(model.images[number].frame_id)
    _refine_lenses(model)
    _enlarge(model, photographs)
    return Mapped(model, tuple(left_out), others)


def _too_few_placed(what: Path, count: int, placed: int, left_out: Sequence[str], others: Sequence[int]) -> BadScene:
    if others:
        return BadScene(
            f"The {count} photographs of {what} form separate groups of {', '.join(map(str, (placed, *others)))} "
            "photographs without enough common features.",
            "If they show different places, put each place into its own folder. Otherwise take photographs in between.",
        )
    return BadScene(
        f"Of the {count} photographs of {what} only {placed} have matching features and get a pose; the others do not: "
        f"{first_of(left_out, 5)}.",
        ADVICE,
    )


def _refine_lenses(model: pycolmap.Reconstruction) -> None:
    """Adjust the model once more, with the lens model RADIAL for cameras with many photographs.

    Pixels stay square: if a camera circles a scene at one tilt, another tilt with non-square pixels explains the
    photographs equally well. With two focal lengths (OPENCV) a video of such a circle had a rotation error of 2.6
    degrees, with one focal length 0.04.
    """
    counts = Counter(model.images[number].camera_id for number in model.reg_image_ids())
    for number, camera in model.cameras.items():
        if counts[number] >= OFTEN:
            f, cx, cy, k = camera.params
            camera.model = pycolmap.CameraModelId.RADIAL
            camera.params = [f, cx, cy, k, 0]
    options = pycolmap.BundleAdjustmentOptions()
    options.print_summary = False
    options.ceres.loss_function_type = pycolmap.LossFunctionType.SOFT_L1
    options.ceres.solver_options.num_threads = 1
    config = pycolmap.BundleAdjustmentConfig()
    for number in model.reg_image_ids():
        config.add_image(number)
    config.fix_gauge(pycolmap.BundleAdjustmentGauge.TWO_CAMS_FROM_WORLD)
    pycolmap.create_default_bundle_adjuster(options, config, model).solve()


def _enlarge(model: pycolmap.Reconstruction, photographs: Sequence[Photograph]) -> None:
    """Scale cameras and features to the stored size of the photographs, and restore the photographs' names."""
    for image in model.images.values():
        photograph = photographs[image.image_id - 1]
        camera = model.cameras[image.camera_id]
        if (camera.width, camera.height) != (photograph.width, photograph.height):
            factors = np.array([photograph.width / camera.width, photograph.height / camera.height])
        else:
            factors = np.ones(2)
        for point in image.points2D:
            point.xy = point.xy * factors
        image.name = photograph.name
    sizes = {image.camera_id: photographs[image.image_id - 1] for image in model.images.values()}
    for number, photograph in sizes.items():
        model.cameras[number].rescale(photograph.width, photograph.height)
    model.update_point_3d_errors()
