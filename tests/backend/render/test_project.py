"""Projection, conics, depths and colours against gsplat's own torch functions."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from gsplat.cuda._torch_impl import _fully_fused_projection, _quat_scale_to_covar_preci, _spherical_harmonics
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.render import Renderer, reference, sh_colours
from backend.render.blend import falloff
from backend.render.model import LOW_PASS, NEAR
from backend.render.project import CONIC_A, CONIC_C, U, V, project
from backend.render.projected import Pinhole
from backend.render.tiles import depth_order
from protocol.transform import transform
from tests.backend.render import scenes

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("seed", range(6))
def test_projection_is_gsplats(seed):
    camera = scenes.camera(seed, 64, 48)
    splats = scenes.gaussians(seed, 300, camera)
    pinhole = Pinhole.of(camera)
    footprints, boxes = np.empty((300, 8), np.float32), np.empty((300, 4), np.int32)
    depths = np.empty(300, np.float32)
    geometry = (splats.means, splats.quats, splats.scales, splats.opacities)
    project(0, len(geometry[0]), *geometry, pinhole.view, pinhole.lens, 64, 48, footprints, boxes, depths)

    covariances, _ = _quat_scale_to_covar_preci(
        torch.tensor(splats.quats, dtype=torch.float64), torch.tensor(splats.sizes, dtype=torch.float64), True, False
    )
    assert covariances is not None
    viewmats, Ks = torch.tensor(camera.viewmat)[None], torch.tensor(camera.K)[None]
    radii, means2d, z, conics, _ = _fully_fused_projection(
        torch.tensor(splats.means, dtype=torch.float64), covariances, viewmats, Ks, 64, 48,
        eps2d=LOW_PASS, near_plane=NEAR,
    )  # fmt: skip

    visible = (boxes[:, 0] <= boxes[:, 1]) & (boxes[:, 2] <= boxes[:, 3])
    assert visible.sum() > 50
    assert (radii[0].numpy()[visible] > 0).all()
    np.testing.assert_allclose(depths, z[0].numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(footprints[visible][:, [U, V]], means2d[0].numpy()[visible], rtol=1e-3, atol=1e-3)
    expected = conics[0].numpy()[visible]
    got = footprints[visible, CONIC_A : CONIC_C + 1]
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).mean())
    # What is not visible here adds to no pixel.
    W, _, _ = reference.weights(*scenes.plain(splats, torch.float64), camera)
    assert not (W.numpy()[:, ~visible] > 0).any()


@pytest.mark.parametrize("count", [1, 4, 9, 16])
def test_colours_are_gsplats(count):
    camera = scenes.camera(3, 20, 20)
    splats = scenes.gaussians(3, 200, camera, count)
    sh = torch.tensor(splats.sh, dtype=torch.float64, requires_grad=True)
    means = torch.tensor(splats.means, dtype=torch.float64, requires_grad=True)
    ours = sh_colours(sh, means, camera)
    degree = (1, 4, 9, 16).index(count)
    theirs = torch.clamp_min(_spherical_harmonics(degree, means - torch.tensor(camera.centre), sh) + 0.5, 0)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-6)
    wanted = [sh] if count == 1 else [sh, means]
    weights = torch.tensor(np.random.default_rng(0).normal(size=ours.shape))
    for one, other in zip(
        torch.autograd.grad((ours * weights).sum(), wanted),
        torch.autograd.grad((theirs * weights).sum(), wanted),
        strict=True,
    ):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_colours_of_degree_one_are_the_same_in_one_pass():
    camera = scenes.camera(3, 20, 20)
    splats = scenes.gaussians(3, 200, camera, 4)
    weights = torch.tensor(np.random.default_rng(0).normal(size=(200, 3)))
    results = []
    for dtype in (torch.float32, torch.float64):
        sh = (2 * torch.tensor(splats.sh, dtype=dtype)).requires_grad_()
        means = torch.tensor(splats.means, dtype=dtype, requires_grad=True)
        colours = sh_colours(sh, means, camera)
        results.append([colours, *torch.autograd.grad((colours * weights).sum(), [sh, means])])
    assert 0 < (results[0][0] == 0).sum() < results[0][0].numel()
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one.double(), other, atol=1e-5, rtol=1e-4)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.0078125, 1e6, width=32), max_size=200), st.integers(0, 2**31))
def test_depth_order_is_a_stable_sort_of_the_visible(values, seed):
    depths = np.array(values, np.float32)
    boxes = np.zeros((len(values), 4), np.int32)
    hidden = np.random.default_rng(seed).random(len(values)) < 0.3
    boxes[hidden, 1] = -1
    visible = np.flatnonzero(~hidden)
    expected = visible[np.argsort(depths[visible], kind="stable")]
    np.testing.assert_array_equal(depth_order(boxes, depths), expected)


def test_the_fast_exponential_is_exact_to_a_few_parts_in_a_million():
    x = np.linspace(-6.3, 0, 10001, dtype=np.float32)
    got = np.array([falloff(value) for value in x])
    np.testing.assert_allclose(got, np.exp(x.astype(np.float64)), rtol=5e-6)


PROJECT = """
import hashlib
import numpy as np
from backend.render.project import project, project_backward

rng = np.random.default_rng(0)
means, quats, scales, opacities, moments = (
    rng.normal(size=shape).astype(np.float32) for shape in ((500, 3), (500, 4), (500, 3), 500, (500, 6))
)
view, lens = np.eye(4)[:3].astype(np.float32), np.array([60, 60, 32, 32], np.float32)
view[2, 3] = 4
footprints, boxes, depths = np.zeros((500, 8), np.float32), np.zeros((500, 4), np.int32), np.zeros(500, np.float32)
project(0, 500, means, quats, scales - 3, opacities, view, lens, 64, 64, footprints, boxes, depths)
gradients = [np.zeros(shape, np.float32) for shape in ((500, 3), (500, 4), (500, 3), 500, (500, 2))]
project_backward(0, 500, means, quats, scales - 3, view, lens, 64, 64, footprints, boxes, moments, *gradients)
print(hashlib.sha256(b"".join(array.tobytes() for array in (footprints, boxes, depths, *gradients))).hexdigest())
"""


def test_a_process_that_compiles_computes_the_same_bits_as_one_that_loads_what_was_compiled(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    found = []
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", PROJECT], env=environment, check=True, capture_output=True, text=True, cwd=ROOT
        )
        found.append(done.stdout)
    assert any(tmp_path.rglob("*.nbc"))
    assert found[0] == found[1] != ""


def test_a_scene_in_kilometres_or_millimetres_looks_the_same():
    splats, camera, _ = scenes.scene(2)
    image = Renderer(splats, "cpu").image(camera)
    for scale in (1e-3, 1e3):
        viewmat = camera.viewmat.copy()
        viewmat[:3, 3] *= scale
        matrix = np.diag([scale, scale, scale, 1.0])
        scaled = Renderer(transform(splats, matrix), "cpu").image(dataclasses.replace(camera, viewmat=viewmat))
        # Beside rounding, only what is nearer than a hundredth of a unit differs.
        assert np.abs(scaled - image).mean() < 1e-4
