"""`write_splats` writes Gaussians in any format and warns about data that the format cannot store."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import numpy as np

from protocol.errors import BadSplats
from protocol.formats.order import morton_order
from protocol.formats.registry import Format, check_here
from protocol.result.names import CONFIDENCE, LABEL
from protocol.splats import SH_COUNTS, Splats
from protocol.usable import Tally, repair_block, usable_splats
from protocol.whole_file import whole_file


def write_splats(splats: Splats, path: Path, wanted: Format, *, labels: bool = False) -> None:
    """Write Gaussians in one of the formats for them; the file appears under its name when it is complete.

    Warns about data that the format cannot store: bands of spherical harmonics, values outside its range, precision,
    labels.

    Args:
        splats: at least one Gaussian, in the axes of the capture.
        path: an existing file of that name is replaced.
        wanted: of the kind "gaussians".
        labels: whether the columns ``label`` and ``confidence`` are written too. If the format cannot store them, they
            are written to the file :func:`labels_beside`, in the order of the Gaussians in ``path``.

    Raises:
        BadSplats: if there are no Gaussians, none is usable, or the file cannot be written.
        Unavailable: if a package that the format needs is not installed.
    """
    check_here(wanted)
    if not len(splats):
        raise BadSplats(f"There are no Gaussians to write to {path}.", "Choose an object that has Gaussians.")
    kept = {name: splats.extra[name] for name in (LABEL, CONFIDENCE) if labels and name in splats.extra}
    splats = splats.without_columns().with_columns(**kept)
    if not wanted.exact:
        splats = _usable(splats, path)
    said = _left_out(splats, wanted)
    if splats.sh_degree > wanted.degree:
        splats = _of_degree(splats, wanted.degree)
    if wanted.sorted:
        splats = splats.pick(morton_order(splats.means))
    beside = labels_beside(path) if kept and not wanted.labels else None
    held = splats if wanted.labels else splats.without_columns()
    with output_file(path) as part:
        said += _writer(wanted)(held, part)
        if beside is not None:
            with output_file(beside) as part_beside, part_beside.open("wb") as file:
                np.save(file, splats.extra[LABEL].astype(np.int32), allow_pickle=False)
    for sentence in said:
        warnings.warn(f"{path}: {sentence}", stacklevel=2)


def labels_beside(path: Path) -> Path:
    """Return the path of the labels of a file whose format cannot store labels."""
    return path.with_name(f"{path.name}.labels.npy")


@contextmanager
def output_file(path: Path) -> Iterator[Path]:
    """As :func:`protocol.whole_file.whole_file`, for a file that the user named.

    Raises:
        BadSplats: if the file cannot be written, with the reason of the operating system.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(None, "it is a folder")
        if not path.absolute().parent.is_dir():
            raise FileNotFoundError(None, "its folder does not exist")
        with whole_file(path) as part:
            yield part
    except OSError as error:
        raise BadSplats(
            f"The file {path} cannot be written: {error.strerror or error}.",
            "Choose a folder with write permission.",
        ) from error


def _writer(wanted: Format) -> Callable[[Splats, Path], list[str]]:
    if wanted.module == "ply":
        from protocol.ply import write_ply

        return lambda splats, path: write_ply(splats, path) or []
    return getattr(import_module(f"{__package__}.{wanted.module}"), wanted.function)


def _usable(splats: Splats, path: Path) -> Splats:
    """Return the Gaussians with finite values, as copies."""
    own = splats.pick(np.arange(len(splats)))
    tally = Tally()
    return usable_splats(own, repair_block(own, slice(None), tally), tally, path)


def _left_out(splats: Splats, wanted: Format) -> list[str]:
    """Return a sentence for each kind of data that the format cannot store."""
    said = []
    if not wanted.exact:
        said.append(f"{wanted.title} keeps {wanted.keeps}.")
    if splats.sh_degree > wanted.degree:
        said.append(
            f"{wanted.title} supports spherical harmonics up to degree {wanted.degree}; those of degree "
            f"{wanted.degree + 1} to {splats.sh_degree} were dropped."
        )
    if not wanted.labels and LABEL in splats.extra:
        said.append(f"{wanted.title} has no labels; they are in a separate file that ends in .labels.npy.")
    if not wanted.labels and CONFIDENCE in splats.extra:
        said.append(f"{wanted.title} has no confidences; they were dropped.")
    if wanted.experimental:
        said.append(f"{wanted.title} is experimental: its specification is a draft, and few programs support it.")
    return said


def _of_degree(splats: Splats, degree: int) -> Splats:
    columns = (splats.means, splats.quats, splats.scales, splats.opacities)
    return Splats(*columns, splats.sh[:, : SH_COUNTS[degree]], splats.extra)
