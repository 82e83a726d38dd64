"""Lists of words are read from files: one sentence about each that is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from backend.words.text import read_words
from protocol.errors import BadArgument


def test_a_list_has_one_word_per_line(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    file.write_text("\ufeffGreen apple\n\n cup\ncup \n", encoding="utf-8")
    assert read_words(file) == ["green apple", "cup"]


def test_a_bad_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "words.txt"
    with pytest.raises(BadArgument, match=r"words\.txt cannot be read: No such file"):
        read_words(file)
    file.write_text("\n \n")
    with pytest.raises(BadArgument, match=r"words\.txt is empty"):
        read_words(file)
    file.write_text("cup\n12\n")
    with pytest.raises(BadArgument, match=r"Line 2 of .*contains no letter"):
        read_words(file)
    file.write_bytes(b"\xff\xfe\x00c")
    with pytest.raises(BadArgument, match="not UTF-8"):
        read_words(file)
    file.write_text("".join(f"cup {i} {'abcdefghij'[i % 10]}\n" for i in range(1001)))
    with pytest.raises(BadArgument, match="at most 1000"):
        read_words(file)
