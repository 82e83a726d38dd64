"""The training backend: photographs and masks in, labelled Gaussians out."""

import os

# Before pycolmap: where that is imported first, Pillow's PNG encoder takes a zlib of pycolmap's and corrupts memory
# (pycolmap 4.2.1 and Pillow 12 on Linux).
import PIL._imaging  # noqa: F401

# By default, OpenMP threads of torch that wait for work spin, and take the processor from the threads that run kernels.
# OpenMP reads the variable once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
