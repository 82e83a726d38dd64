"""Downloads a model from the hub into the local cache, after confirmation."""

from __future__ import annotations

import errno
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from backend.progress import Progress, silent
from backend.segmenter.library import check_installed, first_line
from backend.segmenter.weights import INDEX, UNKNOWN_LICENCE, WEIGHTS, Weights, describe, find_weights
from protocol.errors import BadArgument, Refused, Unavailable

NEEDED = ("*.json", "*.safetensors", "merges.txt", "README.md", "LICENSE*")
"""Files of a model that are downloaded: no pickled weights, no code."""
SPARE = 1 << 28
"""Bytes that must stay free on the disk."""


@dataclass(frozen=True)
class Offer:
    """A model that is available on the hub.

    Attributes:
        name: owner and name.
        files: the files to download, with their sizes; weights are last, because a model without them is not used.
        licence: according to the hub.
    """

    name: str
    files: tuple[tuple[str, int], ...]
    licence: str

    @property
    def bytes(self) -> int:
        return sum(size for _, size in self.files)

    def __str__(self) -> str:
        return describe(self.name, self.bytes, self.licence)


Agree = Callable[[Offer], bool]
"""Asked before anything is downloaded."""


def never(offer: Offer) -> bool:
    """An :data:`Agree` that refuses."""
    return False


def get_weights(name: str, agree: Agree = never, progress: Progress = silent) -> Weights:
    """Return the model from its folder or the local cache; else download it, if ``agree`` returns True.

    Raises:
        BadArgument: if there is no such model, or it only has pickled weights.
        Refused: if ``agree`` returns False.
        Unavailable: if the package transformers, the hub, the model or disk space is not available.
        Cancelled: if ``progress`` raises it; downloaded data is kept.
    """
    found = find_weights(name)
    if found is not None:
        return found
    check_installed()
    offer = look_up(name)
    if not agree(offer):
        raise Refused(
            f"The model {name} is not on this machine and needs a download ({offer}).",
            "Use --yes to download it, or give the folder of a local copy.",
        )
    fetch(offer, progress)
    found = find_weights(name)
    if found is None:
        raise Unavailable(f"The model {name} was only partly downloaded.", "Try again.")
    return found


def look_up(name: str) -> Offer:
    """Request information about a model from the hub.

    Raises:
        BadArgument: if the hub has no such model, or only pickled weights of it.
        Unavailable: if the hub cannot be reached, or access to the model is restricted.
    """
    from huggingface_hub import HfApi

    with _explained(name):
        info = HfApi().model_info(name, files_metadata=True)
    files = [(each.rfilename, each.size or 0) for each in info.siblings or [] if _is_needed(each.rfilename)]
    if not any(file in (WEIGHTS, INDEX) for file, _ in files):
        raise BadArgument(
            f"The model {name} has no weights in safetensors format. Pickled weights can run code and are not "
            "supported.",
            "Choose another model.",
        )
    files.sort(key=lambda file: file[0].endswith(".safetensors"))
    licence = getattr(info.card_data, "license", None) or UNKNOWN_LICENCE
    return Offer(name, tuple(files), str(licence))


def fetch(offer: Offer, progress: Progress = silent) -> None:
    """Download a model into the cache of huggingface_hub; existing files are not downloaded again.

    Raises:
        Unavailable: if the hub, the model or disk space is not available.
        Cancelled: if ``progress`` raises it.
    """
    from huggingface_hub import constants, hf_hub_download

    cache = Path(constants.HF_HUB_CACHE)
    _check_space(cache, offer)
    done = 0
    for file, size in offer.files:
        told = _telling(progress, offer, done)
        with _explained(offer.name):
            hf_hub_download(offer.name, file, cache_dir=cache, tqdm_class=told)
        done += size
    progress("masks", 0.0, f"downloaded {offer.name}")


def _telling(progress: Progress, offer: Offer, before: int) -> Any:
    """Return a class like tqdm that reports the downloaded share; ``before`` is the size of earlier files."""
    from tqdm import tqdm

    class Telling(tqdm):
        def __init__(self, *args: Any, **named: Any) -> None:
            super().__init__(*args, **{**named, "file": io.StringIO(), "disable": False})

        def update(self, n: float | None = 1) -> bool | None:
            updated = super().update(n)
            share = min(1.0, (before + self.n) / max(1, offer.bytes))
            progress("masks", 0.0, f"downloading {offer.name}: {share:.0%} of {offer.bytes / 1e6:,.0f} MB")
            return updated

    return Telling


def _is_needed(file: str) -> bool:
    return "/" not in file and any(fnmatch(file, pattern) for pattern in NEEDED)


def _check_space(cache: Path, offer: Offer) -> None:
    place = next(folder for folder in (cache, *cache.absolute().parents) if folder.exists())
    free = shutil.disk_usage(place).free
    if free < offer.bytes + SPARE:
        raise _disk_full(offer.name, f"{offer.bytes / 1e6:,.0f} MB are needed and {free / 1e6:,.0f} MB are free")


def _disk_full(name: str, why: str) -> Unavailable:
    return Unavailable(
        f"The model {name} does not fit on this disk: {why}.",
        "Free space, or set HF_HUB_CACHE to a folder on another disk.",
    )


@contextmanager
def _explained(name: str) -> Iterator[None]:
    """Convert exceptions of huggingface_hub to a fault."""
    from huggingface_hub import errors

    try:
        yield
    except errors.GatedRepoError as error:
        raise Unavailable(
            f"The model {name} is only available to users who accept its licence.",
            "Accept the licence on the model's hub page, run hf auth login, and try again.",
        ) from error
    except (errors.RepositoryNotFoundError, errors.RevisionNotFoundError, errors.HFValidationError) as error:
        raise BadArgument(
            f"No folder {name} and no accessible hub model {name} was found.", "Check the name."
        ) from error
    except errors.OfflineModeIsEnabled as error:
        raise Unavailable(
            f"The model {name} is not on this machine, and HF_HUB_OFFLINE prevents the download.",
            "Unset HF_HUB_OFFLINE, or give the folder of a local copy.",
        ) from error
    except (errors.HTTPError, OSError) as error:  # pyright: ignore[reportPrivateImportUsage]
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _disk_full(name, "no space is left") from error
        raise Unavailable(
            f"The model {name} is not on this machine, and the hub cannot be reached: {first_line(error)}.",
            "Check the network connection, or give the folder of a local copy.",
        ) from error
