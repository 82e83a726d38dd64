"""Two processes against one that looks at two photographs a step: the same Gaussians to the last bit."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from backend.progress import Cancelled
from backend.reconstruct import parallel, reconstruct, train
from backend.reconstruct.losses import photometric_loss
from backend.reconstruct.optimiser import Adam
from backend.reconstruct.parallel import Peers, together
from backend.reconstruct.photographs import Photographs
from backend.reconstruct.schedule import Schedule
from backend.reconstruct.train import Training, column_rates
from backend.render import rasterize, sh_colours
from backend.scene.types import Scene
from protocol.errors import BadArgument, Unavailable
from tests.backend.reconstruct.test_train import scene as scene  # a fixture

SETTINGS = {"cap": 450, "grow_from": 10}
STEPS = 60


class Pair(Training):
    """Two photographs a step, in one process."""

    def __init__(self, adam: Adam, photos: Photographs, schedule: Schedule, seed: int, *_: object) -> None:
        super().__init__(adam, photos, schedule, seed)

    def advance(self):
        schedule, columns = self.schedule, self.adam.columns
        if len(self.queue) < 2:
            self.queue = torch.randperm(len(self.photos.full), generator=self.generator)
        numbers, self.queue = self.queue[-2:].tolist(), self.queue[:-2]
        visible = torch.zeros(len(self.adam), dtype=torch.bool)
        seen = []
        for number in reversed(numbers):
            photo = self.photos.take(number, schedule.small(self.step))
            sh = columns["sh"][:, : (schedule.degree(self.step) + 1) ** 2]
            colours = sh_colours(sh, columns["means"], photo.camera)
            means, quats, scales, opacities, _ = columns.values()
            rendered = rasterize(means, quats, scales, opacities, colours, photo.camera)
            image = self.exposures.apply(rendered.image, number)
            seen.append((number, image, photo))
            loss = photometric_loss(image, photo.image, schedule.ssim_weight)
            (loss + schedule.opacity_weight * columns["opacities"].sigmoid().mean()).backward()
            self.growth.observe(rendered, photo, schedule.mask_weight)
            visible |= rendered.visible
        for column in columns.values():
            assert column.grad is not None
            column.grad /= 2
        self.adam.step(column_rates(schedule, self.step), visible)
        self.expose(seen)
        self.step += 1
        self.choose_gaussians()
        _, image, photo = seen[-1]
        return photo, image


def test_two_processes_stopped_and_resumed_do_what_one_does_with_two_photographs(scene: Scene, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(train, "Training", Pair)
        patch.setattr(train, "together", lambda *_: nullcontext(Peers(0, 2)))
        one = reconstruct(scene, scene.views, steps=STEPS, settings=SETTINGS)
    monkeypatch.setattr(train, "REPORT_EVERY", 0.0)
    monkeypatch.setattr(train, "CHECKPOINT_EVERY", 0.0)

    def stop(stage: str, fraction: float, note: str = "") -> None:
        if fraction > 0.5:
            raise Cancelled

    # The processes meet in a file of the temporary folder, whose path may hold any character.
    temporary = tmp_path / "a folder, 100 % full"
    temporary.mkdir()
    monkeypatch.setattr(parallel.tempfile, "tempdir", str(temporary))
    path = tmp_path / "training.npz"
    with pytest.raises(Cancelled):
        reconstruct(scene, scene.views, steps=STEPS, settings=SETTINGS, gpus=2, checkpoint=path, progress=stop)
    two = reconstruct(scene, scene.views, steps=STEPS, settings=SETTINGS, gpus=2, checkpoint=path)
    assert len(one) > 112
    for name in ("means", "quats", "scales", "opacities", "sh"):
        assert np.array_equal(getattr(one, name), getattr(two, name))


def _ends(peers: Peers) -> None:
    os._exit(3)


def test_a_process_that_ends_early_is_a_reason():
    def wait() -> None:
        with together(2, "cpu", _ends, ()) as peers:
            assert peers is not None
            for _ in range(100):
                peers.check()
                time.sleep(0.1)

    with pytest.raises(Unavailable, match="another GPU"):
        wait()


def test_gpus_leave_together_before_one_waits_for_another(monkeypatch):
    """NCCL's destruction of a group is collective on a machine; played here, as two GPUs are wanted for it."""
    order = []

    class Process:
        exitcode = None

        def __init__(self, **_):
            pass

        def __getattr__(self, name):
            return lambda: order.append(name)

    monkeypatch.setattr(parallel.multiprocessing, "get_context", lambda way: SimpleNamespace(Process=Process))
    monkeypatch.setattr(parallel, "_join", lambda *_: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(parallel.distributed, "is_nccl_available", lambda: True)
    monkeypatch.setattr(parallel.distributed, "is_initialized", lambda: "leave" not in order)
    monkeypatch.setattr(parallel.distributed, "destroy_process_group", lambda: order.append("leave"))
    with together(2, "cuda", _ends, ()):
        order.append("work")
    assert order == ["start", "work", "leave", "join", "kill", "join"]


def test_what_cannot_be_joined_is_refused():
    with pytest.raises(BadArgument, match="number of GPUs is 0"), together(0, "cpu", _ends, ()):
        pass
    if torch.cuda.device_count() < 9:
        with pytest.raises(Unavailable, match="9 GPUs were requested"), together(9, "cuda", _ends, ()):
            pass
