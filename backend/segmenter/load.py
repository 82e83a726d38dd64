"""Loads a model from this machine. Weights are read from safetensors only, and no code of the model is run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from backend.segmenter.kinds import Kind, kind_of, read_config
from backend.segmenter.library import first_line, missing_package, no_network, transformers
from backend.segmenter.mask_records import ScoredMask
from backend.segmenter.points import PointSegmenter
from backend.segmenter.prepare import Size, read_recipe
from backend.segmenter.queries import QuerySegmenter
from backend.segmenter.weights import Weights
from protocol.errors import BadArgument, Unavailable

MOST_MISSING = 0.1
"""Largest share of a model's parameters that may be missing; they are initialised at random, with a warning."""
TASK = "the task is panoptic"
"""The task text for OneFormer."""


class Segmenter(Protocol):
    """The interface of mask makers; see :class:`backend.segmenter.points.PointSegmenter`."""

    def __call__(
        self, photographs: Sequence[NDArray[np.uint8]], size: Size, tell: Callable[[float], None]
    ) -> list[list[ScoredMask]]: ...


def load_segmenter(weights: Weights, device: str, per_side: int) -> tuple[Segmenter, tuple[str, ...]]:
    """Return a segmenter for a model, and warnings.

    Args:
        weights: of the model.
        device: "cpu" or "cuda".
        per_side: points along a side, for models of mask generation.

    Raises:
        BadArgument: if the model makes no masks, or its files are damaged or inconsistent.
        Unavailable: if a package that it needs is not installed, or it does not fit into memory.
    """
    library = transformers()
    config = read_config(weights)
    kind = kind_of(weights, config)
    recipe = read_recipe(weights.folder, config.model_type)
    auto = library.AutoModelForMaskGeneration if kind is Kind.POINTS else library.AutoModelForUniversalSegmentation
    model, warnings = load_model(auto, weights, config, device)
    if kind is Kind.POINTS:
        return PointSegmenter(model, recipe, device, per_side), warnings
    labels = [str(config.id2label.get(i, i)) for i in range(config.num_labels)]
    return QuerySegmenter(model, recipe, device, labels, _task(weights, config)), warnings


def load_model(auto: Any, weights: Weights, config: Any, device: str) -> tuple[Any, tuple[str, ...]]:
    """Return the model of an Auto class on a device, in float32, and warnings.

    Raises:
        BadArgument: if the weights are damaged or many are missing.
        Unavailable: if a package is not installed, or the model does not fit into memory.
    """
    from safetensors import SafetensorError

    try:
        with no_network():
            model, said = auto.from_pretrained(
                weights.folder,
                config=config,
                use_safetensors=True,
                local_files_only=True,
                trust_remote_code=False,
                output_loading_info=True,
                dtype=torch.float32,
            )
        model = model.to(device).eval()
    except ImportError as error:
        raise missing_package(weights.name, error) from error
    except torch.OutOfMemoryError as error:
        raise Unavailable(
            f"The model {weights.name} does not fit in the memory of the device.",
            "Use --device cpu or a smaller model.",
        ) from error
    except (SafetensorError, OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise BadArgument(
            f"The weights of the model {weights.name} cannot be read: {first_line(error)}.",
            f"Delete {weights.folder} and download or copy the model again.",
        ) from error
    return model, _missing(weights, model, sorted(said["missing_keys"]))


def _missing(weights: Weights, model: Any, missing: Sequence[str]) -> tuple[str, ...]:
    if not missing:
        return ()
    total = len(model.state_dict())
    count = (
        f"The weights of the model {weights.name} are missing {len(missing)} of {total} parameters "
        f"(first: {missing[0]})"
    )
    if len(missing) > MOST_MISSING * total:
        raise BadArgument(f"{count}.", "Choose a model that was trained for this task.")
    return (f"{count}, which were initialised at random. Masks may be wrong.",)


def _task(weights: Weights, config: Any) -> Mapping[str, torch.Tensor]:
    """Return the tokenised task text for OneFormer."""
    if config.model_type != "oneformer":
        return {}
    try:
        with no_network():
            tokenizer = transformers().AutoTokenizer.from_pretrained(
                weights.folder, local_files_only=True, trust_remote_code=False
            )
        told = tokenizer(TASK, padding="max_length", max_length=config.task_seq_len, truncation=True)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadArgument(
            f"The tokenizer of the model {weights.name} cannot be read: {first_line(error)}.", "Copy the model again."
        ) from error
    # As in OneFormer's processor: padding becomes 0.
    return {"task_inputs": torch.tensor([told["input_ids"]]) * torch.tensor([told["attention_mask"]])}
