"""Descriptions of settings, derived from the fields of a class and their ``msgspec.Meta``.

The settings of the lifting methods and the fields of :class:`protocol.job_request.JobRequest` are described once, in
their class. The command line, the panel and the server derive their options, help texts and validation from it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec
from msgspec import inspect

from protocol.field_types import Name, Sentence, Value

Kind = Literal["bool", "int", "float", "choice", "text", "list", "table"]


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A setting of a method, as the panel shows it.

    ``least`` and ``most`` bound a number, None if unbounded; ``choices`` are the values of a "choice".
    """

    name: Name
    title: Name
    kind: Literal["bool", "int", "float", "choice", "text"]
    default: Value
    least: float | None = None
    most: float | None = None
    choices: list[Name] = []
    help: Sentence = ""


@dataclass(frozen=True)
class Field:
    """One field of a class of settings.

    Attributes:
        name: in code.
        title: in user interfaces.
        help: a sentence or two for users, from ``Meta(description=...)``.
        kind: "list" is a list of integers, "table" a dict of further settings.
        default: the value if none is given.
        least, most: bounds of a number, None if unbounded.
        choices: the values of a "choice".
        optional: whether the value may be None, which means automatic.
        examples: example values, from ``Meta(examples=...)``.
        choices_help: explanations of choices, from ``Meta(extra={"choices": {...}})``.
        feature: the server feature that the field requires, from ``Meta(extra={"feature": ...})``; "" if none.
    """

    name: str
    title: str
    help: str
    kind: Kind
    default: Any
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False
    examples: tuple[str, ...] = ()
    choices_help: Mapping[str, str] = field(default_factory=dict)
    feature: str = ""

    def allowed(self) -> str:
        """Return a sentence that says which values are allowed."""
        match self.kind:
            case "bool":
                return "Give true or false."
            case "choice":
                return f"Choose one of {', '.join(self.choices)}."
            case "int" | "float":
                number = "a whole number" if self.kind == "int" else "a number"
                if self.least is not None and self.most is not None:
                    return f"Give {number} from {self.least:.10g} to {self.most:.10g}."
                if self.least is not None:
                    return f"Give {number} of at least {self.least:.10g}."
                return f"Give {number} of at most {self.most:.10g}." if self.most is not None else f"Give {number}."
            case "list":
                return "Give whole numbers."
            case "table":
                return "Give pairs of a name and a value."
        return f"Examples: {', '.join(self.examples)}." if self.examples else "Give a string."


def fields_of(settings: type) -> list[Field]:
    """Return the fields of a dataclass or a msgspec struct in order.

    Supported types are bool, int, float, str, literals of str, lists of int and dicts, each optionally with None.
    Titles, descriptions and bounds come from ``msgspec.Meta``; a field without a title gets its name.

    Raises:
        TypeError: if a field has another type.
    """
    found = inspect.type_info(settings)
    assert isinstance(found, inspect.StructType | inspect.DataclassType)
    hints = get_type_hints(settings, include_extras=True)
    return [_field(each.name, each.type, hints[each.name], _default(settings, each)) for each in found.fields]


def declare(settings: type) -> list[Setting]:
    """Return the fields of a method's settings as they are sent to clients.

    Raises:
        TypeError: if a field has a type that the panel cannot show.
    """
    declared = []
    for each in fields_of(settings):
        if each.optional or each.kind in ("list", "table"):
            raise TypeError(f"setting {each.name} is of a type that no panel can show")
        declared.append(
            Setting(
                each.name, each.title, each.kind, each.default, each.least, each.most, list(each.choices), each.help
            )
        )
    return declared


def _default(settings: type, known: inspect.Field) -> Any:
    if known.default_factory is not msgspec.NODEFAULT:
        return known.default_factory()
    if known.default is not msgspec.NODEFAULT:
        return known.default
    raise TypeError(f"setting {known.name} of {settings.__name__} has no default")


def _field(name: str, kind: inspect.Type, hint: Any, default: Any) -> Field:
    kind, schema, extra = _unwrapped(kind)
    optional = isinstance(kind, inspect.UnionType) and any(isinstance(one, inspect.NoneType) for one in kind.types)
    if optional:
        assert isinstance(kind, inspect.UnionType)
        rest = [one for one in kind.types if not isinstance(one, inspect.NoneType)]
        if len(rest) != 1:
            raise TypeError(f"setting {name} may be of several types")
        kind, inner, inner_extra = _unwrapped(rest[0])
        schema, extra = inner | schema, inner_extra | extra
    least = most = None
    choices: tuple[str, ...] = ()
    match kind:
        case inspect.BoolType():
            word: Kind = "bool"
        case inspect.IntType() | inspect.FloatType():
            word = "int" if isinstance(kind, inspect.IntType) else "float"
            least, most = _bounds(kind)
        case inspect.LiteralType() if all(isinstance(value, str) for value in kind.values):
            word = "choice"
            choices = _literals(hint)
        case inspect.StrType():
            word = "text"
        case inspect.ListType():
            word = "list"
        case inspect.DictType():
            word = "table"
        case _:
            raise TypeError(f"setting {name} is of type {kind}, which cannot be described")
    return Field(
        name=name,
        title=schema.get("title", name.replace("_", " ").capitalize()),
        help=schema.get("description", ""),
        kind=word,
        default=default,
        least=least,
        most=most,
        choices=choices,
        optional=optional,
        examples=tuple(schema.get("examples", ())),
        choices_help=extra.get("choices", {}),
        feature=extra.get("feature", ""),
    )


def _literals(hint: Any) -> tuple[str, ...]:
    """Return the values of a literal inside a type hint, in source order."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next(filter(None, map(_literals, get_args(hint))), ())


def _unwrapped(kind: inspect.Type) -> tuple[inspect.Type, dict[str, Any], dict[str, Any]]:
    """Return a type without its metadata, its JSON schema metadata, and its extra metadata."""
    schema: dict[str, Any] = {}
    extra: dict[str, Any] = {}
    while isinstance(kind, inspect.Metadata):
        schema = (kind.extra_json_schema or {}) | schema
        extra = (kind.extra or {}) | extra
        kind = kind.type
    return kind, schema, extra


def _bounds(kind: inspect.IntType | inspect.FloatType) -> tuple[float | None, float | None]:
    """Return the least and most allowed values; for an exclusive bound, the adjacent representable number."""
    whole = isinstance(kind, inspect.IntType)
    least, most = kind.ge, kind.le
    if kind.gt is not None:
        least = kind.gt + 1 if whole else math.nextafter(kind.gt, math.inf)
    if kind.lt is not None:
        most = kind.lt - 1 if whole else math.nextafter(kind.lt, -math.inf)
    return None if least is None else float(least), None if most is None else float(most)
