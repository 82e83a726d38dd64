from __future__ import annotations

import dataclasses

import pytest
import torch

from backend.reconstruct import densify as densifying
from backend.reconstruct.densify import Growth, densify, finite, nearest_camera
from backend.reconstruct.optimiser import Adam
from backend.reconstruct.photographs import Photograph
from backend.reconstruct.schedule import Schedule
from backend.render import Rendered
from tests.backend.reconstruct.cameras import ring

N = 200
AWAY = torch.tensor([[50.0, 0.0, 0.0]])  # a camera near no Gaussian


@pytest.fixture
def adam() -> Adam:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    made = Adam(
        {
            "means": normal(N, 3),
            "quats": normal(N, 4),
            "scales": torch.log(torch.tensor([0.001, 0.002, 0.003])) + 0.1 * normal(N, 3),
            "opacities": normal(N),
            "sh": normal(N, 1, 3),
        }
    )
    for name in made.first:
        made.first[name] += normal(*made.first[name].shape)
        made.second[name] += normal(*made.second[name].shape).abs()
    return made


def schedule(**changes) -> Schedule:
    return Schedule.for_scene(1.0, 10**7, N, engine="cpu", **changes)


def scored(*rows: int) -> Growth:
    growth = Growth(N, "cpu")
    growth.score[list(rows)] = 1.0
    growth.seen += 1
    return growth


def snapshot(adam: Adam) -> dict[str, torch.Tensor]:
    return {name: column.detach().clone() for name, column in adam.columns.items()}


def test_small_gaussians_are_cloned_and_the_image_stays(adam):
    before = snapshot(adam)
    growth = densify(adam, scored(3, 8), schedule(), 200, AWAY, torch.Generator())
    assert len(adam) == N + 2 == len(growth.score)
    after = snapshot(adam)
    for row, new in ((3, N), (8, N + 1)):
        for name in ("means", "quats", "scales", "sh"):
            assert torch.equal(after[name][row], before[name][row])
            assert torch.equal(after[name][new], before[name][row])
        passed = (1 - after["opacities"][row].sigmoid()) * (1 - after["opacities"][new].sigmoid())
        torch.testing.assert_close(passed, 1 - before["opacities"][row].sigmoid())


def test_large_gaussians_are_split_along_themselves(adam):
    with torch.no_grad():
        adam.columns["scales"][5] = torch.log(torch.tensor([0.2, 1e-4, 1e-4]))
        adam.columns["quats"][5] = torch.tensor([0.5**0.5, 0, 0, 0.5**0.5])  # x axis to y axis
    before = snapshot(adam)
    densify(adam, scored(5), schedule(), 200, AWAY, torch.Generator().manual_seed(1))
    after = snapshot(adam)
    assert len(adam) == N + 1
    torch.testing.assert_close(after["means"][5] + after["means"][N], 2 * before["means"][5])
    apart = (after["means"][5] - after["means"][N]).abs()
    assert apart[1] > 0.01
    assert apart[0] < 1e-3
    assert apart[2] < 1e-3
    for row in (5, N):
        torch.testing.assert_close(after["scales"][row].exp() * 1.6, before["scales"][5].exp())


def test_moments_follow_their_gaussians_through_pruning(adam):
    with torch.no_grad():
        adam.columns["opacities"][10] = -9.0
        adam.columns["scales"][20] = 3.0
        adam.columns["means"][30, 1] = float("nan")
    gone = [10, 20, 30]
    stay = torch.tensor([row for row in range(N) if row not in gone])
    before = {name: moment.clone() for name, moment in adam.second.items()}
    means = snapshot(adam)["means"][stay]
    densify(adam, scored(10, 20, 30, 40), schedule(), 200, AWAY, torch.Generator())
    assert len(adam) == N - 3 + 1
    assert torch.equal(adam.columns["means"][: N - 3], means)
    for name, moment in adam.second.items():
        assert torch.equal(moment[: N - 3], before[name][stay])
        assert not moment[N - 3 :].any()
    assert finite(adam.columns).all()


def test_never_more_than_the_cap_and_the_strongest_first(adam):
    growth = Growth(N, "cpu")
    growth.score += torch.arange(N)
    growth.seen += 1
    before = snapshot(adam)
    densify(adam, growth, schedule(cap=N + 7), 200, AWAY, torch.Generator())
    assert len(adam) == N + 7
    added = adam.columns["means"][N:].detach()
    wanted = before["means"][N - 7 :]
    assert {tuple(row) for row in added.tolist()} == {tuple(row) for row in wanted.tolist()}


def test_after_the_growing_phase_nothing_is_added(adam):
    plan = schedule()
    densify(adam, scored(1, 2, 3), plan, plan.grow_until + 1, AWAY, torch.Generator())
    assert len(adam) == N


