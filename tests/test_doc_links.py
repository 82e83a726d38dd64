"""Links of the documents lead to files and headings that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from docs.hooks import PAGES

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "bench").glob("*.md")])
"""The documents that people read in the source tree."""


def headings(document: Path) -> set[str]:
    """Return the anchors of a document's headings: lower case, no punctuation, hyphens for spaces."""
    text = re.sub(r"(?ms)^```.*?^```", "", document.read_text())
    found = (re.sub(r"[^\w\s-]", "", title).strip().lower() for title in re.findall(r"(?m)^#+ (.+)$", text))
    return {re.sub(r"\s+", "-", title) for title in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```", "", document.read_text())
    broken = []
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in headings(target)):
            broken.append(link)
    assert not broken


def test_the_site_has_every_document() -> None:
    included = {source for source in PAGES.values()}
    missing = [each.name for each in DOCUMENTS if each.parent != ROOT / "docs" and each not in included]
    assert not missing


def test_code_that_documents_name_exists() -> None:
    """A path in backquotes such as `backend/scene/types.py` is a file or a folder of the source tree."""
    tops = "backend|blender_addon|protocol|bench|docs|tests"
    missing = [
        f"{document.name}: {name}"
        for document in DOCUMENTS
        if document.name != "CHANGELOG.md"
        for name in re.findall(rf"`((?:{tops})/[\w./]*)`", document.read_text())
        if not (ROOT / name).exists()
    ]
    assert not missing
