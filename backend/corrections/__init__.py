"""Corrections: the user says which objects are one, which are two, and what belongs where; labels are solved again."""

from backend.corrections.folder import Change, correct, correct_from, outdated_meshes, undo
from backend.corrections.replay import replayed

__all__ = ["Change", "correct", "correct_from", "outdated_meshes", "replayed", "undo"]
