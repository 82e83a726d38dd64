"""Photographs to Gaussians."""
