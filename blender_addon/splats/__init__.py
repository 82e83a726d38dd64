"""`Splats` <-> Blender data: attributes, points, meshes, collections, and back to a file.

Every module here works on data alone; which collections belong to which scene is :mod:`..session`'s business.
"""
