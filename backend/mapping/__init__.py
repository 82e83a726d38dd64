"""Photographs or a video without cameras -> a COLMAP workspace: photographs with poses and sparse points."""

from backend.mapping.workspace import KeptPoses as KeptPoses
from backend.mapping.workspace import Workspace as Workspace
from backend.mapping.workspace import make_workspace as make_workspace
from backend.mapping.workspace import write_workspace as write_workspace
