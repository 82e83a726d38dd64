"""Meshes of objects, from labelled Gaussians and the cameras of the capture."""
