"""Determines how a model makes masks, from the mappings of the Auto classes."""

from __future__ import annotations

from enum import Enum
from typing import Any

from backend.segmenter.library import first_line, missing_package, no_network, transformers
from backend.segmenter.weights import Weights
from protocol.errors import BadArgument

VIDEOS_ONLY = ("videomt",)
"""Model types in the mappings that do not accept single photographs."""


class Kind(Enum):
    """How a model returns masks."""

    POINTS = "mask generation"
    """Masks for given points, with scores: SAM and its successors."""
    QUERIES = "universal segmentation"
    """A fixed number of masks with classes: Mask2Former, OneFormer, EoMT and similar models."""


def read_config(weights: Weights) -> Any:
    """Return the configuration of a model, read by transformers; no code of the model is run.

    Raises:
        BadArgument: if it cannot be read.
        Unavailable: if a package that it needs is not installed.
    """
    library = transformers()
    try:
        with no_network():
            return library.AutoConfig.from_pretrained(weights.folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise missing_package(weights.name, error) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadArgument(
            f"The configuration of the model {weights.name} cannot be read: {first_line(error)}.",
            "Choose a model that transformers supports.",
        ) from error


def kind_of(weights: Weights, config: Any) -> Kind:
    """Return how the model returns masks.

    Raises:
        BadArgument: if it makes no masks; the sentence says what it is.
    """
    from transformers.models.auto import modeling_auto

    kind = str(getattr(config, "model_type", ""))
    if kind in modeling_auto.MODEL_FOR_MASK_GENERATION_MAPPING_NAMES:
        return Kind.POINTS
    if kind in modeling_auto.MODEL_FOR_UNIVERSAL_SEGMENTATION_MAPPING_NAMES and kind not in VIDEOS_ONLY:
        return Kind.QUERIES
    raise BadArgument(
        f"The model {weights.name} has the type {kind!r}. Only mask generation and universal segmentation are "
        "supported.",
        "Choose a model such as SAM 2.1, SAM-HQ, EdgeTAM, Mask2Former, OneFormer or EoMT.",
    )
