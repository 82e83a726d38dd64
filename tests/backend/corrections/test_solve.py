"""Labels of regions under corrections."""

from __future__ import annotations

import numpy as np
import pytest

from backend.corrections.solve import Anchored, State
from protocol.errors import BadArgument, NotFound
from protocol.result.corrections import Correction, Kind, Place
from tests.backend.corrections.making import evidence_of


def said(kind: Kind, *regions: list[int], here: bool = False) -> Anchored:
    places = [Place(name=f"place {part[0]}", points=[(0.0, 0.0, 0.0)]) for part in regions]
    correction = Correction(kind=kind, places=places, here=here)
    return Anchored(correction, tuple(np.array(part, np.int64) for part in regions))


def solved(evidence, *corrections: Anchored) -> list[int]:
    state = State.start(evidence)
    for each in corrections:
        state.take(each)
    return state.label.tolist()


# Six objects of one region. Masks join 1 and 2 in half of the views, 3 and 4 a little more often, 5 and 6 rarely.
FRAGMENTS = evidence_of([1, 2, 3, 4, 5, 6], {(0, 1): 0.5, (2, 3): 0.55, (4, 5): 0.3})


def test_pairs_that_masks_join_as_often_are_joined_too():
    assert solved(FRAGMENTS, said("one", [0], [1])) == [1, 1, 3, 3, 5, 6]
    assert solved(FRAGMENTS, said("one", [0], [1], here=True)) == [1, 1, 3, 4, 5, 6]
    assert solved(FRAGMENTS, said("one", [4], [5])) == [1, 1, 3, 3, 5, 5]


def test_a_pair_that_no_mask_joins_teaches_nothing():
    assert solved(FRAGMENTS, said("one", [0], [5])) == [1, 2, 3, 4, 5, 1]


def test_what_was_kept_apart_is_not_joined_elsewhere():
    evidence = evidence_of([1, 2, 3, 3], {(0, 1): 0.5, (2, 3): 0.65})
    labels = solved(evidence, said("two", [2], [3]), said("one", [0], [1]))
    assert labels == [1, 1, 3, 4]


# Two objects of four regions: halves of strongly joined regions that some masks wrongly put together, 1 as often as 2.
INSIDE = {(0, 1): 1.0, (2, 3): 1.0, (4, 5): 1.0, (6, 7): 1.0}
ACROSS = {(a, b): 0.7 for a in (0, 1) for b in (2, 3)} | {(a, b): 0.65 for a in (4, 5) for b in (6, 7)}
PURE = {(a, b): 1.0 for a in range(8, 11) for b in range(a + 1, 11)}
MERGED = evidence_of([1] * 4 + [2] * 4 + [3] * 3, INSIDE | ACROSS | PURE)


def test_an_object_is_split_at_its_weakest_place_and_others_like_it_are_too():
    assert solved(MERGED, said("two", [0], [3], here=True)) == [1, 1, 4, 4, 2, 2, 2, 2, 3, 3, 3]
    assert solved(MERGED, said("two", [0], [3]))[:4] == [1, 1, 4, 4]
    elsewhere = solved(MERGED, said("two", [0], [3]))[4:]
    assert elsewhere in ([2, 2, 5, 5, 3, 3, 3], [5, 5, 2, 2, 3, 3, 3])


def test_places_in_one_region_cannot_be_separated():
    with pytest.raises(BadArgument, match="never separate"):
        solved(MERGED, said("two", [0], [0]))


def test_regions_that_agree_as_much_go_with_the_one_that_was_moved():
    shares = {(0, 1): 1.0, (1, 2): 0.6, (1, 3): 0.65, (0, 2): 0.6, (0, 3): 0.65, (4, 5): 1.0}
    evidence = evidence_of([1, 1, 2, 2, 2, 2], shares)
    assert solved(evidence, said("there", [2], [0])) == [1, 1, 1, 1, 2, 2]
    assert solved(evidence, said("there", [2], [0], here=True)) == [1, 1, 1, 2, 2, 2]


def test_false_objects_with_fewer_masks_become_background_too():
    evidence = evidence_of([1, 2, 3, 3, 4], {}, [1, 0.3, 0.25, 0.2, 0.8])
    assert solved(evidence, said("background", [0])) == [0, 0, 3, 3, 4]
    assert solved(evidence, said("background", [0], here=True)) == [0, 2, 3, 3, 4]
    assert solved(evidence, said("background", [4])) == [1, 2, 3, 3, 0], "it had masks in most of its views"


def test_an_object_of_its_own_takes_what_masks_join_with_it():
    evidence = evidence_of([1, 0, 0, 0], {(1, 2): 0.9, (2, 3): 0.2})
    assert solved(evidence, said("own", [1])) == [1, 2, 2, 0]
    assert solved(evidence, said("own", [1], here=True)) == [1, 2, 0, 0]


def test_contradictions_name_both_corrections():
    with pytest.raises(
        BadArgument, match=r"Correction 2 \(one: .*\) contradicts correction 1 \(two: place 0, place 3\)"
    ):
        solved(MERGED, said("two", [0], [3]), said("one", [0], [3]))
    with pytest.raises(BadArgument, match=r"Correction 2 \(background: .*\) contradicts correction 1 \(one"):
        solved(FRAGMENTS, said("one", [0], [1]), said("background", [0]))


def test_objects_that_are_gone_and_corrections_that_do_nothing_are_refused():
    with pytest.raises(NotFound, match="names place 0, which is no longer an object"):
        solved(FRAGMENTS, said("background", [0], here=True), said("one", [0], [1]))
    with pytest.raises(BadArgument, match="are one object already"):
        solved(MERGED, said("one", [0], [1]))
    with pytest.raises(BadArgument, match="two objects already"):
        solved(FRAGMENTS, said("two", [0], [1]))
