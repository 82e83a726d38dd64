"""Conversion between `Splats` and Blender data: attributes, points, meshes, collections, export files.

The modules here work on data only; :mod:`..session` knows which collections belong to which scene.
"""
