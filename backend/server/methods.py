"""The lifting methods as clients show them.

Written down here because the server imports neither torch nor the rooms that do; a test holds the names against those.
"""

from protocol.messages import MethodInfo

METHODS = (
    MethodInfo("unic-lift", "UniC-Lift", "Learns one code per Gaussian from all masks at once and decodes objects."),
    MethodInfo("consensus", "Mask consensus", "Merges masks that the same Gaussians support; no training."),
)
