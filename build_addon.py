"""Build the Blender extension: ``python build_addon.py [--out dist] [--platform current|all|NAME]``.

One zip per platform contains the add-on, this project's ``protocol`` as a wheel, and the wheels of pyzmq, msgspec,
blake3 and plyfile for the Pythons of all supported Blenders (3.11 for 4.2 to 5.0, 3.13 from 5.1 on). numpy is not
included, because Blender ships it. The zip is built and validated with Blender's own tool, from the bpy package.

All extensions of a Blender share one site-packages folder, so ``protocol`` is renamed to ``splatlift_protocol``: the
wheel and the add-on in the zip import it by that name.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import importlib.util
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from protocol.errors import Fault, Unavailable
from protocol.whole_file import whole_file

ROOT = Path(__file__).resolve().parent
PROTOCOL = "splatlift_protocol"
"""Name of the package ``protocol`` in Blender."""
BUNDLED = {"pyzmq": "", "msgspec": "", "blake3": "", "plyfile": ",<1.1.4"}
"""Packages in the zip, with limits beyond pyproject.toml: plyfile 1.1.4 needs a newer numpy than Blender has."""
PYTHONS = ("3.11", "3.13")
PLATFORMS = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "macos-arm64": ("macosx_11_0_arm64",),
    "macos-x64": ("macosx_11_0_x86_64",),
}
"""Blender's name of each platform, and its wheel tags."""


def build(out: Path, target: str) -> Path:
    """Build the extension for one of :data:`PLATFORMS` and return the zip, ``out/splatlift-VERSION-PLATFORM.zip``.

    Raises:
        Unavailable: if a wheel cannot be downloaded or bpy is not installed.
        Fault: if Blender's tool refuses the extension.
    """
    manifest = (ROOT / "blender_addon" / "blender_manifest.toml").read_text()
    known = tomllib.loads(manifest)
    zip_path = out / f"{known['id']}-{known['version']}-{target}.zip"
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch) / "source"
        shutil.copytree(ROOT / "blender_addon", source, ignore=shutil.ignore_patterns("__pycache__"))
        for path in source.rglob("*.py"):
            path.write_bytes(with_protocol_renamed(path.read_bytes()))
        shutil.copy(ROOT / "LICENSE", source)
        wheels = source / "wheels"
        protocol_wheel(wheels)
        for python in PYTHONS:
            download_wheels(wheels, target, python)
        (source / "blender_manifest.toml").write_text(
            with_wheels(manifest, target, sorted(each.name for each in wheels.iterdir()))
        )
        built = Path(scratch) / zip_path.name
        blender_tool("build", "--source-dir", str(source), "--output-filepath", str(built))
        blender_tool("validate", str(built))
        out.mkdir(parents=True, exist_ok=True)
        with whole_file(zip_path) as part:
            shutil.copy(built, part)
    return zip_path


def protocol_wheel(folder: Path) -> Path:
    """Write ``protocol`` into ``folder`` as a pure wheel, reproducibly, and return it."""
    project, name = _project(), PROTOCOL
    sources = sorted((ROOT / "protocol").rglob("*.py"))
    files = {
        f"{PROTOCOL}/{path.relative_to(ROOT / 'protocol').as_posix()}": with_protocol_renamed(path.read_bytes())
        for path in sources
    }
    # Blender keeps an installed wheel of the same version, so changed content needs another version.
    version = f"{project['version']}+{hashlib.sha256(repr(files).encode()).hexdigest()[:8]}"
    requires = "".join(f"Requires-Dist: {_requirement(each)}\n" for each in ("numpy", "msgspec", "blake3", "plyfile"))
    info = f"{name}-{version}.dist-info"
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
        f"License: {project['license']}\nRequires-Python: {project['requires-python']}\n{requires}"
    ).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: build_addon\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return write_wheel(folder / f"{name}-{version}-py3-none-any.whl", files)


def with_protocol_renamed(source: bytes) -> bytes:
    """Return Python source, UTF-8, with all imports from ``protocol`` changed to :data:`PROTOCOL`.

    Raises:
        Fault: if an import does not have the form ``from protocol... import ...``.
    """
    lines = source.splitlines(keepends=True)
    nodes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Import | ast.ImportFrom)]
    # The last one first, so that the positions of the others stay valid.
    for node in sorted(nodes, key=lambda each: (each.lineno, each.col_offset), reverse=True):
        if isinstance(node, ast.Import) and any(_is_protocol(each.name) for each in node.names):
            raise Fault(f"Line {node.lineno} imports protocol as a name of its own.", "Use from protocol.x import y.")
        if isinstance(node, ast.ImportFrom) and not node.level and _is_protocol(node.module or ""):
            line, start = lines[node.lineno - 1], node.col_offset
            before, after = line[:start], line[start:]
            lines[node.lineno - 1] = before + re.sub(rb"\bprotocol\b", PROTOCOL.encode(), after, count=1)
    return b"".join(lines)


def _is_protocol(module: str) -> bool:
    return module.split(".")[0] == "protocol"


