"""Contributions and votes against the dense matrix of weights."""

from __future__ import annotations

import numba
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.render import Renderer, cuda, device_of, reference, sh_colours
from backend.scene.types import Camera
from protocol.errors import BadArgument, Unavailable
from protocol.splats import Splats
from tests.backend.render import scenes


def _dense(splats: Splats, camera: Camera) -> np.ndarray:
    return reference.weights(*scenes.plain(splats, torch.float64), camera)[0].numpy()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("k", [1, 4, 60])
def test_contributions_are_the_largest_of_the_dense_matrix(seed, k):
    splats, camera, _ = scenes.scene(seed)
    W = _dense(splats, camera)
    chosen = np.random.default_rng(seed).integers(0, camera.width * camera.height, 40)
    for pixels in (None, chosen):
        got = Renderer(splats, "cpu").contributions(camera, pixels, k)
        expected = np.arange(camera.width * camera.height) if pixels is None else pixels
        np.testing.assert_array_equal(got.pixels, expected)
        rows = W[got.pixels]
        strongest = np.zeros(got.weights.shape)
        strongest[:, : min(k, rows.shape[1])] = -np.sort(-rows, axis=1)[:, :k]
        np.testing.assert_allclose(got.weights, strongest, atol=1e-4)
        # The ids belong to the weights, and none is named twice.
        np.testing.assert_allclose(np.take_along_axis(rows, got.ids, 1) * (got.weights > 0), got.weights, atol=1e-4)
        assert (got.ids[got.weights == 0] == 0).all()
        for ids, weights in zip(got.ids, got.weights, strict=True):
            named = ids[weights > 0]
            assert len(set(named.tolist())) == len(named)


def test_contributions_times_features_is_the_rendered_image():
    splats, camera, _ = scenes.scene(14)
    renderer = Renderer(splats, "cpu")
    features = np.random.default_rng(0).normal(size=(len(splats), 7)).astype(np.float32)
    all_of_them = renderer.contributions(camera, None, len(splats))
    blended = (features[all_of_them.ids] * all_of_them.weights[..., None]).sum(1)
    np.testing.assert_allclose(renderer.image(camera, features).reshape(-1, 7), blended, atol=1e-5)


def test_pixels_may_repeat_and_come_in_any_order():
    splats, camera, _ = scenes.scene(14)
    renderer = Renderer(splats, "cpu")
    everything = renderer.contributions(camera, None, 5)
    pixels = np.array([700, 3, 3, 12, 700, 0])
    some = renderer.contributions(camera, pixels, 5)
    np.testing.assert_array_equal(some.ids, everything.ids[pixels])
    np.testing.assert_array_equal(some.weights, everything.weights[pixels])
    none = renderer.contributions(camera, np.array([], np.int64), 5)
    assert none.ids.shape == (0, 5)


def test_the_image_of_splats_is_their_colour_blended():
    camera = scenes.camera(5, 40, 30)
    splats = scenes.gaussians(5, 60, camera, 16)
    colours = sh_colours(torch.tensor(splats.sh), torch.tensor(splats.means), camera).numpy()
    expected = (_dense(splats, camera) @ colours).reshape(30, 40, 3)
    np.testing.assert_allclose(Renderer(splats, "cpu").image(camera), expected, atol=1e-4)


def _brute_votes(W: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, ...]:
    ids = np.unique(mask)
    on = np.stack([W[mask.reshape(-1) == i].sum(0) for i in ids], 1)
    label = np.where(on.sum(1) > 0, ids[on.argmax(1)], -1)
    zero = on[:, ids == 0].sum(1)
    return label, on.max(1), on.sum(1), zero


@pytest.mark.parametrize("seed", range(12))
def test_votes_are_those_of_the_dense_matrix(seed):
    splats, camera, _ = scenes.scene(seed)
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 9, (camera.height // 6 + 1, camera.width // 5 + 1)) * 37
    mask = np.kron(coarse, np.ones((6, 5), int))[: camera.height, : camera.width].astype(np.int32)
    mask[mask == 74] = -1  # void
    got = Renderer(splats, "cpu").votes(camera, mask)
    label, own, total, zero = _brute_votes(_dense(splats, camera), mask)
    np.testing.assert_allclose(got.own, own, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(got.total, total, rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(got.zero, zero, rtol=1e-4, atol=1e-3)
    np.testing.assert_array_equal(got.label, label)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.sampled_from([2, 500, 2**22 + 5, 2**31]))
def test_any_ids_may_stand_in_a_mask(seed, largest):
    splats, camera, _ = scenes.scene(8)
    rng = np.random.default_rng(seed)
    low = -largest if largest == 2**31 else 0
    mask = rng.integers(low, largest, (camera.height, camera.width)).astype(np.int32)
    got = Renderer(splats, "cpu").votes(camera, mask)
    _, own, total, zero = _brute_votes(_dense(splats, camera), mask)
    np.testing.assert_allclose(got.own, own, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(got.total, total, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(got.zero, zero, rtol=1e-3, atol=1e-3)


def test_votes_do_not_depend_on_the_number_of_threads():
    camera = scenes.camera(1, 90, 70)
    splats = scenes.gaussians(1, 400, camera)
    mask = np.random.default_rng(1).integers(0, 4, (70, 90)).astype(np.int32)
    before = numba.get_num_threads()
    results = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        results.append(
            (
                *Renderer(splats, "cpu").votes(camera, mask),
                *vars(Renderer(splats, "cpu").contributions(camera)).values(),
            )
        )
    numba.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


def test_no_gaussians():
    camera = scenes.camera(0, 20, 10)
    renderer = Renderer(scenes.gaussians(0, 0, camera), "cpu")
    assert renderer.image(camera).shape == (10, 20, 3)
    assert renderer.contributions(camera, None, 3).weights.sum() == 0
    assert renderer.votes(camera, np.zeros((10, 20), np.int32)).label.shape == (0,)


def test_unknown_devices_and_wrong_sizes_are_refused():
    splats, camera, _ = scenes.scene(1)
    with pytest.raises(BadArgument, match="'tpu'"):
        device_of("tpu")
    assert device_of("cpu") == "cpu"
    renderer = Renderer(splats, "cpu")
    with pytest.raises(ValueError, match="mask"):
        renderer.votes(camera, np.zeros((3, 3), np.int32))
    with pytest.raises(ValueError, match="pixel"):
        renderer.contributions(camera, np.array([camera.width * camera.height]))
    with pytest.raises(ValueError, match="k is 0"):
        renderer.contributions(camera, None, 0)
    with pytest.raises(ValueError, match="features"):
        renderer.image(camera, np.zeros((len(splats) + 1, 3), np.float32))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CUDA device is here")
def test_cuda_that_is_missing_is_said_not_replaced():
    with pytest.raises(Unavailable, match="CUDA cannot be used: torch"):
        device_of("cuda")
    assert device_of("auto") == "cpu"


def test_a_gpu_that_cannot_be_used_is_said_where_the_device_is_chosen(monkeypatch, caplog):
    monkeypatch.setattr(cuda, "missing", lambda: "gsplat's kernels: not compiled")
    assert device_of("auto") == "cpu"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    caplog.clear()
    assert device_of("auto") == "cpu"
    assert [record.getMessage() for record in caplog.records] == [
        "The GPU is not used: gsplat's kernels: not compiled."
    ]
