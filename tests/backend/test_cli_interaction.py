"""Words, pixels and corrections that the command line refuses, each in one sentence."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from backend.cli import main
from backend.corrections import correct
from backend.segmenter import library
from tests.backend.corrections.making import EACH, evidence_of, write_result
from tests.backend.select.test_selection import write

FRAGMENTS = evidence_of([1, 2, 3], {(0, 1): 0.5})


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Run a command that is refused; return the one line that it prints."""
    monkeypatch.setattr(sys, "argv", ["backend", *words])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("backend: ")]
    assert len(lines) == 1
    return lines[0]


def test_corrections(tmp_path: Path, monkeypatch, capsys) -> None:
    write_result(tmp_path, FRAGMENTS)
    correct(tmp_path, "one", ["1", "2"], apply=True)
    for words, sentence in (
        (f"own @{EACH}", "Correction 2 (own: @10) contradicts correction 1 (one: Object 1, Object 2)."),
        ("background 2", f"{tmp_path} has no object '2'."),
        ("one 1 1", "Correction 2 (one: Object 1, Object 1) has no effect: both places are one object already."),
        ("own @-1", "@-1 does not name Gaussians."),
        ("two 1", "A correction of the kind two needs 2 targets, not 1."),
    ):
        assert sentence in said(monkeypatch, capsys, "correct", str(tmp_path), *words.split(), "--apply")


def test_words_and_pixels(tmp_path: Path, monkeypatch, capsys) -> None:
    folder, words = str(write(tmp_path / "out", False)), tmp_path / "words.txt"
    words.write_text("\n")
    assert f"The list of words {words} is empty." in said(monkeypatch, capsys, "name", folder, "--words", str(words))
    words.write_text("cup\nりんご\n")
    assert f"Line 2 of {words}" in said(monkeypatch, capsys, "name", folder, "--words", str(words))
    assert "does not show a Gaussian" in said(monkeypatch, capsys, "select", folder, "--pixel", "a", "0", "0")
    monkeypatch.setattr(library, "is_installed", lambda: False)
    lacking = said(monkeypatch, capsys, "select", folder, "--text", "cup", "--model", "owner/name", "--device", "cpu")
    assert "package transformers, which is not installed" in lacking
