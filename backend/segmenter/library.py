"""The optional libraries of segmentation models, and the error where they are not installed."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from protocol.errors import Unavailable

INSTALL = "Run pip install 'splatlift[masks]'."


def is_installed() -> bool:
    """Whether transformers can be imported; it is not imported."""
    return importlib.util.find_spec("transformers") is not None


def transformers() -> ModuleType:
    """Return the module ``transformers``, without its progress bars and messages.

    Raises:
        Unavailable: if it is not installed, or cannot be imported.
    """
    if not is_installed():
        raise Unavailable("Segmentation models need the package transformers, which is not installed.", INSTALL)
    try:
        module = importlib.import_module("transformers")
    except (ImportError, RuntimeError) as error:
        raise Unavailable(
            f"The package transformers cannot be imported: {first_line(error)}.", "Install compatible versions."
        ) from error
    module.utils.logging.set_verbosity_error()
    module.utils.logging.disable_progress_bar()
    return module


@contextmanager
def no_network() -> Iterator[None]:
    """Keep the libraries from asking the hub for anything while the block runs."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, without its full stop."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).strip().rstrip(".")
