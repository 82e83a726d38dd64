"""The Gaussians of a view on the graphics card, and the picture that is drawn of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import gpu
import numpy as np
from numpy.typing import NDArray

from protocol.errors import Unavailable

from ..sight import Matrix, Sight
from .order import back_to_front
from .packing import BASE_TEXELS, MOST, Packed, as_image, higher_as_texels, higher_texels, join
from .shaders import OBJECT_TEXELS, ROW_OBJECTS, splat_shader, square

WIDTH = 8192
"""Texels in a row of the images of Gaussians, unless the graphics card has smaller ones."""

Kind = Literal["RGBA32F", "RGBA16F", "R32F"]


class Look(NamedTuple):
    """How an object is drawn.

    Attributes:
        matrix: (4, 4), from the frame of its data to the world.
        colour: of its label, sRGB, 0 to 1.
        state: 0, or SELECTED or ACTIVE of :mod:`.shaders`.
    """

    matrix: Matrix
    colour: tuple[float, float, float]
    state: float = 0.0


class Content:
    """The Gaussians of some objects on the graphics card.

    Attributes:
        count: of Gaussians.

    Raises:
        Unavailable: if they do not fit into one image of the graphics card.
    """

    def __init__(self, parts: Sequence[Packed]) -> None:
        joined = join(parts)
        self.count = len(joined.means)
        self._counts = [len(part.means) for part in parts]
        self._means = joined.means
        coefficients = joined.higher.shape[1]
        self._degree = {0: 0, 3: 1, 8: 2, 15: 3}[coefficients]
        side = gpu.capabilities.max_texture_size_get()
        self._width = min(WIDTH, side)
        texels = self.count * max(BASE_TEXELS, higher_texels(coefficients))
        if self.count > MOST or texels > self._width * side:
            raise Unavailable(
                f"The {self.count:,} splats of the scene are too many for this graphics card to draw.",
                "Disable collections in viewports (the screen icon in the outliner), or show the scene as points.",
            )
        self._base = _texture(joined.base.reshape(-1, 4), self._width, "RGBA32F")
        self._higher = _texture(higher_as_texels(joined.higher), self._width, "RGBA16F")
        self._shader = splat_shader(self._width, higher_texels(coefficients))
        self._square = square(self._shader)

    def sort(self, eye: Sight, looks: Sequence[Look | None]) -> Order:
        """Return the order in which the Gaussians are drawn; None for an object that is not drawn."""
        axes = [None if look is None else -(eye.view @ look.matrix)[2] for look in looks]
        numbers = back_to_front(self._means, self._counts, axes, eye.near)
        return Order(_texture(numbers[:, None], self._width, "R32F"), len(numbers))

    def draw(
        self,
        eye: Sight,
        looks: Sequence[Look | None],
        order: Order,
        into: Target,
        *,
        labels: bool = False,
        view_dependent: bool = True,
        depths: Any = None,
    ) -> None:
        """Draw the Gaussians into ``into``, which is cleared before.

        Args:
            labels: whether objects have the colours of their labels.
            view_dependent: whether colours depend on the direction they are seen from.
            depths: image of the depth of what else is in the view; splats behind it are hidden.
        """
        with into.buffer.bind():
            into.buffer.clear(color=(0.0, 0.0, 0.0, 0.0))
            gpu.state.viewport_set(0, 0, eye.width, eye.height)
            if not order.count:
                return
            shader, objects = self._shader, _rows(eye, looks)
            shader.bind()
            shader.uniform_sampler("base", self._base)
            shader.uniform_sampler("higher", self._higher)
            shader.uniform_sampler("order", order.texture)
            shader.uniform_sampler("objects", objects)
            shader.uniform_sampler("depths", order.texture if depths is None else depths)
            shader.uniform_float("projection", eye.projection.T.ravel().tolist())
            shader.uniform_float("view_size", (eye.width, eye.height))
            shader.uniform_int("degree", self._degree if view_dependent else 0)
            shader.uniform_int("labels", int(labels))
            shader.uniform_int("others", int(depths is not None))
            with blending():
                self._square.draw_instanced(shader, instance_count=order.count)


@dataclass(frozen=True)
class Order:
    """The Gaussians in the order they are drawn: an image of their numbers, and how many."""

    texture: Any
    count: int


class Target:
    """Images that Gaussians are drawn into.

    Attributes:
        seen: RGB, sRGB numbers times opacity, and the opacity.
        chosen: in red how much of a pixel is of selected objects, in green of the active one.
    """

    def __init__(self, width: int, height: int) -> None:
        self.size = (width, height)
        self.seen, self.chosen = (gpu.types.GPUTexture((width, height), format="RGBA16F") for _ in range(2))
        self.buffer: Any = gpu.types.GPUFrameBuffer(color_slots=(self.seen, self.chosen))

    def read(self) -> NDArray[np.float32]:
        """Return what was drawn, (H, W, 4) float32 from the top row, colours times opacity; for tests and pictures."""
        width, height = self.size
        pixels: Any = self.seen.read()
        # numpy takes the strides of a buffer of several dimensions for those of its transpose.
        pixels.dimensions = 4 * width * height
        return np.array(pixels, np.float32).reshape(height, width, 4)[::-1]


@contextmanager
def blending() -> Iterator[None]:
    """Have what the block draws laid over what is there, by its opacity and at any depth."""
    state: Any = gpu.state
    before = state.blend_get(), state.depth_test_get(), state.depth_mask_get()
    state.blend_set("ALPHA_PREMULT")
    state.depth_test_set("NONE")
    state.depth_mask_set(False)
    try:
        yield
    finally:
        state.blend_set(before[0])
        state.depth_test_set(before[1])
        state.depth_mask_set(before[2])


def _rows(eye: Sight, looks: Sequence[Look | None]) -> Any:
    rows = np.zeros((len(looks), OBJECT_TEXELS, 4), np.float32)
    for row, look in zip(rows, looks, strict=True):
        if look is None:
            continue
        there = eye.view @ look.matrix
        row[:3] = there[:3]
        # Where the viewer is, in the object's frame; of a flat view the direction away from the viewer.
        back = np.linalg.inv(there)
        row[3, :3] = -back[:3, 2] if eye.is_flat else back[:3, 3]
        row[4, :3], row[4, 3] = look.colour, look.state
    return _texture(rows.reshape(-1, 4), ROW_OBJECTS * OBJECT_TEXELS, "RGBA32F")


def _texture(values: NDArray[np.float32], width: int, kind: Kind) -> Any:
    image = np.ascontiguousarray(as_image(values, width), np.float32)
    height, width, _ = image.shape
    data: Any = image.ravel()
    return gpu.types.GPUTexture((width, height), format=kind, data=gpu.types.Buffer("FLOAT", image.size, data))
