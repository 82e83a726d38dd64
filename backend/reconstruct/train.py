"""The training loop: render, compare, step, densify. Shared by both engines; the device of the tensors selects one."""

from __future__ import annotations

import dataclasses
import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from backend.memory import gib
from backend.pictures import UNSEEN, Pictures
from backend.progress import Progress, Stopped, silent
from backend.reconstruct import checkpoint as checkpoints
from backend.reconstruct.densify import FEWEST as FEWEST_GAUSSIANS
from backend.reconstruct.densify import Growth, densify, finite
from backend.reconstruct.exposure import Exposures, logs_of
from backend.reconstruct.floaters import light_in_front
from backend.reconstruct.frame import check_precision, training_origin
from backend.reconstruct.initial import FEWEST, gaussians_at, initial_points, viewing_distance
from backend.reconstruct.losses import photometric_loss, psnr
from backend.reconstruct.memory_estimate import DISK, estimate_memory, place_photographs
from backend.reconstruct.optimiser import Adam, Columns
from backend.reconstruct.parallel import Peers, together
from backend.reconstruct.photo_cache import large_folder
from backend.reconstruct.photographs import AHEAD, Photograph, Photographs, load_photographs
from backend.reconstruct.schedule import LONG_SIDE, Schedule, default_cap
from backend.reconstruct.transparent import as_compared
from backend.render import device_of, rasterize, sh_colours
from backend.scene.types import Scene, View
from protocol.errors import BadArgument, BadScene
from protocol.splats import Splats

log = logging.getLogger(__name__)

Course = Callable[[int, float, int], object]
"""Called with a step's number, the PSNR of its photographs in dB, and the number of Gaussians."""

REPORT_EVERY = 0.2
"""Seconds between two progress reports."""

CHECKPOINT_EVERY = 20.0
"""Seconds between two checkpoints. A killed run loses at most this time; writing takes a tenth of a second."""

START_SHARE = 4
"""Training starts with at most the cap divided by this, and grows to the cap where Gaussians are needed."""


@dataclasses.dataclass(frozen=True)
class Plan:
    """The input of a reconstruction, the same in all its processes.

    Attributes:
        scene: the capture.
        views: the training views, at least one.
        device: "auto", "cpu" or "cuda".
        steps: training steps; None for the default of :mod:`backend.reconstruct.schedule`.
        seed: 0 or more.
        checkpoint: a file that is written regularly and that a later run resumes from; None for no checkpoints.
        settings: fields of :class:`~backend.reconstruct.schedule.Schedule` to override, ``long_side``, and
            ``pixels_per_gaussian``.
    """

    scene: Scene
    views: Sequence[View]
    device: str = "cpu"
    steps: int | None = None
    seed: int = 0
    checkpoint: Path | None = None
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def reconstruct(
    scene: Scene,
    train_views: Sequence[View],
    *,
    device: str = "cpu",
    steps: int | None = None,
    seed: int = 0,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    settings: Mapping[str, Any] | None = None,
    pictures: Pictures = UNSEEN,
    course: Course | None = None,
    gpus: int = 1,
) -> Splats:
    """Train Gaussians that reproduce the photographs of ``train_views``.

    Only images and masks of ``train_views`` are read; from ``scene`` the sparse points are used. All random choices
    depend on ``seed``: on the CPU the same call gives the same Gaussians, interrupted or not.

    Args:
        scene: the capture.
        train_views: at least one of its views; sizes may differ, masks may be missing.
        device: "auto", "cpu" or "cuda".
        steps: training steps; None for the default of :mod:`backend.reconstruct.schedule`.
        seed: 0 or more.
        checkpoint: a file that is written every 20 s and at the end, and that a later call with the same scene and
            settings resumes from. A checkpoint of another scene or settings is ignored with a log warning.
        progress: called several times per second; its exceptions propagate, and the last checkpoint stays.
        settings: fields of :class:`~backend.reconstruct.schedule.Schedule` to override, and ``long_side``.
        pictures: receives rendered images from time to time.
        course: called several times per second.
        gpus: number of GPUs, each with its own photograph per step; the steps become fewer and larger. On the CPU, the
            number of processes.

    Returns:
        The Gaussians in the frame of the capture, every value finite.

    Raises:
        BadScene: if there is no training view, or the capture is too far from its origin for float32.
        BadArgument: if a setting is out of range.
        Unavailable: if ``device`` is "cuda" and not available, or there is not enough memory.
        Fault: as raised by the readers of the scene.
    """
    plan = Plan(scene, train_views, device_of(device), steps, seed, checkpoint, settings or {})
    with together(gpus, plan.device, _follow, (plan,)) as peers:
        training, mark = prepare(plan, progress, peers)
        train(training, mark, checkpoint, progress, pictures, course)
    return training.splats()


