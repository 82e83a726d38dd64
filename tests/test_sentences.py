"""Every sentence that people see is in the review file, and is plain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import sentences


def test_the_review_file_is_up_to_date() -> None:
    assert sentences.REVIEW.read_text() == sentences.page(sentences.collect()), f"renew it with: {sentences.COMMAND}"


def test_texts_are_collected_whole() -> None:
    source = '''
"""A docstring."""

class SPLATLIFT_OT_wait(Operator):
    """Wait for the server"""

    bl_idname = "splatlift.wait"
    bl_label = "Wait"
    address: StringProperty(name="Address", description="Host " "and port")

KINDS = (("A", "First", "The first one"),)

@app.command()
def serve():
    """Serve."""

def read(path, count):
    """Another docstring."""
    database.execute("SELECT name FROM jobs")
    said = f"{path.name} has {count:,} {'row' if count == 1 else 'rows'} of {len(rows)}: " + why(count, "too many rows")
    raise BadSplats(said, "Copy it again.")
'''
    assert sentences.sentences(source) == [
        "Wait for the server",
        "Wait",
        "Address",
        "Host and port",
        "First: The first one",
        "Serve.",
        "{name} has {count} {row|rows} of {rows}: {why}",
        "too many rows",
        "Copy it again.",
    ]


BANNED = (
    *("is none", "are none", "to be had", "what there is", "in their midst", "are to be", "is to be", "by itself"),
    *("by themselves", "namesake", "afresh", "lie on one another", "and the like", "the higher, the", "so it is with"),
    *("nobody", "as it is", "nothing is known", "of its own", "left out", "passed over", "in place of", "alike"),
    *("looked for", "goes on", "taken for"),
)
"""Phrases that plain technical English does not need. Usual words: skipped, ignored, expected, separate, instead."""
DOCUMENTS = [
    *(sentences.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *(path for path in sorted((sentences.ROOT / "docs").glob("*.md")) if path.name != "benchmarks.md"),
]
"""What people read; docs/benchmarks.md is a record of measurements."""


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_no_banned_phrase_is_used(document: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", document.read_text())
    text = " ".join(text.split()).lower()
    assert not [phrase for phrase in BANNED if re.search(rf"\b{re.escape(phrase)}\b", text)]
