"""Converts labelled Gaussians to a table of objects and a result folder."""
