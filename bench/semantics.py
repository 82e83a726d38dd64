"""Classes for Gaussians that are labelled by object: what the semantic masks of the training views say they are.

Lifting finds objects and does not name them, while the tables on ScanNet and Replica score classes too. No class needs
to be told apart between views, so the weight of each Gaussian in each class is summed over views and the largest wins.
An object takes the one thing class that holds most of it; what belongs to no object takes a class of stuff, for a thing
without an instance would be scored as a false object.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.evaluate.folders import read_ids
from backend.evaluate.scene_pq import SCANNET, Classes, SceneScore, View, score_scene
from backend.lift import label_map
from backend.lift.evidence.views import MaskedView
from backend.render import Renderer
from backend.render.types import Contributions
from backend.scene import load_scene, read_mask, split_views
from backend.scene.types import Camera
from backend.scene.types import View as Photograph
from protocol.errors import BadResult, BadScene
from protocol.ply import read_ply
from protocol.result.names import LABEL, SPLATS, label_map_path

SEMANTICS = "m2f_semantics"
"""Masks of classes that Mask2Former saw, numbered as :data:`~backend.evaluate.scene_pq.SCANNET`."""
TRUE_SEMANTICS, TRUE_INSTANCES = "rs_semantics", "rs_instance"
VOID_CLASS = 0
STRONGEST = 16
"""Gaussians of a pixel that vote."""


class Contributor(Protocol):
    """The required interface of :class:`backend.render.Renderer`."""

    def contributions(self, camera: Camera, pixels: NDArray[np.int64] | None, k: int) -> Contributions: ...


def score_with_classes(result: Path, scene: Path, device: str = "auto") -> SceneScore:
    """Score a result on a scene of Panoptic-Lifting, its classes taken from ``m2f_semantics`` of the training views.

    Args:
        result: the folder that segment wrote, with the test views of ``splits.json`` held out.
        scene: has ``m2f_semantics``, ``rs_semantics`` and ``rs_instance``.

    Raises:
        BadResult: if the result has no labels. Fault: if a map, the scene or the result cannot be read.
    """
    train, test = split_views(load_scene(scene).views, "own")
    splats = read_ply(result / SPLATS)
    if LABEL not in splats.extra:
        raise BadResult(f"{result / SPLATS} has no labels.", "Give a result folder written by backend segment.")
    labels = splats.extra[LABEL].astype(np.int64)
    renderer = Renderer(splats.without_columns(), device)
    weights = class_weights(renderer, len(splats), semantic_views(scene, train))
    objects, stuff = object_classes(weights, labels), stuff_classes(weights)

    def pairs() -> Iterator[tuple[View, View]]:
        for view in test:
            instance = read_ids(label_map_path(result, view.name))
            semantic = label_map(renderer, stuff, view.camera.resized(instance.shape[1], instance.shape[0]))
            truth = (read_ids(scene / folder / f"{view.name}.png") for folder in (TRUE_SEMANTICS, TRUE_INSTANCES))
            yield View(with_objects(semantic, instance, objects), instance), View(*truth)

    return score_scene(pairs(), SCANNET)


def semantic_views(scene: Path, views: Iterable[Photograph]) -> Iterator[MaskedView]:
    """Yield the views that have a map of classes, each at the size of that map.

    Raises:
        BadScene: if none has. BadMask: if a map cannot be read.
    """
    found = 0
    for view in views:
        file = scene / SEMANTICS / f"{view.name}.png"
        if file.is_file():
            found += 1
            seen = np.asarray(read_mask(replace(view, mask_path=file)))
            yield MaskedView(view.name, view.camera.resized(seen.shape[1], seen.shape[0]), seen)
    if not found:
        raise BadScene(f"{scene / SEMANTICS} has no map of classes for any training view.")


def class_weights(
    renderer: Contributor, count: int, views: Iterable[MaskedView], classes: Classes = SCANNET
) -> NDArray[np.float32]:
    """Return the weight, in pixels, with which each Gaussian shows itself in each class.

    Args:
        renderer: of the Gaussians.
        count: N, how many there are.
        views: with their maps of classes; unknown classes count as void.

    Returns:
        (N, classes) float32; the column of void is 0, for void says nothing.
    """
    kinds = len(classes.names)
    weights = np.zeros((count, kinds), np.float32)
    for view in views:
        found = renderer.contributions(view.camera, None, STRONGEST)
        seen = view.mask.ravel()[found.pixels].astype(np.int64)
        seen[(seen < 0) | (seen >= kinds)] = VOID_CLASS
        np.add.at(weights, (found.ids, seen[:, None]), found.weights)
    weights[:, VOID_CLASS] = 0
    return weights


def object_classes(
    weights: NDArray[np.float32], labels: NDArray[np.integer], classes: Classes = SCANNET
) -> NDArray[np.int64]:
    """Return the thing class of each object.

    Args:
        weights: (N, classes) of the Gaussians.
        labels: (N,) the object of each; 0 for none.

    Returns:
        (K + 1,) int64 for the objects 0 to K; void for object 0 and for objects that show themselves in no thing class.
    """
    things = np.array(sorted(classes.things))
    of_objects = np.zeros((int(labels.max(initial=0)) + 1, len(things)))
    np.add.at(of_objects, labels, weights[:, things])
    of_objects[0] = 0
    return np.where(of_objects.sum(1) > 0, things[of_objects.argmax(1)], VOID_CLASS)


def stuff_classes(weights: NDArray[np.float32], classes: Classes = SCANNET) -> NDArray[np.int64]:
    """Return the stuff class of each Gaussian, (N,) int64; void for one that shows itself in none."""
    stuff = weights.copy()
    stuff[:, sorted(classes.things)] = 0
    return stuff.argmax(1)


def with_objects(
    semantic: NDArray[np.integer], instance: NDArray[np.integer], objects: NDArray[np.int64]
) -> NDArray[np.integer]:
    """Return the (H, W) classes, every pixel of an object having the class of that object where it is known."""
    known = np.zeros(max(int(instance.max()) + 1, len(objects)), np.int64)
    known[: len(objects)] = objects
    decided = known[instance]
    return np.where(decided != VOID_CLASS, decided, semantic)
