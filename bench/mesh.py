"""How near meshes of reconstructed objects are to the solids that were photographed, and how they look in Blender.

    python -m bench.mesh make OUT                   # scenes of known solids, each segmented; OUT/STAGE/result
    python -m bench.mesh score OUT                  # default, level set and Poisson against the solids
    python -m bench.mesh time RESULT                # seconds for all meshes of a result
    python -m bench.mesh cycles RESULT SCENE VIEW   # PSNR of Cycles' picture inside the masks, per object too
    python -m bench.mesh sheet RESULT SCENE OUT VIEW...     # ten objects beside their photographs, a picture

The score counts the surface that some camera sees. Of each mesh 20,000 points are drawn by area, of each solid 30,000.
A point of the mesh is right, and a visible point of the solid found, if the other lies within 1 % of the diagonal of
the solid's box; points of the mesh whose nearest point of the solid no camera sees are not counted. F is the harmonic
mean of both shares, Chamfer the mean of both mean distances in percent of the diagonal, normals the mean absolute
cosine between nearest points. Poisson (pymeshlab, which is installed for this alone) takes the default's own depths,
as points with normals.

``cycles`` and ``sheet`` need bpy, exact ids in ``gt/instance`` of the scene, and meshes in the result. ``sheet`` takes
the objects that are largest in one of the views, each in the view that shows most of it, alone and on grey.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple

import numpy as np
import trimesh
import typer
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import KDTree

from backend.objects.mesh.level_set import level_set
from backend.objects.mesh.make import MeshMaker
from backend.objects.mesh.object_views import ObjectView
from backend.objects.result import read_cameras
from backend.pipeline import segment
from backend.scene.types import Camera
from bench.solids import Stage, cameras, stages, write_stage
from protocol.job_request import JobRequest
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL, LABELS

app = typer.Typer(add_completion=False, no_args_is_help=True)

CLOSE = 0.01
"""Of the diagonal."""
OF_MESH, OF_SOLID = 20_000, 30_000
SEEN_WITHIN = 0.02
"""Distance between a point of a solid and what its pixel shows, for the camera to see it."""
POISSON_DEPTH = 8
POISSON_POINTS = 200_000
TILE, GAP = 150, 6
"""Pixels of a picture in a sheet, and between pairs."""
GREY = (128, 128, 128)


class Truth(NamedTuple):
    """Points (P, 3) of a solid, its normals there, which a camera sees (P,), and the diagonal of its box."""

    points: NDArray[np.float64]
    normals: NDArray[np.float64]
    seen: NDArray[np.bool_]
    diagonal: float


class Score(NamedTuple):
    """See the module."""

    f: float
    precision: float
    recall: float
    chamfer: float
    normals: float
    watertight: bool


@app.command()
def make(out: Path, count: Annotated[int, typer.Option(help="How many of the eight scenes.")] = 8) -> None:
    """Write the scenes and segment them; what is there already is kept."""
    for number, stage in enumerate(stages()[:count]):
        scene = out / f"stage{number}"
        if not scene.exists():
            write_stage(scene, stage, seed=number)
        if not (out / f"result{number}").exists():
            segment(scene, out / f"result{number}", JobRequest(device="cpu", gallery=False, meshes=False))
        typer.echo(f"{scene}: {', '.join(stage.names)}")


@app.command()
def score(out: Path) -> None:
    """Print the score of every solid and way, and the means."""
    rows: dict[str, list[Score]] = {}
    for number, stage in enumerate(stages()):
        result = out / f"result{number}"
        if not result.exists():
            typer.echo(f"{', '.join(stage.names)}: not segmented")
            continue
        splats = read_splats(result)
        maker = MeshMaker(splats, splats.extra[LABEL], list(read_cameras(result).values()), "cpu")
        labels = matching(result, out / f"stage{number}", len(stage.names))
        for name, label, truth in zip(stage.names, labels, truths(stage, cameras(number)), strict=True):
            begin = time.process_time()
            made = {"default": maker.make(label).mesh}
            seconds = time.process_time() - begin
            made["watertight"] = maker.make(label, watertight=True).mesh
            made["level set"] = level_set(splats.pick(splats.extra[LABEL] == label))
            meshes = {way: shape(mesh.vertices, mesh.faces) for way, mesh in made.items() if mesh is not None}
            if importlib.util.find_spec("pymeshlab"):
                meshes["Poisson"] = poisson(maker.views_of(label)[2])
            for way, mesh in meshes.items():
                found = compare(mesh, truth)
                rows.setdefault(way, []).append(found)
                took = f", {seconds:.1f} s of processor time" if way == "default" else ""
                typer.echo(f"{name:9} {way:10} {as_text(found)}, {len(mesh.faces):,} triangles{took}")
    for way, found in rows.items():
        mean = Score(*np.mean([[*each[:5], 0] for each in found], axis=0))
        closed = sum(each.watertight for each in found)
        lowest = min(each.f for each in found)
        typer.echo(f"mean of {len(found)} {way:10} {as_text(mean)}, lowest F {lowest:.3f}, watertight {closed}")


@app.command("time")
def time_result(result: Path) -> None:
    """Print wall and processor seconds for all meshes of a result, as they are made now and by the level set."""
    splats = read_splats(result)
    seen = list(read_cameras(result).values())
    maker = MeshMaker(splats, splats.extra[LABEL], seen, "cpu")
    maker.make(maker.objects[0])  # compiles the kernels
    for way in ("default", "level set"):
        wall, processor = time.perf_counter(), time.process_time()
        for label in maker.objects:
            if way == "default":
                maker.make(label)
            else:
                level_set(splats.pick(splats.extra[LABEL] == label))
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
        typer.echo(f"{len(maker.objects)} objects, {way}: {wall:.0f} s, {processor:.0f} s of processor time")


@app.command()
def cycles(
    result: Path,
    scene: Path,
    views: Annotated[list[str], typer.Argument(metavar="VIEW...")],
    samples: int = 4,
    keep: Annotated[Path | None, typer.Option(help="Where pictures are kept.")] = None,
) -> None:
    """Print the PSNR of pictures of the meshes inside the exact masks of all objects."""
    shown, _, lenses = in_blender(result, samples)
    api: Any = importlib.import_module("blender_addon.api")
    means = []
    with TemporaryDirectory() as folder:
        for view in views:
            api.look_through(lenses[view])
            path = (keep or Path(folder)) / f"{view}.png"
            shown.render.filepath = str(path.absolute())
            render()
            picture = pixels(path)
            photograph = pixels(next((scene / "images").glob(f"{view}.*")))
            ids = exact_ids(scene, view)
            each = [psnr(picture, photograph, ids == i) for i in np.unique(ids) if i and (ids == i).sum() > 100]
            means.append(psnr(picture, photograph, ids > 0))
            typer.echo(f"{view}: {means[-1]:.1f} dB in the masks; objects {np.mean(each):.1f}, lowest {min(each):.1f}")
    typer.echo(f"mean of {len(means)} views: {np.mean(means):.1f} dB")


@app.command()
def sheet(
    result: Path,
    scene: Path,
    out: Path,
    views: Annotated[list[str], typer.Argument(metavar="VIEW...")],
    count: int = 10,
    samples: int = 32,
) -> None:
    """Write a picture of objects: the photograph, and Cycles' picture of the mesh alone."""
    shown, imported, lenses = in_blender(result, samples)
    api: Any = importlib.import_module("blender_addon.api")
    ids = {view: exact_ids(scene, view) for view in views}
    size = {(i, view): int((ids[view] == i).sum()) for view in views for i in np.unique(ids[view]) if i}
    best = {i: max((view for n, view in size if n == i), key=lambda view: size[i, view]) for i, _ in size}
    largest = sorted(sorted(best, key=lambda i: -size[i, best[i]])[:count])
    labels = matching(result, scene, max(max(each.max() for each in ids.values()), 1))
    shown.render.film_transparent, shown.render.use_border, shown.render.use_crop_to_border = True, True, True
    tiles = []
    with TemporaryDirectory() as folder:
        for i in largest:
            view = best[i]
            left, top, side = around(ids[view] == i)
            for child in imported.children:
                child.hide_render = child.splatlift.label != labels[i - 1]
            api.look_through(lenses[view])
            height, width = ids[view].shape
            shown.render.resolution_percentage = -(-100 * TILE // side)
            shown.render.border_min_x, shown.render.border_max_x = left / width, (left + side) / width
            shown.render.border_min_y, shown.render.border_max_y = 1 - (top + side) / height, 1 - top / height
            shown.render.filepath = str(Path(folder) / f"{i}.png")
            render()
            mesh = Image.open(shown.render.filepath).convert("RGBA").resize((TILE, TILE))
            photograph = Image.open(next((scene / "images").glob(f"{view}.*"))).convert("RGB")
            pair = Image.new("RGB", (2 * TILE, TILE), GREY)
            pair.paste(photograph.crop((left, top, left + side, top + side)).resize((TILE, TILE)), (0, 0))
            pair.paste(mesh, (TILE, 0), mesh)
            tiles.append(pair)
    across = 2
    whole = Image.new("RGB", (across * (2 * TILE + GAP) - GAP, -(-len(tiles) // across) * (TILE + GAP) - GAP), "white")
    for n, tile in enumerate(tiles):
        whole.paste(tile, (n % across * (2 * TILE + GAP), n // across * (TILE + GAP)))
    whole.convert("P", palette=Image.Palette.ADAPTIVE, colors=256).save(out, optimize=True)
    typer.echo(f"{out}: objects {', '.join(map(str, largest))}")


def in_blender(result: Path, samples: int) -> tuple[Any, Any, dict[str, Any]]:
    """Import meshes and cameras; return Blender's scene, the collection of the result and its cameras by view."""
    import bpy

    import blender_addon
    from blender_addon import api

    bpy.ops.wm.read_factory_settings(use_empty=True)
    blender_addon.register()
    imported = api.import_result(result, "MESH", cameras=True)
    for child in imported.children:
        child.hide_render = child.splatlift.kind == "BACKGROUND"
    shown: Any = bpy.context.scene
    shown.render.engine, shown.cycles.samples, shown.cycles.use_denoising = "CYCLES", samples, False
    shown.view_settings.view_transform = "Standard"
    lenses = {
        thing.data.name: thing for child in imported.children for thing in child.objects if thing.type == "CAMERA"
    }
    return shown, imported, lenses


def render() -> None:
    import bpy

    bpy.ops.render.render(write_still=True)


def around(mask: NDArray[np.bool_]) -> tuple[int, int, int]:
    """Return left, top and side of a square around a mask, within the picture."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    side = min(int(1.15 * max(np.ptp(rows), np.ptp(columns))) + 2, *mask.shape)
    middle = (columns[0] + columns[-1]) // 2, (rows[0] + rows[-1]) // 2
    left, top = (min(max(at - side // 2, 0), most - side) for at, most in zip(middle, mask.shape[::-1], strict=True))
    return left, top, side


def exact_ids(scene: Path, view: str) -> NDArray[np.integer]:
    return np.asarray(Image.open(scene / "gt" / "instance" / f"{view}.png"))


def pixels(path: Path) -> NDArray[np.float64]:
    return np.asarray(Image.open(path).convert("RGB")) / 255


def psnr(picture: NDArray, photograph: NDArray, mask: NDArray) -> float:
    return float(-10 * np.log10(np.mean((picture - photograph)[mask] ** 2)))


def shape(vertices: NDArray, faces: NDArray) -> trimesh.Trimesh:
    return trimesh.Trimesh(vertices, faces, process=False)


def points_on(mesh: trimesh.Trimesh, count: int) -> tuple[NDArray, NDArray]:
    points, faces = trimesh.sample.sample_surface(mesh, count, seed=0)[:2]
    return np.asarray(points), np.asarray(mesh.face_normals[faces])


def truths(stage: Stage, views: Sequence[Camera]) -> list[Truth]:
    """Points of a stage's solids, and which of them cameras see."""
    shown = [stage.trace(camera) for camera in views]
    found = []
    for number, mesh in enumerate(stage.meshes, start=1):
        points, normals = points_on(mesh, OF_SOLID)
        seen = np.zeros(len(points), bool)
        for camera, (hit, _, ids) in zip(views, shown, strict=True):
            there = camera.from_world(points)
            at = there @ camera.K.T
            column, row = np.floor(at[:, :2] / at[:, 2:]).astype(int).T
            inside = (column >= 0) & (row >= 0) & (column < camera.width) & (row < camera.height)
            row, column = np.where(inside, row, 0), np.where(inside, column, 0)
            near = np.linalg.norm(hit[row, column] - points, axis=1) < SEEN_WITHIN
            seen |= inside & near & (ids[row, column] == number)
        found.append(Truth(points, normals, seen, float(np.linalg.norm(mesh.extents))))
    return found


def compare(mesh: trimesh.Trimesh, truth: Truth) -> Score:
    points, normals = points_on(mesh, OF_MESH)
    far, nearest = KDTree(truth.points).query(points)
    counted = truth.seen[nearest]
    found, back = KDTree(points).query(truth.points[truth.seen])
    precision = float(np.mean(far[counted] < CLOSE * truth.diagonal))
    recall = float(np.mean(found < CLOSE * truth.diagonal))
    along = np.abs((normals * truth.normals[nearest]).sum(1))[counted].mean()
    against = np.abs((normals[back] * truth.normals[truth.seen]).sum(1)).mean()
    return Score(
        2 * precision * recall / max(precision + recall, 1e-9),
        precision,
        recall,
        float(50 * (far[counted].mean() + found.mean()) / truth.diagonal),
        float((along + against) / 2),
        bool(mesh.is_watertight),
    )


def as_text(found: Score) -> str:
    return (
        f"F {found.f:.3f} (precision {found.precision:.3f}, recall {found.recall:.3f}), Chamfer {found.chamfer:.2f} %, "
        f"normals {found.normals:.3f}, {'watertight' if found.watertight else 'open'}"
    )


def matching(result: Path, scene: Path, count: int) -> list[int]:
    """Return the label whose id maps overlap most with those of each solid."""
    both: dict[tuple[int, int], int] = {}
    either: dict[tuple[int, int], int] = {}
    for path in sorted((result / LABELS).iterdir()):
        labels = np.asarray(Image.open(path)).astype(int)
        truth = np.asarray(Image.open(scene / "gt" / "instance" / path.name)).astype(int)
        for solid in range(1, count + 1):
            for label in np.unique(labels[truth == solid]):
                key = (solid, int(label))
                both[key] = both.get(key, 0) + int(((truth == solid) & (labels == label)).sum())
                either[key] = either.get(key, 0) + int(((truth == solid) | (labels == label)).sum())
    return [
        max((key for key in both if key[0] == solid and key[1]), key=lambda key: both[key] / either[key])[1]
        for solid in range(1, count + 1)
    ]


def poisson(views: Sequence[ObjectView]) -> trimesh.Trimesh:
    """Screened Poisson (Kazhdan and Hoppe 2013) of the points that looks see, with the normals of their depths."""
    import pymeshlab  # pyright: ignore[reportMissingImports]

    points, normals = (np.concatenate(each) for each in zip(*(oriented(look) for look in views), strict=True))
    rows = np.random.default_rng(0).permutation(len(points))[:POISSON_POINTS]
    meshes = pymeshlab.MeshSet()
    meshes.add_mesh(pymeshlab.Mesh(points[rows], v_normals_matrix=normals[rows]))
    meshes.generate_surface_reconstruction_screened_poisson(depth=POISSON_DEPTH, preclean=True)
    made = meshes.current_mesh()
    return shape(made.vertex_matrix(), made.face_matrix())


def oriented(look: ObjectView) -> tuple[NDArray, NDArray]:
    """Points (P, 3) that a look shows and normals towards its camera."""
    camera, depth = look.camera, look.depth
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    there = np.stack([x, y, np.ones_like(x)], -1) @ np.linalg.inv(camera.K).T * depth[..., None]
    points = (there - camera.viewmat[:3, 3]) @ camera.viewmat[:3, :3]
    normals = np.cross(np.gradient(points, axis=0), np.gradient(points, axis=1))
    normals *= np.sign(((camera.centre - points) * normals).sum(-1))[..., None]
    normals /= np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)
    used = look.facing > 0
    return points[used], normals[used]


if __name__ == "__main__":
    app()
