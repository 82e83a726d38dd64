"""Selects an object with one click: the similar Gaussians, and the pixels of any view that show them."""

from backend.select.selection import (
    Opened,
    Selection,
    open_result,
    select_gaussian,
    select_objects,
    select_pixel,
    view_mask,
)

__all__ = ["Opened", "Selection", "open_result", "select_gaussian", "select_objects", "select_pixel", "view_mask"]
