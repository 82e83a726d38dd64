"""Figures that papers give, copied from where each row says; none was run again."""

from __future__ import annotations

from dataclasses import dataclass, field

UNIC_LIFT = "Dhiman et al., UniC-Lift, Table 1"
UNIC_LIFT_2 = "Dhiman et al., UniC-Lift, Table 2"
PCF_LIFT = "Zhu et al., PCF-Lift (ECCV 2024), results.csv of its repository Runsong123/PCF-Lift"
CGC = "Silva et al., Contrastive Gaussian Clustering, Table 1"
CGC_2 = "Silva et al., Contrastive Gaussian Clustering, Table 2"
GAGA = "answer of its authors, issue 13 of weijielyu/Gaga"
QUOTED = "quoted by a port to Radiant Foam; not checked"
SECOND_HAND = "second-hand, not checked in the paper"


@dataclass(frozen=True)
class Published:
    """The figures of one method in percent by scene or data set, and who says so.

    Attributes:
        pq: the metric of the table: PQ^scene, or the mean IoU of masks.
        boundary: mean boundary IoU, by the same names, where the table has it.
        given_mean: over the scenes, where the source gives no scene alone.
    """

    method: str
    source: str
    pq: dict[str, float]
    boundary: dict[str, float] = field(default_factory=dict)
    given_mean: tuple[float | None, float | None] = (None, None)

    @property
    def mean(self) -> float | None:
        return _mean(self.pq, self.given_mean[0])

    @property
    def boundary_mean(self) -> float | None:
        return _mean(self.boundary, self.given_mean[1])


def _mean(values: dict[str, float], given: float | None) -> float | None:
    return sum(values.values()) / len(values) if values else given


ROOMS = tuple(f"{room}_{count}" for room in ("old_room", "large_corridor") for count in (25, 50, 100, 500))


def _rooms(*pq: float) -> dict[str, float]:
    return dict(zip(ROOMS, pq, strict=True))


MESSY_ROOMS = (
    Published("Panoptic-Lifting", UNIC_LIFT, _rooms(73.2, 69.9, 64.3, 51.0, 65.5, 71.0, 61.8, 49.0)),
    Published("Contrastive-Lift", UNIC_LIFT, _rooms(78.9, 75.8, 69.1, 55.0, 76.5, 75.5, 68.7, 52.5)),
    Published("OmniSeg3D-GS", UNIC_LIFT, _rooms(80.1, 72.4, 61.4, 46.8, 74.9, 79.6, 63.9, 48.5)),
    Published("Unified-Lift", UNIC_LIFT, _rooms(79.1, 72.2, 65.9, 53.9, 77.0, 78.9, 70.7, 54.1)),
    Published("UniC-Lift", UNIC_LIFT, _rooms(86.0, 79.1, 70.8, 57.4, 76.5, 72.3, 73.0, 56.7)),
    Published("PCF-Lift", PCF_LIFT, _rooms(80.9, 78.3, 74.8, 60.3, 81.0, 79.4, 74.0, 58.8)),
)

SCANNET = (
    Published("PNF, true boxes", UNIC_LIFT_2, {"ScanNet": 54.3, "Replica": 52.5}),
    Published("Panoptic-Lifting", UNIC_LIFT_2, {"ScanNet": 58.9, "Replica": 57.9}),
    Published("Contrastive-Lift", UNIC_LIFT_2, {"ScanNet": 62.3, "Replica": 59.1}),
    Published("Gaussian Grouping", UNIC_LIFT_2, {"ScanNet": 61.83, "Replica": 66.52}),
    Published("PCF-Lift", SECOND_HAND, {"ScanNet": 63.5}),
    Published("UniC-Lift", UNIC_LIFT_2, {"ScanNet": 63.0, "Replica": 88.7}),
)

FIGURINES = ("figurines", "ramen", "teatime")


def _masks(*pairs: tuple[float, float]) -> tuple[dict[str, float], dict[str, float]]:
    both = dict(zip(FIGURINES, pairs, strict=True))
    return {name: iou for name, (iou, _) in both.items()}, {name: edge for name, (_, edge) in both.items()}


LERF_MASK = (
    Published("LERF", CGC, *_masks((33.5, 30.6), (28.3, 14.7), (49.7, 42.6))),
    Published("LangSplat", CGC, *_masks((44.3, 41.9), (34.8, 28.7), (54.3, 48.8))),
    Published("Gaussian Grouping", CGC, *_masks((69.7, 67.9), (77.0, 68.7), (71.7, 66.1))),
    Published("Gaga, SAM masks", GAGA, *_masks((90.7, 89.0), (64.1, 61.6), (69.3, 66.0))),
    Published("Contrastive Gaussian Clustering", CGC, *_masks((91.6, 88.8), (68.7, 63.1), (80.5, 78.9))),
    Published("OpenSplat3D", QUOTED, {}, given_mean=(84.0, None)),
    Published("Radiant Foam port", QUOTED, {}, given_mean=(83.1, 77.9)),
)

OVS_SCENES = ("bed", "bench", "room", "sofa", "lawn")


def _ovs(*iou: float) -> dict[str, float]:
    return dict(zip(OVS_SCENES, iou, strict=True))


OVS = (
    Published("LERF", CGC_2, _ovs(73.5, 53.2, 46.6, 27.0, 73.7)),
    Published("LangSplat", CGC_2, _ovs(34.3, 84.8, 56.3, 67.7, 95.8)),
    Published("Gaussian Grouping", CGC_2, _ovs(97.3, 73.7, 79.0, 68.1, 96.5)),
    Published("Contrastive Gaussian Clustering", CGC_2, _ovs(95.2, 96.1, 86.8, 67.5, 91.8)),
)
