"""The catalogue of lifting methods: name, title and summary, the default first.

The server offers them to clients, and :mod:`backend.lift.methods` adds what runs them. The catalogue is outside
``backend.lift`` because the server loads neither torch nor the methods.
"""

from protocol.messages import MethodInfo

METHODS: tuple[MethodInfo, ...] = (
    MethodInfo(
        "consensus",
        "Consensus of masks",
        "No training: groups of Gaussians are joined where the masks keep calling them one object.",
    ),
    MethodInfo(
        "unic-lift",
        "UniC-Lift",
        "Trains a 12-dimensional embedding by contrast of masks, whose signs are the codes of objects.",
    ),
    MethodInfo(
        "contrastive",
        "Contrastive Gaussian Clustering",
        "Trains 16-dimensional features by contrast of masks, clusters them, and selects objects by likeness.",
    ),
    MethodInfo(
        "hdbscan",
        "Cluster loss and HDBSCAN",
        "Trains an embedding by the cluster loss of UniC-Lift alone and clusters it: a baseline to compare with.",
    ),
)
