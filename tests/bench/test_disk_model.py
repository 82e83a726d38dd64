"""The disk that loses power: what stays, what may go, and what never happens."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from bench.disk_model import KINDS, Disk, Link, Make, Operation, Remove, Rename, Sync, Truncate, Write

TRIES = 60


def outcomes(tmp_path: Path, kind, *operations: Operation) -> set[frozenset[tuple[str, bytes]]]:
    """The files that there may be after the power was cut behind these operations, for many seeds."""
    disk = Disk()
    for operation in operations:
        disk.apply(operation)
    found = set()
    tmp_path.mkdir(exist_ok=True)
    for seed in range(TRIES):
        folder = tmp_path / f"{kind}{seed}"
        disk.cut(folder, kind, random.Random(seed))
        found.add(
            frozenset(
                (str(path.relative_to(folder)), path.read_bytes()) for path in folder.rglob("*") if path.is_file()
            )
        )
    return found


def named(**contents: bytes) -> frozenset[tuple[str, bytes]]:
    return frozenset(contents.items())


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_synced_with_its_name_stays(tmp_path, kind):
    done = (Make("a"), Write("a", 0, b"one"), Sync("a", 2), Sync("", 3))
    assert outcomes(tmp_path, kind, *done) == {named(a=b"one")}


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_that_is_not_synced_may_go(tmp_path, kind):
    done = (Make("a"), Write("a", 0, b"one"), Sync("a", 2))
    assert outcomes(tmp_path, kind, *done) == ({named(), named(a=b"one")} if kind == "strict" else {named(a=b"one")})


@pytest.mark.parametrize("kind", KINDS)
def test_a_renamed_file_may_be_empty_or_torn_unless_it_was_synced(tmp_path, kind):
    torn = outcomes(tmp_path / "torn", kind, *_renamed(synced=False))
    assert {len(dict(each)["a"]) for each in torn if "a" in dict(each)} >= {0, 2000}
    assert any(0 < len(dict(each)["a"].rstrip(b"\0")) < 2000 for each in torn if "a" in dict(each))
    whole = outcomes(tmp_path / "whole", kind, *_renamed(synced=True))
    assert {dict(each)["a"] for each in whole if "a" in dict(each)} == {b"x" * 2000}


def _renamed(*, synced: bool) -> tuple[Operation, ...]:
    return (
        Make("part"),
        Write("part", 0, b"x" * 2000),
        *((Sync("part", 2),) if synced else ()),
        Rename("part", "a"),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_a_rename_to_another_folder_never_loses_the_file(tmp_path, kind):
    done = (Make("to", folder=True), Make("a"), Write("a", 0, b"one"), Sync("a", 3), Sync("", 4), Rename("a", "to/a"))
    found = [dict(each) for each in outcomes(tmp_path / "unsynced", kind, *done)]
    assert all("a" in each or "to/a" in each for each in found)
    assert any("to/a" not in each for each in found)
    found = [dict(each) for each in outcomes(tmp_path / "synced", kind, *done, Sync("", 6))]
    assert all("to/a" in each and "a" not in each for each in found)


def test_folders_are_ahead_of_one_another_unless_there_is_a_journal(tmp_path):
    done = (Make("a", folder=True), Make("b", folder=True), Sync("", 2), Make("a/1"), Make("b/2"))

    def ahead(kind) -> bool:
        return any("b/2" in dict(each) and "a/1" not in dict(each) for each in outcomes(tmp_path, kind, *done))

    assert ahead("strict")
    assert not ahead("journal")


def test_a_sync_covers_what_was_done_before_it_began(tmp_path):
    done = (Make("a"), Sync("", 1), Write("a", 0, b"one"), Write("a", 0, b"two"), Sync("a", 3))
    assert {dict(each)["a"][:3] for each in outcomes(tmp_path, "strict", *done)} >= {b"one", b"two"}


def test_lengths_links_and_removals_are_followed(tmp_path):
    disk = Disk()
    for operation in (
        Make("a"),
        Write("a", 4, b"long"),
        Truncate("a", 6),
        Link("a", "b"),
        Write("b", 0, b"B"),
        Make("c"),
        Remove("c"),
        Make("f", folder=True),
        Rename("b", "f/b"),
    ):
        disk.apply(operation)
    disk.whole(tmp_path / "whole")
    assert (tmp_path / "whole" / "a").read_bytes() == (tmp_path / "whole" / "f" / "b").read_bytes() == b"B\0\0\0lo"
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["a", "f"]
    with pytest.raises(KeyError):
        disk.apply(Write("c", 0, b""))
