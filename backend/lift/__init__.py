"""Contributions and masks to one instance label per Gaussian."""
