"""The training backend: photographs and masks in, labelled Gaussians out."""

import os

# By default, OpenMP threads of torch that wait for work spin, and take the processor from the threads that run kernels.
# OpenMP reads the variable once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
