"""The pixels that a triangle covers, for the kernels that draw faces. A triangle is (3, 2): columns and rows."""

from __future__ import annotations

from backend.compiled import inlined


@inlined()
def doubled_area(triangle):
    """Return twice the signed area."""
    ax, ay = triangle[0]
    bx, by = triangle[1]
    cx, cy = triangle[2]
    return (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)


@inlined()
def reach(triangle, height, width):
    """Return the first and last row and column of an image (height, width) that the triangle may cover."""
    ax, ay = triangle[0]
    bx, by = triangle[1]
    cx, cy = triangle[2]
    top, bottom = max(0, int(min(ay, by, cy) - 0.5)), min(height - 1, int(max(ay, by, cy) + 0.5))
    left, right = max(0, int(min(ax, bx, cx) - 0.5)), min(width - 1, int(max(ax, bx, cx) + 0.5))
    return top, bottom, left, right


@inlined()
def barycentric(triangle, area, row, column):
    """Return the barycentric coordinates of a pixel's centre, all at least 0 inside; ``area`` is the doubled one."""
    ax, ay = triangle[0]
    bx, by = triangle[1]
    cx, cy = triangle[2]
    x, y = column + 0.5, row + 0.5
    a = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
    b = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
    return a, b, 1 - a - b
