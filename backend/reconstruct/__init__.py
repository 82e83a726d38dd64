"""Reconstructs Gaussians from photographs."""

from backend.reconstruct.held_out import held_out as held_out
from backend.reconstruct.train import reconstruct as reconstruct
