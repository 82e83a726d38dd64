"""The Blender tests in other Blenders: `nox -s blender-4.2`, `nox -s blender-5.0`.

Each runs in an environment of its own, without torch: the add-on must not need the backend.
"""

import nox

BLENDERS = {"4.2": "bpy==4.2.23", "4.5": "bpy==4.5.15", "5.0": "bpy==5.0.1"}


def blender_tests(session: nox.Session, bpy: str) -> None:
    # bpy 4.2 to 5.0 are built against numpy 1.
    session.install(bpy, "numpy<2", "pyzmq", "msgspec", "plyfile", "wheel", "pytest", "hypothesis")
    session.run("python", "-m", "pytest", "tests/blender", *session.posargs, env={"PYTHONPATH": "."})


for version, bpy in BLENDERS.items():
    nox.session(lambda session, bpy=bpy: blender_tests(session, bpy), python="3.11", name=f"blender-{version}")
