"""The client of a segmentation server. Nothing here imports bpy, so it also runs without Blender."""
