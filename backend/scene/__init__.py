"""Reads captures from disk: one reader per layout, and `load_scene`, which detects the layout."""

from backend.scene.images import read_image
from backend.scene.load import describe_scene, load_scene
from backend.scene.masks import read_mask
from backend.scene.split import evenly_spread, split_views
from backend.scene.types import Camera, Scene, View

__all__ = [
    "Camera",
    "Scene",
    "View",
    "describe_scene",
    "evenly_spread",
    "load_scene",
    "read_image",
    "read_mask",
    "split_views",
]
