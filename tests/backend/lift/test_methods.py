"""The catalogue of methods and what runs them."""

from __future__ import annotations

import subprocess
import sys

from backend.lift.methods import DEFAULT, METHODS, RUNS, find_method, read_settings
from backend.lift.unic_lift.settings import CODES
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


def test_a_decode_by_bits_has_defaults_of_its_own() -> None:
    unic_lift = find_method("unic-lift")
    plain, codes = read_settings(*unic_lift, {}), read_settings(*unic_lift, {"decode": "bits"})
    assert {name: getattr(codes, name) for name in CODES} == CODES
    assert all(getattr(plain, name) != value for name, value in CODES.items())
    assert read_settings(*unic_lift, {"decode": "evidence"}) == plain


def test_what_is_given_counts_more_than_the_defaults_of_a_decode() -> None:
    given = {"squash": "pixel", "decode": "bits", "steps": 7}
    found = read_settings(*find_method("unic-lift"), given)
    assert (found.squash, found.steps, found.push) == ("pixel", 7, CODES["push"])
