"""Corrections on the server: the process that corrects, and new versions of a result over the wire."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from backend.progress import silent
from backend.server.correction_worker import Corrector
from backend.server.question_protocol import Question
from backend.server.store_result import store_result
from protocol.coroutines import finish
from protocol.errors import BadArgument, BadFrames, BadResult, Fault, NotFound
from protocol.messages import Constraint, Correct, Corrected, Error, Target
from protocol.result.corrections import read_corrections
from protocol.result.gaussians import read_splats
from protocol.result.names import LABEL
from protocol.store import Store, read_manifest
from tests.backend.corrections.making import EACH, evidence_of, write_result
from tests.backend.select.test_selection import write
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving
from tests.backend.server.test_selections import finished

JOB = "1" * 32
FRAGMENTS = evidence_of([1, 2, 3, 4, 5], {(0, 1): 0.5, (2, 3): 0.55})
"""Masks put 1 and 2 together in half of the views, and 3 and 4 in a few more."""


def one(first: int, second: int, here: bool = False) -> Constraint:
    return Constraint("one", [Target(first), Target(second)], here)


def bits(*rows: int, total: int = 5 * EACH) -> NDArray[np.uint8]:
    chosen = np.zeros(total, bool)
    chosen[list(rows)] = True
    return np.packbits(chosen)


def made(folder: Path) -> Path:
    folder.mkdir()
    write_result(folder, FRAGMENTS)
    return folder


class Correcting:
    """A process' corrector in this one, and the versions of a result in its store."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = Store(root / "store")
        self.first, _ = finish(store_result(self.store, made(root / "made")))
        self.corrector = Corrector(self.store, root / "work")

    def ask(
        self, *constraints: Constraint, base: str | None = None, arrays: Any = (), **wanted: Any
    ) -> tuple[Corrected, list[list[int]], list[int]]:
        message = Correct(JOB, list(constraints), **wanted)
        data = [array.tobytes() for array in arrays]
        reply = self.corrector(Question(3, base or self.first, message, self.first, "a" * 64, data), silent)
        assert isinstance(reply.said, Corrected)
        values = np.frombuffer(reply.data, "<i4")
        split = 5 * reply.said.moves
        return reply.said, values[:split].reshape(-1, 5).tolist(), values[split:].tolist()

    def labels(self, version: str | None) -> list[int]:
        assert version is not None
        out = self.root / f"out{uuid.uuid4().hex}"
        self.store.checkout(read_manifest(self.store, version), out)
        return read_splats(out).extra[LABEL][::EACH].tolist()


@pytest.fixture
def correcting(tmp_path: Path) -> Correcting:
    return Correcting(tmp_path)


def test_what_changes_elsewhere_is_told_apart(correcting: Correcting) -> None:
    corrected, moves, rows = correcting.ask(one(1, 2))
    assert moves == [[2, 1, EACH, 0, 0], [4, 3, EACH, 1, 0]]
    assert rows == [*range(EACH, 2 * EACH), *range(3 * EACH, 4 * EACH)]
    assert (corrected.base, corrected.version, corrected.corrections) == (correcting.first, None, 1)
    assert corrected.total == 5 * EACH
    _, moves, _ = correcting.ask(one(1, 2, here=True))
    assert moves == [[2, 1, EACH, 0, 0]]
    assert correcting.labels(correcting.first) == [1, 2, 3, 4, 5]


def test_a_change_that_is_taken_is_a_new_version_and_the_old_one_stays(correcting: Correcting) -> None:
    first, *_ = correcting.ask(one(1, 2), take=True)
    assert first.version is not None
    assert first.size == correcting.store.path(first.version).stat().st_size
    assert correcting.labels(first.version) == [1, 1, 3, 3, 5]
    second, moves, _ = correcting.ask(Constraint("background", [Target(5)]), base=first.version, take=True)
    assert (second.corrections, moves) == (2, [[5, 0, EACH, 0, 0]])
    assert correcting.labels(second.version) == [1, 1, 3, 3, 0]
    # A client that went back to the first version goes on from there.
    other, *_ = correcting.ask(one(3, 5, here=True), base=first.version, take=True)
    assert (other.corrections, correcting.labels(other.version)) == (2, [1, 1, 3, 3, 3])
    assert correcting.labels(correcting.first) == [1, 2, 3, 4, 5]


def test_the_last_correction_is_taken_back(correcting: Correcting) -> None:
    first, *_ = correcting.ask(one(1, 2), take=True)
    undone, moves, _ = correcting.ask(base=first.version, undo=True, take=True)
    assert moves == [[1, 2, EACH, 0, 1], [3, 4, EACH, 0, 1]]
    assert undone.corrections == 0
    assert undone.version == correcting.first, "the same content is the same version"
    with pytest.raises(BadArgument, match="has no corrections"):
        correcting.ask(undo=True)


def test_several_constraints_are_one_change(correcting: Correcting) -> None:
    corrected, moves, _ = correcting.ask(one(1, 2, here=True), one(1, 5, here=True))
    assert moves == [[2, 1, EACH, 0, 0], [5, 1, EACH, 0, 0]]
    assert corrected.corrections == 2
    # What the first correction has done already is kept, so that no later one breaks it.
    corrected, moves, _ = correcting.ask(one(1, 2), one(3, 4))
    assert moves == [[2, 1, EACH, 0, 0], [4, 3, EACH, 1, 0]]
    assert corrected.corrections == 2


