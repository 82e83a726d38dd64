"""The embedding to labels: each code an object, as in the paper, or codes as regions that the masks join."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.consensus.objects import foreground, objects_from_regions
from backend.lift.consensus.regions import code_regions
from backend.lift.evidence.votes import Evidence
from backend.lift.unic_lift.settings import UnicLiftSettings
from protocol.splats import Splats


def decode(
    embedding: NDArray[np.float32], splats: Splats, evidence: Evidence, settings: UnicLiftSettings
) -> NDArray[np.int32]:
    """Return (N,) int32 labels from 1 of N Gaussians with the (N, d) embedding, as ``settings.decode`` says.

    Args:
        embedding: float32, d at most 62.
        splats: the Gaussians; their centres and colours are used.
        evidence: their votes.
        settings: of the method.
    """
    codes = bits(embedding)
    if settings.decode == "bits":
        return by_bits(codes, evidence)
    regions = code_regions(splats.means, codes, foreground(evidence, settings), settings.smallest_code)
    return objects_from_regions(splats, evidence, regions, settings)


def bits(embedding: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the codes of embeddings (..., d), d at most 62: ``sum over k of 1[sigmoid(v_k) > 0.5] 2^(k-1)``.

    A sigmoid is above 0.5 where its argument is above 0, so these are the bits of the signs.
    """
    return (embedding > 0) @ (1 << np.arange(embedding.shape[-1], dtype=np.int64))


def by_bits(codes: NDArray[np.int64], evidence: Evidence) -> NDArray[np.int32]:
    """Return (N,) int32 labels from 1, one per code, as the paper decodes, without any merge.

    The paper does not say which code is the background: here it is the one that holds the most weight on mask 0.
    """
    _, code = np.unique(codes, return_inverse=True)
    zero = np.bincount(evidence.gaussian, evidence.zero, evidence.gaussians)
    background = int(np.bincount(code, zero).argmax())
    return np.where(code == background, 0, code + 1).astype(np.int32)
