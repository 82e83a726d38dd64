"""How time and memory of a lift grow with Gaussians, views and objects.

    python -m bench.growth rows                                       # every row, and docs/images/growth.png
    python -m bench.growth rows --only gaussians --results part.json  # a row at a time; the file keeps the others
    python -m bench.growth rows --only limit                          # 2 M Gaussians, 300 views of 512x512

Each point runs in a separate process, so that its peak memory is measured alone. The peak is that of the whole process,
with Python, torch and the masks of all views. Time is from Gaussians to labels, with compiled kernels, in seconds of
processor time of all threads, which does not depend on the load of the machine. An exponent is the slope of a line
through the logarithms: over the whole row, and over its larger half, where constants have less weight.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
import typer
from rich.console import Console
from rich.table import Table


class Row(StrEnum):
    """What grows; ``LIMIT`` is one point, the largest scene that must fit."""

    GAUSSIANS = "gaussians"
    VIEWS = "views"
    OBJECTS = "objects"
    LIMIT = "limit"


@dataclass(frozen=True)
class Point:
    """The size of one lift."""

    gaussians: int = 200_000
    views: int = 40
    objects: int = 50
    size: int = 256


@dataclass(frozen=True)
class Cost:
    """What it took.

    Attributes:
        votes, labels: processor seconds from Gaussians to votes, and from those to labels.
        peak_mib: the largest resident size of the process, in MiB.
        before_mib: the same before lifting, with the scene in memory.
        found: objects in the labels.
    """

    votes: float
    labels: float
    peak_mib: int
    before_mib: int
    found: int


@dataclass(frozen=True)
class Measured:
    row: Row
    method: str
    point: Point
    cost: Cost


ROWS: dict[Row, list[Point]] = {
    Row.GAUSSIANS: [Point(gaussians=n, views=20) for n in (50_000, 100_000, 200_000, 500_000, 1_000_000, 2_000_000)],
    Row.VIEWS: [Point(views=n) for n in (20, 40, 80, 150, 300)],
    Row.OBJECTS: [Point(objects=n) for n in (25, 50, 100, 250, 500)],
    Row.LIMIT: [Point(2_000_000, 300, 100, 512)],
}
GROWING = (Row.GAUSSIANS, Row.VIEWS, Row.OBJECTS)
DRAWN_FROM = 100_000
"""Gaussians that the masks are drawn from."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def measure(gaussians: int, views: int, objects: int, size: int, method: str) -> None:
    """Lift one generated scene in this process and print its cost as JSON."""
    from backend.lift import lift
    from backend.memory import peak_host_mib
    from bench.scenes import make_scene

    small = make_scene(objects=4, gaussians=4000, views=6, test_views=0, size=64, seed=1)
    lift(small.splats, small.train, method=method)  # compiles
    scene = make_scene(
        objects=objects, gaussians=gaussians, views=views, test_views=0, size=size, drawn_from=DRAWN_FROM
    )
    before = peak_host_mib() or 0
    voted = 0.0

    def watch(stage: str, fraction: float, note: str = "") -> None:
        nonlocal voted
        if stage == "lift" and not voted:
            voted = time.process_time()

    begin = time.process_time()
    found = lift(scene.splats, scene.train, method=method, progress=watch)
    end = time.process_time()
    cost = Cost(voted - begin, end - voted, peak_host_mib() or 0, before, int(found.labels.max()))
    print(json.dumps(asdict(cost)))


@app.command()
def rows(
    only: Annotated[list[Row], typer.Option(help="Rows to measure.")] = list(ROWS),  # noqa: B006
    method: Annotated[str, typer.Option(help="The lifting method.")] = "consensus",
    results: Annotated[Path | None, typer.Option(help="JSON file that keeps what was measured.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Where the plot goes.")] = Path("docs/images/growth.png"),
) -> None:
    """Measure rows of growing scenes, print and plot them."""
    kept = read_results(results)
    for row in only:
        kept = [one for one in kept if (one.row, one.method) != (row, method)]
        for point in ROWS[row]:
            kept.append(Measured(row, method, point, run_alone(point, method)))
            if results is not None:
                results.write_bytes(msgspec.json.encode(kept))
    console = Console()
    shown = [one for one in kept if one.method == method]
    for row in ROWS:
        of_row = [one for one in shown if one.row == row]
        if of_row:
            console.print(table(row, of_row))
    if picture is not None and all(any(one.row == row for one in shown) for row in GROWING):
        draw(shown, picture)