def _follow(peers: Peers, plan: Plan) -> None:
    """Take part in a reconstruction led by another process."""
    training, mark = prepare(plan, peers=peers)
    train(training, mark, plan.checkpoint)


def prepare(plan: Plan, progress: Progress = silent, peers: Peers | None = None) -> tuple[Training, str]:
    """Read the photographs and create the first Gaussians, for :func:`train`.

    Args:
        plan: the input.
        progress: as in :func:`reconstruct`.
        peers: the processes that train together with this one.

    Returns:
        The training before its first step, and the fingerprint of the run, which identifies its checkpoints.

    Raises: as :func:`reconstruct`.
    """
    scene, train_views, seed, checkpoint = plan.scene, plan.views, plan.seed, plan.checkpoint
    engine = device = device_of(plan.device)
    if not train_views:
        raise BadScene(f"{scene.root} has no view left for training.", "Hold out fewer views.")
    changes = dict(plan.settings)
    long_side = int(changes.pop("long_side", LONG_SIDE[engine]))
    each = changes.pop("pixels_per_gaussian", None)
    if long_side < 1:
        raise BadArgument(f"The longest side of a training image is {long_side}.", "Give 1 or more.")

    # The folder of the checkpoint is a suitable place for large files of this scene.
    folder = large_folder() if checkpoint is None else checkpoint.parent
    folder.mkdir(parents=True, exist_ok=True)
    wants = estimate_memory(train_views, long_side, engine, changes.get("cap"), changes.get("sh_degree"), each)
    origin = training_origin(train_views)
    if origin.any():
        train_views = [dataclasses.replace(view, camera=view.camera.moved(-origin)) for view in train_views]
    count = 1 if peers is None else peers.count
    home = place_photographs(wants, device, folder, swept=len(scene.points) < FEWEST, copies=count)
    shelved = folder if home == DISK else None
    if shelved is not None:
        log.warning("The photographs do not fit in memory; they are cached in %s, %s.", folder, gib(wants.photographs))
    photos = load_photographs(
        train_views,
        long_side=long_side,
        device=home,
        folder=shelved,
        progress=progress,
    )
    cap = int(changes.get("cap", default_cap(photos.pixels, engine, each)))
    sparse = (scene.points - origin).astype(np.float32)
    points = initial_points(sparse, scene.colours, photos.half, max(1, cap // START_SHARE), seed, progress)
    # The start may use all sparse points, even if they exceed the cap.
    changes.setdefault("cap", max(cap, len(points[0])))
    cameras = [photo.camera for photo in photos.full]
    distance = viewing_distance(points[0], cameras)
    check_precision(scene, origin, distance, cameras)
    schedule = Schedule.for_scene(
        distance,
        photos.pixels,
        len(points[0]),
        engine=engine,
        steps=plan.steps,
        views=count,
        estimated=scene.matched or scene.inexact,
        **changes,
    )
    columns = gaussians_at(points, distance, schedule.sh_degree, device)
    told = {"seed": seed, "long_side": long_side, "engine": engine, "processes": count}
    training = Training(Adam(columns), photos, schedule, seed, peers, origin)
    mark = checkpoints.fingerprint(train_views, dataclasses.asdict(schedule) | told)
    return training, mark


def train(
    training: Training,
    mark: str,
    checkpoint: Path | None = None,
    progress: Progress = silent,
    pictures: Pictures = UNSEEN,
    course: Course | None = None,
) -> None:
    """Run the steps of a training, resuming from its checkpoint if there is one.

    Args: as in :func:`reconstruct`; ``mark`` is the fingerprint of the run.
    """
    if checkpoint is not None:
        training.restore(checkpoint, mark)
    if training.peers is not None and training.peers.rank > 0:
        checkpoint = None  # process 0 writes it
    saver = checkpoints.Saver(checkpoint, mark)
    steps = training.schedule.steps
    reported = time.monotonic()
    quality = None
    while training.step < steps:
        photo, image = training.advance()
        now = time.monotonic()
        if now - reported > REPORT_EVERY:
            # A running mean over many photographs, because a single one depends on its content.
            quality = psnr(image, photo.image) if quality is None else 0.9 * quality + 0.1 * psnr(image, photo.image)
            try:
                progress("reconstruct", training.step / steps, f"{len(training.adam):,} Gaussians, {quality:.1f} dB")
            except Stopped:
                saver.save(training.arrays)
                raise
            if course is not None:
                course(training.step, quality, len(training.adam))
            reported = now
            if pictures.due:
                pictures.image(image.detach().cpu().numpy())
        if saver.due(CHECKPOINT_EVERY):
            saver.save(training.arrays)
    saver.save(training.arrays)
    progress("reconstruct", 1.0, f"{len(training.adam):,} Gaussians")


class Training:
    """The state of a running reconstruction.

    Attributes:
        adam: the Gaussians as columns means, quats, scales, opacities, sh (stored values, as in Splats).
        step: number of completed steps.
        peers: the processes that train together with this one; None if it is alone.
        origin: (3,) float64, origin of the Gaussians and of the cameras of ``photos``, in the frame of the capture.
    """

    def __init__(
        self,
        adam: Adam,
        photos: Photographs,
        schedule: Schedule,
        seed: int,
        peers: Peers | None = None,
        origin: NDArray[np.float64] | None = None,
    ) -> None:
        self.origin = np.zeros(3) if origin is None else origin
        self.adam = adam
        self.peers = peers
        self.photos = photos
        self.schedule = schedule
        self.step = 0
        self.device = adam.columns["means"].device
        self.generator = torch.Generator().manual_seed(seed)
        self.growth = Growth(len(adam), self.device)
        self.queue = torch.empty(0, dtype=torch.int64)
        self.exposures = Exposures(len(photos.full), self.device)
        centres = np.array([photo.camera.centre for photo in photos.full], np.float32)
        self.centres = torch.from_numpy(centres).to(self.device)

    def advance(self) -> tuple[Photograph, torch.Tensor]:
        """Run one step; return its photograph and the image (H, W, 3) float32 that was rendered before the update.

        If the photograph has transparent pixels, both are as :func:`as_compared` returns them.
        """
        schedule, columns = self.schedule, self.adam.columns
        number, photo = self._next_photograph()
        degree = schedule.degree(self.step)
        sh = columns["sh"] if schedule.sh_degree == degree else columns["sh"][:, : (degree + 1) ** 2]
        rendered = rasterize(
            columns["means"],
            columns["quats"],
            columns["scales"],
            columns["opacities"],
            sh_colours(sh, columns["means"], photo.camera),
            photo.camera,
            absgrad=schedule.absgrad,
        )
        image = self.exposures.apply(rendered.image, number)
        image, photo = as_compared(image, rendered.alpha, photo, self.step)
        self.loss(image, photo, number).backward()
        visible = rendered.visible
        if self.peers is None:
            self.growth.observe(rendered, photo, schedule.mask_weight)
        else:
            visible = self.peers.share(columns, self.growth, rendered, photo, schedule.mask_weight)
        self.adam.step(self.rates(), visible)
        self.expose([(number, image, photo)])
        self.step += 1
        self.choose_gaussians()
        return photo, image

    def loss(self, image: torch.Tensor, photo: Photograph, number: int) -> torch.Tensor:
        """Return the loss of photograph ``number``, rendered as ``image`` (H, W, 3) float32."""
        loss = photometric_loss(image, photo.image, self.schedule.ssim_weight)
        if self.schedule.opacity_weight:
            loss = loss + self.schedule.opacity_weight * self.adam.columns["opacities"].sigmoid().mean()
        return loss

    def rates(self) -> dict[str, float | torch.Tensor]:
        """Return the step size of each column at this step, as :func:`column_rates` does."""
        return column_rates(self.schedule, self.step)

    def expose(self, seen: Iterable[tuple[int, torch.Tensor, Photograph]]) -> None:
        """Update the exposures of photographs: number, rendered image (H, W, 3) float32, and photograph of each."""
        if not self.schedule.exposure_rate or self.step < self.schedule.exposure_from:
            return
        errors = torch.zeros_like(self.exposures.logs)
        for number, image, photo in seen:
            now = self.exposures.logs[number]
            errors[number] += self.schedule.exposure_share * (now + logs_of(image, photo.image)) - now
        self.exposures.move(self.schedule.exposure_rate * (errors if self.peers is None else self.peers.add(errors)))

    def choose_gaussians(self) -> None:
        """Add and remove Gaussians if the schedule says so for this step."""
        if self.schedule.densifies(self.step):
            self.growth = densify(self.adam, self.growth, self.schedule, self.step, self.centres, self.generator)
        if self.schedule.removes_floaters(self.step):
            self._remove_floaters()

    def _remove_floaters(self) -> None:
        cameras = [photo.camera for photo in self.photos.half]
        schedule, device = self.schedule, str(self.device.type)
        novel = schedule.floater_share_novel < 1
        in_front = light_in_front(
            _as_splats(self.adam.columns), cameras, schedule.floater_margin, device, self.step, novel
        )
        floats = (in_front.photographs > schedule.floater_share) | (in_front.novel > schedule.floater_share_novel)
        keep = torch.from_numpy(~floats).to(self.device)
        if int(keep.sum()) >= FEWEST_GAUSSIANS:
            self.adam.rearrange(keep, {name: column[:0].detach() for name, column in self.adam.columns.items()})
            # Every check follows a densification, so the score is empty.
            self.growth = Growth(len(self.adam), self.device)

    def splats(self) -> Splats:
        """Return the Gaussians; non-finite ones are dropped with a log warning."""
        good = finite(self.adam.columns)
        if not good.all():
            log.warning("Dropped %d Gaussians with values that are not finite.", int((~good).sum()))
        splats = _as_splats({name: column[good] for name, column in self.adam.columns.items()})
        if self.origin.any():
            splats = dataclasses.replace(splats, means=(splats.means + self.origin).astype(np.float32))
        return splats

    def arrays(self) -> checkpoints.Arrays:
        """Return all state for :meth:`restore`, as plain arrays."""
        tensors = {f"column.{name}": column.detach() for name, column in self.adam.columns.items()}
        tensors |= {f"first.{name}": moment for name, moment in self.adam.first.items()}
        tensors |= {f"second.{name}": moment for name, moment in self.adam.second.items()}
        tensors |= {"score": self.growth.score, "seen": self.growth.seen, "queue": self.queue}
        tensors |= {"generator": self.generator.get_state(), "exposures": self.exposures.logs}
        steps = np.array([self.step, self.adam.steps])
        return {name: tensor.cpu().numpy() for name, tensor in tensors.items()} | {"steps": steps}

    def restore(self, path: Path, mark: str) -> bool:
        """Resume from the checkpoint at ``path`` if it exists and belongs to this run; return whether it was used."""
        arrays = checkpoints.load(path, mark)
        if arrays is None:
            return False
        if not self._fits(arrays):
            log.warning("The checkpoint %s is incomplete; training starts from the beginning.", path)
            return False
        tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
        names = list(self.adam.columns)
        self.adam = Adam({name: tensors[f"column.{name}"].to(self.device) for name in names})
        self.adam.first = {name: tensors[f"first.{name}"].to(self.device) for name in names}
        self.adam.second = {name: tensors[f"second.{name}"].to(self.device) for name in names}
        self.step, self.adam.steps = (int(value) for value in arrays["steps"])
        self.growth = Growth(len(self.adam), self.device)
        self.growth.score, self.growth.seen = tensors["score"].to(self.device), tensors["seen"].to(self.device)
        self.queue = tensors["queue"]
        self.exposures.logs = tensors["exposures"].to(self.device)
        self.generator.set_state(tensors["generator"])
        return True

    def _fits(self, arrays: checkpoints.Arrays) -> bool:
        present = self.arrays()
        if arrays.keys() != present.keys():
            return False
        count = len(arrays["score"])
        for name, array in present.items():
            rows = len(arrays["queue"]) if name == "queue" else len(array)
            if name in ("score", "seen") or name.startswith(("column.", "first.", "second.")):
                rows = count
            if arrays[name].dtype != array.dtype or arrays[name].shape != (rows, *array.shape[1:]):
                return False
        queue = arrays["queue"]
        return bool((queue >= 0).all() and (queue < len(self.photos.full)).all() and arrays["steps"].min() >= 0)

    def _next_photograph(self) -> tuple[int, Photograph]:
        rank, count = (0, 1) if self.peers is None else (self.peers.rank, self.peers.count)
        if len(self.queue) < count:
            self.queue = torch.randperm(len(self.photos.full), generator=self.generator)
        # With fewer photographs than processes, some processes use the same one.
        number, self.queue = int(self.queue[-1 - rank % len(self.queue)]), self.queue[:-count]
        soon = self.queue[-AHEAD:].tolist()
        return number, self.photos.take(number, self.schedule.small(self.step), soon).on(self.device)


def _as_splats(columns: Columns) -> Splats:
    arrays = {name: column.detach().cpu().numpy() for name, column in columns.items()}
    return Splats(arrays["means"], arrays["quats"], arrays["scales"], arrays["opacities"], arrays["sh"])


def column_rates(schedule: Schedule, step: int) -> dict[str, float | torch.Tensor]:
    """Return the step size of each column at a step, per value of a row if they differ."""
    rates: dict[str, float | torch.Tensor] = dict(schedule.rates(step))
    if schedule.sh_degree:
        # View-dependent coefficients have a twentieth of the rate, as in 3DGS.
        values = torch.full(((schedule.sh_degree + 1) ** 2, 3), 1 / 20)
        values[0] = 1
        rates["sh"] = schedule.rates(step)["sh"] * values.flatten()
    return rates
