"""The request of a job: every option that decides its result, and which options exclude each other.

The command line, the panel, ``api.py`` and the worker take their options from :class:`JobRequest`. A new option needs
one field here, code in :mod:`backend.pipeline`, and a parameter of ``api.segment``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from msgspec import Meta

from protocol.errors import BadArgument, BadFrames, VersionMismatch
from protocol.field_types import FolderPath, Name, Value
from protocol.safe_path import safe_path
from protocol.settings import Field, fields_of

FEATURE = "options"
"""The feature of servers that accept the fields added by protocol 2.1."""
TEXTURES = "textures"
"""The feature of servers that bake textures of meshes."""

MaskId = Annotated[int, Meta(ge=-(2**31), lt=2**31)]
_SINCE_2_1 = {"feature": FEATURE}


class JobRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Every option that decides the result of a job, apart from the scene.

    ``splats`` and ``masks`` are relative to the scene folder. On the command line they may be absolute; a server
    accepts only paths inside the scene, see :func:`check_paths`.
    """

    method: Annotated[
        Name | None, Meta(title="Method", description="Lifting method. Default: the recommended one.")
    ] = None
    splats: Annotated[
        FolderPath | None,
        Meta(
            title="Splats",
            description="Gaussians of the scene, used instead of a reconstruction: .ply .spz .sog .splat .glb.",
        ),
    ] = None
    masks: Annotated[
        FolderPath | None,
        Meta(title="Mask Folder", description="Mask folder or COCO file. Default: the folder of the layout."),
    ] = None
    test_views: Annotated[
        str,
        Meta(
            pattern=r"^(none|own|last:[0-9.e-]{1,30}|every:[0-9]{1,9})\Z",
            title="Test Views",
            description="Test views, not used for training or lifting.",
            examples=["none", "last:0.2", "every:8", "own"],
        ),
    ] = "none"
    device: Annotated[Literal["auto", "cuda", "cpu"], Meta(title="Device", description="Device for computations.")] = (
        "auto"
    )
    seed: Annotated[int, Meta(ge=0, lt=2**32, title="Seed", description="Seed of the random numbers.")] = 0
    steps: Annotated[
        Annotated[int, Meta(ge=1, le=1_000_000)] | None,
        Meta(title="Steps", description="Reconstruction steps. Default: set by the quality."),
    ] = None
    quality: Annotated[
        Literal["draft", "standard", "high"],
        Meta(
            title="Quality",
            description="Quality of the reconstruction. A draft takes at most a third of the time of standard.",
            extra={
                "choices": {
                    "draft": "Small photographs and few steps; at most a third of the time of Standard",
                    "standard": "Minutes on a CPU",
                    "high": "Larger photographs, more steps and more Gaussians; several times as long as Standard",
                }
            },
        ),
    ] = "standard"
    settings: Annotated[
        dict[Name, Value],
        Meta(
            max_length=200, title="Settings", description="Settings of the lifting method.", extra={"feature": "facts"}
        ),
    ] = {}
    masks_from: Annotated[
        Literal["capture", "geometry"],
        Meta(
            title="Objects From",
            description="Source of objects: masks, or the shape of the scene. Without masks the shape is used.",
            extra={
                **_SINCE_2_1,
                "choices": {
                    "capture": "Masks of the capture or of a model; otherwise the shape of the scene",
                    "geometry": "Shape of the scene alone, without masks",
                },
            },
        ),
    ] = "capture"
    masks_model: Annotated[
        FolderPath | None,
        Meta(
            title="Mask Model",
            description="Model that makes masks if the scene has none, owner/name of the hub. "
            "Default: a known model on the machine.",
            extra=_SINCE_2_1,
        ),
    ] = None
    level: Annotated[
        Literal["whole", "part"],
        Meta(
            title="Level",
            description="Whether overlapping masks give whole objects or their parts.",
            extra={**_SINCE_2_1, "choices": {"whole": "Whole objects", "part": "Parts of objects"}},
        ),
    ] = "whole"
    background_ids: Annotated[
        list[MaskId],
        Meta(
            max_length=1000,
            title="Background Ids",
            description="Mask ids of background.",
            extra=_SINCE_2_1,
        ),
    ] = []
    void_ids: Annotated[
        list[MaskId],
        Meta(
            max_length=1000,
            title="Void Ids",
            description="Mask ids of unknown pixels.",
            extra=_SINCE_2_1,
        ),
    ] = []
    long_side: Annotated[
        Annotated[int, Meta(ge=16, le=16384)] | None,
        Meta(
            title="Photograph Size",
            description="Longest side of the photographs in the reconstruction, in pixels. "
            "Default: set by the quality.",
            extra=_SINCE_2_1,
        ),
    ] = None
    max_gaussians: Annotated[
        Annotated[int, Meta(ge=100, le=100_000_000)] | None,
        Meta(
            title="Maximum Gaussians",
            description="Maximum number of Gaussians in the reconstruction. Default: set by the quality and the "
            "photographs.",
            extra=_SINCE_2_1,
        ),
    ] = None
    steer: Annotated[
        bool,
        Meta(title="Favour Objects", description="Add more Gaussians where masks show objects.", extra=_SINCE_2_1),
    ] = True
    refine: Annotated[
        bool | None,
        Meta(
            title="Refine Edges",
            description="Refine object edges with the labels. Default: off with given splats, in drafts and without "
            "masks, otherwise on.",
            extra=_SINCE_2_1,
        ),
    ] = None
    meshes: Annotated[bool, Meta(title="Meshes", description="Make a mesh of each object.", extra=_SINCE_2_1)] = True
    textures: Annotated[
        bool,
        Meta(
            title="Textures",
            description="Bake a texture for each mesh from the photographs, in addition to vertex colours.",
            extra={"feature": TEXTURES},
        ),
    ] = False
    gallery: Annotated[
        bool,
        Meta(
            title="Gallery",
            description="Write images of the training, of test views and of a turntable of the objects.",
            extra=_SINCE_2_1,
        ),
    ] = True
    gpus: Annotated[
        int,
        Meta(
            ge=1,
            le=64,
            title="GPUs",
            description="Experimental: number of GPUs for one reconstruction.",
            extra=_SINCE_2_1,
        ),
    ] = 1

    @property
    def needs_masks(self) -> bool:
        """Whether the request asks for something that requires masks."""
        return bool(self.masks or self.method or self.settings or self.background_ids or self.void_ids)


