"""What is asked about results over the wire: words and corrections. The server is scripted."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from numpy.typing import NDArray

from blender_addon.client.coroutines import Steps
from blender_addon.client.correction import Correction, bits_of, correct, correct_and_renew
from blender_addon.client.naming import name_objects
from blender_addon.client.request import Request
from blender_addon.client.selection import TextSelection, select_text
from protocol.errors import BadArgument, BadFrames, Refused, Unavailable
from protocol.manifest import digest_of, pack_manifest
from protocol.messages import (
    Constraint,
    Correct,
    Corrected,
    FileEntry,
    Match,
    Matches,
    Message,
    Named,
    NameObjects,
    Result,
    SelectText,
    Target,
    Withdraw,
    Working,
)
from protocol.result.corrections import Move
from tests.blender_addon.client.mock_server import MockServer, Stage

T = TypeVar("T")
JOB, BASE = "1" * 32, "a" * 64
ASKED = Correct(JOB, [Constraint("one", [Target(1), Target(2)])])
NAMING = NameObjects(JOB, ["cup"])
MOVES = np.array([[2, 1, 2, 0, 0], [4, 9, 1, 1, 1]], np.int32)
ROWS = np.array([3, 4, 8], np.uint32)


def server(stage: Stage) -> MockServer:
    assert stage.server is not None
    return stage.server


def heard(stage: Stage) -> list[Message]:
    """What the server has received."""
    return server(stage).heard


def connected(stage: Stage, *features: str) -> MockServer:
    server(stage).features = [*features]
    stage.connect()
    return server(stage)


def answered(stage: Stage, kind: type[Message], *answers: tuple[Message, Any]) -> None:
    """Have the server answer each message of that kind with these, one after the other, the last one as the answer."""

    server(stage).answers[kind] = lambda message: list(answers)


def finished(stage: Stage, steps: Steps[T]) -> T:
    request = stage.connection.start(steps)
    stage.play(lambda: request.final)
    return request.answer


def matches(**changes: Any) -> Matches:
    usual: dict[str, Any] = {"objects": 1, "views": 4, "rendered": True, "count": 2, "total": 9}
    return Matches(JOB, "cup", best=[Match(2, "Cup", 0.9, 3, 4)], **{**usual, **changes})


def text_of(stage: Stage) -> tuple[TextSelection, list[tuple[float, str]]]:
    told: list[tuple[float, str]] = []
    steps = select_text(stage.connection, SelectText(JOB, "cup"), lambda *each: told.append(each))
    return finished(stage, steps), told


def test_a_text_selects_and_says_how_far_it_is(stage: Stage) -> None:
    connected(stage, "text")
    bits = np.packbits([0, 1, 1, 0, 0, 0, 0, 0, 0]).astype(np.uint8)
    answered(stage, SelectText, (Working(0.25, "view 1"), []), (Working(0.5, "view 2"), []), (matches(), [bits]))
    found, told = text_of(stage)
    assert np.flatnonzero(found.gaussians).tolist() == [1, 2]
    assert (found.objects, found.views, found.rendered, found.best[0].name) == (1, 4, True, "Cup")
    assert told == [(0.25, "view 1"), (0.5, "view 2")]


@pytest.mark.parametrize("bits", [np.zeros(1, np.uint8), np.zeros(2, np.uint8), np.zeros(2, np.float32)])
def test_bits_that_are_not_as_declared_are_refused(stage: Stage, bits: NDArray) -> None:
    connected(stage, "text")
    answered(stage, SelectText, (matches(), [bits]))
    with pytest.raises(BadFrames):
        text_of(stage)


@pytest.mark.parametrize("what", ["searches by words", "corrections", "names from a list of words"])
def test_an_old_server_is_told_in_one_sentence(stage: Stage, what: str) -> None:
    connected(stage, "select")
    steps = {
        "searches by words": lambda: select_text(stage.connection, SelectText(JOB, "cup"), print),
        "corrections": lambda: correct(stage.connection, ASKED),
        "names from a list of words": lambda: name_objects(stage.connection, stage.job_list.cache, NAMING, print),
    }[what]()
    with pytest.raises(Unavailable, match=f"Mock 1 does not support {what}"):
        finished(stage, steps)
    assert not [each for each in heard(stage) if isinstance(each, SelectText | Correct | NameObjects)]


def corrected(**changes: Any) -> Corrected:
    usual: dict[str, Any] = {"base": BASE, "moves": 2, "total": 9, "corrections": 1}
    return Corrected(JOB, **{**usual, **changes})


def correction_of(stage: Stage) -> Correction:
    return finished(stage, correct(stage.connection, ASKED, [bits_of(np.array([1]))]))


def test_a_correction_says_what_changes(stage: Stage) -> None:
    connected(stage, "corrections")
    answered(stage, Correct, (corrected(), [MOVES, ROWS]))
    found = correction_of(stage)
    assert found.moves == [Move(2, 1, 2, False, False), Move(4, 9, 1, True, True)]
    assert found.lines({1: "Cup", 2: "Handle"}) == [
        "2 Gaussians of Handle go to Cup.",
        "1 Gaussians of object 4 go to the new object 9, as similar ones do.",
    ]
    before, after = found.labels()
    assert (found.rows.tolist(), before.tolist(), after.tolist()) == ([3, 4, 8], [2, 2, 4], [1, 1, 9])
    answered(stage, Correct, (corrected(moves=0), [MOVES[:0]]))
    assert correction_of(stage).moves == []


@pytest.mark.parametrize(
    "arrays",
    [
        [MOVES, ROWS[:2]],
        [MOVES[:1], ROWS[:2]],
        [MOVES, np.array([3, 3, 8], np.uint32)],
        [MOVES, np.array([3, 4, 9], np.uint32)],
        [-MOVES, ROWS],
        [MOVES.astype(np.int64), ROWS],
        [MOVES, ROWS.astype(np.float32)],
        [],
    ],
    ids=itertools.count().__next__ and str,
)
def test_arrays_that_contradict_each_other_are_refused(stage: Stage, arrays: list[NDArray]) -> None:
    connected(stage, "corrections")
    answered(stage, Correct, (corrected(), arrays))
    with pytest.raises(BadFrames, match="contradict each other"):
        correction_of(stage)


def test_rows_that_cannot_be_sent_are_refused() -> None:
    assert np.flatnonzero(np.unpackbits(bits_of(np.array([3, 9])))).tolist() == [3, 9]
    for rows in ([], [-1], [1 << 40]):
        with pytest.raises(BadArgument, match="not rows of a result"):
            bits_of(np.array(rows, np.int64))


def version(stage: Stage, **files: bytes) -> Result:
    """Store a version of the result on the server."""
    contents = {name.replace("_", "."): data for name, data in files.items()}
    entries = [FileEntry(path, len(data), digest_of(data)) for path, data in contents.items()]
    manifest = pack_manifest(entries)
    server(stage).content |= {digest_of(data): data for data in (*contents.values(), manifest)}
    return Result(JOB, digest_of(manifest), len(manifest))


@pytest.fixture
def folder(stage: Stage) -> Path:
    """The downloaded first version; the server has a second one ready."""
    connected(stage, "corrections")
    server(stage).results[JOB] = version(stage, objects_json=b"before", splats_ply=b"splats")
    after = version(stage, objects_json=b"after", splats_ply=b"other splats", corrections_json=b"one")
    taken = corrected(base=server(stage).results[JOB].manifest, version=after.manifest, size=after.size)
    answered(stage, Correct, (taken, [MOVES, ROWS]))
    place = stage.job_list.cache.result_folder(JOB)
    place.mkdir(parents=True)
    (place / "objects.json").write_bytes(b"before")
    (place / "splats.ply").write_bytes(b"splats")
    return place


def renewed(stage: Stage) -> Correction:
    return finished(stage, correct_and_renew(stage.connection, stage.job_list.cache, ASKED))


def test_a_change_that_is_taken_renews_the_folder(stage: Stage, folder: Path) -> None:
    renewed(stage)
    asked = [each for each in heard(stage) if isinstance(each, Correct)]
    assert [(each.take, each.base) for each in asked] == [(True, server(stage).results[JOB].manifest)]
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        "objects.json": b"after",
        "splats.ply": b"other splats",
        "corrections.json": b"one",
    }
    assert [path.name for path in folder.parent.iterdir()] == [JOB]


def test_a_folder_that_was_edited_is_not_replaced(stage: Stage, folder: Path) -> None:
    (folder / "objects.json").write_bytes(b"edited")
    with pytest.raises(Refused, match="was edited, or corrected elsewhere"):
        renewed(stage)
    assert (folder / "objects.json").read_bytes() == b"edited"
    assert not [each for each in heard(stage) if isinstance(each, Correct)]


def test_names_renew_the_folder(stage: Stage, folder: Path) -> None:
    server(stage).features = ["names"]
    stage.connection.close()
    stage.connect()
    first = server(stage).results[JOB].manifest
    after = version(stage, objects_json=b"named", splats_ply=b"splats")
    named = Named(JOB, BASE, 1, 3, after.manifest, after.size)
    for names, sentence in ((b"{", "cannot be read"), (b'{"0": "cup"}', "cannot be read"), (b"{}", "declared 1")):
        answered(stage, NameObjects, (named, [np.frombuffer(names, np.uint8)]))
        with pytest.raises(BadFrames, match=sentence):
            finished(stage, name_objects(stage.connection, stage.job_list.cache, NAMING, print))
    assert (folder / "objects.json").read_bytes() == b"before"
    answered(stage, NameObjects, (Working(0.5), []), (named, [np.frombuffer(b'{"2": "cup"}', np.uint8)]))
    steps = name_objects(stage.connection, stage.job_list.cache, NAMING, lambda fraction, note: None)
    assert finished(stage, steps) == {2: "cup"}
    assert {each.base for each in heard(stage) if isinstance(each, NameObjects)} == {first}
    assert (folder / "objects.json").read_bytes() == b"named"


def test_a_request_that_is_stopped_is_withdrawn(stage: Stage) -> None:
    connected(stage, "text", "withdraw")
    answered(stage, SelectText, (Working(0.5, "view 2"), []))
    told: list[str] = []

    def search() -> Request[TextSelection]:
        told.clear()
        steps = select_text(stage.connection, SelectText(JOB, "cup"), lambda fraction, note: told.append(note))
        request = stage.connection.start(steps)
        stage.play(lambda: told)
        return request

    def withdrawals() -> int:
        return sum(isinstance(each, Withdraw) for each in heard(stage))

    request = search()
    request.stop()
    stage.play(withdrawals)
    with pytest.raises(Unavailable, match="before the server answered"):
        _ = request.answer
    server(stage).features = ["text"]
    stage.connection.close()
    stage.connect()
    search().stop()
    stage.pass_time(2)
    assert withdrawals() == 1, "an older server does not know the message"
