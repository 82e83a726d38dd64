"""Decodes the embedding into labels: each code is an object, as in the paper, or codes are regions that masks join."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from backend.lift.consensus.objects import foreground, objects_from_regions
from backend.lift.consensus.regions import code_regions
from backend.lift.evidence.votes import Evidence
from backend.lift.unic_lift.settings import UnicLiftSettings
from protocol.splats import Splats

BYTE_BITS = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)
"""Number of set bits of each byte; ``numpy.bitwise_count`` needs numpy 2."""


def decode(
    embedding: NDArray[np.float32],
    splats: Splats,
    evidence: Evidence,
    settings: UnicLiftSettings,
    semantic: NDArray[np.float32] | None = None,
) -> NDArray[np.int32]:
    """Return (N,) int32 labels from 1 of N Gaussians with the (N, d) embedding, decoded by ``settings.decode``.

    Args:
        embedding: float32, d at most 62.
        splats: the Gaussians; their centres and colours are used.
        evidence: their votes.
        settings: of the method.
        semantic: (N,) float32, above 0 for objects; only the decode by bits uses it.
    """
    codes = bits(embedding)
    if settings.decode == "bits":
        on_object = background_code(codes, evidence) if semantic is None else semantic > 0
        if settings.rare_codes:
            codes = nearest_codes(codes, frequent_codes(codes, evidence, on_object, settings.rare_codes))
        return by_bits(codes, on_object)
    regions = code_regions(splats.means, codes, foreground(evidence, settings), settings.smallest_code)
    return objects_from_regions(splats, evidence, regions, settings)


def bits(embedding: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the codes of embeddings (..., d), d at most 62: ``sum over k of 1[sigmoid(v_k) > 0.5] 2^(k-1)``.

    A sigmoid is above 0.5 where its argument is above 0, so these are the bits of the signs.
    """
    return (embedding > 0) @ (1 << np.arange(embedding.shape[-1], dtype=np.int64))


def by_bits(codes: NDArray[np.int64], on_object: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Return int32 labels from 1, one per code, as the paper decodes, without any merge; 0 where not ``on_object``.

    Args:
        codes: int64, of any shape: of Gaussians or of pixels.
        on_object: of the same shape.
    """
    _, code = np.unique(codes, return_inverse=True)
    return np.where(on_object, code.reshape(codes.shape) + 1, 0).astype(np.int32)


def background_code(codes: NDArray[np.int64], evidence: Evidence) -> NDArray[np.bool_]:
    """Return (N,) bool, the Gaussians of all codes except the one with the most weight on mask 0.

    It replaces the paper's semantic embedding if that was not trained.
    """
    _, code = np.unique(codes, return_inverse=True)
    zero = np.bincount(evidence.gaussian, evidence.zero, evidence.gaussians)
    return code != np.bincount(code, zero).argmax()


def frequent_codes(
    codes: NDArray[np.int64], evidence: Evidence, on_object: NDArray[np.bool_], share: float
) -> NDArray[np.int64]:
    """Return the codes (F,) that are not rare, the most frequent first.

    Args:
        codes: (N,) int64.
        evidence: the weight of each Gaussian in the views, and the number of masks per view are used.
        on_object: (N,) bool, the Gaussians that count.
        share: a code is rare if its weight is below this share of the mean weight of an object; the number of objects
            is taken from the masks per view.
    """
    known, code = np.unique(codes[on_object], return_inverse=True)
    held = np.bincount(code, evidence.weight[on_object], len(known))
    masks = max(evidence.masks / max(evidence.views, 1), 1)
    order = np.argsort(-held, kind="stable")
    return known[order[held[order] >= share * held.sum() / masks]]


def nearest_codes(codes: NDArray[np.int64], frequent: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for each code the one of ``frequent`` (F,) with the fewest different bits, the first of several.

    If ``frequent`` is empty, codes are not changed. Distances are computed for distinct codes only.
    """
    if len(frequent) == 0:
        return codes
    known, code = np.unique(codes, return_inverse=True)
    differ = (known[:, None] ^ frequent[None]).view(np.uint8).reshape(len(known), len(frequent), 8)
    return frequent[BYTE_BITS[differ].sum(2).argmin(1)][code].reshape(codes.shape)
