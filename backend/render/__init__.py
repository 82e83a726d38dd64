"""Gaussians to pixels and back: one contract, a numba engine and a CUDA engine."""
