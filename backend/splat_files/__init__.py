"""Splat files of other programs to Splats."""

from backend.splat_files.read import ENDINGS as ENDINGS
from backend.splat_files.read import read_splats as read_splats
from backend.splat_files.read import read_splats_and_warnings as read_splats_and_warnings
