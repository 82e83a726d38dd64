"""Edits of imported objects: what the panel's Edit buttons and :mod:`blender_addon.api` do to Blender's data.

Everything here works on the collections of objects ("parts"), in any mode, and pushes no undo step: operators do. All
state is in Blender's data, so undo, redo and saving need no help.
"""