def test_pruning_never_empties_the_scene(adam):
    with torch.no_grad():
        adam.columns["opacities"][:] = -20.0
    densify(adam, scored(), schedule(), 200, AWAY, torch.Generator())
    assert len(adam) == N


def test_gaussians_on_masked_objects_count_more():
    camera = ring(1, (40, 20), 20.0)[0]
    mask = torch.zeros(20, 40, dtype=torch.bool)
    mask[5:10, 10:20] = True
    photo = Photograph(camera, torch.zeros(20, 40, 3, dtype=torch.uint8), mask)
    means2d = torch.tensor([[15.2, 7.5], [30.0, 7.5], [15.0, 7.5], [float("nan"), 1e20]], requires_grad=True)
    means2d.grad = torch.tensor([[3.0, 4.0]] * 4)
    visible = torch.tensor([True, True, False, True])
    radii = torch.tensor([[2.0, 4.0], [1.0, 1.0], [0.0, 0.0], [80.0, 3.0]])
    rendered = Rendered(torch.zeros(20, 40, 3), torch.zeros(20, 40), means2d, visible, radii)
    growth = Growth(4, "cpu")
    growth.observe(rendered, photo, 5.0)
    growth.observe(rendered, dataclasses.replace(photo, on_object=None), 5.0)
    assert growth.mean().tolist() == pytest.approx([40 * 5 * 3, 40 * 5, 0, 40 * 5])


def test_the_absolute_pull_counts_where_the_view_was_drawn_with_it():
    camera = ring(1, (40, 20), 20.0)[0]
    photo = Photograph(camera, torch.zeros(20, 40, 3, dtype=torch.uint8), None)
    means2d = torch.tensor([[15.0, 7.5], [30.0, 7.5]], requires_grad=True)
    means2d.grad = torch.tensor([[3.0, 4.0], [0.3, 0.4]])
    drawn = torch.zeros(1, 2, 2)
    drawn.absgrad = torch.tensor([[[3.0, 4.0], [6.0, 8.0]]])  # type: ignore[attr-defined]
    rendered = Rendered(
        torch.zeros(20, 40, 3), torch.zeros(20, 40), means2d, torch.ones(2, dtype=torch.bool), torch.ones(2, 2)
    )
    for shown, wanted in ((rendered, [40 * 5, 40 * 0.5]), (dataclasses.replace(rendered, drawn=drawn), [200, 400])):
        growth = Growth(2, "cpu")
        growth.observe(shown, photo, 1.0)
        assert growth.mean().tolist() == pytest.approx(wanted)


def test_fog_before_a_camera_is_removed(adam):
    plan = schedule()
    camera = adam.columns["means"][7:8].detach() + plan.close / 2
    before = snapshot(adam)["means"]
    densify(adam, scored(), plan, 200, camera, torch.Generator())
    assert len(adam) == N - 1
    assert torch.equal(adam.columns["means"].detach(), before[[row != 7 for row in range(N)]])


@pytest.mark.parametrize("pairs", [1, 1000, 10**6])
def test_the_nearest_camera_is_found_far_from_the_origin_and_a_part_at_a_time(pairs, monkeypatch):
    monkeypatch.setattr(densifying, "PAIRS", pairs)
    generator = torch.Generator().manual_seed(2)
    away = torch.tensor([3000.0, -2000.0, 500.0])
    means, centres = away + torch.randn(100, 3, generator=generator), away + torch.randn(30, 3, generator=generator)
    distance, which = nearest_camera(means, centres)
    exact = (means[:, None].double() - centres.double()).norm(dim=2).min(1)
    torch.testing.assert_close(distance, exact.values.float(), rtol=1e-3, atol=1e-3)
    assert torch.equal(which, exact.indices)


def test_a_gaussian_with_a_camera_inside_is_split_first(adam):
    plan = schedule(cap=N + 1)
    with torch.no_grad():
        adam.columns["means"][5] = torch.tensor([20.0, 0.0, 0.0])
        adam.columns["scales"][5] = torch.log(torch.tensor([0.2, 0.001, 0.001]))
        adam.columns["quats"][5] = torch.tensor([0.5**0.5, 0, 0, 0.5**0.5])  # x axis to y axis
    along, across = torch.tensor([[20.0, 0.4, 0.0]]), torch.tensor([[20.4, 0.0, 0.0]])
    before = snapshot(adam)["scales"][5].exp()
    densify(adam, scored(9), plan, 200, across, torch.Generator())
    assert torch.equal(adam.columns["scales"][5].exp(), before)
    adam.rearrange(torch.arange(N + 1) < N, {name: column[:0] for name, column in snapshot(adam).items()})
    densify(adam, scored(9), plan, 200, along, torch.Generator())
    torch.testing.assert_close(1.6 * adam.columns["scales"][5].exp().detach(), before)
