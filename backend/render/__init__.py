"""Rasterises Gaussians differentiably, with a numba engine and a CUDA engine behind one interface."""

from backend.render.engine import Renderer, device_of, rasterize
from backend.render.sh import sh_colours
from backend.render.types import Contributions, Rendered, Votes

__all__ = ["Contributions", "Rendered", "Renderer", "Votes", "device_of", "rasterize", "sh_colours"]
