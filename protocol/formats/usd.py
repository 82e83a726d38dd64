"""USD with Gaussians as the schema ParticleField3DGaussianSplat, and with meshes.

Positions, quaternions, linear sizes, opacities from 0 to 1, and spherical-harmonic coefficients, grouped by Gaussian
with the base colour first, all float32 (OpenUSD 26.11, `usdVol/schema.usda`). Labels are the primvar ``label``. Axes
are right, up, back, and the stage declares y up.

Prims are written by name, so that the USD library in Blender can write them although it does not have the schema yet.
USD files are not read here: the library allocates whatever sizes a file declares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocol.errors import BadSplats
from protocol.formats.axes import from_ply_axes
from protocol.formats.codes import LINEAR, bounded, unit
from protocol.formats.colours import linear
from protocol.formats.packages import needed
from protocol.result.meshes import Mesh
from protocol.sh import SH0
from protocol.splats import Splats

AXES = "RUB"
SCHEMA = "ParticleField3DGaussianSplat"
COLUMNS = {"label": np.int32, "confidence": np.float32}
"""Extra columns that are written as primvars."""
READER = "UsdPrimvarReader_float2"
REACH = 3
"""Standard deviations that count for the extent of a Gaussian."""


def write(splats: Splats, path: Path) -> list[str]:
    """Write Gaussians and return sentences about clamped values.

    Raises:
        BadSplats: if USD cannot write ``path``.
        Unavailable: if no USD library is installed.
    """
    said: list[str] = []
    stored = from_ply_axes(splats, AXES)
    sizes = np.exp(bounded(stored.scales, *LINEAR, "log-scales", said))
    stage = _Stage(path, "Gaussians", SCHEMA)
    reach = REACH * sizes.max(1, keepdims=True)
    stage.put("extent", "Float3Array", np.stack([(stored.means - reach).min(0), (stored.means + reach).max(0)]))
    stage.put("positions", "Point3fArray", stored.means)
    stage.put("orientations", "QuatfArray", np.roll(unit(stored.quats), -1, axis=1))
    stage.put("scales", "Float3Array", sizes)
    stage.put("opacities", "FloatArray", stored.alphas)
    stage.put("radiance:sphericalHarmonicsCoefficients", "Float3Array", stored.sh.reshape(-1, 3))
    stage.put_one("radiance:sphericalHarmonicsDegree", "Int", stored.sh_degree)
    stage.put_one("projectionModeHint", "Token", "perspective")
    stage.put_one("sortingModeHint", "Token", "zDepth")
    stage.put("primvars:displayColor", "Color3fArray", np.clip(stored.sh[:, 0] * SH0 + 0.5, 0, 1), "vertex")
    for name, kind in COLUMNS.items():
        if name in stored.extra:
            of = "IntArray" if kind is np.int32 else "FloatArray"
            stage.put(f"primvars:{name}", of, stored.extra[name].astype(kind), "vertex")
    stage.save()
    return said


def write_mesh(mesh: Mesh, path: Path, picture: str = "") -> None:
    """Write a mesh with its colours, and with its texture in a separate file, in the axes of a PLY.

    Args:
        picture: the path of the texture from the folder of the file; the caller writes it.

    Raises:
        BadSplats: if USD cannot write ``path``.
        Unavailable: if no USD library is installed.
    """
    points = mesh.vertices * np.array([1, -1, -1], np.float32)
    stage = _Stage(path, "Mesh", "Mesh")
    stage.put("extent", "Float3Array", np.stack([points.min(0), points.max(0)]))
    stage.put("points", "Point3fArray", points)
    stage.put("faceVertexCounts", "IntArray", np.full(len(mesh.faces), 3, np.int32))
    stage.put("faceVertexIndices", "IntArray", mesh.faces.astype(np.int32).ravel())
    stage.put_one("subdivisionScheme", "Token", "none")
    stage.put("primvars:displayColor", "Color3fArray", linear(mesh.colours), "vertex")
    if mesh.texture is not None:
        stage.put("primvars:st", "TexCoord2fArray", mesh.texture.uv.reshape(-1, 2), "faceVarying")
        stage.add_texture(picture)
    stage.save()


class _Stage:
    """A layer with one prim below a root, written with the Sdf API, which needs no schema."""

    def __init__(self, path: Path, name: str, kind: str) -> None:
        self._path = path
        self._sdf: Any = needed("usd-core", "pxr.Sdf", "USD")
        self._vt: Any = needed("usd-core", "pxr.Vt", "USD")
        tf: Any = needed("usd-core", "pxr.Tf", "USD")
        self._refused: type[Exception] = tf.ErrorException
        try:
            self._layer = self._sdf.Layer.CreateNew(str(path))
        except self._refused as error:
            raise BadSplats(
                f"USD cannot write the file {path}.", "Choose a file name in an existing folder."
            ) from error
        root = self._sdf.PrimSpec(self._layer, "Root", self._sdf.SpecifierDef, "Xform")
        self._layer.defaultPrim = root.name
        self._layer.pseudoRoot.SetInfo("upAxis", "Y")
        self._layer.pseudoRoot.SetInfo("metersPerUnit", 1.0)
        self._prim = self._sdf.PrimSpec(root, name, self._sdf.SpecifierDef, kind)

    def put(self, name: str, kind: str, values: NDArray, interpolation: str = "") -> None:
        """Add an array attribute of a type such as "Float3Array"; quaternions are xyzw, as USD stores them."""
        dtype = np.int32 if kind == "IntArray" else np.float32
        array = {
            "FloatArray": "FloatArray",
            "IntArray": "IntArray",
            "TexCoord2fArray": "Vec2fArray",
            "QuatfArray": "QuatfArray",
        }.get(kind, "Vec3fArray")
        spec = self._sdf.AttributeSpec(self._prim, name, getattr(self._sdf.ValueTypeNames, kind))
        spec.default = getattr(self._vt, array).FromNumpy(np.ascontiguousarray(values, dtype))
        if interpolation:
            spec.SetInfo("interpolation", interpolation)

    def put_one(self, name: str, kind: str, value: int | str) -> None:
        """Add a uniform attribute."""
        names = self._sdf.ValueTypeNames
        spec = self._sdf.AttributeSpec(self._prim, name, getattr(names, kind), self._sdf.VariabilityUniform)
        spec.default = value

    def add_texture(self, picture: str) -> None:
        """Bind a material that shows a picture by the primvar ``st`` (USD Preview Surface, `UsdPreviewSurface.rst`)."""
        sdf, names = self._sdf, self._sdf.ValueTypeNames
        material = sdf.PrimSpec(self._prim.nameParent, "Material", sdf.SpecifierDef, "Material")
        shaders = {}
        for name, kind in (("Surface", "UsdPreviewSurface"), ("Picture", "UsdUVTexture"), ("Corners", READER)):
            shaders[name] = sdf.PrimSpec(material, name, sdf.SpecifierDef, "Shader")
            identity = sdf.AttributeSpec(shaders[name], "info:id", names.Token, sdf.VariabilityUniform)
            identity.default = kind

        def given(shader: str, name: str, kind: str, value: Any) -> None:
            sdf.AttributeSpec(shaders[shader], f"inputs:{name}", getattr(names, kind)).default = value

        def connect(spec: Any, shader: str, name: str, kind: str) -> None:
            out = sdf.AttributeSpec(shaders[shader], f"outputs:{name}", getattr(names, kind))
            spec.connectionPathList.explicitItems = [out.path]

        given("Surface", "roughness", "Float", 1.0)
        given("Picture", "file", "Asset", sdf.AssetPath(picture))
        given("Picture", "sourceColorSpace", "Token", "sRGB")
        given("Corners", "varname", "String", "st")
        connect(sdf.AttributeSpec(material, "outputs:surface", names.Token), "Surface", "surface", "Token")
        colour = sdf.AttributeSpec(shaders["Surface"], "inputs:diffuseColor", names.Color3f)
        connect(colour, "Picture", "rgb", "Float3")
        connect(sdf.AttributeSpec(shaders["Picture"], "inputs:st", names.Float2), "Corners", "result", "Float2")
        applied = sdf.TokenListOp.CreateExplicit(["MaterialBindingAPI"])
        self._prim.SetInfo("apiSchemas", applied)
        binding = sdf.RelationshipSpec(self._prim, "material:binding", False)
        binding.targetPathList.explicitItems = [material.path]

    def save(self) -> None:
        try:
            self._layer.Save()
        except self._refused as error:
            raise BadSplats(f"USD cannot write the file {self._path}.", "Check whether the disk is full.") from error