def download_wheels(folder: Path, target: str, python: str) -> None:
    """Download the wheels of :data:`BUNDLED` for one platform and one Python into ``folder``, tagged for that Python.

    Raises:
        Unavailable: if pip finds no such wheel.
    """
    tag = f"cp{python.replace('.', '')}"
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--python-version", python]
    command += [word for abi in (tag, "abi3", "none") for word in ("--abi", abi)]
    command += [word for name in PLATFORMS[target] for word in ("--platform", name)]
    command += [_requirement(name) + limit for name, limit in BUNDLED.items()]
    done = subprocess.run([*command, "--dest", str(folder)], capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
        raise Unavailable(
            f"pip cannot download the wheels of {', '.join(BUNDLED)} for {target} and Python {python}: {lines[-1:]}.",
            "Check that `python -m pip download pyzmq` works here.",
        )
    for wheel in sorted(folder.glob("*-abi3-*.whl")):
        retag(wheel, tag)


def retag(wheel: Path, tag: str) -> Path:
    """Replace a wheel for the stable ABI by the same wheel for one Python only, ``tag`` such as "cp313".

    Blender derives the supported Pythons of an extension from the tags of its wheels: next to a cp311 wheel it ignores
    "abi3", and refuses the extension on every later Python.
    """
    name, version, _, _, platforms = wheel.stem.split("-")
    with zipfile.ZipFile(wheel) as archive:
        files = {entry: archive.read(entry) for entry in archive.namelist() if not entry.endswith(("/", "/RECORD"))}
    about = next(entry for entry in files if entry.endswith(".dist-info/WHEEL"))
    files[about] = re.sub(rb"(?m)^Tag: [^-\s]+-[^-\s]+-", f"Tag: {tag}-{tag}-".encode(), files[about])
    wheel.unlink()
    return write_wheel(wheel.with_name(f"{name}-{version}-{tag}-{tag}-{platforms}.whl"), files)


def write_wheel(path: Path, files: dict[str, bytes]) -> Path:
    """Write a wheel of ``files`` and the RECORD of their hashes (binary distribution format, PEP 427)."""
    info = next(name for name in files if name.endswith(".dist-info/WHEEL")).removesuffix("WHEEL")
    rows = []
    for name, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(content)}\n")
    record = "".join([*rows, f"{info}RECORD,,\n"]).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {**files, f"{info}RECORD": record}.items():
            # ZipInfo has a fixed default date, so that the same files make the same wheel.
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return path


def with_wheels(manifest: str, target: str, wheels: list[str]) -> str:
    """Return the manifest with its platform and wheels added, above its first table.

    Raises:
        Fault: if it contains platforms or wheels already.
    """
    for key in ("platforms", "wheels"):
        if key in tomllib.loads(manifest):
            raise Fault(f"blender_manifest.toml names its {key}.", "Remove them: build_addon.py fills them in.")
    listed = "".join(f'  "./wheels/{name}",\n' for name in wheels)
    added = f'platforms = ["{target}"]\nwheels = [\n{listed}]\n\n'
    first = re.search(r"(?m)^\[|\Z", manifest)
    place = first.start() if first else len(manifest)
    return manifest[:place] + added + manifest[place:]


def blender_tool(*arguments: str) -> None:
    """Run Blender's extension tool.

    Raises:
        Unavailable: if bpy is not installed.
        Fault: with the output of the tool, if it fails.
    """
    # Found without importing it: an import takes a second and leaves Blender's state in this process.
    spec = importlib.util.find_spec("bpy")
    tools = sorted(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py")) if spec else []  # pyright: ignore
    if not tools:
        raise Unavailable("The bpy package, whose tool builds extensions, is not installed.", "pip install bpy.")
    done = subprocess.run([sys.executable, str(tools[0]), *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        said = "; ".join((done.stdout + done.stderr).split("\n")).strip("; ")
        raise Fault(f"Blender's extension tool refused to {arguments[0]}: {said}.")


def this_platform() -> str:
    """Return Blender's name of the current platform.

    Raises:
        Unavailable: if Blender has no wheels for it.
    """
    system = {"Linux": "linux", "Windows": "windows", "Darwin": "macos"}.get(platform.system(), platform.system())
    machine = {"x86_64": "x64", "AMD64": "x64", "arm64": "arm64", "aarch64": "arm64"}.get(platform.machine(), "?")
    if f"{system}-{machine}" not in PLATFORMS:
        raise Unavailable(f"There is no extension for {system} on {machine}.", f"Name one of {', '.join(PLATFORMS)}.")
    return f"{system}-{machine}"


def _project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def _requirement(name: str) -> str:
    return next(each for each in _project()["dependencies"] if re.match(rf"{name}\b", each))


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="folder of the zip (default: dist)")
    parser.add_argument("--platform", choices=("current", "all", *PLATFORMS), default="current")
    arguments = parser.parse_args()
    try:
        chosen = {"current": [], "all": list(PLATFORMS)}.get(arguments.platform, [arguments.platform])
        for target in chosen or [this_platform()]:
            print(build(arguments.out, target))
    except Fault as fault:
        print(fault, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
