"""Endings of files."""

from __future__ import annotations

from protocol.endings import without_ending


def test_endings() -> None:
    assert without_ending("a.b.PNG", (".png",)) == "a.b"
    assert without_ending("a.b", (".png",)) == "a.b"
    assert without_ending(".png", (".png",)) == ".png"
