"""The optional libraries of segmentation models, and the error if they are missing."""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from protocol.errors import Unavailable

INSTALL = "Run pip install 'splatlift[masks]'."


def is_installed() -> bool:
    """Whether transformers can be imported; it is not imported."""
    return importlib.util.find_spec("transformers") is not None


def check_installed() -> None:
    """Raise :class:`protocol.errors.Unavailable` if transformers is not installed."""
    if not is_installed():
        raise Unavailable("Segmentation models need the package transformers, which is not installed.", INSTALL)


def transformers() -> ModuleType:
    """Return the module ``transformers``, without its progress bars and messages.

    Raises:
        Unavailable: if it is not installed, or cannot be imported.
    """
    check_installed()
    try:
        module = importlib.import_module("transformers")
    except (ImportError, RuntimeError) as error:
        raise Unavailable(
            f"The package transformers cannot be imported: {first_line(error)}.", "Install compatible versions."
        ) from error
    module.utils.logging.set_verbosity_error()
    module.utils.logging.disable_progress_bar()
    return module


def missing_package(model: str, error: ImportError) -> Unavailable:
    """Return the error for a model that needs a package which is not installed."""
    named = re.search(r"requires the (\S+) library", str(error))
    needed = f"the package {named[1]}, which is not installed" if named else f"more packages: {first_line(error)}"
    return Unavailable(
        f"The model {model} needs {needed}.", "Install it in a version that fits torch, see docs/masks.md."
    )


@contextmanager
def no_network() -> Iterator[None]:
    """Prevent the libraries from accessing the hub during the block."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def first_line(error: BaseException) -> str:
    """Return the first line of an error message, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).strip().rstrip(".")
