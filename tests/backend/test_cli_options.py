"""Options of the command line: every field of a request can be given, and help comes from the fields."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from backend.cli import OF_RECONSTRUCT
from backend.cli_options import job_options
from protocol.job_request import OPTIONS, JobRequest, check, given

WORDS = {
    "method": ("--method consensus", "consensus"),
    "splats": ("--splats /a/b.ply", "/a/b.ply"),
    "masks": ("--masks /a/masks", "/a/masks"),
    "test_views": ("--test-views every:8", "every:8"),
    "device": ("--device cpu", "cpu"),
    "seed": ("--seed 7", 7),
    "steps": ("--steps 300", 300),
    "quality": ("--quality draft", "draft"),
    "settings": ("--set tau=0.5 --set push=plain", {"tau": 0.5, "push": "plain"}),
    "masks_from": ("--masks geometry", "geometry"),
    "masks_model": ("--masks-model owner/name", "owner/name"),
    "level": ("--level part", "part"),
    "background_ids": ("--background-id 3 --background-id 4", [3, 4]),
    "void_ids": ("--void-id 5", [5]),
    "long_side": ("--long-side 400", 400),
    "max_gaussians": ("--max-gaussians 5000", 5000),
    "steer": ("--no-steer", False),
    "refine": ("--refine", True),
    "meshes": ("--no-meshes", False),
    "textures": ("--textures", True),
    "gallery": ("--no-gallery", False),
    "gpus": ("--gpus 2", 2),
}
"""Of each field, how it is given on the command line, and the value that this is."""


def asked(line: str, only: tuple[str, ...] | None = None) -> JobRequest:
    """Return the request that a command with these words is called with."""
    app, requests = typer.Typer(), []

    @app.command()
    @job_options(only)
    def command(scene: Path, request: JobRequest) -> None:
        requests.append(request)

    done = CliRunner().invoke(app, ["kitchen", *line.split()])
    assert done.exit_code == 0, done.output
    return requests[0]


def test_every_field_of_a_request_can_be_given():
    assert set(WORDS) == set(OPTIONS)


@pytest.mark.parametrize("name", WORDS)
def test_a_field_is_given(name: str):
    words, value = WORDS[name]
    request = asked(words)
    assert given(request) == {name: value}
    check(request)


def test_what_is_not_given_keeps_its_default():
    assert asked("") == JobRequest()
    assert asked("--no-refine").refine is False


def test_paths_are_named_from_where_one_stands(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    request = asked("--splats a.ply --masks ./geometry")
    assert (request.splats, request.masks) == (str(tmp_path / "a.ply"), str(tmp_path / "geometry"))
    assert request.masks_from == "capture"


def test_a_command_may_offer_some_of_them():
    assert set(OF_RECONSTRUCT) < set(OPTIONS)
    assert asked("--steps 3", OF_RECONSTRUCT) == JobRequest(steps=3)
    # Where geometry cannot be chosen, the word names a folder.
    assert asked("--masks geometry", OF_RECONSTRUCT).masks == str(Path.cwd() / "geometry")


@pytest.mark.parametrize(
    ("line", "says"), [("--steps 0", "--steps"), ("--quality best", "best"), ("--seed x", "--seed")]
)
def test_a_wrong_value_is_refused(line, says):
    app = typer.Typer()

    @app.command()
    @job_options()
    def command(request: JobRequest) -> None:
        raise AssertionError(request)

    done = CliRunner().invoke(app, line.split())
    assert done.exit_code == 2
    assert says in done.output


def test_help_has_every_option_with_its_sentence():
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @job_options()
    def command(request: JobRequest) -> None: ...

    shown = " ".join(CliRunner(env={"TERMINAL_WIDTH": "200"}).invoke(app, ["--help"]).output.split())
    for name, field in OPTIONS.items():
        if name != "masks_from":
            assert WORDS[name][0].split()[0] in shown
            assert field.help.split(".")[0] in shown