def read_results(file: Path | None) -> list[Measured]:
    if file is None or not file.is_file():
        return []
    return msgspec.json.decode(file.read_bytes(), type=list[Measured])


def run_alone(point: Point, method: str) -> Cost:
    sizes = [str(n) for n in (point.gaussians, point.views, point.objects, point.size)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.growth", "measure", *sizes, method], check=True, stdout=subprocess.PIPE
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Cost)


def exponents(x: list[float], y: list[float]) -> tuple[float, float]:
    """Return the slope of log y over log x, of all points and of the larger half (two at least)."""
    lx, ly = np.log(x), np.log(y)
    half = min(len(x) // 2, len(x) - 2)
    return float(np.polyfit(lx, ly, 1)[0]), float(np.polyfit(lx[half:], ly[half:], 1)[0])


def table(row: Row, measured: list[Measured]) -> Table:
    """Return the points of a row, and below them the exponents of time and memory."""
    result = Table("Gaussians", "views", "objects", "pixels", "votes, s", "labels, s", "before, MiB", "peak, MiB")
    result.title = f"Growth with {row}, {measured[0].method}"
    for one in measured:
        p, c = one.point, one.cost
        result.add_row(
            f"{p.gaussians:,}", f"{p.views}", f"{p.objects}", f"{p.size}x{p.size}", f"{c.votes:.2f}", f"{c.labels:.2f}",
            f"{c.before_mib:,}", f"{c.peak_mib:,}",
        )  # fmt: skip
    if row in GROWING:
        x = [float(getattr(one.point, row)) for one in measured]
        columns = (
            [one.cost.votes for one in measured],
            [one.cost.labels for one in measured],
            [float(one.cost.peak_mib) for one in measured],
        )
        votes, labels, peak = ("{:.2f} ({:.2f})".format(*exponents(x, column)) for column in columns)
        result.add_section()
        result.add_row("exponent", "(larger half)", "", "", votes, labels, "", peak)
    return result


def draw(measured: list[Measured], file: Path) -> None:
    """Plot seconds and memory over Gaussians, views and objects, on logarithmic axes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import EngFormatter, NullFormatter, StrMethodFormatter

    figure, axes = plt.subplots(2, 3, figsize=(10, 5.4), sharex="col", sharey="row", constrained_layout=True)
    for column, row in enumerate(GROWING):
        points = [one for one in measured if one.row == row]
        x = [getattr(one.point, row) for one in points]
        seconds, memory = axes[0, column], axes[1, column]
        votes, labels = [one.cost.votes for one in points], [one.cost.labels for one in points]
        seconds.loglog(x, [v + s for v, s in zip(votes, labels, strict=True)], "o-", color="black", label="all")
        seconds.loglog(x, votes, "s--", color="tab:blue", label="Gaussians to votes")
        seconds.loglog(x, labels, "^--", color="tab:orange", label="votes to labels")
        memory.loglog(x, [one.cost.peak_mib / 1024 for one in points], "o-", color="black", label="peak of the process")
        for axis in (seconds, memory):
            low, high = axis.get_ylim()
            start = seconds.lines[0].get_ydata()[0] if axis is seconds else memory.lines[0].get_ydata()[0]
            axis.loglog(x, [start * value / x[0] for value in x], ":", color="grey", label="linear")
            axis.set_ylim(low, high)
            axis.grid(True, which="both", alpha=0.25)
            # The sizes that were measured are the ticks; those of a decade would crowd within half of one.
            axis.set_xticks(x)
            axis.xaxis.set_major_formatter(EngFormatter(sep=""))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        memory.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
        memory.set_xlabel(row if row != Row.GAUSSIANS else "Gaussians")
    axes[0, 0].set_ylabel("processor seconds")
    axes[1, 0].set_ylabel("GiB")
    axes[0, 0].legend(fontsize=8)
    axes[1, 0].legend(fontsize=8)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    app()
