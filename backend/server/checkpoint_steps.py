"""Reads from the checkpoint of a job how far it is, without loading torch."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from protocol.broken_arrays import BROKEN_ARRAY

STEPS = "steps"
"""The array of :mod:`backend.reconstruct.checkpoint` whose first value is the number of completed steps."""


def completed_steps(checkpoint: Path) -> int:
    """Return the number of completed training steps in a checkpoint; 0 if it is missing or cannot be read."""
    try:
        with np.load(checkpoint, allow_pickle=False) as arrays:
            return int(arrays[STEPS][0])
    except (*BROKEN_ARRAY, AttributeError, zipfile.BadZipFile):  # a plain .npy file has no members
        return 0
