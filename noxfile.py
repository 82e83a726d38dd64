"""The Blender tests in every Blender that is a Python package: `nox` runs them all, `nox -s blender-5.3` in one.

Each runs in an environment of its own, without torch: the add-on must not need the backend. What tests the two together
starts a server with the Python that nox itself runs in, so install nox where the backend is: `pip install -e .[dev]`.
`--force-python PATH` names a Python that is not on the search path.
"""

import sys

import nox

BLENDERS = {
    "4.2": ("3.11", "bpy==4.2.23", "numpy<2"),
    "4.5": ("3.11", "bpy==4.5.15", "numpy<2"),
    "5.0": ("3.11", "bpy==5.0.1", "numpy<2"),
    "5.2": ("3.13", "bpy==5.2.3", "numpy>=2.2"),
    "5.3": ("3.13", "bpy==5.3.0", "numpy>=2.2"),
}
"""Of each Blender its Python, its package, and the numpy that it is built against."""


def blender_tests(session: nox.Session, *packages: str) -> None:
    session.install(*packages, "pyzmq", "msgspec", "blake3", "plyfile<1.1.4", "wheel", "pytest", "hypothesis")
    environment = {"PYTHONPATH": ".", "SPLATLIFT_BACKEND_PYTHON": sys.executable}
    session.run("python", "-m", "pytest", "tests/blender", *session.posargs, env=environment)


for version, (python, *packages) in BLENDERS.items():
    nox.session(
        lambda session, packages=packages: blender_tests(session, *packages), python=python, name=f"blender-{version}"
    )
