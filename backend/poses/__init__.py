"""Camera poses of a capture: sparse points from given poses, and poses adjusted to the photographs."""

from backend.poses.placement import Placement as Placement
from backend.poses.placement import place as place
