"""The pipeline: scene, Gaussians, contributions, labels, objects, result folder.

The command line and the server's worker both call :func:`segment` with a :class:`protocol.job_request.JobRequest`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from msgspec.structs import replace as replace_option
from numpy.typing import NDArray

from backend.compiled import report_compilation
from backend.corrections import replayed
from backend.gallery import Curve, draw_curve, held_out_page, turntable, write_gif
from backend.geometry import LIMITS, label
from backend.levels import Choice, choose, is_layered
from backend.lift import lift, photograph_label_map
from backend.lift.methods import find_method, read_settings
from backend.lift.types import Lift
from backend.lock import in_use
from backend.mapping import KeptPoses, Workspace, make_workspace
from backend.mapping.workspace import check_place, is_current
from backend.memory import peak_host_mib
from backend.objects import result
from backend.objects.overview import OVERVIEW_ROWS, Row, overview, paint
from backend.objects.table import object_table
from backend.pictures import Pictures, Take
from backend.poses import Placement, place
from backend.progress import Progress, Watch, silent
from backend.reconstruct import reconstruct
from backend.reconstruct.quality import Quality, doubt, measure
from backend.reconstruct.schedule import QUALITIES
from backend.refine import SHARE, Refinement, refine
from backend.render import Renderer, device_of, kernels
from backend.run import Run
from backend.scene import describe_scene, evenly_spread, load_scene, read_image, read_mask, split_views
from backend.scene.files import from_inside
from backend.scene.masks import no_mask
from backend.scene.splats_alone import find_splats_alone, older_states
from backend.scene.types import Camera, MaskIds, Scene, View
from backend.scene.unposed import check_masks_of, find_unposed, given_masks, without_masks
from backend.scene.up import up_direction
from backend.segmenter import continue_in, describe, find_known, find_weights, make_masks, maker_of, not_here
from backend.segmenter.weights import Weights
from backend.splat_frame import in_frame_of
from backend.splats_alone import objects_of_splats
from protocol.errors import BadArgument
from protocol.formats.read import read_splats_and_warnings
from protocol.job_request import JobRequest, check, given
from protocol.ply import write_ply
from protocol.result.corrections import Correction, read_corrections, write_corrections
from protocol.result.evidence import write_evidence
from protocol.result.folder import check_out, whole_folder
from protocol.result.names import FORMAT, GALLERY, OVERVIEW, TURNTABLE
from protocol.result.report import write_report
from protocol.splats import Splats
from protocol.store import link_or_copy
from protocol.unposed import Unposed

POSES = "poses"
"""Folder in a result with the COLMAP workspace, if poses were computed."""
MASKS = "masks"
"""Folder in a result with the masks, if a model made them."""
BY_GEOMETRY = f"Objects were found by geometry alone, without masks. {LIMITS}"


@dataclass(frozen=True)
class Capture:
    """A scene folder as it was read.

    Attributes:
        title: name of the scene in the result.
        scene: the views with their cameras.
        train, test: the training views and the held-out views.
        mask_scale: mask pixels per photograph pixel; None without masks.
        layered: whether masks of a view overlap or have scores.
        mapped: the computed poses, if the folder had none.
        weights: the model that made the masks, if one did.
        placement: the check of given poses, if they were checked.
    """

    title: str
    scene: Scene
    train: list[View]
    test: list[View]
    mask_scale: float | None
    layered: bool
    mapped: Workspace | None = None
    weights: Weights | None = None
    placement: Placement | None = None

    @property
    def by_geometry(self) -> bool:
        """Whether objects are found by geometry, because there are no masks."""
        return self.mask_scale is None

    def mask_camera(self, view: View) -> Camera:
        """Return the camera of a view at the size of its mask, or of its photograph without a mask."""
        scale = self.mask_scale or 1.0
        return view.camera.resized(round(view.camera.width * scale), round(view.camera.height * scale))


@dataclass(frozen=True)
class Computed:
    """The content of a result before it is written.

    Attributes:
        splats: the Gaussians.
        lifted: their labels.
        choice: the selected masks, if masks overlap.
        corrections: those of the earlier result that were applied.
        maps: label maps by view, see :func:`_label_maps`.
        curve: the course of the reconstruction; empty if Gaussians were given.
        quality: of the Gaussians.
        warnings: for the report.
    """

    splats: Splats
    lifted: Lift
    choice: Choice | None
    corrections: list[Correction]
    maps: dict[str, NDArray[np.int32]]
    curve: Curve
    quality: Quality
    warnings: list[str]


def segment(
    scene: Path,
    out: Path,
    request: JobRequest = JobRequest(),  # noqa: B008, it is frozen
    *,
    title: str | None = None,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    picture: Take | None = None,
    kept_poses: KeptPoses | None = None,
) -> dict:
    """Turn a scene folder into a result folder and return the content of ``report.json``.

    Args:
        scene: a folder in a layout of :func:`backend.scene.load_scene`, or a folder of photographs or a video without
            cameras: then poses are computed, and the result contains them in ``poses`` as a COLMAP workspace. For a
            splat file, or a folder with nothing else, objects are found by geometry.
        out: the result folder.
        request: everything that decides the result. Its splats and masks are absolute, or relative to ``scene``. Splats
            are in the frame of the scene's cameras.
        title: name of the scene in the result; None for the folder's name.
        checkpoint: the checkpoint file of the reconstruction; None for no checkpoints.
        progress: told the progress of the work.
        picture: receives a small image every few seconds: the scene during reconstruction, the embedding during
            training, and the labels.
        kept_poses: a cache of computed poses.

    Raises:
        Fault: if the scene, a mask, the splat file, an option or the output folder is wrong.
        Cancelled: if ``progress`` raises it. In both cases ``out`` is unchanged.
    """
    # Check everything that can be checked at once before minutes of work.
    check(request)
    check_out(out)
    request = _located(request, scene)
    if request.masks_model is not None and find_weights(request.masks_model) is None:
        raise not_here(request.masks_model)
    with report_compilation(progress) as reported:
        run = _start(request, reported, picture)
        name, method = find_method(request.method)
        read_settings(name, method, request.settings)
        source = find_unposed(scene)
        alone = find_splats_alone(scene) if source is None else None
        if alone is not None and request.splats in (None, str(alone)):
            return _of_splats_alone(alone, out, request, title, older_states(alone, scene), run)
        if source is not None:
            _check_unposed(source, out, request)
        with in_use(out):
            capture = _capture(scene, source, out, request, title, kept_poses, run)
            return _segment(scene, capture, out, request, checkpoint, run)


def _located(request: JobRequest, scene: Path) -> JobRequest:
    """Return the request with absolute paths."""
    splats, masks = (None if path is None else str(scene / path) for path in (request.splats, request.masks))
    return replace_option(request, splats=splats, masks=masks)


def _start(request: JobRequest, progress: Progress, picture: Take | None) -> Run:
    if request.device != "cpu" and kernels.look().must_compile:
        progress("scene", 0.0, "compiling the CUDA kernels: once on this machine, 2 to 10 minutes")
    device = device_of(request.device)
    check(replace_option(request, device=device))
    return Run(device, request.seed, progress, Pictures(picture))


def _of_splats_alone(
    file: Path, out: Path, request: JobRequest, title: str | None, said: Sequence[str], run: Run
) -> dict:
    if request.needs_masks:
        raise BadArgument(
            f"{file} has no photographs, so there are no masks to lift.",
            "Remove the mask folder, the method and its settings; objects are then found by geometry.",
        )
    if request.textures:
        raise BadArgument(f"{file} has no photographs to bake textures from.", "Remove --textures.")
    return objects_of_splats(
        file,
        out,
        title=title,
        device=request.device,
        seed=request.seed,
        meshes=request.meshes,
        gallery=request.gallery,
        said=said,
        progress=run.progress,
    )


def _capture(
    folder: Path,
    source: Unposed | None,
    out: Path,
    request: JobRequest,
    title: str | None,
    kept_poses: KeptPoses | None,
    run: Run,
) -> Capture:
    """Read the scene; compute missing poses, check given ones, and make missing masks."""
    mapped = None
    if source is not None:
        with run.clock("poses"):
            workspace = _poses_place(source, out, run.seed)
            mapped = make_workspace(source, workspace, run.seed, run.progress, kept_poses)

    with run.clock("scene"):
        scene = _load(folder, request, source, mapped)
        if request.masks_from == "geometry":
            scene = _without_masks(scene)
        weights = _mask_model(request, scene)
    if weights is not None:
        with run.clock("masks"):
            scene = _with_made_masks(folder, scene, weights, source, mapped, out, request, run)
    with run.clock("scene"):
        train, test = split_views(scene.views, request.test_views)
        mask_scale = _mask_scale(train)
        if mask_scale is None and request.needs_masks:
            raise no_mask(len(train), scene.root, scene.without_masks)
        layered = _are_layered(train, request.level, scene.root)
        title = title or (source.title if source else scene.root.resolve().name)
        run.progress("scene", 1.0, describe_scene(scene))

    placement = None
    if request.splats is None and not scene.matched:
        with run.clock("poses"):
            scene, placement = place(scene, run.seed, run.progress)
            train, test = split_views(scene.views, request.test_views)
    return Capture(title, scene, train, test, mask_scale, layered, mapped, weights, placement)


def _segment(folder: Path, capture: Capture, out: Path, request: JobRequest, checkpoint: Path | None, run: Run) -> dict:
    found = _compute(capture, out, request, checkpoint, run)
    with run.clock("objects"), whole_folder(out) as new:
        warnings = [*found.warnings, *_write_objects(new, capture, found, request, run)]
        run.progress("write", 1.0)
        report = _report(capture, request, found, [from_inside(each, _folder_of(folder)) for each in warnings], run)
        write_report(new, report)
        if capture.mapped is not None:
            shutil.copytree(capture.mapped.folder, new / POSES, copy_function=link_or_copy)
        if capture.weights is not None:
            shutil.copytree(_masks_while_working(out), new / MASKS)
    if capture.weights is not None:
        shutil.rmtree(_masks_while_working(out))
    if capture.mapped is not None and capture.mapped.folder == _poses_while_working(out):
        shutil.rmtree(capture.mapped.folder)
    return report


def _compute(capture: Capture, out: Path, request: JobRequest, checkpoint: Path | None, run: Run) -> Computed:
    """Return Gaussians, labels and label maps. Only corrections are read from ``out``, an earlier result."""
    train = capture.train
    curve = Curve()
    warnings = [*capture.scene.warnings, *([BY_GEOMETRY] if capture.by_geometry else [])]
    with run.clock("reconstruct"):
        splats, of_file = _gaussians(capture, request, checkpoint, curve, run)
        warnings += of_file

    with run.clock("lift"):
        lifted, choice = _lift(capture, splats, request, run)
        warnings += [choice.sentence] if choice and choice.background else []
        corrections = read_corrections(out)
        if corrections:
            lifted, corrections, removed = replayed(splats, lifted, corrections)
            warnings += removed

    if _refines(request, capture.by_geometry):
        with run.clock("refine"):
            how = Refinement(steps=max(1, _steps(request, train, run.device) // SHARE))
            splats, lifted = refine(
                splats, lifted, train, how=how, device=run.device, seed=run.seed, progress=run.progress
            )

    with run.clock("labels"):
        maps = _label_maps(capture, splats, lifted, run)

    with run.clock("held out"):
        quality = measure(splats, train, capture.test, run.device, run.seed, photographs=request.splats is None)
        doubts = doubt(quality, len(train), capture.placement)
        warnings += [doubts] if doubts else []
    return Computed(splats, lifted, choice, corrections, maps, curve, quality, warnings)


def _write_objects(folder: Path, capture: Capture, found: Computed, request: JobRequest, run: Run) -> list[str]:
    """Write everything but the report, the poses and the masks; return warnings about the meshes."""
    splats, lifted, choice, train = found.splats, found.lifted, found.choice, capture.train
    warnings: list[str] = []
    up = up_direction(capture.scene.views)
    parts = choice.parts(splats, lifted.labels) if choice else None
    inner = parts.part if parts is not None and request.level == "whole" else None
    result.write_gaussians(folder, splats, lifted, run.progress, inner)
    if request.meshes:
        with run.clock("meshes"):
            warnings = result.write_meshes(
                folder, splats, lifted.labels, [view.camera for view in train], run.device, run.progress,
                textures=request.textures, photograph=lambda number: read_image(train[number]),
            )  # fmt: skip
    if parts is not None:
        result.write_parts(folder, "part" if inner is None else "whole", parts)
    result.write_objects(folder, capture.title, lifted, run.seed, up, object_table(splats, lifted))
    result.write_labels(folder, found.maps)
    if lifted.regions is not None:
        write_evidence(folder, lifted.regions)
    if found.corrections:
        write_corrections(folder, found.corrections)
    _write_cameras(folder, capture)
    _overview(capture.test or train, found.maps).save(folder / OVERVIEW)
    if request.gallery:
        with run.clock("gallery"):
            _gallery(folder / GALLERY, found.curve, splats, lifted, capture.test, up, run)
    return warnings


def reconstruct_to_file(
    folder: Path,
    out: Path,
    request: JobRequest = JobRequest(),  # noqa: B008, it is frozen
    *,
    checkpoint: Path | None = None,
    progress: Progress = silent,
) -> tuple[int, float | None, tuple[str, ...]]:
    """Reconstruct a scene folder into a PLY.

    Poses of photographs without cameras are kept in a folder next to ``out`` that ends in ``.poses``. Options of
    ``request`` that only concern labels are ignored.

    Returns:
        Number of Gaussians, PSNR of the held-out views in dB (None without any), and warnings.

    Raises: as :func:`segment`.
    """
    check(request)
    request = _located(request, folder)
    with report_compilation(progress) as reported:
        run = _start(request, reported, None)
        source = find_unposed(folder)
        poses = out.with_suffix(f".{POSES}")
        mapped = make_workspace(source, poses, run.seed, run.progress) if source else None
        scene = _load(folder, request, source, mapped)
        train, test = split_views(scene.views, request.test_views)
        run.progress("scene", 1.0, describe_scene(scene))
        placement = None
        if not scene.matched:
            scene, placement = place(scene, run.seed, run.progress)
            train, test = split_views(scene.views, request.test_views)
        splats = _reconstructed(scene, train, request, checkpoint, None, run)
        found = measure(splats, train, test, run.device, run.seed)
        doubts = doubt(found, len(train), placement)
        write_ply(splats, out)
    return len(splats), found.psnr_held_out, (*scene.warnings, *([doubts] if doubts else []))


def _check_unposed(source: Unposed, out: Path, request: JobRequest) -> None:
    """Check early what would otherwise fail after the poses are computed."""
    check_place(source, out)
    if request.splats is not None:
        raise BadArgument(
            f"{source.root} has no cameras, but --splats must be in the frame of the cameras.",
            "Give the folder with the cameras of the Gaussians, or run backend objects on that file.",
        )
    refusal = source.refusal()
    if refusal is not None:
        raise refusal
    if request.masks is not None:
        given_masks(source, Path(request.masks))
    elif not source.masked and request.needs_masks:
        raise without_masks(source)
    if request.masks_from != "geometry":
        check_masks_of(source, None if request.masks is None else Path(request.masks), _mask_ids(request))


def _mask_ids(request: JobRequest) -> MaskIds:
    return MaskIds(tuple(request.background_ids), tuple(request.void_ids))


def _poses_place(source: Unposed, out: Path, seed: int) -> Path:
    """Return the folder of the poses: an earlier result of the same photographs, else next to ``out``."""
    return out / POSES if is_current(source, out / POSES, seed) else _poses_while_working(out)


def _folder_of(scene: Path) -> Path:
    return scene if scene.is_dir() else scene.parent


def _poses_while_working(out: Path) -> Path:
    return out.with_name(f".{out.name}.{POSES}")


def _masks_while_working(out: Path) -> Path:
    return out.with_name(f".{out.name}.{MASKS}")


def _mask_model(request: JobRequest, scene: Scene) -> Weights | None:
    """Return the model to make masks with; None if there are masks, none are wanted, or no model is installed."""
    if request.masks_from == "geometry" or request.masks is not None:
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
    folder: Path,
    scene: Scene,
    weights: Weights,
    source: Unposed | None,
    mapped: Workspace | None,
    out: Path,
    request: JobRequest,
    run: Run,
) -> Scene:
    """Return the scene with masks of the training views, made by a model."""
    train, _ = split_views(scene.views, request.test_views)
    working = _masks_while_working(out)
    continue_in(working, out / MASKS, maker_of(weights))
    made = make_masks(train, working, weights, device=run.device, progress=run.progress)
    masked = _load(folder, replace_option(request, masks=str(working)), source, mapped)
    told = (
        f"Masks of {made.photographs} of {len(scene.views)} photographs were made by the model "
        f"{describe(weights.name, weights.bytes, weights.licence)}."
    )
    return replace(masked, warnings=(*scene.warnings, told, *made.warnings))


def _load(folder: Path, request: JobRequest, source: Unposed | None, mapped: Workspace | None) -> Scene:
    """Return the scene, from the workspace if poses were computed."""
    masks = None if request.masks is None else Path(request.masks)
    ids = _mask_ids(request)
    if source is None or mapped is None:
        return load_scene(folder, masks, ids)
    scene = load_scene(mapped.folder, masks or (source.mask_files if source.entries else source.masks), ids)
    said = dict.fromkeys((*source.warnings, *mapped.warnings, *scene.warnings))
    return replace(scene, warnings=tuple(said))


def _mask_scale(train: Sequence[View]) -> float | None:
    """Return mask pixels per photograph pixel of a training view (held-out masks are not read); None without any."""
    for view in train:
        mask = read_mask(view)
        if mask is not None:
            return mask.shape[1] / view.camera.width
    return None


def _are_layered(train: Sequence[View], level: str, root: Path) -> bool:
    """Return whether masks of a view overlap or have scores.

    Raises:
        BadArgument: if they do not, but parts were requested.
    """
    layered = is_layered(train)
    if level == "part" and not layered:
        raise BadArgument(
            f"The masks of {root} do not overlap, so there are no parts.",
            "Remove --level, or give masks of objects and of their parts.",
        )
    return layered


def _without_masks(scene: Scene) -> Scene:
    return replace(scene, views=tuple(replace(view, mask_path=None, mask_parts=()) for view in scene.views))


def _gaussians(
    capture: Capture, request: JobRequest, checkpoint: Path | None, curve: Curve, run: Run
) -> tuple[Splats, tuple[str, ...]]:
    """Return the Gaussians, read or reconstructed, and warnings about a splat file."""
    if request.splats is None:
        return _reconstructed(capture.scene, capture.train, request, checkpoint, curve, run), ()
    path = Path(request.splats)
    splats, warnings = read_splats_and_warnings(path)
    splats, moved = in_frame_of(capture.scene.root, capture.train, splats.without_columns(), path, run.device)
    return splats, (*warnings, *moved)


def _reconstructed(
    scene: Scene,
    train: Sequence[View],
    request: JobRequest,
    checkpoint: Path | None,
    curve: Curve | None,
    run: Run,
) -> Splats:
    return reconstruct(
        scene,
        train,
        device=run.device,
        steps=_steps(request, train, run.device),
        seed=run.seed,
        checkpoint=checkpoint,
        progress=run.progress,
        settings=_settings(request, train, run.device),
        pictures=run.pictures,
        course=curve,
        gpus=request.gpus,
    )


def _settings(request: JobRequest, train: Sequence[View], device: str) -> dict[str, float]:
    """Return the settings of a reconstruction; a mask_weight of 1 keeps masks from steering its growth."""
    settings: dict[str, float] = {**QUALITIES[request.quality].settings(device, _longest(train))}
    if request.long_side is not None:
        settings["long_side"] = request.long_side
    if request.max_gaussians is not None:
        settings["cap"] = request.max_gaussians
    if not request.steer:
        settings["mask_weight"] = 1.0
    return settings


def _steps(request: JobRequest, train: Sequence[View], device: str) -> int:
    if request.steps is not None:
        return request.steps
    return QUALITIES[request.quality].step_count(device, _longest(train))


def _longest(views: Sequence[View]) -> int:
    return max((max(view.camera.width, view.camera.height) for view in views), default=1)


def _lift(capture: Capture, splats: Splats, request: JobRequest, run: Run) -> tuple[Lift, Choice | None]:
    """Return the labels, and the selected masks if masks overlap."""
    device, seed, progress = run.device, run.seed, run.progress
    points = capture.scene.points
    if capture.by_geometry:
        return label(splats, capture.train, points=points, device=device, seed=seed, progress=progress), None
    choice = None
    if capture.layered:
        choice = choose(
            splats, capture.train, level=request.level, points=points, device=device, seed=seed, progress=progress
        )
    lifted = lift(
        splats,
        choice.views if choice else capture.train,
        method=request.method,
        device=run.device,
        seed=run.seed,
        settings=request.settings,
        progress=run.progress,
        watch=_watch(splats, (capture.test or capture.train)[0].camera, run),
        keep_evidence=True,
    )
    return lifted, choice


def _refines(request: JobRequest, by_geometry: bool) -> bool:
    """Return whether to refine the edges of Gaussians; by default not for given Gaussians, which the user made."""
    if request.refine is not None:
        return request.refine
    return request.splats is None and request.quality != "draft" and not by_geometry


def _watch(splats: Splats, camera: Camera, run: Run) -> Watch:
    """Return a callback that shows an embedding in training from one view."""
    renderer: Renderer | None = None

    def watch(embedding: Callable[[], NDArray[np.float32]]) -> None:
        nonlocal renderer
        if run.pictures.due:
            renderer = renderer or Renderer(splats, run.device)
            values = embedding()
            if len(values) == len(splats):  # Gaussians with a non-finite value are not trained
                run.pictures.embedding(renderer, camera, values)

    return watch


def _label_maps(capture: Capture, splats: Splats, lifted: Lift, run: Run) -> dict[str, NDArray[np.int32]]:
    """Return label maps of the test views, or else of the training views, (H, W) int32 at the size of the masks."""
    views = capture.test or capture.train
    renderer = Renderer(splats, run.device)
    maps: dict[str, NDArray[np.int32]] = {}
    for done, view in enumerate(views):
        run.progress("objects", 0.5 * done / len(views), "label maps")
        maps[view.name] = photograph_label_map(renderer, lifted.labels, view.lens, capture.mask_camera(view))
        # The first one at once: without reconstruction and training there is no earlier preview.
        shows = run.pictures.due or (done == 0 and run.pictures.wanted)
        if shows and (drawing := paint(maps[view.name])) is not None:
            run.pictures.drawing(drawing)
    return maps


def _write_cameras(folder: Path, capture: Capture) -> None:
    scene, mapped = capture.scene, capture.mapped
    cameras = {view.name: capture.mask_camera(view) for view in scene.views}
    lenses = {view.name: view.lens for view in scene.views}
    if mapped is not None:
        names = {view.name: view.image_path.relative_to(mapped.folder / "images").as_posix() for view in scene.views}
        origins = {view: mapped.origins[name] for view, name in names.items()}
        kept = {view: origin for view, origin in origins.items() if origin is not None}
        result.write_cameras(folder, cameras, kept, lenses)
        return
    below = [view for view in scene.views if view.image_path.is_relative_to(scene.root)]
    photographs = {view.name: view.image_path.relative_to(scene.root).as_posix() for view in below}
    result.write_cameras(folder, cameras, photographs, lenses)


def _gallery(
    folder: Path,
    curve: Curve,
    splats: Splats,
    lifted: Lift,
    test: Sequence[View],
    up: tuple[float, float, float],
    run: Run,
) -> None:
    folder.mkdir()
    if len(curve.steps) > 1:
        draw_curve(curve, folder / "training.png")
    if test:
        held_out_page(Renderer(splats, run.device), test).save(folder / "held_out.png")
    if len(splats):
        frames = turntable(splats, lifted.labels, up, device=run.device, progress=run.progress)
        write_gif(frames, folder / TURNTABLE)


def _overview(views: Sequence[View], maps: dict[str, NDArray[np.int32]]):
    chosen = evenly_spread(views, OVERVIEW_ROWS)
    return overview([Row(view.name, read_image(view), read_mask(view), maps[view.name]) for view in chosen])


def _report(
    capture: Capture,
    request: JobRequest,
    found: Computed,
    warnings: Sequence[str],
    run: Run,
) -> dict:
    clock, mapped, weights = run.clock, capture.mapped, capture.weights
    lifted, psnr = found.lifted, found.quality.psnr_held_out
    seconds = {stage: round(value, 2) for stage, value in clock.seconds.items()}
    seconds["gaussians_to_labels"] = round(clock.seconds["lift"] + clock.seconds["labels"], 2)
    seconds["total"] = round(clock.total(), 2)
    return {
        "format": FORMAT,
        "scene": capture.title,
        "layout": capture.scene.layout,
        # The location of the scene may be private to the server.
        "warnings": [from_inside(sentence, capture.scene.root) for sentence in warnings],
        "seconds": seconds,
        "peak_memory_mib": {
            "host": peak_host_mib(),
            "device": round(torch.cuda.max_memory_allocated() / 2**20) if run.device == "cuda" else 0,
        },
        "gaussians": len(found.splats),
        "views": {"train": len(capture.train), "test": len(capture.test)},
        "objects": int(lifted.labels.max(initial=0)),
        "psnr_held_out": None if psnr is None else round(psnr, 2),
        "solidity": found.quality.as_dict(),
        "poses": capture.placement and capture.placement.as_dict(),
        "device": torch.cuda.get_device_name() if run.device == "cuda" else "cpu",
        "method": lifted.method,
        "refined": "refine" in clock.seconds,
        "steered": request.steer and request.splats is None and lifted.method != "geometry",
        "settings": lifted.settings,
        "seed": request.seed,
        "test_views": request.test_views,
        "steps": request.steps,
        "quality": request.quality,
        "splats": Path(request.splats).name if request.splats else None,
        "options": {name: _shown(name, value) for name, value in given(request).items()},
        "versions": {name: version(name) for name in ("splatlift", "torch", "numpy", "numba")},
        "masks": weights and {"model": weights.name, "licence": weights.licence, "bytes": weights.bytes},
        "mapped": mapped and {"given": mapped.given, "placed": len(mapped.origins)},
        "levels": found.choice and found.choice.as_dict(),
    }


def _shown(option: str, value: object) -> object:
    """Return an option for the report: for a path only its name, because the location may be private to the server."""
    return Path(str(value)).name if option in ("splats", "masks") else value
