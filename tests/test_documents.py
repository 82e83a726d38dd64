"""Links of the documents lead to files and headings that exist, and what they name of the code exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blender_addon.api import EDITS
from docs.hooks import PAGES
from protocol.formats.registry import table

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
    included = set(PAGES.values())
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


def test_functions_that_the_architecture_names_exist() -> None:
    """Below a comment such as `# backend/scene`, each `name(` that begins a line is defined in that folder."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    block = text.split("## Interfaces")[1].split("```")[1]
    folder, seen, missing = "", 0, []
    for line in block.splitlines():
        if heading := re.match(r"# ([\w/]+)", line):
            folder = heading[1]
        elif named := re.match(r"(?:with )?(\w+)\(", line):
            source = ROOT / folder if (ROOT / folder).is_dir() else ROOT / f"{folder}.py"
            files = source.rglob("*.py") if source.is_dir() else [source]
            seen += 1
            if not any(re.search(rf"(?m)^(?:def|class) {named[1]}\b", file.read_text()) for file in files):
                missing.append(f"{folder}: {named[1]}")
    assert seen > 10
    assert not missing


def test_the_reference_has_every_edit() -> None:
    reference = (ROOT / "docs" / "reference.md").read_text()
    assert not [module for module in EDITS.values() if f"::: blender_addon.editing.{module}\n" not in reference]


def test_the_table_of_formats_is_that_of_the_registry() -> None:
    assert f"\n{table()}\n" in (ROOT / "docs" / "formats.md").read_text()


def test_files_that_the_architecture_lists_exist() -> None:
    """In the list of parts, a file is below the folder that its line describes, or in the package of the list."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    listing = re.search(r"(?ms)^## Parts\n```\n(.*?)^```", text)
    assert listing is not None
    package, folder, listed = ROOT, ROOT, 0
    for line in listing[1].splitlines():
        indent, name = re.match(r"( *)([\w/]*)", line).groups()  # type: ignore[union-attr]
        if not indent:
            package = folder = ROOT / name if name.endswith("/") else ROOT
        elif len(indent) == 2:
            folder = package / name if name.endswith("/") else package
        elif len(indent) == 4:
            folder = folder / name
        for path in re.findall(r"(?<![\w*/])[\w/]+\.py\b", line):
            listed += 1
            found = (package / path, ROOT / path, *folder.rglob(path))
            assert any(file.is_file() for file in found), f"{path}: {line}"
    assert listed > 100
