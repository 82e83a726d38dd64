"""Where the cameras of a capture stand: sparse points from known poses, and poses that agree with the photographs."""

from backend.poses.placement import Placement as Placement
from backend.poses.placement import place as place
