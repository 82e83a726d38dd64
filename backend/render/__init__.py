"""Gaussians to pixels and back: one contract, a numba engine and a CUDA engine."""

import os

# Threads of OpenMP that wait for work spin by default, which costs more processor time than the work between two
# barriers. The variable is read once, when numba loads its threading layer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from backend.render.engine import rasterize  # noqa: E402
from backend.render.sh import sh_colours  # noqa: E402
from backend.render.types import Contributions, Rendered, Votes  # noqa: E402

__all__ = ["Contributions", "Rendered", "Votes", "rasterize", "sh_colours"]
