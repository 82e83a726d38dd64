"""The evidence of a result: read as written, and refused where broken, too large or inconsistent."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from protocol.errors import BadResult
from protocol.result import evidence as module
from protocol.result.evidence import RegionEvidence, read_evidence, write_evidence
from protocol.result.names import EVIDENCE

FOUND = RegionEvidence(
    region=np.array([0, 0, 1, 2, -1], np.int32),
    label=np.array([1, 1, 0], np.int32),
    first=np.array([0], np.int32),
    second=np.array([1], np.int32),
    attraction=np.array([2.5], np.float32),
    visible=np.array([[1, 1, 1], [1, 0, 1], [0, 0, 1]], bool),
    presence=np.array([1, 0.5], np.float32),
    tau=np.array(0.6),
)


def test_what_is_written_is_read(tmp_path: Path):
    assert read_evidence(tmp_path, 5) is None
    write_evidence(tmp_path, FOUND)
    found = read_evidence(tmp_path, 5)
    assert found is not None
    for one, other in zip(found, FOUND, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)
    with pytest.raises(BadResult, match=r"regions of 5 Gaussians, but splats\.ply has 6"):
        read_evidence(tmp_path, 6)


@pytest.mark.parametrize(
    "change",
    [
        {"region": np.array([0, 0, 1, 3, -1], np.int32)},
        {"label": np.array([1, 1], np.int32)},
        {"label": np.array([1, 2, 0], np.int32)},
        {"label": np.array([1, -1, 0], np.int32)},
        {"first": np.array([1], np.int32)},
        {"first": np.array([-1], np.int32)},
        {"second": np.array([3], np.int32)},
        {"attraction": np.array([np.nan], np.float32)},
        {"attraction": np.array([9], np.float32)},
        {"presence": np.array([1, 1.5], np.float32)},
        {"tau": np.array(np.nan)},
    ],
)
def test_contradictions_are_refused(tmp_path: Path, change: dict):
    write_evidence(tmp_path, FOUND._replace(**change))
    with pytest.raises(BadResult, match="contradict each other"):
        read_evidence(tmp_path, 5)


def test_broken_archives_other_arrays_and_pickles_are_refused(tmp_path: Path):
    path = tmp_path / EVIDENCE
    write_evidence(tmp_path, FOUND)
    whole = path.read_bytes()
    contents = [b"", b"PK", whole[:-30], whole[: len(whole) // 2]]
    for changed in ({"tau": np.array(1, np.int64)}, {"label": np.array([{}], object)}, {"visible": np.ones(3, bool)}):
        np.savez(path, **(FOUND._asdict() | changed))
        contents.append(path.read_bytes())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(BadResult, match=r"evidence\.npz cannot be read"):
            read_evidence(tmp_path, 5)


def test_a_length_in_a_header_is_not_believed(tmp_path: Path):
    path = tmp_path / EVIDENCE
    np.savez(path, **FOUND._asdict())
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["region.npy"] = members["region.npy"].replace(b"(5,), }        ", b"(5000000000,), }")
    assert b"(5000000000,)" in members["region.npy"]
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(BadResult, match="does not have the size"):
        read_evidence(tmp_path, 5)


def test_too_large_evidence_is_neither_written_nor_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    write_evidence(tmp_path, FOUND)
    monkeypatch.setattr(module, "MAX_EVIDENCE", 50)
    with pytest.raises(BadResult, match="larger than 50 bytes"):
        write_evidence(tmp_path, FOUND)
    with pytest.raises(BadResult, match="more than 50 bytes"):
        read_evidence(tmp_path, 5)
