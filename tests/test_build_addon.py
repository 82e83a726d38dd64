"""The parts of the extension's build that need no network: wheels, tags, manifest."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import build_addon
from protocol.errors import Fault, Unavailable

MANIFEST = 'id = "splatlift"\nversion = "0.1.0"\n\n[permissions]\nfiles = "Read results"\n'


def check_record(wheel: Path) -> dict[str, bytes]:
    """Check that RECORD lists every file of a wheel with its true hash and size, and return the files."""
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    record = next(name for name in files if name.endswith(".dist-info/RECORD"))
    rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(files[record].decode()))}
    assert rows.keys() == files.keys()
    assert rows.pop(record) == ("", "")
    for name, (digest, size) in rows.items():
        expected = base64.urlsafe_b64encode(hashlib.sha256(files[name]).digest()).decode().rstrip("=")
        assert (digest, int(size)) == (f"sha256={expected}", len(files[name]))
    return files


def test_the_protocol_wheel_is_valid_and_installs(tmp_path: Path) -> None:
    wheel = build_addon.protocol_wheel(tmp_path)
    files = check_record(wheel)
    protocol = build_addon.ROOT / "protocol"
    there = {f"splatlift_protocol/{path.relative_to(protocol).as_posix()}" for path in protocol.rglob("*.py")}
    assert {name for name in files if ".dist-info/" not in name} == there
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target"]
    subprocess.run([*command, str(tmp_path / "site"), str(wheel)], check=True, capture_output=True)
    script = "import sys; sys.path.insert(0, sys.argv[1]); import pkgutil, importlib, splatlift_protocol as package\n"
    script += "for each in pkgutil.walk_packages(package.__path__, f'{package.__name__}.'):\n"
    script += "    importlib.import_module(each.name)\n"
    script += "print([name for name in sys.modules if name.split('.')[0] == 'protocol'], len(package.__path__))"
    # Isolated and elsewhere: the source tree cannot be imported.
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path / "site")], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.stdout == "[] 1\n", done.stderr


def test_the_protocol_wheel_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    first, second = (build_addon.protocol_wheel(tmp_path / name) for name in "ab")
    assert first.name == second.name
    assert first.read_bytes() == second.read_bytes()


def test_imports_of_the_protocol_are_renamed_and_nothing_else_is() -> None:
    source = b'''"""Reads protocol.ply; from protocol.ply import read_ply would do."""
import sys
from protocol.ply import read_ply, write_ply
from protocol import protocol; from protocol.result.protocol import (
    protocol,
)
from .protocol import protocol as other
from protocols.ply import nothing
def read(protocol="from protocol import x"):
    from protocol.splats import Splats
    return protocol.ply
'''
    renamed = build_addon.with_protocol_renamed(source).decode()
    changed = [line for line in renamed.splitlines() if "splatlift_protocol" in line]
    assert changed == [
        "from splatlift_protocol.ply import read_ply, write_ply",
        "from splatlift_protocol import protocol; from splatlift_protocol.result.protocol import (",
        "    from splatlift_protocol.splats import Splats",
    ]
    assert renamed.replace("splatlift_protocol", "protocol").encode() == source


@pytest.mark.parametrize("line", ["import protocol", "import sys, protocol.ply as ply"])
def test_imports_of_the_protocol_that_bind_its_name_are_refused(line: str) -> None:
    with pytest.raises(Fault, match="Line 2 imports protocol as a name"):
        build_addon.with_protocol_renamed(f"import os\n{line}\n".encode())


def test_a_stable_abi_wheel_becomes_one_for_a_single_python(tmp_path: Path) -> None:
    tags = b"Wheel-Version: 1.0\nTag: cp312-abi3-manylinux_2_26_x86_64\nTag: cp312-abi3-manylinux_2_28_x86_64\n"
    files = {"zmq/__init__.py": b"version = 1\n", "pyzmq-27.dist-info/WHEEL": tags}
    name = "pyzmq-27-cp312-abi3-manylinux_2_26_x86_64.manylinux_2_28_x86_64.whl"
    old = build_addon.write_wheel(tmp_path / name, files)

    new = build_addon.retag(old, "cp313")

    assert [path.name for path in tmp_path.iterdir()] == [name.replace("cp312-abi3", "cp313-cp313")]
    kept = check_record(new)
    assert kept["zmq/__init__.py"] == files["zmq/__init__.py"]
    assert kept["pyzmq-27.dist-info/WHEEL"] == tags.replace(b"cp312-abi3", b"cp313-cp313")


def test_the_manifest_names_platform_and_wheels_above_its_tables() -> None:
    known = tomllib.loads(build_addon.with_wheels(MANIFEST, "linux-x64", ["a.whl", "b.whl"]))
    assert known == {
        "id": "splatlift",
        "version": "0.1.0",
        "platforms": ["linux-x64"],
        "wheels": ["./wheels/a.whl", "./wheels/b.whl"],
        "permissions": {"files": "Read results"},
    }


def test_the_manifest_of_the_add_on_can_be_filled_in() -> None:
    manifest = (build_addon.ROOT / "blender_addon" / "blender_manifest.toml").read_text()
    known = tomllib.loads(build_addon.with_wheels(manifest, "windows-x64", ["a.whl"]))
    assert (known["platforms"], known["wheels"]) == (["windows-x64"], ["./wheels/a.whl"])


@pytest.mark.parametrize("line", ['wheels = ["./wheels/old.whl"]', 'platforms = ["linux-x64"]'])
def test_a_manifest_that_names_them_itself_is_refused(line: str) -> None:
    with pytest.raises(Fault, match=r"blender_manifest\.toml names its"):
        build_addon.with_wheels(f"{line}\n{MANIFEST}", "linux-x64", [])


def test_wheels_that_pip_cannot_find_are_refused_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(Unavailable, match=r"the wheels of pyzmq, msgspec, blake3, plyfile for linux-x64"):
        build_addon.download_wheels(tmp_path / "wheels", "linux-x64", "3.13")


def test_a_platform_without_blender_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(Unavailable, match="no extension for"):
        build_addon.this_platform()


def test_blenders_tool_says_what_it_refuses(tmp_path: Path) -> None:
    pytest.importorskip("bpy")
    (tmp_path / "blender_manifest.toml").write_text(MANIFEST)
    with pytest.raises(Fault, match=r"refused to validate: .*schema_version"):
        build_addon.blender_tool("validate", str(tmp_path))
