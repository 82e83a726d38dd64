"""Limits of manifests and of folders that are sent."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import manifest as manifests
from protocol.coroutines import finish
from protocol.errors import BadFrames, BadScene
from protocol.manifest import digest_of, pack_manifest, scan, unpack_manifest, unpacking
from protocol.messages import FileEntry, Manifest
from tests.protocol.transfers import entry, hash_of, lay


def manifest(*paths: str) -> bytes:
    return pack_manifest(entry(b"x", path) for path in paths)


def raw(**fields: object) -> bytes:
    whole = {"path": "a", "size": 1, "digest": hash_of(b"x"), **fields}
    return msgspec.json.encode({"files": [whole]})


BAD_MANIFESTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "manifest cannot be read"),
    "no JSON": (b"\x80\x04\x95", "manifest cannot be read"),
    "no UTF-8": (b'{"files":[{"path":"\xff"}]}', "manifest cannot be read"),
    "bottomless": (b'{"files":' + b"[" * 100_000, "manifest cannot be read"),
    "millions of numbers": (b'{"files":[' + b"0," * 1_500_000 + b"0]}", "too many entries"),
    "unknown field": (b'{"files":[],"run":"rm"}', "unknown field `run`"),
    "negative size": (raw(size=-1), "Expected `int` >= 0"),
    "endless size": (raw(size=2**60), "Expected `int` <="),
    "hash that is a path": (raw(digest="../" * 21 + "x"), "matching regex"),
    "hash with a line end": (raw(digest=hash_of(b"x") + "\n"), "matching regex"),
    "no path": (raw(path=""), "length >= 1"),
    "endless path": (raw(path="a" * 1025), "length <= 1024"),
    "absolute": (manifest("/etc/passwd"), "'/etc/passwd' in a manifest is not a path inside its folder"),
    "parent": (manifest("../a"), "not a path inside its folder"),
    "parent within": (manifest("a/../../b"), "not a path inside its folder"),
    "here": (manifest("./a"), "not a path inside its folder"),
    "empty part": (manifest("a//b"), "not a path inside its folder"),
    "a folder": (manifest("a/"), "not a path inside its folder"),
    "backslash": (manifest("..\\a"), "not a path inside its folder"),
    "drive": (manifest("C:/a"), "not a path inside its folder"),
    "stream": (manifest("a.txt:hidden"), "not a path inside its folder"),
    "device": (manifest("images/CON"), "not a path inside its folder"),
    "device with an ending": (manifest("nul.png"), "not a path inside its folder"),
    "device with a number": (manifest("Com1.tar.gz"), "not a path inside its folder"),
    "trailing dot": (manifest("a./b"), "not a path inside its folder"),
    "trailing space": (manifest("a /b"), "not a path inside its folder"),
    "line end": (manifest("a\nb"), "not a path inside its folder"),
    "no byte": (manifest("a\0b"), "not a path inside its folder"),
    "reversed text": (manifest("a\u202egnp.exe"), "not a path inside its folder"),
    "long name": (manifest("ä" * 128), "not a path inside its folder"),
    "the same path twice": (manifest("a", "a"), "lists the same path twice"),
    "one path in two cases": (manifest("Images/A.PNG", "images/a.png"), "lists the same path twice"),
    "one path in two compositions": (manifest("caf\u00e9", "cafe\u0301"), "lists the same path twice"),
    "a file and a folder": (manifest("a/b/c", "A"), "as a file and as a folder"),
    "two sizes": (
        pack_manifest([entry(b"x", "a"), FileEntry("b", 2, hash_of(b"x"))]),
        "lists two sizes for the same content",
    ),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused_with_a_sentence(name: str):
    content, sentence = BAD_MANIFESTS[name]
    with pytest.raises(BadFrames, match=sentence) as caught:
        unpack_manifest(content)
    assert caught.value.sentence.endswith(".")


def test_good_paths_of_every_script_are_allowed():
    paths = [
        "a",
        "images/0001.png",
        "фото/два 1.JPG",
        "日本/写真.png",
        ".hidden",
        "a..b",
        "console",
        "com10",
        "ä" * 127,
    ]
    assert sorted(entry.path for entry in unpack_manifest(manifest(*paths))) == sorted(paths)


def test_equal_folders_have_equal_manifests():
    entries = [entry(b"x", "b"), entry(b"y", "a"), entry(b"z", "a/b")]
    assert pack_manifest(entries) == pack_manifest(reversed(entries))


@settings(deadline=None)
@given(paths=st.lists(st.text(max_size=12) | st.sampled_from(["../x", "a/b", "A/b", "nul", "a"]), max_size=5))
def test_whatever_is_let_through_stays_in_its_folder(paths: list[str]):
    try:
        entries = unpack_manifest(msgspec.json.encode(Manifest([entry(b"x", path) for path in paths])))
    except (BadFrames, UnicodeEncodeError):
        return
    for one in entries:
        assert Path(os.path.abspath(Path("/folder") / one.path)).is_relative_to("/folder")
        assert ".." not in Path(one.path).parts
    assert len({one.path.lower() for one in entries}) == len(paths)


@given(garbage=st.binary(max_size=60))
def test_garbage_is_no_manifest(garbage: bytes):
    with pytest.raises(BadFrames):
        unpack_manifest(garbage)


def test_too_many_files_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifests, "MAX_FILES", 3)
    assert len(unpack_manifest(manifest("a", "b", "c"))) == 3
    with pytest.raises(BadFrames, match="manifest has 4 files; at most 3 are allowed"):
        unpack_manifest(manifest("a", "b", "c", "d"))


def test_too_deep_a_path_is_refused():
    at_the_limit = "/".join(["a"] * manifests.MAX_DEPTH + ["file"])
    assert len(unpack_manifest(manifest(at_the_limit))) == 1
    with pytest.raises(BadFrames, match="more than 32 folders"):
        unpack_manifest(manifest(f"a/{at_the_limit}"))


def test_too_many_folders_are_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(manifests, "MAX_FOLDERS", 3)
    assert len(unpack_manifest(manifest("a/b/c/1", "a/b/c/2", "a/3"))) == 3
    with pytest.raises(BadFrames, match="more than 3 folders"):
        unpack_manifest(manifest("a/b/c/1", "d/1"))


def test_paths_that_all_differ_take_little_memory():
    """The longest paths that are allowed, each in folders of its own, and as many as a manifest holds."""
    paths = ["/".join([f"{number:05d}", *["a" * 28] * 31, "b"]) for number in range(20_000)]
    content = pack_manifest([FileEntry(path, 0, hash_of(b"")) for path in paths])
    tracemalloc.start()
    try:
        with pytest.raises(BadFrames, match="folders"):
            unpack_manifest(content)
        assert tracemalloc.get_traced_memory()[1] < 150 << 20
    finally:
        tracemalloc.stop()


def test_a_large_manifest_is_read_in_steps():
    entries = [entry(b"x", f"folder{number % 7}/{number}") for number in range(3000)]
    steps = unpacking(pack_manifest(entries))
    assert sum(1 for _ in steps) >= 10
    assert finish(unpacking(pack_manifest(entries))) == sorted(entries, key=lambda each: each.path)


BAD_FOLDERS: dict[str, tuple[list[str], str]] = {
    "a name no other system takes": (["a:b.png"], r"The file .*a:b\.png cannot be sent"),
    "two names for one file": (
        ["a.png", "A.png"],
        "The folder .* cannot be sent: A manifest lists the same path twice",
    ),
}


@pytest.mark.parametrize("name", BAD_FOLDERS)
def test_a_folder_that_cannot_be_sent_is_refused(tmp_path: Path, name: str):
    files, sentence = BAD_FOLDERS[name]
    paths = lay(tmp_path, [(file, file.encode()) for file in files])
    with pytest.raises(BadScene, match=sentence):
        finish(scan(tmp_path, paths))


def test_a_file_that_vanishes_is_a_sentence(tmp_path: Path):
    with pytest.raises(BadScene, match=r"The file .*gone\.png cannot be sent: .*No such file"):
        finish(scan(tmp_path, [tmp_path / "gone.png"]))


def test_a_content_is_known_by_its_blake3_hash():
    # From the reference implementation's test of b"abc".
    assert digest_of(b"abc") == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
