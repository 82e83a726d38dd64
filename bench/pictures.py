"""Pictures for the documents: labels of every method, an embedding on its way to the corners, a way through Blender.

python -m bench.pictures made                                   # docs/images/methods_made.png
python -m bench.pictures room ROOM --splats SPLATS.ply          # docs/images/methods_room.png
python -m bench.pictures corners                                # docs/images/corners.png
python -m bench.pictures clicks FOLDER                          # docs/images/five_clicks.png
python -m bench.pictures panel FOLDER                           # docs/images/panel.png, blender.png, words.png and more
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.optimize import linear_sum_assignment

from backend.demo.noise import PROFILES, spoil
from backend.lift import METHODS, MaskedView, label_map, lift
from bench.lift import Bench, Case, exact_labels, made_case, room_case
from bench.scenes import make_scene
from protocol.splats import Splats

IMAGES = Path("docs/images")
BAR = 20
"""Height of a title in pixels."""
STEPS = (0, 20, 60, 150, 400, 1000)
"""Of the training whose embeddings are shown."""

CLICKS = {
    "0_empty": "an empty file",
    "2_chosen": "connected, a folder chosen",
    "3_working": "Segment pressed",
    "3_finished": "done",
    "4_imported": "imported",
}
"""Pictures that `docs/five_clicks.py` has made, and what is said of each."""
PANEL, WINDOW = (844, 62, 1040, 904), (0, 24, 1056, 904)
"""What is cut out of them: left, top, right, bottom."""

STATES = {
    "0_empty": "an empty file",
    "1_chosen": "connected, a capture chosen",
    "2_working": "at work",
    "3_finished": "done",
    "4_imported": "imported",
    "5_failed": "failed",
}
"""Pictures that `docs/panel_pictures.py` has made, and what is said of each."""
SHORT, LONG, TALL = (844, 62, 1040, 700), (844, 62, 1056, 1090), (0, 24, 1056, 1090)
"""What is cut out of them: the panel, all of it with an imported scene, and the view with the panel."""
OBJECTS, WORDS = (200, 410, 844, 1000), (200, 410, 1040, 900)
"""Of the view, what shows the objects, and the objects beside the panel of words."""

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Out = Annotated[Path, typer.Option(help="Folder for the picture.")]
View = Annotated[int, typer.Option(help="Which of the held-out views.")]


@app.command()
def made(objects: int = 25, seed: int = 100, size: int = 256, view: View = 0, out: Out = IMAGES) -> None:
    """Every method on a generated scene with detector-like masks."""
    case = made_case(objects, 2000 * objects, 80, size, "detector", seed)
    save(methods_sheet(case, view), out / "methods_made.png")


@app.command()
def room(
    folder: Annotated[Path, typer.Argument(metavar="ROOM", help="A capture with exact ids.")],
    splats: Annotated[Path, typer.Option(help="Its Gaussians.")],
    view: View = 0,
    out: Out = IMAGES,
) -> None:
    """Every method on a reconstructed capture."""
    save(methods_sheet(room_case(folder, splats), view), out / "methods_room.png")


@app.command()
def corners(seed: int = 5, out: Out = IMAGES) -> None:
    """UniC-Lift's Fig. 3: two dimensions and four segments, then twelve dimensions and 25 objects."""
    few = make_scene(objects=3, gaussians=6000, views=30, test_views=0, size=96, noise="clean", seed=seed)
    many = make_scene(objects=25, gaussians=30_000, views=40, test_views=0, size=128, noise="clean", seed=seed)
    rows = [
        embeddings(few.splats, few.train, few.labels, 2),
        embeddings(many.splats, many.train, many.labels, 12),
    ]
    save(corners_sheet(rows, [few.labels, many.labels]), out / "corners.png")


@app.command()
def clicks(
    folder: Annotated[Path, typer.Argument(help="The pictures of the screen that docs/five_clicks.py has made.")],
    out: Out = IMAGES,
) -> None:
    """The way from an empty Blender to objects: the panel after each click, and what is seen at the end."""
    panels = [(title, np.asarray(cut(folder / f"{name}.png", PANEL))) for name, title in CLICKS.items()]
    last = cut(folder / "5_objects.png", WINDOW)
    above = sheet(panels, columns=len(panels))
    whole = Image.new("RGB", (max(above.width, last.width), above.height + last.height), "white")
    whole.paste(above, (0, 0))
    whole.paste(last, (0, above.height))
    save(whole, out / "five_clicks.png")


