"""The options of a job on the command line, made from the fields of :class:`protocol.job_request.JobRequest`."""

from __future__ import annotations

import functools
import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from protocol.errors import BadArgument
from protocol.field_types import Value
from protocol.job_request import OPTIONS, JobRequest
from protocol.settings import Field

GEOMETRY = "geometry"
"""Value of ``--masks`` that selects segmentation by geometry."""
NAMES = {"background_ids": "--background-id", "void_ids": "--void-id", "settings": "--set"}
"""Names of options that may be repeated, once per value."""
_TYPES = {"bool": bool, "int": int, "float": float, "text": str}


def job_options(only: Sequence[str] | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a decorator that replaces a command's parameter ``request`` by the options of a job.

    The command is called with the resulting :class:`JobRequest`.

    Args:
        only: names of the options to add; None for all. The others keep their defaults.
    """
    offered = [field for name, field in OPTIONS.items() if only is None or name in only]
    # `--masks geometry` sets it; a second option for the same choice could contradict it.
    shown = [field for field in offered if field.name != "masks_from"]
    geometry = len(shown) < len(offered)

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(command)
        def with_options(**given: Any) -> Any:
            options = {field.name: given.pop(field.name) for field in shown}
            return command(**given, request=_request(options, geometry=geometry))

        rest = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.name != "request"
        ]
        parameters = rest + [_parameter(field, geometry=geometry) for field in shown]
        with_options.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return decorate


def parse_settings(pairs: Sequence[str]) -> dict[str, Value]:
    """Parse settings written NAME=VALUE; values are converted to numbers or booleans where possible.

    Raises:
        BadArgument: if a pair has no name or no value.
    """
    settings: dict[str, Value] = {}
    for pair in pairs:
        name, sign, text = pair.partition("=")
        if not name or not sign or not text:
            raise BadArgument(f"The setting {pair!r} is not of the form NAME=VALUE.")
        try:
            value = json.loads(text)
        except json.JSONDecodeError:
            value = text
        settings[name] = value if isinstance(value, int | float | bool) else text
    return settings


def _request(options: dict[str, Any], *, geometry: bool) -> JobRequest:
    options["settings"] = parse_settings(options.get("settings") or [])
    for name in ("background_ids", "void_ids"):
        options[name] = list(options.get(name) or [])
    if geometry and options["masks"] == GEOMETRY:
        options |= {"masks": None, "masks_from": GEOMETRY}
    for name in ("splats", "masks"):
        # Paths on the command line are relative to the working directory, those of a request to the scene.
        if options.get(name) is not None:
            options[name] = str(Path(options[name]).absolute())
    model = options.get("masks_model")
    if model is not None and Path(model).is_dir():
        options["masks_model"] = str(Path(model).absolute())
    return JobRequest(**options)


def _parameter(field: Field, *, geometry: bool) -> inspect.Parameter:
    kind: Any = _TYPES.get(field.kind, str)
    flags = [NAMES.get(field.name, f"--{field.name.replace('_', '-')}")]
    default, help = field.default, field.help
    more: dict[str, Any] = {}
    match field.kind:
        case "bool":
            flags = [f"{flags[0]}/--no-{flags[0][2:]}"]
        case "choice":
            kind = Literal[field.choices]
        case "int" | "float":
            more = {"min": field.least, "max": field.most}
            if field.kind == "int":
                more = {name: None if bound is None else int(bound) for name, bound in more.items()}
        case "list" | "table":
            kind, default = list[int] if field.kind == "list" else list[str], None
            more = {"metavar": "ID" if field.kind == "list" else "NAME=VALUE"}
            help = f"{help} Repeatable."
        case "text" if field.examples:
            more = {"metavar": "|".join(field.examples)}
    if field.name == "masks":
        more = {"metavar": f"DIR|{GEOMETRY}" if geometry else "DIR"}
        help += f" {GEOMETRY}: find objects by the shape of the scene, without masks." if geometry else ""
    if field.name == "masks_model":
        more = {"metavar": "NAME|DIR"}
    if default is None:
        kind = kind | None
    option = typer.Option(*flags, help=help, show_default=default is not None and default is not True, **more)
    return inspect.Parameter(
        field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, option]
    )
