"""Gaussians to pixels and back: one contract, a numba engine and a CUDA engine."""

import os

# Threads of OpenMP that wait for work spin by default, which costs more processor time than the work between two
# barriers. The variable is read once, when numba loads its threading layer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from backend.render.engine import Renderer, device_of, rasterize
from backend.render.sh import sh_colours
from backend.render.types import Contributions, Rendered, Votes

__all__ = ["Contributions", "Rendered", "Renderer", "Votes", "device_of", "rasterize", "sh_colours"]