@app.command()
def panel(
    folder: Annotated[Path, typer.Argument(help="The pictures of the screen that docs/panel_pictures.py has made.")],
    out: Out = IMAGES,
) -> None:
    """The panel in each state, the whole view, edits, a search and a correction."""

    def seen(name: str, box: tuple[int, int, int, int]) -> Image.Image:
        return cut(folder / f"{name}.png", box)

    save(sheet([(title, np.asarray(seen(name, SHORT))) for name, title in STATES.items()], 6), out / "panel.png")
    save(seen("6_imported", LONG), out / "panel_objects.png")
    save(seen("6_imported", TALL), out / "blender.png")
    edits = [("Object Mode", "13_several"), ("Edit Mode", "14_halved")]
    save(sheet([(title, np.asarray(seen(name, TALL))) for title, name in edits], 2), out / "edit.png")
    words = [("before the search", "7_word"), ("after it", "8_found")]
    save(sheet([(title, np.asarray(seen(name, WORDS))) for title, name in words], 2), out / "words.png")
    corrections = [("two objects selected", "9_two"), ("Merge pressed", "10_asked"), ("after OK", "12_one")]
    save(sheet([(title, np.asarray(seen(name, OBJECTS))) for title, name in corrections], 3), out / "correction.png")


def cut(file: Path, box: tuple[int, int, int, int]) -> Image.Image:
    with Image.open(file) as picture:
        return picture.convert("RGB").crop(box)


def methods_sheet(case: Case, number: int) -> Image.Image:
    """Return render, truth, one spoilt mask and the labels of every method, seen from one held-out view."""
    bench = Bench(case)
    view, shown = case.test[number], bench.shown[number]
    truth = view.mask
    image = (255 * bench.renderer.image(view.camera).clip(0, 1)).astype(np.uint8)
    spoilt = spoil(truth, PROFILES["detector"], np.random.default_rng(number))
    panels = [("render", image), ("exact labels", colours(truth)), ("a mask as detectors draw it", colours(spoilt))]
    ceiling = label_map(shown, exact_labels(bench.renderer, case), view.camera)
    panels.append(("ceiling: exact masks", colours(like(ceiling, truth))))
    for method in METHODS:
        found, _ = bench.lift(method)
        labels = label_map(shown, found.labels, view.camera)
        panels.append((f"{method}, PQ {bench.score(found.labels).pq_things:.0f}", colours(like(labels, truth))))
        if method == "unic-lift":
            codes, _, _ = bench.trained({"decode": "bits"})
            panels.append(("unic-lift, bits per pixel", colours(like(bench.pixel_codes(codes)[number], truth))))
    return sheet(panels, columns=3)


def like(labels: NDArray[np.integer], truth: NDArray[np.integer]) -> NDArray[np.int64]:
    """Return the labels renumbered: each true object's best match has its number, others have numbers of their own."""
    ids, found = np.unique(labels, return_inverse=True)
    true, exact = np.unique(truth, return_inverse=True)
    shared = np.zeros((len(ids), len(true)))
    np.add.at(shared, (found.ravel(), exact.ravel()), 1)
    shared[ids == 0], shared[:, true == 0] = 0, 0
    table = np.where(ids == 0, 0, int(true.max()) + 1 + np.arange(len(ids)))
    for row, column in zip(*linear_sum_assignment(shared, maximize=True), strict=True):
        if shared[row, column] > 0:
            table[row] = true[column]
    return table[found].reshape(labels.shape)


def colours(labels: NDArray[np.integer]) -> NDArray[np.uint8]:
    """Return (H, W, 3) colours of (H, W) labels, the background dark."""
    return palette(int(labels.max(initial=0)) + 1)[labels]


def palette(count: int) -> NDArray[np.uint8]:
    """Return (count, 3) colours, the first dark and the others apart from their neighbours in number."""
    turn = (np.arange(count) * 0.618034) % 1.0
    bright = 150 + 105 * ((np.arange(count) * 0.37) % 1.0)
    wheel = np.stack([np.cos(2 * np.pi * (turn - shift)) for shift in (0, 1 / 3, 2 / 3)], 1)
    table = (bright[:, None] * (0.55 + 0.45 * wheel)).clip(0, 255).astype(np.uint8)
    table[0] = (34, 34, 38)
    return table


