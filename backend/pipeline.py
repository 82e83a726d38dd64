"""The pipeline: scene, Gaussians, contributions, labels, objects, result folder.

The command line and the server's worker both call :func:`segment`; neither knows the rooms behind it.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from backend.compiled import report_compilation
from backend.gallery import Curve, draw_curve, held_out_page, turntable, write_gif
from backend.geometry import label
from backend.levels import LEVELS, Choice, choose, is_layered
from backend.lift import lift, photograph_label_map
from backend.lift.methods import find_method, read_settings
from backend.lift.types import Lift
from backend.mapping import KeptPoses, Workspace, make_workspace
from backend.mapping.workspace import check_place, is_current
from backend.memory import peak_host_mib
from backend.objects import result
from backend.objects.overview import Row, overview, paint
from backend.objects.table import object_table
from backend.pictures import Pictures, Take
from backend.poses import Placement, place
from backend.progress import Progress, Watch, silent
from backend.reconstruct import reconstruct
from backend.reconstruct.quality import Quality, doubt, measure
from backend.reconstruct.schedule import QUALITIES, STEPS
from backend.refine import SHARE, Refinement, refine
from backend.render import Renderer, device_of, kernels
from backend.scene import describe_scene, evenly_spread, load_scene, read_image, read_mask, split_views
from backend.scene.files import from_inside
from backend.scene.masks import no_mask
from backend.scene.splats_alone import find_splats_alone
from backend.scene.types import Camera, MaskIds, Scene, View
from backend.scene.unposed import find_unposed, given_masks, without_masks
from backend.scene.up import up_direction
from backend.segmenter import continue_in, describe, find_known, find_weights, make_masks, maker_of, not_here
from backend.segmenter.weights import Weights
from backend.splat_frame import in_frame_of
from backend.splats_alone import objects_of_splats
from protocol.errors import BadArgument
from protocol.formats.read import read_splats_and_warnings
from protocol.ply import write_ply
from protocol.result.folder import check_out, whole_folder
from protocol.result.names import FORMAT, GALLERY, OVERVIEW
from protocol.result.report import write_report
from protocol.splats import Splats
from protocol.store import link_or_copy
from protocol.unposed import Unposed

OVERVIEW_ROWS = 4
POSES = "poses"
"""The COLMAP workspace in a result, where poses were computed."""
MASKS = "masks"
"""The masks in a result, where a model made them."""
BY_GEOMETRY = (
    "Objects were found by geometry alone, without masks. Touching objects may be joined, and flat ones may belong to "
    "the floor."
)


@dataclass(frozen=True)
class SegmentRequest:
    """Everything that decides a segmentation.

    Attributes:
        scene: a folder in any layout that :func:`backend.scene.load_scene` knows, or a folder of photographs or a video
            without cameras: then poses are computed, and the result holds them in ``poses`` as a COLMAP workspace. Of a
            splat file, or a folder with nothing else, objects are found by geometry.
        out: the result folder.
        splats: a file that :mod:`protocol.formats` reads, in the frame of the scene's cameras; None reconstructs
            from the photographs.
        masks: the mask folder, where it is not the layout's own.
        geometry: whether objects are found by geometry alone and masks are left out, see :mod:`backend.geometry`.
            Without it this is done where the scene has no masks and no model makes them, unless a mask folder, a method
            or its settings were asked for.
        masks_model: the model that makes masks where the scene has none, a name of the hub that is in the local cache
            or a folder; None for one of :mod:`backend.segmenter.catalogue` that is there. The result holds the masks in
            ``masks``.
        mask_ids: ids of masks that are no objects.
        method: a name of :data:`backend.lift.METHODS`; None for the best.
        test_views: which views are held out of everything, see :func:`backend.scene.split_views`.
        device: "auto", "cuda" or "cpu".
        seed: of every random choice.
        steps: reconstruction steps; None for those of the quality.
        quality: of :data:`backend.reconstruct.schedule.QUALITIES`: what the reconstruction may take.
        title: what the result calls the scene; None for the folder's name.
        checkpoint: where the reconstruction saves itself and resumes from; None for nowhere.
        meshes: whether each object also gets a mesh.
        gallery: whether pictures are made that nothing else needs: the course of the training, held-out views, a turn
            around the objects.
        settings: further settings of the lifting method.
        refine: whether labels then refine the edges of Gaussians, see :mod:`backend.refine`; None for Gaussians that
            are reconstructed here, unless as a draft, and not for given ones, whose geometry is the user's.
        gpus: how many GPUs reconstruct together; the rest is done on one.
        steer: whether a reconstruction grows more Gaussians where masks show objects.
        level: of :data:`backend.levels.LEVELS`: whether objects are whole, or their parts, where masks overlap.
    """

    scene: Path
    out: Path
    splats: Path | None = None
    masks: Path | None = None
    mask_ids: MaskIds = field(default_factory=MaskIds)
    method: str | None = None
    test_views: str = "none"
    device: str = "auto"
    seed: int = 0
    steps: int | None = None
    quality: str = "standard"
    title: str | None = None
    checkpoint: Path | None = None
    meshes: bool = True
    gallery: bool = True
    settings: dict[str, float | int | str | bool] = field(default_factory=dict)
    refine: bool | None = None
    gpus: int = 1
    steer: bool = True
    geometry: bool = False
    masks_model: str | None = None
    level: str = "whole"


def segment(
    request: SegmentRequest,
    progress: Progress = silent,
    picture: Take | None = None,
    kept_poses: KeptPoses | None = None,
) -> dict:
    """Turn a scene folder into a result folder and return its report, as ``report.json`` holds it.

    ``picture`` is given a small picture of the work every few seconds: of the scene as it is rebuilt, of the embedding
    that a method trains, and of the labels. ``kept_poses`` is where computed poses are searched for and kept for later.

    Raises:
        Fault: if the scene, a mask, the splat file, a setting or the output folder is wrong.
        Cancelled: if ``progress`` raises it. In both cases ``request.out`` is as it was.
    """
    with report_compilation(progress) as reported:
        return _segment(request, reported, picture, kept_poses)


def _segment(request: SegmentRequest, progress: Progress, picture: Take | None, kept_poses: KeptPoses | None) -> dict:
    # What can be refused at once is refused before minutes are spent.
    check_out(request.out)
    if request.device != "cpu" and kernels.look().must_compile:
        progress("scene", 0.0, "compiling the CUDA kernels: once on this machine, 2 to 10 minutes")
    device = device_of(request.device)
    _check_gpus(request.gpus, device)
    name, method = find_method(request.method)
    read_settings(name, method, request.settings)
    _check_quality(request.quality)
    if request.level not in LEVELS:
        raise BadArgument(f"The level {request.level!r} does not exist.", f"Choose one of {', '.join(LEVELS)}.")
    if request.geometry and _asks_for_masks(request):
        raise BadArgument("Geometry does not use masks.", "Remove the mask folder, the method and its settings.")
    if request.masks_model is not None:
        _check_masks_model(request, request.masks_model)
    pictures = Pictures(picture)
    clock = Stopwatch()

    source = find_unposed(request.scene)
    alone = find_splats_alone(request.scene) if source is None else None
    if alone is not None and request.splats in (None, alone):
        return _of_splats_alone(request, alone, progress)
    mapped = None
    if source is not None:
        _check_unposed(source, request)
        with clock("poses"):
            workspace = _poses_place(source, request.out, request.seed)
            mapped = make_workspace(source, workspace, request.seed, progress, kept_poses)

    with clock("scene"):
        scene = _load(request.scene, request.masks, request.mask_ids, source, mapped)
        if request.geometry:
            scene = _without_masks(scene)
        weights = _mask_model(request, scene)
    if weights is not None:
        with clock("masks"):
            scene = _with_made_masks(request, scene, weights, source, mapped, device, progress)
    with clock("scene"):
        train, test = split_views(scene.views, request.test_views)
        mask_scale = _mask_scale(train)
        if mask_scale is None and _asks_for_masks(request):
            raise no_mask(len(train), scene.root, scene.without_masks)
        by_geometry, mask_scale = mask_scale is None, mask_scale or 1.0
        layered = _are_layered(train, request.level, scene.root)
        title = request.title or (source.title if source else scene.root.resolve().name)
        progress("scene", 1.0, describe_scene(scene))

    placement = None
    if request.splats is None and not scene.matched:
        with clock("poses"):
            scene, train, test, placement = _placed(scene, request.test_views, request.seed, progress)

    with clock("reconstruct"):
        curve = Curve()
        said = [*scene.warnings, *([BY_GEOMETRY] if by_geometry else [])]
        splats = _gaussians(request, scene, train, device, progress, pictures, curve, said)

    choice = None
    with clock("lift"):
        if by_geometry:
            lifted = label(splats, train, device=device, seed=request.seed, progress=progress)
        else:
            choice = _choice(splats, train, request.level, device, request.seed, progress, said) if layered else None
            lifted = lift(
                splats,
                choice.views if choice else train,
                method=name,
                device=device,
                seed=request.seed,
                settings=request.settings,
                progress=progress,
                watch=_watch(splats, (test or train)[0].camera, device, pictures),
            )

    refined = request.splats is None and request.quality != "draft" and not by_geometry
    if refined if request.refine is None else request.refine:
        with clock("refine"):
            how = Refinement(steps=max(1, _steps(request.steps, request.quality, device) // SHARE))
            splats, lifted = refine(splats, lifted, train, how=how, device=device, seed=request.seed, progress=progress)

    with clock("labels"):
        shown = test or train
        maps = _label_maps(splats, lifted, shown, mask_scale, device, progress, pictures)

    with clock("held out"):
        found = measure(splats, train, test, device, request.seed, photographs=request.splats is None)
        doubts = doubt(found, len(train), placement)
        said += [doubts] if doubts else []

    with clock("objects"), whole_folder(request.out) as folder:
        objects = object_table(splats, lifted)
        parts = choice.parts(splats, lifted.labels) if choice else None
        is_whole = parts is not None and request.level == "whole"
        result.write_gaussians(folder, splats, lifted, progress, request.meshes, parts.part if is_whole else None)
        if parts is not None:
            result.write_parts(folder, "whole" if is_whole else "part", parts)
        result.write_objects(folder, title, lifted, request.seed, up_direction(scene.views), objects)
        result.write_labels(folder, maps)
        _write_cameras(folder, scene, mask_scale, mapped)
        _overview(shown, maps).save(folder / OVERVIEW)
        if request.gallery:
            with clock("gallery"):
                _gallery(folder / GALLERY, curve, splats, lifted, test, up_direction(scene.views), device, progress)
        progress("write", 1.0)
        report = _report(request, title, scene, said, train, test, splats, lifted, found, placement, device, clock)
        report["masks"] = weights and {"model": weights.name, "licence": weights.licence, "bytes": weights.bytes}
        report["levels"] = choice and choice.as_dict()
        report["mapped"] = mapped and {"given": mapped.given, "placed": len(mapped.origins)}
        write_report(folder, report)
        if mapped is not None:
            shutil.copytree(mapped.folder, folder / POSES, copy_function=link_or_copy)
        if weights is not None:
            shutil.copytree(_masks_while_working(request.out), folder / MASKS)
    if weights is not None:
        shutil.rmtree(_masks_while_working(request.out))
    if mapped is not None and mapped.folder == _poses_while_working(request.out):
        shutil.rmtree(mapped.folder)
    return report


def _of_splats_alone(request: SegmentRequest, file: Path, progress: Progress) -> dict:
    if _asks_for_masks(request):
        raise BadArgument(
            f"{file} has no photographs, so there are no masks to lift.",
            "Remove the mask folder, the method and its settings; objects are then found by geometry.",
        )
    return objects_of_splats(
        file,
        request.out,
        title=request.title,
        device=request.device,
        seed=request.seed,
        meshes=request.meshes,
        gallery=request.gallery,
        progress=progress,
    )


def reconstruct_to_file(
    folder: Path,
    out: Path,
    masks: Path | None,
    *,
    steps: int | None,
    test_views: str,
    device: str,
    seed: int,
    checkpoint: Path | None,
    gpus: int = 1,
    steer: bool = True,
    mask_ids: MaskIds | None = None,
    quality: str = "standard",
    progress: Progress = silent,
) -> tuple[int, float | None, tuple[str, ...]]:
    """Reconstruct a scene folder into a PLY.

    Poses of photographs without cameras are kept in a folder beside ``out`` that ends in ``.poses``.

    Returns:
        Its Gaussians, the PSNR of the held-out views in dB, if any, and warnings about the scene and what became of it.

    Raises: as :func:`segment`.
    """
    device = device_of(device)
    _check_gpus(gpus, device)
    _check_quality(quality)
    source = find_unposed(folder)
    mapped = make_workspace(source, out.with_suffix(f".{POSES}"), seed, progress) if source else None
    scene = _load(folder, masks, mask_ids, source, mapped)
    train, test = split_views(scene.views, test_views)
    progress("scene", 1.0, describe_scene(scene))
    placement = None
    if not scene.matched:
        scene, train, test, placement = _placed(scene, test_views, seed, progress)
    with report_compilation(progress) as reported:
        splats = reconstruct(
            scene,
            train,
            device=device,
            steps=_steps(steps, quality, device),
            seed=seed,
            checkpoint=checkpoint,
            progress=reported,
            settings=_settings(steer, quality, device),
            gpus=gpus,
        )
    found = measure(splats, train, test, device, seed)
    doubts = doubt(found, len(train), placement)
    write_ply(splats, out)
    return len(splats), found.psnr_held_out, (*scene.warnings, *([doubts] if doubts else []))


class Stopwatch:
    """Seconds per named stage; as a context manager it times one."""

    def __init__(self) -> None:
        self.start = time.perf_counter()
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, stage: str):
        start = time.perf_counter()
        yield
        self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def _check_unposed(source: Unposed, request: SegmentRequest) -> None:
    """Refuse at once what would fail after the poses are computed."""
    check_place(source, request.out)
    if request.splats is not None:
        raise BadArgument(
            f"{source.root} has no cameras, but --splats must be in the frame of the cameras.",
            "Give the folder with the cameras of the Gaussians, or run backend objects on that file.",
        )
    refusal = source.refusal()
    if refusal is not None:
        raise refusal
    if request.masks is not None:
        given_masks(source, request.masks)
    elif not source.masked and _asks_for_masks(request):
        raise without_masks(source)


def _poses_place(source: Unposed, out: Path, seed: int) -> Path:
    """Return where poses are: in the earlier result if they are of the same photographs, else beside ``out``."""
    return out / POSES if is_current(source, out / POSES, seed) else _poses_while_working(out)


def _folder_of(scene: Path) -> Path:
    return scene if scene.is_dir() else scene.parent


def _poses_while_working(out: Path) -> Path:
    return out.with_name(f".{out.name}.{POSES}")


def _masks_while_working(out: Path) -> Path:
    return out.with_name(f".{out.name}.{MASKS}")


def _check_masks_model(request: SegmentRequest, name: str) -> None:
    """Refuse at once a model that is not here, or beside masks that the user named."""
    if request.geometry or request.masks is not None:
        raise BadArgument("A model and a mask folder were both given.", "Remove --masks or --masks-model.")
    if find_weights(name) is None:
        raise not_here(name)


def _mask_model(request: SegmentRequest, scene: Scene) -> Weights | None:
    """The model that is to make masks; None where there are masks, or none are wanted, or no model is here."""
    if request.geometry or request.masks is not None:
        return None
    if any(view.mask_path is not None for view in scene.views):
        if request.masks_model is not None:
            raise BadArgument(
                f"{scene.root} already has masks in {scene.masks_from}; a model is only used for scenes without masks.",
                "Remove --masks-model, or run backend masks with --out FOLDER and give --masks FOLDER.",
            )
        return None
    return find_known() if request.masks_model is None else find_weights(request.masks_model)


def _with_made_masks(
    request: SegmentRequest,
    scene: Scene,
    weights: Weights,
    source: Unposed | None,
    mapped: Workspace | None,
    device: str,
    progress: Progress,
) -> Scene:
    """The scene with masks that a model makes of the training views."""
    train, _ = split_views(scene.views, request.test_views)
    working = _masks_while_working(request.out)
    continue_in(working, request.out / MASKS, maker_of(weights))
    made = make_masks(train, working, weights, device=device, progress=progress)
    masked = _load(request.scene, working, request.mask_ids, source, mapped)
    told = (
        f"Masks of {made.photographs} of {len(scene.views)} photographs were made by the model "
        f"{describe(weights.name, weights.bytes, weights.licence)}."
    )
    return replace(masked, warnings=(*scene.warnings, told, *made.warnings))


def _load(
    folder: Path, masks: Path | None, mask_ids: MaskIds | None, source: Unposed | None, mapped: Workspace | None
) -> Scene:
    """The scene, of the workspace where poses were computed."""
    if source is None or mapped is None:
        return load_scene(folder, masks, mask_ids)
    scene = load_scene(mapped.folder, masks or source.masks, mask_ids)
    return replace(scene, warnings=(*source.warnings, *mapped.warnings, *scene.warnings))


def _placed(
    scene: Scene, test_views: str, seed: int, progress: Progress
) -> tuple[Scene, list[View], list[View], Placement | None]:
    """The scene with its cameras placed, its views for training and for testing, and what was found."""
    scene, placement = place(scene, seed, progress)
    return scene, *split_views(scene.views, test_views), placement


def _mask_scale(train: Sequence[View]) -> float | None:
    """Mask pixels per photograph pixel: held-out masks are not looked at, so a training view tells; None without."""
    for view in train:
        mask = read_mask(view)
        if mask is not None:
            return mask.shape[1] / view.camera.width
    return None


def _asks_for_masks(request: SegmentRequest) -> bool:
    """Whether something was asked for that only masks can give."""
    return bool(request.masks or request.method or request.settings)


def _are_layered(train: Sequence[View], level: str, root: Path) -> bool:
    """Whether masks of a view overlap or have scores.

    Raises:
        BadArgument: if they do not, and parts were asked for.
    """
    layered = is_layered(train)
    if level == "part" and not layered:
        raise BadArgument(
            f"The masks of {root} do not overlap, so there are no parts.",
            "Remove --level, or give masks of objects and of their parts.",
        )
    return layered


def _choice(
    splats: Splats, train: Sequence[View], level: str, device: str, seed: int, progress: Progress, said: list[str]
) -> Choice:
    """The masks that show objects; what is said of the others is added to ``said``."""
    choice = choose(splats, train, level=level, device=device, seed=seed, progress=progress)
    said += [choice.sentence] if choice.background else []
    return choice


def _without_masks(scene: Scene) -> Scene:
    return replace(scene, views=tuple(replace(view, mask_path=None, mask_parts=()) for view in scene.views))


def _gaussians(
    request: SegmentRequest,
    scene: Scene,
    train: Sequence[View],
    device: str,
    progress: Progress,
    pictures: Pictures,
    curve: Curve,
    said: list[str],
) -> Splats:
    """The Gaussians, read or reconstructed; warnings about a splat file are added to ``said``."""
    if request.splats is not None:
        splats, warnings = read_splats_and_warnings(request.splats)
        splats, moved = in_frame_of(scene.root, train, splats.without_columns(), request.splats, device)
        said += (*warnings, *moved)
        return splats
    return reconstruct(
        scene,
        train,
        device=device,
        steps=_steps(request.steps, request.quality, device),
        seed=request.seed,
        checkpoint=request.checkpoint,
        progress=progress,
        settings=_settings(request.steer, request.quality, device),
        pictures=pictures,
        course=curve,
        gpus=request.gpus,
    )


def _settings(steer: bool, quality: str, device: str) -> dict[str, float]:
    """Settings of a reconstruction: a factor of 1 leaves masks out of what grows."""
    return QUALITIES[quality].settings(device) | ({} if steer else {"mask_weight": 1.0})


def _steps(steps: int | None, quality: str, device: str) -> int:
    return round(QUALITIES[quality].steps * STEPS[device]) if steps is None else steps


def _check_quality(quality: str) -> None:
    if quality not in QUALITIES:
        raise BadArgument(f"The quality {quality!r} does not exist.", f"Choose one of {', '.join(QUALITIES)}.")


def _check_gpus(gpus: int, device: str) -> None:
    if gpus > 1 and device == "cpu":
        raise BadArgument(f"{gpus} GPUs were requested, but this machine has none.", "Remove --gpus.")


def _watch(splats: Splats, camera: Camera, device: str, pictures: Pictures) -> Watch:
    """Return what shows an embedding in training as one view sees it."""
    renderer: Renderer | None = None

    def watch(embedding: Callable[[], NDArray[np.float32]]) -> None:
        nonlocal renderer
        if pictures.due:
            renderer = renderer or Renderer(splats, device)
            values = embedding()
            if len(values) == len(splats):  # those with a value that is not finite are not trained
                pictures.embedding(renderer, camera, values)

    return watch


def _label_maps(
    splats: Splats,
    lifted: Lift,
    views: Sequence[View],
    mask_scale: float,
    device: str,
    progress: Progress,
    pictures: Pictures,
) -> dict[str, NDArray[np.int32]]:
    renderer = Renderer(splats, device)
    maps: dict[str, NDArray[np.int32]] = {}
    for done, view in enumerate(views):
        progress("objects", 0.5 * done / len(views), "label maps")
        maps[view.name] = photograph_label_map(renderer, lifted.labels, view, _mask_camera(view, mask_scale))
        # The first at once: where nothing is rebuilt or trained there is none before.
        shows = pictures.due or (done == 0 and pictures.wanted)
        if shows and (drawing := paint(maps[view.name])) is not None:
            pictures.drawing(drawing)
    return maps


def _mask_camera(view: View, mask_scale: float) -> Camera:
    return view.camera.resized(round(view.camera.width * mask_scale), round(view.camera.height * mask_scale))


def _write_cameras(folder: Path, scene: Scene, mask_scale: float, mapped: Workspace | None) -> None:
    cameras = {view.name: _mask_camera(view, mask_scale) for view in scene.views}
    if mapped is not None:
        names = {view.name: view.image_path.relative_to(mapped.folder / "images").as_posix() for view in scene.views}
        origins = {view: mapped.origins[name] for view, name in names.items()}
        result.write_cameras(folder, cameras, {view: origin for view, origin in origins.items() if origin is not None})
        return
    below = [view for view in scene.views if view.image_path.is_relative_to(scene.root)]
    photographs = {view.name: view.image_path.relative_to(scene.root).as_posix() for view in below}
    result.write_cameras(folder, cameras, photographs)


def _gallery(
    folder: Path,
    curve: Curve,
    splats: Splats,
    lifted: Lift,
    test: Sequence[View],
    up: tuple[float, float, float],
    device: str,
    progress: Progress,
) -> None:
    folder.mkdir()
    if len(curve.steps) > 1:
        draw_curve(curve, folder / "training.png")
    if test:
        held_out_page(Renderer(splats, device), test).save(folder / "held_out.png")
    if len(splats):
        frames = turntable(splats, lifted.labels, up, device=device, progress=progress)
        write_gif(frames, folder / "turntable.gif")


def _overview(views: Sequence[View], maps: dict[str, NDArray[np.int32]]):
    chosen = evenly_spread(views, OVERVIEW_ROWS)
    return overview([Row(view.name, read_image(view), read_mask(view), maps[view.name]) for view in chosen])


def _report(
    request: SegmentRequest,
    title: str,
    scene: Scene,
    said: Sequence[str],
    train: Sequence[View],
    test: Sequence[View],
    splats: Splats,
    lifted: Lift,
    found: Quality,
    placement: Placement | None,
    device: str,
    clock: Stopwatch,
) -> dict:
    seconds = {stage: round(value, 2) for stage, value in clock.seconds.items()}
    seconds["gaussians_to_labels"] = round(clock.seconds["lift"] + clock.seconds["labels"], 2)
    seconds["total"] = round(time.perf_counter() - clock.start, 2)
    return {
        "format": FORMAT,
        "scene": title,
        "layout": scene.layout,
        # Where the scene lies may be a place of the server's own.
        "warnings": [from_inside(from_inside(sentence, scene.root), _folder_of(request.scene)) for sentence in said],
        "seconds": seconds,
        "peak_memory_mib": {
            "host": peak_host_mib(),
            "device": round(torch.cuda.max_memory_allocated() / 2**20) if device == "cuda" else 0,
        },
        "gaussians": len(splats),
        "views": {"train": len(train), "test": len(test)},
        "objects": int(lifted.labels.max(initial=0)),
        "psnr_held_out": None if found.psnr_held_out is None else round(found.psnr_held_out, 2),
        "solidity": found.as_dict(),
        "poses": placement and placement.as_dict(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "cpu",
        "method": lifted.method,
        "refined": "refine" in clock.seconds,
        "steered": request.steer and request.splats is None and lifted.method != "geometry",
        "settings": lifted.settings,
        "seed": request.seed,
        "test_views": request.test_views,
        "steps": request.steps,
        "quality": request.quality,
        "splats": request.splats.name if request.splats else None,
        "versions": {name: version(name) for name in ("splatlift", "torch", "numpy", "numba")},
    }
