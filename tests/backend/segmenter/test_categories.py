"""Things and stuff by vocabulary."""

from __future__ import annotations

from backend.segmenter.categories import ADE20K, CITYSCAPES, COCO, things_of


def test_each_vocabulary_has_as_many_classes_of_stuff_as_its_data_set():
    assert (len(COCO), len(ADE20K), len(CITYSCAPES)) == (53, 50, 11)


def test_classes_of_a_known_vocabulary_are_things_unless_they_are_stuff():
    things = things_of([*sorted(COCO), "cup", "window "])
    assert things["cup"]
    assert things["window "]
    assert not things["wall-brick"]


def test_a_class_may_be_stuff_in_one_vocabulary_and_a_thing_in_another():
    assert not things_of([*CITYSCAPES, "car"])["fence"]
    assert things_of([*ADE20K, "fence"])["fence"]


def test_nothing_is_said_of_an_unknown_vocabulary():
    assert things_of(["cup", "wall-brick"]) == {}
