"""The table of objects: one row per label."""

from __future__ import annotations

from backend.lift.types import Lift
from protocol.result.colours import colour_of
from protocol.result.gaussians import rows_of_labels
from protocol.result.table import ObjectRow, object_row
from protocol.splats import Splats


def object_table(splats: Splats, lift: Lift) -> list[ObjectRow]:
    """Return the objects of ``lift`` in order of their labels."""
    return [
        object_row(
            label,
            f"Object {label}",
            splats.means[rows],
            splats.opacities[rows],
            lift.confidence[rows],
            colour=colour_of(label),
            views=int(lift.views[label]),
        )
        for label, rows in rows_of_labels(lift.labels).items()
        if label > 0
    ]
