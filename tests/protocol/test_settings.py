"""Settings read from classes: types, bounds, titles and help."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from protocol.settings import Setting, declare, fields_of

Share = Annotated[float, Meta(ge=0, le=1)]


@dataclass(frozen=True)
class Base:
    first: Annotated[int, Meta(ge=1, lt=9, title="First of All", description="Told at the base.")] = 3


@dataclass(frozen=True)
class Own(Base):
    second: bool = False
    third: Annotated[Literal["b", "a"], Meta(description="Told here.")] = "b"
    fourth: Annotated[float, Meta(gt=0)] = 0.5
    fifth: Annotated[Share, Meta(title="Share")] = 0.25
    sixth: str = "x"


def test_types_bounds_and_help_are_read_from_the_class():
    first, second, third, fourth, fifth, sixth = declare(Own)
    assert first == Setting("first", "First of All", "int", 3, 1.0, 8.0, help="Told at the base.")
    assert second == Setting("second", "Second", "bool", False)
    assert third == Setting("third", "Third", "choice", "b", choices=["b", "a"], help="Told here.")
    assert (fourth.kind, fourth.help, fourth.most) == ("float", "", None)
    assert fourth.least is not None
    assert 0 < fourth.least < 1e-300
    assert fifth == Setting("fifth", "Share", "float", 0.25, 0.0, 1.0)
    assert sixth == Setting("sixth", "Sixth", "text", "x")


class Request(msgspec.Struct):
    count: Annotated[Annotated[int, Meta(ge=2)] | None, Meta(title="How Many", extra={"feature": "new"})] = None
    ids: list[int] = []
    more: dict[str, int] = {}
    spec: Annotated[str, Meta(examples=["a", "b:1"])] = "a"
    on: bool | None = None


def test_fields_of_a_struct_may_be_none_or_hold_several_values():
    count, ids, more, spec, on = fields_of(Request)
    assert (count.kind, count.optional, count.least, count.title, count.feature) == (
        "int",
        True,
        2.0,
        "How Many",
        "new",
    )
    assert (ids.kind, ids.default, more.kind, more.default) == ("list", [], "table", {})
    assert (on.kind, on.optional, on.default, on.feature) == ("bool", True, None, "")
    assert [each.allowed() for each in (count, ids, spec, on)] == [
        "Give a whole number of at least 2.",
        "Give whole numbers.",
        "Examples: a, b:1.",
        "Give true or false.",
    ]


@dataclass
class Optional:
    field: int | None = None


@dataclass
class Mixed:
    field: int | str = 1


@dataclass
class Bare:
    field: int


@dataclass
class Odd:
    field: tuple[int, int] = (1, 2)


@pytest.mark.parametrize("wrong", [Request, Optional, Mixed, Bare, Odd])
def test_what_a_panel_cannot_show_is_refused(wrong: type):
    with pytest.raises(TypeError, match=r"setting (field|count)"):
        declare(wrong)
