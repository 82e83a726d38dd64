"""Selects Gaussians similar to one: by the embedding of the result's method, or by colour.

Embeddings identify objects, as in the object selection of Contrastive Gaussian Clustering (section 4.2: cosine of at
least 0.7). Without an embedding, colour and position are used, like a magic wand in 3D.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadArgument
from protocol.result.embedding import read_embedding
from protocol.result.names import EMBEDDING, ROW, SPLATS
from protocol.result.rows import read_rows

from ..session import source_of
from ..splats.columns import COLOUR, read_positions
from .columns import read_column
from .modes import outside_edit_mode
from .neighbours import connected, usual_distance
from .parts import Piece, check_parts, pieces_of, scene_of
from .selection import check_shown, read_selection, write_selection

THRESHOLD = 0.7
GAP = 2.0
"""Largest distance between neighbours of similar colour, as a multiple of the usual distance."""

Ask = Callable[[Path, int, float], "NDArray[np.bool_] | None"]
"""Asks a server: result folder, row, threshold -> (N,) bool by row, or None if no server can answer."""


@dataclass(frozen=True)
class Point:
    """One Gaussian: the Blender object that holds it, and its index."""

    thing: Any
    index: int


@dataclass(frozen=True)
class Similar:
    """The number of selected Gaussians, and the criterion: "embedding" or "colour"."""

    count: int
    by: str


@outside_edit_mode
def select_like(
    parts: Iterable[Any],
    like: Point | None = None,
    *,
    threshold: float = THRESHOLD,
    extend: bool = False,
    ask: Ask | None = None,
) -> Similar:
    """Select the Gaussians of objects that are similar to one Gaussian, or to the selected ones.

    If the result's method trained an embedding, a Gaussian is similar if the cosine of the embeddings is at least
    ``threshold``; the embedding is read from the result folder, or a server is asked if the folder is missing.
    Otherwise a Gaussian is similar if its colour differs by at most 1 - ``threshold`` in each channel and it is
    connected to the first one through similar Gaussians.

    Args:
        like: the Gaussian to compare with; None for the selected ones of each object.
        threshold: 0 to 1; higher selects fewer.
        extend: whether to keep the existing selection.

    Raises:
        BadArgument: if there is nothing to compare with, or an object is shown as a mesh.
        BadResult: if the embedding is broken or belongs to another result.
    """
    several = check_parts(parts)
    pieces = check_shown([piece for part in several for piece in pieces_of(part)])
    seeds = [_seeds(piece, like) for piece in pieces]
    if not any(each.any() for each in seeds):
        raise BadArgument("No Gaussian is selected for the comparison.", "Click a Gaussian in Edit Mode.")
    folder = source_of(scene_of(several[0]))
    if (folder / SPLATS).is_file():
        alike = _by_embedding(pieces, seeds, folder, threshold)
    else:
        alike = _by_server(pieces, seeds, folder, threshold, ask)
    found = alike or [_by_colour(piece, own, threshold) for piece, own in zip(pieces, seeds, strict=True)]
    count = 0
    for piece, rows in zip(pieces, found, strict=True):
        chosen = rows | read_selection(piece.thing.data) if extend else rows
        write_selection(piece.thing.data, chosen)
        count += int(np.count_nonzero(chosen))
    return Similar(count, "embedding" if alike else "colour")


def _seeds(piece: Piece, like: Point | None) -> NDArray[np.bool_]:
    selection = read_selection(piece.thing.data)
    if like is None:
        return selection
    rows = np.zeros_like(selection)
    if piece.thing == like.thing:
        if not 0 <= like.index < len(rows):
            raise BadArgument(
                f"The Gaussian {like.index} does not exist.",
                f"Choose a row of {like.thing.name} from 0 to {len(rows) - 1}.",
            )
        rows[like.index] = True
    return rows


def _by_embedding(
    pieces: list[Piece], seeds: list[NDArray[np.bool_]], folder: Path, threshold: float
) -> list[NDArray[np.bool_]] | None:
    if not (folder / EMBEDDING).exists():
        return None
    known = read_rows(folder)
    embedding = read_embedding(folder, known.count)
    if embedding is None:
        return None
    features = [_unit(embedding, known.places_of(read_column(piece.thing.data, ROW))) for piece in pieces]
    wanted = np.concatenate([each[own] for each, own in zip(features, seeds, strict=True)]).mean(0)
    if not np.linalg.norm(wanted) > 0:
        raise BadArgument(
            "The selected Gaussians have no embedding.", "Choose a Gaussian that is visible in the photographs."
        )
    wanted /= np.linalg.norm(wanted)
    return [each @ wanted >= threshold for each in features]


def _unit(embedding: NDArray, places: NDArray[np.intp]) -> NDArray[np.float32]:
    """Return the embeddings of some rows, normalised; zeros where there is none."""
    values = embedding[np.maximum(places, 0)].astype(np.float32)
    values[places < 0] = 0
    return values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)


def _by_server(
    pieces: list[Piece], seeds: list[NDArray[np.bool_]], folder: Path, threshold: float, ask: Ask | None
) -> list[NDArray[np.bool_]] | None:
    if ask is None:
        return None
    rows = [read_column(piece.thing.data, ROW) for piece in pieces]
    first = np.concatenate([each[own] for each, own in zip(rows, seeds, strict=True)])[0]
    answer = ask(folder, int(first), threshold)
    if answer is None:
        return None
    return [(each >= 0) & (each < len(answer)) & answer[np.clip(each, 0, len(answer) - 1)] for each in rows]


def _by_colour(piece: Piece, seeds: NDArray[np.bool_], threshold: float) -> NDArray[np.bool_]:
    if not seeds.any():
        return seeds
    colours = read_column(piece.thing.data, COLOUR)[:, :3]
    wanted = colours[seeds].mean(0)
    alike = (np.abs(colours - wanted).max(1) <= 1 - threshold) | seeds
    points = read_positions(piece.thing.data)
    numbers = connected(points[alike], GAP * usual_distance(points))
    found = np.zeros_like(seeds)
    found[alike] = np.isin(numbers, numbers[seeds[alike]])
    return found
