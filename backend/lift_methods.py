"""The catalogue of lifting methods: name, title and summary, the default first.

The server announces them to clients; :mod:`backend.lift.methods` adds the implementations. The catalogue is outside
``backend.lift`` because the server must not load torch or the methods.
"""

from protocol.messages import MethodInfo

METHODS: tuple[MethodInfo, ...] = (
    MethodInfo(
        "consensus",
        "Consensus of masks",
        "No training. Groups of Gaussians are joined if most masks show them as one object.",
    ),
    MethodInfo(
        "unic-lift",
        "UniC-Lift",
        "Trains a 12-dimensional embedding with a contrastive loss on masks. The signs of its values identify objects.",
    ),
    MethodInfo(
        "contrastive",
        "Contrastive Gaussian Clustering",
        "Trains 16-dimensional features with a contrastive loss on masks and clusters them. Objects can be selected by "
        "similarity.",
    ),
    MethodInfo(
        "hdbscan",
        "Cluster loss and HDBSCAN",
        "Trains an embedding with the cluster loss of UniC-Lift only and clusters it. A baseline for comparisons.",
    ),
)
