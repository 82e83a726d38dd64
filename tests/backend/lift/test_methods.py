"""The catalogue of methods and what runs them."""

from __future__ import annotations

import subprocess
import sys

from backend.lift.methods import DEFAULT, METHODS, RUNS, find_method
from backend.lift_methods import METHODS as CATALOGUE


def test_every_method_of_the_catalogue_runs_and_no_other_does() -> None:
    assert list(RUNS) == [each.name for each in CATALOGUE]
    assert [(name, method.title) for name, method in METHODS.items()] == [(each.name, each.title) for each in CATALOGUE]


def test_the_first_of_the_catalogue_is_the_default() -> None:
    assert find_method(None) == (CATALOGUE[0].name, METHODS[CATALOGUE[0].name])
    assert DEFAULT == "consensus"


def test_the_catalogue_loads_neither_torch_nor_the_methods() -> None:
    look = "import sys, backend.lift_methods; print({'torch', 'numba', 'scipy', 'backend.lift'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], check=True, capture_output=True).stdout == b"set()\n"
