"""Names that some system reads as a device are refused on all of them."""

from __future__ import annotations

import pytest

from protocol.errors import BadFrames
from protocol.safe_path import safe_path


@pytest.mark.parametrize(
    "name",
    [
        "CON",
        "a/nul.txt",
        "Aux.tar.gz",
        "com0",
        "COM9.png",
        "com\u00b9",
        "LPT\u00b3.txt",
        "conin$",
        "CONOUT$.txt",
        "prn .x",
    ],
)
def test_names_of_devices_are_refused(name):
    with pytest.raises(BadFrames, match="not a path inside its folder"):
        safe_path(name)


@pytest.mark.parametrize("name", ["console", "a/com10", "nul_.txt", "lpt", "com\u2074", "conin"])
def test_names_like_those_are_not(name):
    assert str(safe_path(name)) == name
