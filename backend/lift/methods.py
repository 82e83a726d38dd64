"""The methods by name, and their settings as a user gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args, get_type_hints

import msgspec

from backend.lift import consensus, contrastive, hdbscan, unic_lift
from backend.lift.job import Job, Labelling
from protocol.errors import BadArgument

Value = float | int | str | bool

DEFAULT = "consensus"


@dataclass(frozen=True)
class Method:
    """A way to lift.

    Attributes:
        title: for menus.
        summary: one sentence.
        settings: a frozen dataclass whose defaults are the method's own.
        run: the method.
    """

    title: str
    summary: str
    settings: type
    run: Callable[[Job, Any], Labelling]


METHODS: dict[str, Method] = {
    "consensus": Method(
        "Consensus of masks",
        "No training: groups of Gaussians are joined where the masks keep calling them one object.",
        consensus.ConsensusSettings,
        consensus.run,
    ),
    "unic-lift": Method(
        "UniC-Lift",
        "Trains a 12-dimensional embedding by contrast of masks, whose signs are the codes of objects.",
        unic_lift.UnicLiftSettings,
        unic_lift.run,
    ),
    "contrastive": Method(
        "Contrastive Gaussian Clustering",
        "Trains 16-dimensional features by contrast of masks, clusters them, and selects objects by likeness.",
        contrastive.ContrastiveSettings,
        contrastive.run,
    ),
    "hdbscan": Method(
        "Cluster loss and HDBSCAN",
        "Trains an embedding by the cluster loss of UniC-Lift alone and clusters it: a baseline to compare with.",
        hdbscan.HdbscanSettings,
        hdbscan.run,
    ),
}


def find_method(name: str | None) -> tuple[str, Method]:
    """Return a method and its full name; the default where ``name`` is None.

    Raises:
        BadArgument: if there is no such method.
    """
    name = name or DEFAULT
    if name not in METHODS:
        raise BadArgument(f"There is no lifting method {name!r}.", f"Known methods: {', '.join(METHODS)}.")
    return name, METHODS[name]


def read_settings(name: str, method: Method, given: Mapping[str, Value] | None) -> Any:
    """Return the method's settings with those of ``given`` in place of the defaults.

    Raises:
        BadArgument: if a setting is unknown, or its value has the wrong type or lies outside its range.
    """
    known = [field.name for field in fields(method.settings)]
    for key, value in (given or {}).items():
        if key not in known:
            raise BadArgument(f"Method {name} has no setting {key!r}.", f"Known settings: {', '.join(known)}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise BadArgument(f"The setting {key} of method {name} is {value}; a finite number is needed.")
    try:
        return msgspec.convert(dict(given or {}), method.settings)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$.")
        where = where.rstrip("`")
        choices = get_args(get_type_hints(method.settings)[where])
        remedy = f"Choose one of {', '.join(choices)}." if choices else ""
        raise BadArgument(f"The setting {where} of method {name} is wrong: {reason}.", remedy) from error


def settings_dict(settings: Any) -> dict[str, Value]:
    """Return settings as plain values, for reports."""
    return asdict(settings)