OPTIONS: dict[str, Field] = {field.name: field for field in fields_of(JobRequest)}
"""The fields of :class:`JobRequest` by name, in order."""
OF_RECONSTRUCTION = ("steps", "quality", "long_side", "max_gaussians", "steer", "gpus")
"""Options of the reconstruction; they have no effect if splats are given."""
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_OF_REFINEMENT = ("steps", "quality")
_TYPES = get_type_hints(JobRequest, include_extras=True)


def given(request: JobRequest) -> dict[str, Any]:
    """Return the options that differ from their default."""
    return {name: value for name, field in OPTIONS.items() if (value := getattr(request, name)) != field.default}


def without_effect(request: JobRequest) -> list[str]:
    """Return the given options that have no effect because splats are given."""
    splats, refine = request.splats is not None, bool(request.refine)
    return [name for name in given(request) if not has_effect(name, splats=splats, refine=refine)]


def has_effect(name: str, *, splats: bool, refine: bool) -> bool:
    """Return whether an option has an effect, with or without given splats and refinement."""
    return not splats or name not in OF_RECONSTRUCTION or (refine and name in _OF_REFINEMENT)


def check(request: JobRequest) -> None:
    """Refuse values that are out of range, and options that exclude each other.

    Raises:
        BadArgument: with the option and its allowed values.
    """
    for name, field in OPTIONS.items():
        value = getattr(request, name)
        try:
            msgspec.convert(value, _TYPES[name], strict=True)
        except msgspec.ValidationError as error:
            raise BadArgument(f"{field.title} ({name}) cannot be {repr(value)[:100]}.", field.allowed()) from error
    if request.masks_from == "geometry" and (request.needs_masks or request.level != "whole"):
        raise BadArgument(
            "Geometry does not use masks.",
            "Remove the mask folder, mask ids, the level, the method and its settings.",
        )
    if request.masks_model is not None and (request.masks is not None or request.masks_from == "geometry"):
        raise BadArgument("A model and a mask folder were both given.", "Remove --masks or --masks-model.")
    if useless := without_effect(request):
        raise BadArgument(
            f"Given splats are not reconstructed, so {_listed(useless)} would have no effect.",
            f"Remove {_listed(useless)}, or the splats.",
        )
    if request.textures and not request.meshes:
        raise BadArgument("Textures need meshes, but no meshes are made.", "Remove --textures or --no-meshes.")
    if both := sorted(set(request.background_ids) & set(request.void_ids)):
        raise BadArgument(
            f"The mask id {both[0]} is given as background and as void.", "Give it once, as background or as void."
        )
    if request.gpus > 1 and request.device == "cpu":
        raise BadArgument(
            f"{request.gpus} GPUs were requested, but the device is a CPU.",
            "Remove the number of GPUs, or choose the device cuda.",
        )


def check_paths(request: JobRequest) -> None:
    """Refuse paths that are not inside the scene folder, for requests from outside this machine.

    Raises:
        BadArgument: with the path.
    """
    for name in ("splats", "masks"):
        path = getattr(request, name)
        try:
            if path is not None:
                safe_path(path)
        except BadFrames as fault:
            raise BadArgument(f"The path {path!r} of {name} is not inside the scene folder.") from fault
    if request.masks_model is not None:
        check_model(request.masks_model)


def check_model(name: str) -> None:
    """Refuse a model that is not named as on the hub, such as a folder.

    Raises:
        BadArgument: if ``name`` is not ``owner/name``.
    """
    if not _HUB_NAME.fullmatch(name):
        raise BadArgument(f"The model {name!r} is not a name of the model hub.", "Give it as owner/name.")


def check_features(request: JobRequest, features: list[str], server: str) -> None:
    """Refuse options that an older server does not support.

    Args:
        features: those that the server announced.
        server: its name for the error.

    Raises:
        VersionMismatch: with the names of the options.
    """
    unknown = [name for name in given(request) if OPTIONS[name].feature not in ("", *features)]
    if unknown:
        raise VersionMismatch(
            f"{server} is too old for {_listed(unknown)}.", f"Update the server, or remove {_listed(unknown)}."
        )


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
