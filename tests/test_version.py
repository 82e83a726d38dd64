"""pyproject.toml gives the version, licence and authors; what else names them must agree."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
MANIFEST = tomllib.loads((ROOT / "blender_addon" / "blender_manifest.toml").read_text())


def test_the_extension_agrees_with_the_project() -> None:
    assert MANIFEST["version"] == PROJECT["version"]
    assert MANIFEST["id"] == PROJECT["name"]
    assert MANIFEST["license"] == [f"SPDX:{PROJECT['license']}"]
    assert [MANIFEST["maintainer"]] == [author["name"] for author in PROJECT["authors"]]


def test_the_changelog_begins_with_this_version_or_what_follows_it() -> None:
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert headings[0] == "Unreleased"
    assert headings[1:2] == [PROJECT["version"]]


def test_no_module_names_a_version_of_its_own() -> None:
    sources = [file for folder in ("backend", "blender_addon", "protocol") for file in (ROOT / folder).rglob("*.py")]
    assert sources
    assert not [file for file in sources if re.search(r"(?m)^__version__\b", file.read_text())]


def test_the_classifiers_name_the_supported_pythons() -> None:
    lowest, end = (int(each) for each in re.findall(r"3\.(\d+)", PROJECT["requires-python"]))
    named = re.findall(r"Python :: 3\.(\d+)", "\n".join(PROJECT["classifiers"]))
    assert [int(each) for each in named] == list(range(lowest, end))
