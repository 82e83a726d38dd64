"""The modules of the client import each other in one direction, and none imports bpy."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import blender_addon.client

FOLDER = Path(blender_addon.client.__file__).parent


def imports(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, those of the client by their bare names."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.split(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 1 and node.module is None:
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level < 2, f"{path.name} imports from outside the client"
            found.add((node.module or "").split(".")[0])
    return found


def test_imports_have_no_cycle_and_no_bpy():
    graph = {path.stem: imports(path) for path in FOLDER.glob("*.py")}
    assert {"connection", "dispatcher"} <= graph["job"]
    assert not [name for name, found in graph.items() if found & {"bpy", "backend"}]
    modules = {name: found & graph.keys() for name, found in graph.items()}
    order = list(TopologicalSorter(modules).static_order())
    assert order.index("sockets") < order.index("dispatcher") < order.index("connection") < order.index("job_list")
