"""All settings of a reconstruction, with reasons; derived from the scene so that captures need no tuning."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from protocol.errors import BadArgument

LONG_SIDE = {"cpu": 800, "cuda": 1600}
"""Longest side of a training image in pixels. The time of a step is proportional to the pixels: on two cores 800 x 600
takes about 80 ms, so larger photographs would not finish in minutes; 1600 is the limit in the 3DGS reference code."""

STEPS = {"cpu": 3000, "cuda": 15000}
"""On the CPU 4500 steps took half as long again and found the same objects; on CUDA half of the reference code's
30000."""

SH_DEGREE = {"cpu": 1, "cuda": 3}
"""Degree 0 cannot represent reflections that move with the camera, so floaters would. On the CPU the time for the
coefficients of degrees 2 and 3 is better spent on more steps."""

PIXELS_PER_GAUSSIAN = {"cpu": 240, "cuda": 20}
"""Training pixels, over all photographs, per Gaussian."""

SMALLEST_SIDE = 150
"""Least longest side in pixels of the photographs of a draft."""

FIXED_SIDE = {"cpu": 200, "cuda": 400}
"""Longest side in pixels of a draft's photographs up to which most of the command's time does not depend on their
pixels. A draft of larger photographs can have up to twice as many steps."""


NOVEL_SHARE = 0.25
"""Share of a Gaussian's light in front of surfaces in novel views above which it is removed, where poses are estimated.
Around a cup this removed fog that covered its lid in views from new sides. In a corridor with exact poses it removed
surfaces that are thin or far away; see docs/benchmarks.md."""


@dataclass(frozen=True)
class Budget:
    """Factors on the default limits of a reconstruction.

    Attributes:
        steps: factor on :data:`STEPS`, see :meth:`step_count`.
        long_side: factor on :data:`LONG_SIDE`; if below 1, on the longest side of the photographs if that is smaller.
        pixels: factor on :data:`PIXELS_PER_GAUSSIAN`.
    """

    steps: float
    long_side: float
    pixels: float

    def settings(self, engine: str, longest: int) -> dict[str, int]:
        """Return the corresponding settings of :func:`backend.reconstruct.reconstruct`.

        Args:
            engine: "cpu" or "cuda".
            longest: longest side of the photographs in pixels.
        """
        full = min(LONG_SIDE[engine], longest) if self.long_side < 1 else LONG_SIDE[engine]
        return {
            "long_side": max(round(self.long_side * full), min(full, SMALLEST_SIDE)),
            "pixels_per_gaussian": round(self.pixels * PIXELS_PER_GAUSSIAN[engine]),
        }

    def step_count(self, engine: str, longest: int) -> int:
        """Return the number of training steps, in photographs; arguments as of :meth:`settings`."""
        share = self.steps
        if self.long_side < 1:
            share *= float(np.clip(self.settings(engine, longest)["long_side"] / FIXED_SIDE[engine], 1, 2))
        return round(share * STEPS[engine])


QUALITIES = {
    "draft": Budget(steps=0.25, long_side=0.5, pixels=1),
    "standard": Budget(steps=1, long_side=1, pixels=1),
    "high": Budget(steps=2.5, long_side=1.5, pixels=0.5),
}
"""A draft takes at most a third of the time of the standard. Photographs of half the size have a quarter of the pixels
and get a quarter of the Gaussians. With a quarter of the steps, fog stood in front of the held-out views of a real
capture of 800 x 600. If small photographs were not reduced, the same number of steps took twice as long and gave worse
objects; see docs/benchmarks.md."""

RATES: dict[str, dict[str, float]] = {
    "cpu": {"means": 4.6e-4, "quats": 0.02, "scales": 0.05, "opacities": 0.1, "sh": 0.06, "decay": 0.03},
    "cuda": {"means": 2.4e-4, "quats": 0.003, "scales": 0.012, "opacities": 0.05, "sh": 0.02, "decay": 0.1},
}
"""Step size of the centres at the first step, in viewing distances, and the factor by which all other step sizes have
decreased at the last step. Runs on the CPU are short: higher rates gain 0.7 dB in a generated room and 3.8 dB around a
photographed cup, both at a side of 200 pixels and after 1500 steps; see docs/benchmarks.md."""

ABSGRAD = {"cpu": False, "cuda": True}
"""Whether Gaussians grow by their absolute gradient (Ye et al. 2024, "AbsGS"). On the CPU, with the same number of
Gaussians, it gained 0.2 dB in generated rooms and on one photographed desk and nothing around a cup, and takes about as
much time as additional steps with the same gain; see docs/benchmarks.md. On CUDA as published, not measured here:
gsplat's documentation reports 26.4 dB with 2.2 M Gaussians with it and 26.3 dB with 4.5 M without (garden, 7,000
steps)."""

MOST_GAUSSIANS = {"cpu": 100_000, "cuda": 1_500_000}
LEAST_GAUSSIANS = 2000

FIRST_CHECK, LAST_CHECK = 0.2, 0.8
"""Shares of the steps at which floaters are first and last removed: earlier there are no surfaces to compare with;
later the Gaussians behind floaters have no time to replace them."""


def default_cap(pixels: int, engine: str, pixels_per_gaussian: int | None = None) -> int:
    """Return the limit of Gaussians for this many training pixels over all photographs."""
    each = pixels_per_gaussian or PIXELS_PER_GAUSSIAN[engine]
    return int(np.clip(pixels // each, LEAST_GAUSSIANS, MOST_GAUSSIANS[engine]))


@dataclass(frozen=True)
class Schedule:
    """The settings of one reconstruction.

    Attributes:
        steps: training steps, one photograph each.
        small_steps: number of first steps at half resolution: they cost a quarter and establish the coarse shape;
            without them the worst views of the result are several dB worse.
        cap: most Gaussians.
        sh_degree: of the colours.
        sh_every: steps between increments of the spherical-harmonic degree, starting from 0.
        ssim_weight: share of structural dissimilarity in the loss (3DGS: 0.2).
        opacity_weight: of the mean opacity in the loss. 0 by default: if photographs disagree slightly, as real ones
            do, it makes surfaces transparent, and light then comes from everywhere along the ray.
        rate_means, rate_means_end: step size of the centres in scene units at the first and last step, geometric in
            between. 3DGS scales it with the extent of the cameras; the viewing distance also works for a single camera
            and for forward-facing captures.
        rate_quats, rate_scales, rate_opacities, rate_sh: step sizes of the stored values at the first step.
        rate_decay: factor by which those have decreased at the last step; short runs gain from decreasing rates.
        grow_every: steps between densifications.
        grow_from, grow_until: first and last step that may add Gaussians.
        prune_until: last step that may remove Gaussians.
        growth: largest factor by which a densification increases the number of Gaussians.
        absgrad: whether the growth score sums absolute pixel gradients (Ye et al. 2024, "AbsGS"); in the norm of the
            plain sum, gradients of opposite directions cancel.
        mask_weight: factor on the growth score of Gaussians on objects in the photograph's mask. Plain objects have
            small colour gradients and would get few Gaussians, although lifting needs them.
        split_size: standard deviation in scene units above which a growing Gaussian is split, not cloned.
        huge_size: standard deviation above which a Gaussian is removed.
        close: least distance of a Gaussian from cameras in scene units: cameras are in free space, and fog there ruins
            all views but those it was trained in.
        faint: opacity below which a Gaussian is removed.
        exposure_rate: share of the difference to its best exposure by which a photograph's exposure changes per step,
            see :mod:`backend.reconstruct.exposure`. 0 disables it.
        exposure_share: share of the logarithm of its best exposure that a photograph is given. The Gaussians follow the
            exposures, so photographs from one side drift together; with less than 1 the drift ends, see
            docs/benchmarks.md.
        exposure_from: step after which exposures are estimated; earlier, there is nothing to compare with.
        floater_checks: number of floater removals, see :mod:`backend.reconstruct.floaters`, evenly spaced from
            :data:`FIRST_CHECK` to :data:`LAST_CHECK` of the steps, each after a densification.
        floater_share: share of a Gaussian's light in front of surfaces above which it is removed as a floater.
        floater_share_novel: the same share in novel views beside the photographs; 1 for no check of them.
        floater_margin: distance in scene units in front of the surface from which light counts.
    """

    steps: int
    small_steps: int
    cap: int
    sh_degree: int
    sh_every: int
    ssim_weight: float
    opacity_weight: float
    rate_means: float
    rate_means_end: float
    rate_quats: float
    rate_scales: float
    rate_opacities: float
    rate_sh: float
    rate_decay: float
    grow_every: int
    grow_from: int
    grow_until: int
    prune_until: int
    growth: float
    absgrad: bool
    mask_weight: float
    split_size: float
    huge_size: float
    close: float
    faint: float
    exposure_rate: float
    exposure_share: float
    exposure_from: int
    floater_checks: int
    floater_share: float
    floater_share_novel: float
    floater_margin: float

    @classmethod
    def for_scene(
        cls,
        distance: float,
        pixels: int,
        count: int,
        *,
        engine: str,
        steps: int | None = None,
        views: int = 1,
        estimated: bool = False,
        **changes: Any,
    ) -> Schedule:
        """Return the schedule for a scene.

        Args:
            distance: median distance from a camera to the scene, scene units.
            pixels: over all training photographs, at working size.
            count: Gaussians at the start.
            engine: "cpu" or "cuda".
            steps: another number of steps, in photographs; everything counted in steps scales with it.
            views: photographs per step. The number of steps is divided by it, and step sizes are multiplied by its
                root, which keeps the total motion by Adam per pass over the photographs (Zhao et al. 2024, "Grendel").
            estimated: whether the poses are estimated from the photographs, so that they are not exact.
            changes: fields of this class to override.

        Raises:
            BadArgument: if a field is unknown, or a value is out of range.
        """
        total = STEPS[engine] if steps is None else steps
        if total < 1:
            raise BadArgument(f"The number of training steps is {total}.", "Give 1 or more.")
        total = -(-total // views)
        larger = views**0.5
        cap = max(count, changes.get("cap", default_cap(pixels, engine)))
        rates = RATES[engine]
        every = int(np.clip(total // 45, 10, 100))
        grow_from, grow_until = min(2 * every, total), round(0.6 * total)
        rounds = max(1, (grow_until - grow_from) // every)
        values: dict[str, Any] = {
            "steps": total,
            "small_steps": total // 3,
            "cap": cap,
            "sh_degree": SH_DEGREE[engine],
            "sh_every": max(1, total // 10),
            "ssim_weight": 0.2,
            "opacity_weight": 0.0,
            "rate_means": rates["means"] * distance * larger,
            "rate_means_end": 3e-6 * distance * larger,
            "rate_quats": rates["quats"] * larger,
            "rate_scales": rates["scales"] * larger,
            "rate_opacities": rates["opacities"] * larger,
            "rate_sh": rates["sh"] * larger,
            "rate_decay": rates["decay"],
            "grow_every": every,
            "grow_from": grow_from,
            "grow_until": grow_until,
            "prune_until": round(0.92 * total),
            # 12 % gives each generation 100 steps to settle; a start far below the cap must grow faster to reach it.
            "growth": float(np.clip((cap / max(count, 1)) ** (1 / rounds), 1.12, 1.25)),
            "absgrad": ABSGRAD[engine],
            "mask_weight": 2.0,
            "split_size": 0.006 * distance,
            "huge_size": 0.6 * distance,
            "close": 0.1 * distance,
            "faint": 0.005,
            "exposure_rate": 0.3,
            "exposure_share": 0.8,
            "exposure_from": total // 20,
            "floater_checks": 7,
            "floater_share": 0.4,
            "floater_share_novel": NOVEL_SHARE if estimated else 1.0,
            "floater_margin": 0.05 * distance,
        }
        unknown = sorted(changes.keys() - values.keys())
        if unknown:
            raise BadArgument(
                f"Reconstruction has no setting {', '.join(unknown)}.", f"Known settings: {', '.join(values)}."
            )
        return cls(**(values | changes))

    def __post_init__(self) -> None:
        if not 0 <= self.sh_degree <= 3:
            raise BadArgument(f"The spherical-harmonic degree is {self.sh_degree}.", "Give 0, 1, 2 or 3.")
        if self.cap < 1:
            raise BadArgument(f"The maximum number of Gaussians is {self.cap}.", "Give 1 or more.")
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) >= 0:
                raise BadArgument(f"The setting {field.name} is {getattr(self, field.name)}.", "Give 0 or more.")

    def small(self, step: int) -> bool:
        """Whether this step uses the half-size photographs."""
        return step < self.small_steps

    def degree(self, step: int) -> int:
        """The spherical-harmonic degree that is trained in this step."""
        return min(self.sh_degree, step // self.sh_every)

    def rates(self, step: int) -> dict[str, float]:
        """Return the step size of each column at this step."""
        done = step / self.steps
        decay = self.rate_decay**done
        return {
            "means": self.rate_means * (self.rate_means_end / self.rate_means) ** done,
            "quats": self.rate_quats * decay,
            "scales": self.rate_scales * decay,
            "opacities": self.rate_opacities * decay,
            "sh": self.rate_sh * decay,
        }

    def densifies(self, step: int) -> bool:
        """Whether Gaussians are added or removed after this step."""
        return self.grow_from <= step <= self.prune_until and step % self.grow_every == 0

    def removes_floaters(self, step: int) -> bool:
        """Whether floaters are removed after this step."""
        shares = np.linspace(FIRST_CHECK, LAST_CHECK, self.floater_checks)
        return self.densifies(step) and step in {
            round(share * self.steps / self.grow_every) * self.grow_every for share in shares
        }

    def room(self, step: int, count: int) -> int:
        """Most Gaussians after densifying ``count`` of them at this step."""
        if step > self.grow_until:
            return count
        # The constant lets growth start from a few points.
        return min(self.cap, int(count * self.growth) + 200)
