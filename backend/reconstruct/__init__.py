"""Photographs to Gaussians."""

from backend.reconstruct.held_out import held_out as held_out
from backend.reconstruct.train import reconstruct as reconstruct
from backend.reconstruct.train import reconstruct_jointly as reconstruct_jointly
