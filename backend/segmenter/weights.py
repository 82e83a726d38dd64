"""Finds the weights of a model on this machine and checks them; never accesses the network."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from backend.segmenter.catalogue import DEFAULT, KNOWN
from backend.segmenter.library import is_installed
from protocol.errors import BadArgument, Unavailable
from protocol.messages import MaskModel, MaskModels

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
MAX_JSON = 64 << 20
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)
_LICENCE = re.compile(r"^licen[sc]e:[ \t]*[\"']?([^\s\"']+)", re.MULTILINE)
UNKNOWN_LICENCE = "not stated"


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


@dataclass(frozen=True)
class Weights:
    """A model on this machine.

    Attributes:
        name: as given by the user, a name on the hub or a folder.
        folder: contains ``config.json`` and the weights as safetensors.
        bytes: size of the weights.
        licence: according to the model card, else :data:`UNKNOWN_LICENCE`.
    """

    name: str
    folder: Path
    bytes: int
    licence: str


def find_weights(name: str) -> Weights | None:
    """Return the model from a folder or the local cache; None if the cache lacks it or a part of it.

    Raises:
        BadArgument: if ``name`` is neither a folder nor a name on the hub, or the folder contains no usable weights.
    """
    # A name on the hub is also a relative path; an existing folder takes precedence.
    if Path(name).is_dir():
        return _of_folder(name, Path(name))
    if not _HUB_NAME.fullmatch(name):
        raise BadArgument(
            f"The model {name!r} is neither a folder nor a hub model name.", "Give the name as owner/name."
        )
    snapshot = _cached(name)
    if snapshot is None or _weight_files(snapshot) is None:
        return None
    return _of_folder(name, snapshot)


def find_known() -> Weights | None:
    """Return the first model of the catalogue that is completely in the local cache, or None."""
    found = (find_weights(known.name) for known in KNOWN) if is_installed() else ()
    return next((each for each in found if each is not None), None)


def known_models() -> MaskModels:
    """Return the models of the catalogue, and which of them are completely on this machine."""
    here = {known.name: find_weights(known.name) for known in KNOWN} if is_installed() else {}
    models = []
    for known in KNOWN:
        found = here.get(known.name)
        size = known.megabytes * 10**6 if found is None else found.bytes
        models.append(MaskModel(known.name, known.title, size, found is not None))
    return MaskModels(is_installed(), models)


def default_model() -> str:
    """Return the name of the default model: one on this machine, else the first of the catalogue."""
    found = find_known()
    return DEFAULT if found is None else found.name


def _cached(name: str) -> Path | None:
    """Return the folder of the newest copy in the cache of huggingface_hub, complete or not."""
    if not is_installed():
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    found = try_to_load_from_cache(name, CONFIG, cache_dir=constants.HF_HUB_CACHE)
    return Path(found).parent if isinstance(found, str) else None


def _of_folder(name: str, folder: Path) -> Weights:
    if not (folder / CONFIG).is_file():
        raise BadArgument(f"The model folder {folder} has no file {CONFIG}.", "Give the folder of a saved model.")
    files = _weight_files(folder)
    if files is None:
        raise _no_weights(folder)
    return Weights(name, folder, sum(file.stat().st_size for file in files), _licence(folder))


def _weight_files(folder: Path) -> list[Path] | None:
    """Return the safetensors files of a model; None if there are none, or files in its index are missing."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file() or index.stat().st_size > MAX_JSON:
        return None
    try:
        names = set(msgspec.json.decode(index.read_bytes(), type=_Index).weight_map.values())
    except msgspec.DecodeError:
        return None
    files = [folder / name for name in sorted(names)]
    return files if files and all(Path(name).name == name for name in names) and all(map(Path.is_file, files)) else None


def _no_weights(folder: Path) -> BadArgument | Unavailable:
    """Return the error with what the folder contains instead of weights."""
    names = sorted(path.name for path in folder.iterdir())
    pickled = [name for name in names if name.endswith(PICKLED)]
    if pickled:
        return BadArgument(
            f"The model folder {folder} has its weights in pickle format only ({pickled[0]}). Pickle can run code "
            "and is not supported.",
            "Save the model again as safetensors, or choose a model that has them.",
        )
    if INDEX in names:
        return BadArgument(f"{folder / INDEX} lists weight files that are not in {folder}.", "Copy the model again.")
    return BadArgument(f"The model folder {folder} has no file {WEIGHTS}.", "Copy the model again.")


def _licence(folder: Path) -> str:
    """Return the licence from the header of the model card."""
    card = folder / "README.md"
    if not card.is_file():
        return UNKNOWN_LICENCE
    with card.open("rb") as stream:
        text = stream.read(1 << 16).decode(errors="replace")
    head = text.split("---", 2)[1] if text.startswith("---") and text.count("---") > 1 else ""
    found = _LICENCE.search(head)
    return found[1] if found else UNKNOWN_LICENCE


def not_here(name: str) -> Unavailable:
    """Return the error for a model that is not on this machine when downloads are not allowed."""
    return Unavailable(
        f"The model {name} is not on this machine.",
        f"Use --yes to download it, run backend masks SCENE --model {name} once, or give the folder of a local copy.",
    )


def describe(name: str, size: int, licence: str) -> str:
    """Return name, size and licence as text."""
    return f"{name}, {size / 1e6:,.0f} MB, licence {licence}"
