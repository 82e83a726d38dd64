"""The training backend: photographs and masks in, labelled Gaussians out."""

import os

# Import Pillow before pycolmap: otherwise Pillow's PNG encoder uses the zlib of pycolmap and corrupts memory (pycolmap
# 4.2.1 and Pillow 12 on Linux).
import PIL._imaging  # noqa: F401

# By default, idle OpenMP threads of torch spin and take processor time from the threads that run kernels. OpenMP reads
# the variable once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
