"""Clicks in a 3D view: which object or part of it is at a pixel, and the selection that follows."""
