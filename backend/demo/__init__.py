"""A small generated scene, and a run of the whole pipeline on it."""
