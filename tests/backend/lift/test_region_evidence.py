"""The evidence on regions that a result keeps."""

from __future__ import annotations

import numpy as np

from backend.lift.region_evidence import region_evidence
from tests.backend.lift.made_evidence import MASKS, TRUTH, evidence_from_masks


def test_regions_have_one_label_and_the_views_that_join_them():
    evidence = evidence_from_masks(MASKS)
    finite = np.ones(13, bool)
    finite[0] = False
    means = np.repeat(np.array([0.0, 5.1, 10.0], np.float32), 4)[:, None].repeat(3, 1)
    found = region_evidence(means, evidence, TRUTH.astype(np.int32), finite)
    assert found.region[0] == -1
    np.testing.assert_array_equal(found.label[found.region[1:]], TRUTH)
    assert found.visible.shape == (len(found.label), len(MASKS))
    assert (found.first < found.second).all()
    of = {int(label): index for index, label in enumerate(found.label)}
    pairs = {(int(a), int(b)): float(w) for a, b, w in zip(found.first, found.second, found.attraction, strict=True)}
    # One view of seven draws both objects as one, and one view has a false mask of the background alone.
    assert pairs == {tuple(sorted((of[1], of[2]))): 1.0}
    # Object 1 was missed once, and the mask of both counts for it alone.
    np.testing.assert_allclose(found.presence, [1, 6 / 7, 6 / 7], rtol=1e-6)
