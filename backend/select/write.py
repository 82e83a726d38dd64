"""Describes a selection and writes it to files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from backend.progress import Progress, silent
from backend.select.selection import Opened, Selection, view_mask
from protocol.errors import BadArgument
from protocol.ply import write_ply
from protocol.result.folder import whole_folder


def describe(opened: Opened, selection: Selection) -> str:
    """Return a sentence with the number of selected Gaussians and the criterion: embedding or label."""
    count = f"{np.count_nonzero(selection.gaussians):,} of {len(opened.labels):,} Gaussians"
    if selection.feature is not None:
        return f"{count} by the embedding of {opened.method}, cosine at least {selection.threshold:g}"
    if selection.label is None:
        return f"{count} by their labels, objects {', '.join(map(str, selection.objects))}"
    why = f": {opened.method} has no embedding" if opened.embedding is None else ""
    return f"{count} by their label, object {selection.label}{why}"


def write_selection(opened: Opened, selection: Selection, out: Path, progress: Progress = silent) -> None:
    """Write ``selection.ply`` and, for every view, ``masks/NAME.png``, 255 where the view shows the selection.

    Raises:
        BadArgument: if ``out`` exists and is not an empty folder.
    """
    check_empty(out)
    with whole_folder(out) as folder:
        write_ply(opened.splats.pick(np.flatnonzero(selection.gaussians)), folder / "selection.ply")
        (folder / "masks").mkdir()
        for done, name in enumerate(opened.cameras):
            progress("write", done / len(opened.cameras), name)
            mask = view_mask(opened, selection, name)
            Image.fromarray(mask.astype(np.uint8) * 255).save(folder / "masks" / f"{name}.png")


def check_empty(out: Path) -> None:
    """Refuse an output folder that is not empty.

    Raises:
        BadArgument: if ``out`` exists and is not an empty folder.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise BadArgument(f"The output {out} already exists.", "Choose a folder that does not exist yet.")
