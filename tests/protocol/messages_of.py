"""A hypothesis strategy for every message, drawn from the limits that its own fields declare."""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from hypothesis import strategies as st
from msgspec import inspect

from protocol.messages import AnyMessage

KINDS: tuple[type[msgspec.Struct], ...] = get_args(AnyMessage)


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """Values within the limits that msgspec knows of ``kind``."""
    match kind:
        case inspect.StructType():
            return st.builds(kind.cls, **{field.name: values(field.type) for field in kind.fields})
        case inspect.UnionType():
            return st.one_of([values(one) for one in kind.types])
        case inspect.ListType():
            return st.lists(values(kind.item_type), min_size=kind.min_length or 0, max_size=kind.max_length or 3)
        case inspect.TupleType():
            return st.tuples(*[values(one) for one in kind.item_types])
        case inspect.LiteralType():
            return st.sampled_from(kind.values)
        case inspect.IntType():
            top = kind.lt - 1 if kind.lt is not None else kind.le
            return st.integers(kind.ge if kind.ge is not None else -(2**63), top if top is not None else 2**63 - 1)
        case inspect.FloatType():
            return st.floats(kind.ge, kind.le, allow_nan=False, allow_infinity=False)
        case inspect.StrType() if kind.pattern:
            return st.from_regex(kind.pattern)
        case inspect.StrType():
            return st.text(st.characters(exclude_categories=["Cs"]), min_size=kind.min_length or 0, max_size=30)
        case inspect.BoolType():
            return st.booleans()
        case inspect.DictType():
            return st.dictionaries(values(kind.key_type), values(kind.value_type), max_size=3)
        case inspect.Metadata():
            return values(kind.type)
        case inspect.NoneType():
            return st.none()
    raise NotImplementedError(f"no strategy for {kind}")


def messages(kind: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    return values(inspect.type_info(kind))


any_message = st.sampled_from(KINDS).flatmap(messages)