def embeddings(
    splats: Splats, views: list[MaskedView], labels: NDArray[np.int32], dimensions: int
) -> list[NDArray[np.float32]]:
    """Return the (N, d) embedding after each of :data:`STEPS`, after the sigmoid.

    The draws do not depend on how many steps there are to be, so these are moments of one training.
    """
    rng = np.random.default_rng(0)
    found = [rng.normal(0, 0.1, (len(splats), dimensions)).astype(np.float32)]
    for steps in STEPS[1:]:
        settings = {"steps": steps, "dimensions": dimensions, "push_margin": 3.0}
        embedding = lift(splats, views, method="unic-lift", settings=settings).embedding
        assert embedding is not None
        found.append(embedding)
    return [1 / (1 + np.exp(-embedding)) for embedding in found]


def corners_sheet(rows: list[list[NDArray[np.float32]]], labels: list[NDArray[np.int32]]) -> Image.Image:
    """Return a row of scatter plots per training; more than two dimensions as the two main axes of the last moment."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(len(rows), len(STEPS), figsize=(2.0 * len(STEPS), 2.15 * len(rows)), squeeze=False)
    for row, (moments, label) in enumerate(zip(rows, labels, strict=True)):
        # Gaussians that no view shows keep the values they start with, and are left out.
        moved = np.flatnonzero((moments[1] != moments[-1]).any(1))
        drawn = np.random.default_rng(0).permutation(moved)[:4000]
        colour = palette(int(label.max()) + 1)[label[drawn]] / 255.0
        centre, turn = main_axes(moments[-1])
        for column, (steps, moment) in enumerate(zip(STEPS, moments, strict=True)):
            axis, points = axes[row, column], (moment[drawn] - centre) @ turn
            axis.scatter(points[:, 0], points[:, 1], s=2, c=colour, linewidths=0)
            low, high = ((moments[-1] - centre) @ turn).min(0), ((moments[-1] - centre) @ turn).max(0)
            room = 0.08 * (high - low)
            axis.set_xlim(low[0] - room[0], high[0] + room[0])
            axis.set_ylim(low[1] - room[1], high[1] + room[1])
            axis.set_xticks([])
            axis.set_yticks([])
            axis.set_title("start" if steps == 0 else f"{steps} steps", fontsize=8)
        objects, dimensions = int(label.max()), moments[0].shape[1]
        axes[row, 0].set_ylabel(f"{dimensions} dimensions,\n{objects} objects", fontsize=8)
    figure.tight_layout(pad=0.4)
    figure.canvas.draw()
    picture = Image.fromarray(np.asarray(figure.canvas.buffer_rgba())[:, :, :3].copy())  # pyright: ignore[reportAttributeAccessIssue]
    plt.close(figure)
    return picture


def main_axes(points: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the centre (d,) and the two axes (d, 2) along which points vary most; two dimensions stay as they are."""
    if points.shape[1] == 2:
        return np.zeros(2, np.float32), np.eye(2, dtype=np.float32)
    centre = points.mean(0)
    return centre, np.linalg.svd(points - centre, full_matrices=False)[2][:2].T


def sheet(panels: list[tuple[str, NDArray[np.uint8]]], columns: int) -> Image.Image:
    """Lay titled panels of one size out in rows."""
    height, width = panels[0][1].shape[:2]
    rows = -(-len(panels) // columns)
    whole = Image.new("RGB", (columns * (width + 4), rows * (height + BAR + 4)), "white")
    font, draw = ImageFont.load_default(13), ImageDraw.Draw(whole)
    for number, (title, pixels) in enumerate(panels):
        x, y = number % columns * (width + 4), number // columns * (height + BAR + 4)
        draw.text((x + 3, y + 2), title, fill="black", font=font)
        whole.paste(Image.fromarray(pixels), (x, y + BAR))
    return whole


def save(picture: Image.Image, file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    picture.save(file, optimize=True)
    print(f"{file}: {picture.width} x {picture.height}, {file.stat().st_size // 1024} KiB")


if __name__ == "__main__":
    app()
