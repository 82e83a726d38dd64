"""Reads a file of Gaussians with another library and saves its columns as NumPy arrays.

    PYTHON -I bench/foreign.py READER FILE OUT.npz     # a Python that has the library; needs nothing of this project

Readers: ``gsply`` (compressed PLY, SPZ, SOG), ``pygltflib`` (GLB with KHR_gaussian_splatting; SPZ inside it by gsply),
``usd`` (usd-core), ``plyfile`` (3DGS PLY, which splat-transform writes), ``blender`` (bpy 5.3 on: PLY, SPZ, USD).
Columns are those of a 3DGS PLY: logarithmic sizes, logit opacities, quaternions wxyz; sh (N, K, 3). ``axes`` says where
x, y and z point. bench.formats runs this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from tempfile import NamedTemporaryFile
from typing import Any

import numpy as np

PREFIX = "KHR_gaussian_splatting:"
SPZ = "KHR_gaussian_splatting_compression_spz_2"


def gsply(path: str) -> dict:
    import gsply as library  # pyright: ignore[reportMissingImports]

    if path.endswith(".sog"):
        from gsply.sog_reader import sogread as read  # pyright: ignore[reportMissingImports]
    else:
        read = library.read_spz if path.endswith(".spz") else library.plyread
    data = read(path)
    rest = np.zeros((len(data.means), 0, 3)) if data.shN is None else np.asarray(data.shN)
    columns = {name: np.asarray(getattr(data, name)) for name in ("means", "scales", "quats", "opacities")}
    sh = np.concatenate([np.asarray(data.sh0).reshape(-1, 1, 3), rest.reshape(len(data.means), -1, 3)], 1)
    return columns | {"sh": sh, "axes": "RUB" if path.endswith(".spz") else "RDF"}


def pygltflib(path: str) -> dict:
    from pygltflib import GLTF2  # pyright: ignore[reportMissingImports]

    file = GLTF2().load(path)
    primitive = file.meshes[0].primitives[0]
    blob = file.binary_blob()
    packed = primitive.extensions[PREFIX[:-1]].get("extensions", {}).get(SPZ)
    if packed is not None:
        view = file.bufferViews[packed["bufferView"]]
        if file.nodes[0].rotation != [0, 1, 0, 0]:
            raise ValueError("The draft decodes to left, up, front; half a turn about y was expected.")
        with NamedTemporaryFile(suffix=".spz") as held:
            held.write(blob[view.byteOffset or 0 :][: view.byteLength])
            held.flush()
            return gsply(held.name)  # half a turn about y makes it right, up, back, as a file of SPZ is

    def column(name: str) -> np.ndarray:
        accessor = file.accessors[vars(primitive.attributes)[name]]
        view = file.bufferViews[accessor.bufferView]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor.type]
        at = (view.byteOffset or 0) + (accessor.byteOffset or 0)
        return np.frombuffer(blob, "<f4", accessor.count * width, at).reshape(-1, width)

    names = [f"{PREFIX}SH_DEGREE_{d}_COEF_{n}" for d in range(4) for n in range(2 * d + 1)]
    held = [name for name in names if name in vars(primitive.attributes)]
    alphas = column(f"{PREFIX}OPACITY")[:, 0].astype(float)
    return {
        "means": column("POSITION"),
        "scales": np.log(column(f"{PREFIX}SCALE")),
        "quats": np.roll(column(f"{PREFIX}ROTATION"), 1, axis=1),
        "opacities": np.log(alphas / (1 - alphas)),
        "sh": np.stack([column(name) for name in held], 1),
        "axes": "RUB",
    }


def usd(path: str) -> dict:
    from pxr import Usd, UsdVol  # pyright: ignore[reportMissingImports]

    stage = Usd.Stage.Open(path)  # pyright: ignore[reportAttributeAccessIssue]
    kind = UsdVol.ParticleField3DGaussianSplat  # pyright: ignore[reportAttributeAccessIssue]
    prim = next(prim for prim in stage.Traverse() if prim.IsA(kind))
    field = kind(prim)
    means = np.array(field.GetPositionsAttr().Get())
    alphas = np.array(field.GetOpacitiesAttr().Get()).astype(float)
    degree = prim.GetAttribute("radiance:sphericalHarmonicsDegree").Get()
    sh = np.array(prim.GetAttribute("radiance:sphericalHarmonicsCoefficients").Get())
    quats = [(q.GetReal(), *q.GetImaginary()) for q in field.GetOrientationsAttr().Get()]
    return {
        "means": means,
        "scales": np.log(np.array(field.GetScalesAttr().Get())),
        "quats": np.array(quats),
        "opacities": np.log(alphas / (1 - alphas)),
        "sh": sh.reshape(len(means), (degree + 1) ** 2, 3),
        "axes": "RUB",
    }


def plyfile(path: str) -> dict:
    from plyfile import PlyData

    rows = PlyData.read(path)["vertex"].data
    rest = sorted((name for name in rows.dtype.names if name.startswith("f_rest_")), key=lambda name: int(name[7:]))
    beyond = np.array([rows[name] for name in rest]).reshape(3, len(rest) // 3, len(rows))
    constant = np.stack([rows[f"f_dc_{c}"] for c in range(3)], 1)[:, None]
    return {
        "means": np.stack([rows[axis] for axis in "xyz"], 1),
        "scales": np.stack([rows[f"scale_{i}"] for i in range(3)], 1),
        "quats": np.stack([rows[f"rot_{i}"] for i in range(4)], 1),
        "opacities": rows["opacity"],
        "sh": np.concatenate([constant, beyond.transpose(2, 1, 0)], 1),
        "axes": "RDF",
    }


def blender(path: str) -> dict:
    import bpy

    ending = path.rpartition(".")[2]
    call, axes = {"spz": ("spz_import", "RFU"), "ply": ("ply_import", "RDF")}.get(ending, ("usd_import", "RUB"))
    bpy.ops.wm.read_homefile(use_empty=True)
    getattr(bpy.ops.wm, call)(filepath=path)
    data: Any = next(each.data for each in bpy.data.objects if each.type == "POINTCLOUD")
    count = len(data.points)

    def column(name: str, width: int, key: str) -> np.ndarray:
        values = np.empty(count * width, np.float32)
        data.attributes[name].data.foreach_get(key, values)
        return values.reshape(count, width)

    base = column("radiance:base", 4, "vector")
    alphas = base[:, 3].astype(float).clip(1e-7, 1 - 1e-7)
    higher = sorted((a.name for a in data.attributes if a.name.startswith("radiance:sh_")), key=lambda n: int(n[12:]))
    return {
        "means": column("position", 3, "vector"),
        "scales": np.log(column("scale", 3, "vector")),
        "quats": column("rotation", 4, "value"),
        "opacities": np.log(alphas / (1 - alphas)),
        "sh": np.stack([base[:, :3], *(column(name, 3, "vector") for name in higher)], 1),
        "axes": axes,
    }


READERS: dict[str, Callable[[str], dict]] = {each.__name__: each for each in (gsply, pygltflib, usd, plyfile, blender)}

if __name__ == "__main__":
    np.savez(sys.argv[3], **READERS[sys.argv[1]](sys.argv[2]))
