"""The client of a segmentation server. Nothing in it imports bpy, so it also runs where Blender is not."""
