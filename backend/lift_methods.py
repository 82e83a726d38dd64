"""The catalogue of lifting methods: name, title and summary, the default first.

The server offers them to clients, and :mod:`backend.lift.methods` adds what runs them. The catalogue is outside
``backend.lift`` because the server loads neither torch nor the methods.
"""

from protocol.messages import MethodInfo

METHODS: tuple[MethodInfo, ...] = (
    MethodInfo(
        "consensus",
        "Consensus of masks",
        "No training. Groups of Gaussians are joined where most masks show them as one object.",
    ),
    MethodInfo(
        "unic-lift",
        "UniC-Lift",
        "Trains a 12-dimensional embedding by contrast of masks. The signs of its values identify objects.",
    ),
    MethodInfo(
        "contrastive",
        "Contrastive Gaussian Clustering",
        "Trains 16-dimensional features by contrast of masks and clusters them. Objects can be selected by similarity.",
    ),
    MethodInfo(
        "hdbscan",
        "Cluster loss and HDBSCAN",
        "Trains an embedding with the cluster loss of UniC-Lift only and clusters it. A baseline for comparisons.",
    ),
)
