"""The settings and the function of each method of :data:`backend.lift_methods.METHODS`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, get_args, get_type_hints

import msgspec

from backend.lift.consensus import method as consensus
from backend.lift.consensus.settings import ConsensusSettings
from backend.lift.contrastive import method as contrastive
from backend.lift.contrastive.settings import ContrastiveSettings
from backend.lift.hdbscan import method as hdbscan
from backend.lift.hdbscan.settings import HdbscanSettings
from backend.lift.task import Labelling, LiftTask
from backend.lift.unic_lift import method as unic_lift
from backend.lift.unic_lift.settings import UnicLiftSettings
from backend.lift_methods import METHODS as CATALOGUE
from protocol.errors import BadArgument

Value = float | int | str | bool

DEFAULT = CATALOGUE[0].name


@dataclass(frozen=True)
class Method:
    """A lifting method.

    Attributes:
        title: for menus.
        summary: one sentence.
        settings: a frozen dataclass with the defaults of the method.
        run: the function that runs the method.
    """

    title: str
    summary: str
    settings: type
    run: Callable[[LiftTask, Any], Labelling]


RUNS: dict[str, tuple[type, Callable[[LiftTask, Any], Labelling]]] = {
    "consensus": (ConsensusSettings, consensus.run),
    "unic-lift": (UnicLiftSettings, unic_lift.run),
    "contrastive": (ContrastiveSettings, contrastive.run),
    "hdbscan": (HdbscanSettings, hdbscan.run),
}
"""For each method of the catalogue, its settings and its function."""

METHODS: dict[str, Method] = {each.name: Method(each.title, each.summary, *RUNS[each.name]) for each in CATALOGUE}


def find_method(name: str | None) -> tuple[str, Method]:
    """Return a method and its full name; the default if ``name`` is None.

    Raises:
        BadArgument: if there is no such method.
    """
    name = name or DEFAULT
    if name not in METHODS:
        raise BadArgument(f"The lifting method {name!r} does not exist.", f"Known methods: {', '.join(METHODS)}.")
    return name, METHODS[name]


def read_settings(name: str, method: Method, given: Mapping[str, Value] | None) -> Any:
    """Return the method's settings with the values of ``given`` replacing the defaults.

    A value of ``given`` may change the defaults of other settings: those of the class attribute ``presets``.

    Raises:
        BadArgument: if a setting is unknown, or its value has the wrong type or is out of range.
    """
    known = [field.name for field in fields(method.settings)]
    for key, value in (given or {}).items():
        if key not in known:
            raise BadArgument(f"The method {name} has no setting {key!r}.", f"Known settings: {', '.join(known)}.")
        if isinstance(value, float) and not math.isfinite(value):
            raise BadArgument(f"The setting {key} of method {name} is {value}; it must be a finite number.")
    presets: Mapping[str, Mapping[Value, Mapping[str, Value]]] = getattr(method.settings, "presets", {})
    values: dict[str, Value] = {}
    for key, by_value in presets.items():
        values |= by_value.get((given or {}).get(key, ""), {})
    try:
        return msgspec.convert(values | dict(given or {}), method.settings)
    except msgspec.ValidationError as error:
        reason, _, where = str(error).partition(" - at `$.")
        where = where.rstrip("`")
        choices = get_args(get_type_hints(method.settings)[where])
        remedy = f"Choose one of {', '.join(choices)}." if choices else ""
        raise BadArgument(f"The setting {where} of method {name} is invalid: {reason}.", remedy) from error


def settings_dict(settings: Any) -> dict[str, Value]:
    """Return settings as plain values, for reports."""
    return asdict(settings)
