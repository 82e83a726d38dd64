"""Scores of masks in separate images, from the ``metadata.csv`` in their folder.

SAM's ``amg.py`` writes such a folder for each photograph: ``0.png``, ``1.png``, ..., and a table with the columns
``id``, ``predicted_iou`` and ``stability_score``, among others.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadMask
from protocol.mask_names import MASK_SCORES

ID = "id"
FACTORS = ("predicted_iou", "stability_score")
"""Columns whose product is the score; one of them is enough."""

LARGEST = 32 << 20
"""Most bytes of the table: 100,000 rows of all columns take 16 MiB."""

REMEDY = f"Remove {MASK_SCORES} to use the masks without scores."


def read_scores(parts: Sequence[Path]) -> NDArray[np.float32] | None:
    """Return the score (N,) of each mask of one photograph, or None if their folder has no table.

    Args:
        parts: N images in one folder, each named after its ``id``, such as ``12.png``.

    Raises:
        BadMask: if the table cannot be read, has no such columns, or lacks one of the masks.
    """
    table = parts[0].parent / MASK_SCORES
    if not table.is_file():
        return None
    if table.stat().st_size > LARGEST:
        raise BadMask(f"The table {table} is larger than {LARGEST >> 20} MiB.", REMEDY)
    try:
        with table.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            columns = [name for name in FACTORS if name in (rows.fieldnames or ())]
            if ID not in (rows.fieldnames or ()) or not columns:
                return None
            scores = {row[ID].strip(): float(np.prod([float(row[name]) for name in columns])) for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, TypeError, AttributeError) as error:
        raise BadMask(f"The scores in {table} cannot be read: {error}.", REMEDY) from error
    for part in parts:
        if not np.isfinite(scores.get(part.stem, np.nan)):
            raise BadMask(f"The table {table} has no score for the mask {part.name}.", REMEDY)
    return np.array([scores[part.stem] for part in parts], np.float32)
