"""bench/README.md lists every module of bench, with the command of those that can be run."""

from __future__ import annotations

import re
from pathlib import Path

BENCH = Path(__file__).parents[2] / "bench"


def modules(*, run: bool) -> set[str]:
    """Return the modules of bench that are run as programs, or those that are not."""
    found = set()
    for path in BENCH.rglob("*.py"):
        if path.name != "__init__.py" and ('if __name__ == "__main__"' in path.read_text()) == run:
            found.add(".".join(path.relative_to(BENCH.parent).with_suffix("").parts).removesuffix(".__main__"))
    return found


def rows() -> list[str]:
    return [line for line in (BENCH / "README.md").read_text().splitlines() if line.startswith("| ")]


def test_every_program_has_a_row_with_its_command() -> None:
    listed = [name for row in rows() for name in re.findall(r"`python -m (bench\.[\w.]+)", row)]
    assert sorted(listed) == sorted(modules(run=True))


def test_every_other_module_has_a_row() -> None:
    listed = [name for row in rows() for name in re.findall(r"^\| `(bench\.[\w.]+)` \|", row)]
    assert sorted(listed) == sorted(modules(run=False))
