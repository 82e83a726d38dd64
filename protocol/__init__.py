"""What both sides of the wire speak: messages, frames, files by content, and the columns of Gaussians.

Needs numpy, msgspec and plyfile only; knows neither the backend nor Blender.
"""
