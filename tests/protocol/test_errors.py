"""Sentences contain nothing that a terminal obeys, whoever wrote the names in them."""

from __future__ import annotations

import pytest

from protocol.errors import Fault, fault, readable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\x9b31mred", "a\\x9b31mred"),
        ("bell\x07 back\x08 null\x00 del\x7f", "bell\\x07 back\\x08 null\\x00 del\\x7f"),
        ("over\rwritten", "over\\x0dwritten"),
        ("half \ud800", "half \\ud800"),
        ("two\nlines\tand a tab, caf\u00e9 \U0001f9ff", "two\nlines\tand a tab, caf\u00e9 \U0001f9ff"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert readable(text) == shown
    assert Fault(text).sentence == shown
    assert str(fault("refused", text, text)) == f"{shown} {shown}"
