"""Made evidence: regions of ten Gaussians in a row, and what masks say about pairs of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from backend.lift.types import Lift, Parts
from backend.objects import result
from backend.objects.table import object_table
from protocol.result.evidence import RegionEvidence, write_evidence
from protocol.result.names import LABELS, MESHES, mesh_path
from tests.backend.lift.made_evidence import in_a_row

VIEWS = 10
EACH = 10


def evidence_of(labels: list[int], shares: dict[tuple[int, int], float], presence: list[float] | None = None):
    """Regions that all views show; masks join each pair of ``shares`` in that share of the views."""
    pairs = np.array(sorted(shares), np.int32).reshape(-1, 2)
    count = len(labels)
    return RegionEvidence(
        region=np.repeat(np.arange(count, dtype=np.int32), EACH),
        label=np.array(labels, np.int32),
        first=pairs[:, 0],
        second=pairs[:, 1],
        attraction=np.array([VIEWS * shares[int(a), int(b)] for a, b in pairs], np.float32),
        visible=np.ones((count, VIEWS), bool),
        presence=np.array(presence or [1.0] * (max(labels) + 1), np.float32),
        tau=np.array(0.6),
    )


def means_of(regions: int) -> np.ndarray:
    """The centres of the Gaussians: region k lies about x = k."""
    offset = np.tile(np.linspace(-0.2, 0.2, EACH), regions)
    return np.stack([np.repeat(np.arange(float(regions)), EACH) + offset, 0 * offset, 0 * offset], 1).astype(np.float32)


def write_result(folder: Path, evidence: RegionEvidence, parts: list[int] | None = None) -> None:
    """Write a result folder with this evidence; ``parts`` has the part of each region."""
    count = len(evidence.label)
    splats = in_a_row(count * EACH, np.full(count * EACH, 0.5))
    splats.means[:] = means_of(count)
    labels = evidence.label[evidence.region]
    views = np.full(int(labels.max()) + 1, 5, np.int32)
    lift = Lift(labels, np.full(len(splats), 0.5, np.float32), views, "consensus")
    part = None if parts is None else np.array(parts, np.int32)[evidence.region]
    result.write_gaussians(folder, splats, lift, parts=part)
    result.write_objects(folder, "kitchen", lift, 0, (0.0, 0.0, 1.0), object_table(splats, lift))
    if parts is not None and part is not None:
        whole = np.zeros(max(parts) + 1, np.int32)
        whole[parts] = evidence.label
        result.write_parts(folder, "whole", Parts(part, whole))
    write_evidence(folder, evidence)
    (folder / LABELS).mkdir()
    (folder / MESHES).mkdir()
    for label in range(1, len(views)):
        mesh_path(folder, label).write_bytes(b"mesh")
