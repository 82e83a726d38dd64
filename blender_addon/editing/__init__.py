"""Edits of imported objects, used by the panel's Edit buttons and by :mod:`blender_addon.api`.

All functions work on the collections of objects ("parts"), in any mode, and push no undo step; operators do that. All
state is in Blender's data, so undo, redo and saving work without extra code.
"""
