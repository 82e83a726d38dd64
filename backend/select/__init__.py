"""One click to an object: the Gaussians, and the pixels of any view, that are like what was hit."""

from backend.select.selection import Opened, Selection, open_result, select_gaussian, select_pixel, view_mask

__all__ = ["Opened", "Selection", "open_result", "select_gaussian", "select_pixel", "view_mask"]