def test_gaussians_stand_for_the_regions_that_they_fill(correcting: Correcting) -> None:
    mostly = bits(*range(EACH, 2 * EACH), 3 * EACH)
    there = Constraint("there", [Target(gaussians=0), Target(1)], here=True)
    _, moves, _ = correcting.ask(there, arrays=[mostly])
    assert moves == [[2, 1, EACH, 0, 0]]
    few = bits(4 * EACH, 4 * EACH + 1)
    _, moves, _ = correcting.ask(Constraint("there", [Target(gaussians=0), Target(1)]), arrays=[few])
    assert moves == [[5, 1, EACH, 0, 0]]


@pytest.mark.parametrize(
    ("constraints", "kind", "sentence"),
    [
        ([], BadArgument, "needs either constraints or an undo"),
        ([one(1, 9)], NotFound, "has no object 9"),
        ([Constraint("one", [Target(1)])], BadArgument, "needs 2 targets, not 1"),
        ([Constraint("own", [Target(1), Target(2)])], BadArgument, "needs 1 targets, not 2"),
        ([Constraint("own", [Target()])], BadArgument, "either one object or some Gaussians"),
        ([Constraint("own", [Target(gaussians=2)])], BadArgument, "array that the message does not have"),
        ([Constraint("own", [Target(gaussians=0)])], BadArgument, "target of the correction has no Gaussians"),
        ([Constraint("own", [Target(gaussians=1)])], BadArgument, "has the Gaussian 55, but the result has 50"),
        (
            [one(1, 2, here=True), Constraint("own", [Target(2)])],
            BadArgument,
            r"Correction 2 \(own: Object 2\) contradicts correction 1 \(one: Object 1, Object 2\)",
        ),
    ],
    ids=["nothing", "gone", "one target", "two targets", "empty target", "no array", "no rows", "far", "contradiction"],
)
def test_what_cannot_be_corrected_is_said(
    correcting: Correcting, constraints: list[Constraint], kind: type[Fault], sentence: str
) -> None:
    with pytest.raises(kind, match=sentence):
        correcting.ask(*constraints, arrays=[np.zeros(1, np.uint8), bits(55, total=56)])
    assert correcting.ask(one(1, 2))[0].corrections == 1, "nothing was kept of it"


def test_an_object_that_is_gone_is_said(correcting: Correcting) -> None:
    first, *_ = correcting.ask(one(1, 2), take=True)
    with pytest.raises(NotFound, match="has no object 2"):
        correcting.ask(one(2, 5), base=first.version)


def test_a_version_of_another_job_is_refused(correcting: Correcting, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    write_result(other, evidence_of([1, 2], {(0, 1): 0.5}))
    foreign, _ = finish(store_result(correcting.store, other))
    with pytest.raises(NotFound, match="no such version"):
        correcting.ask(one(1, 2), base=foreign)
    with pytest.raises(NotFound):
        correcting.ask(one(1, 2), base="b" * 64)


def test_corrections_over_the_wire(tmp_path: Path, connect) -> None:
    served = Serving(tmp_path / "data")
    try:
        client: Client = connect(served)
        assert "corrections" in client.welcome.features
        job = finished(client, tmp_path, f"copy {made(tmp_path / 'made')}")
        before = client.result(job)
        corrected, arrays = ask(client, Correct(job, [one(1, 2)]))
        assert (corrected.base, corrected.version) == (before.manifest, None)
        assert arrays[0].tolist() == [[2, 1, EACH, 0, 0], [4, 3, EACH, 1, 0]]
        assert np.concatenate(arrays[1:]).tolist() == [*range(EACH, 2 * EACH), *range(3 * EACH, 4 * EACH)]
        assert client.result(job) == before
        corrected, _ = ask(client, Correct(job, [one(1, 2)], take=True, base=before.manifest))
        after = client.result(job)
        assert (after.manifest, after.size) == (corrected.version, corrected.size)
        for path, data in client.download(job, Store(tmp_path / "client")).items():
            (tmp_path / "out" / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "out" / path).write_bytes(data)
        assert read_splats(tmp_path / "out").extra[LABEL][::EACH].tolist() == [1, 1, 3, 3, 5]
        assert [each.title for each in read_corrections(tmp_path / "out")] == ["one: Object 1, Object 2"]
        with pytest.raises(BadArgument, match=r"^The result has no corrections"):
            client.ask(Correct(job, undo=True, base=before.manifest), Corrected)
        balls = finished(client, tmp_path, f"copy {write(tmp_path / 'balls', False)}")
        with pytest.raises(BadResult, match=r"^The result has no evidence to correct its objects with"):
            client.ask(Correct(balls, [one(1, 2)]), Corrected)
        wrong = client.send(Correct(job, [one(1, 2)]), arrays=[np.zeros(3, np.float32)])
        assert refused(client, wrong).code == BadFrames.code
    finally:
        served.stop()
    # The version is written: the next server on the same data has it.
    served = Serving(tmp_path / "data")
    try:
        assert connect(served).result(job) == after
    finally:
        served.stop()


def test_the_schema_refuses_too_many_constraints(serving: Serving, connect) -> None:
    client: Client = connect(serving)
    constraint = {"kind": "own", "targets": [{"label": 1}]}
    for change in ({"constraints": [constraint] * 65}, {"constraints": [{**constraint, "kind": "three"}]}):
        header = {"v": 2, "id": 9, "message": {"type": "correct", "job": JOB, **change}}
        client.control.send(msgspec.json.encode(header))
        assert refused(client, 9).code == BadFrames.code


def ask(client: Client, wanted: Correct) -> tuple[Corrected, list[NDArray]]:
    id = client.send(wanted)
    while True:
        message, arrays, of = client.receive(patience=300)
        if of == id:
            assert isinstance(message, Corrected), message
            return message, arrays


def refused(client: Client, id: int) -> Error:
    while True:
        message, _, of = client.receive(patience=60)
        if of == id:
            assert isinstance(message, Error), message
            return message
