"""Every export format: what it stores, what it loses, and which packages it needs.

The command line, the add-on and docs/formats.md read this list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from protocol.errors import BadArgument, Unavailable
from protocol.formats.packages import is_there

Kind = Literal["gaussians", "mesh", "masks", "labels"]


@dataclass(frozen=True)
class Format:
    """One format.

    Attributes:
        name: the value of `--format`.
        title: the name shown to users.
        kind: what is written: Gaussians, a mesh, masks of views, or labels of Gaussians.
        endings: of its files; the first is the usual one. Empty if the format is a folder.
        keeps: the precision of the stored values.
        lacks: other data of its kind that it cannot store.
        exact: whether reading returns the same bits that were written.
        degree: the highest degree of spherical harmonics that it stores.
        labels: whether it can store the label of each Gaussian.
        textures: whether it stores the texture of a mesh.
        upright: whether the format defines which way is up, so that the axes of the capture are converted.
        sorted: whether Gaussians are written along a space-filling curve and not in their own order.
        reads: whether `--splats` can read it.
        needs: packages beyond numpy and plyfile.
        module: the module in :mod:`protocol.formats` that writes it; empty if the backend or Blender does.
        function: the name of the function in it.
        experimental: whether its specification is a draft.
    """

    name: str
    title: str
    kind: Kind
    endings: tuple[str, ...]
    keeps: str
    lacks: str = ""
    exact: bool = False
    degree: int = 0
    labels: bool = False
    textures: bool = False
    upright: bool = False
    sorted: bool = False
    reads: bool = False
    needs: tuple[str, ...] = ()
    module: str = ""
    function: str = "write"
    experimental: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """The packages of :attr:`needs` that are not installed here."""
        return tuple(package for package in self.needs if not is_there(package))


FORMATS = (
    Format(
        "ply", "3DGS PLY", "gaussians", (".ply",), "everything, lossless",
        exact=True, degree=3, labels=True, reads=True, module="ply",
    ),
    Format(
        "compressed-ply", "Compressed PLY", "gaussians", (".compressed.ply",),
        "positions and sizes in 11 bits of the bounds of 256 neighbours, rotations in 10, colours and opacities in 8, "
        "spherical harmonics to 1/32 up to 4",
        degree=3, sorted=True, reads=True, module="compressed_ply",
    ),
    Format(
        "spz", "SPZ 4", "gaussians", (".spz",),
        "positions in 24 bits, sizes to 6 % from exp(-10) to exp(5.9), rotations in 9 bits, colours and opacities in "
        "8, spherical harmonics to 1/128 up to 1",
        degree=3, upright=True, reads=True, needs=("zstandard",), module="spz",
    ),
    Format(
        "sog", "SOG", "gaussians", (".sog",),
        "positions in 16 bits of a logarithm, rotations in 8, 256 sizes, 256 colours of each channel, "
        "65,536 sets of spherical harmonics",
        degree=3, sorted=True, reads=True, needs=("pillow",), module="sog",
    ),
    Format(
        "splat", ".splat", "gaussians", (".splat",),
        "positions and sizes in float32, rotations, colours and opacities in 8 bits",
        reads=True, module="splat",
    ),
    Format(
        "gaussians-glb", "GLB, KHR_gaussian_splatting", "gaussians", (".glb",),
        "everything in float32; sizes, opacities and rotations to its rounding",
        degree=3, labels=True, upright=True, reads=True, module="glb",
    ),
    Format(
        "gaussians-glb-spz", "GLB with SPZ inside", "gaussians", (".glb",),
        "as SPZ 4, but rotations in 8 bits",
        degree=3, upright=True, reads=True, module="glb", function="write_spz", experimental=True,
    ),
    Format(
        "gaussians-usd", "USD, ParticleField3DGaussianSplat", "gaussians", (".usdc", ".usda", ".usd"),
        "everything in float32; sizes, opacities and rotations to its rounding",
        degree=3, labels=True, upright=True, needs=("usd-core",), module="usd",
    ),
    Format(
        "mesh-obj", "Mesh OBJ", "mesh", (".obj",),
        "vertices, faces and vertex colours as text; a texture as a separate PNG file",
        textures=True,
    ),
    Format(
        "mesh-glb", "Mesh GLB", "mesh", (".glb",), "vertices in float32, colours in 16 bits; a texture as PNG",
        upright=True, textures=True,
    ),
    Format("mesh-stl", "Mesh STL", "mesh", (".stl",), "triangles in float32", "colours"),
    Format("mesh-ply", "Mesh PLY", "mesh", (".mesh.ply",), "vertices in float32, colours in 8 bits"),
    Format(
        "mesh-usd", "Mesh USD", "mesh", (".usdc", ".usda", ".usd"),
        "vertices and colours in float32; a texture as a separate PNG file",
        upright=True, textures=True, needs=("usd-core",),
    ),
    Format("masks-png", "Masks, 16-bit PNG", "masks", (), "the object at each pixel of each view, its id", exact=True),
    Format(
        "masks-coco", "Masks, COCO RLE", "masks", (".json",), "the pixels of each object in each view as run lengths",
        exact=True,
    ),
    Format("labels-npy", "Labels, NumPy", "labels", (".npy",), "the label of each Gaussian, int32", exact=True),
)  # fmt: skip
"""In order of lookup: without a named format, the first one that has the ending of the file is used."""

BY_NAME = {each.name: each for each in FORMATS}
SHARED = {".glb": "mesh-glb", ".usdc": "mesh-usd", ".usda": "mesh-usd", ".usd": "mesh-usd"}
"""Endings that Gaussians and meshes share mean the mesh, which every program can open."""


def format_of(path: Path, name: str | None = None, kinds: Sequence[Kind] = ()) -> Format:
    """Return the format to write a file in.

    Args:
        path: the file; its ending decides if no format is named.
        name: the name of one of :data:`FORMATS`.
        kinds: the kinds that can be written; default: all.

    Raises:
        BadArgument: if there is no such format, or the ending does not belong to it.
    """
    offered = [each for each in FORMATS if not kinds or each.kind in kinds]
    file = path.name.lower()
    if name is not None:
        found = next((each for each in offered if each.name == name), None)
        if found is None:
            raise BadArgument(
                f"The format {name!r} does not exist.", f"Choose one of {', '.join(f.name for f in offered)}."
            )
        # A compressed PLY, or a PLY with a mesh, may also be named plain .ply.
        if found.endings and not any(file.endswith(ending.rpartition(".")[2]) for ending in found.endings):
            raise BadArgument(
                f"The file name {path} does not have the ending of {found.title}.",
                f"Use a name that ends in {', '.join(found.endings)}.",
            )
        return found
    shared = [BY_NAME[SHARED[path.suffix.lower()]]] if path.suffix.lower() in SHARED else []
    matching = [each for each in offered for ending in each.endings if file.endswith(ending)]
    longest = sorted(matching, key=lambda each: -max(len(e) for e in each.endings if file.endswith(e)))
    for each in (*(each for each in shared if each in offered), *longest):
        return each
    endings = dict.fromkeys(ending for each in offered for ending in each.endings)
    raise BadArgument(
        f"The file type of {path} is not supported.", f"Use one of {', '.join(endings)}, or give the format."
    )


def with_ending(path: Path, wanted: Format) -> Path:
    """Return a path with the ending of any format replaced by the usual ending of ``wanted``."""
    endings = sorted((ending for each in FORMATS for ending in each.endings), key=len, reverse=True)
    own = next((ending for ending in endings if path.name.lower().endswith(ending)), "")
    if own in wanted.endings:
        return path
    return path.with_name(path.name[: len(path.name) - len(own)] + (wanted.endings or ("",))[0])


def check_here(wanted: Format) -> None:
    """Check that the packages of a format are installed.

    Raises:
        Unavailable: with the names of the missing packages.
    """
    if wanted.missing:
        raise Unavailable(
            f"The format {wanted.name} needs the package {' and '.join(wanted.missing)}, which is not installed.",
            f"Install it: pip install {' '.join(wanted.missing)}.",
        )


def table() -> str:
    """Return all formats as a table in Markdown, for the documents."""
    rows = ["| format | files | keeps | labels | can be read | needs |", "|---|---|---|---|---|---|"]
    for each in FORMATS:
        files = " ".join(f"`{ending}`" for ending in each.endings) or "a folder"
        title = f"`{each.name}`: {each.title}{', experimental' if each.experimental else ''}"
        lacks = "view-dependent colours" if each.kind == "gaussians" and not each.degree else each.lacks
        keeps = f"{each.keeps}; no {lacks}" if lacks else each.keeps
        labels = "yes" if each.labels else "separate file" if each.kind == "gaussians" else ""
        rows.append(
            f"| {title} | {files} | {keeps} | {labels} | {'yes' if each.reads else ''} | {', '.join(each.needs)} |"
        )
    return "\n".join(rows)
