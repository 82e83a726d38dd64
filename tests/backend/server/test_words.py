"""Objects by words on the server: the process that searches, and the way to it over the wire."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from pathlib import Path

import msgspec
import numpy as np
import pytest

from backend.server import words_worker
from backend.server.question_protocol import Question
from backend.server.store_result import store_result
from backend.server.words_worker import Searcher
from backend.words.models import KNOWN
from protocol.coroutines import finish
from protocol.errors import BadArgument, BadFrames, NotFound, Unavailable
from protocol.messages import MAJOR, Error, Matches, Named, NameObjects, SelectText, Withdraw, Working
from protocol.ply import write_ply
from protocol.result.gaussians import read_splats
from protocol.result.names import SPLATS
from protocol.result.table import read_table
from protocol.store import Store, read_manifest
from tests.backend.select.test_selection import made
from tests.backend.server.client import Client
from tests.backend.server.conftest import Serving
from tests.backend.server.simulated_words import SimulatedDetector, load
from tests.backend.server.test_selections import finished
from tests.backend.words.making import VIEWS, write_seen
from tests.backend.words.tiny import build

JOB = "1" * 32
SIMULATED = (sys.executable, "-m", "tests.backend.server.simulated_words")
LABELS = made(False)[1].labels


def quiet(stage: str, fraction: float, note: str = "") -> None:
    """Take no note of progress."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def manifest(store: Store, tmp_path: Path) -> str:
    digest, _ = finish(store_result(store, write_seen(tmp_path / "made")))
    return digest


def ask(searcher: Searcher, manifest: str, text: str, model: str | None = None) -> tuple[Matches, np.ndarray]:
    reply = searcher(Question(7, manifest, SelectText(JOB, text, model), manifest, "a" * 64), quiet)
    assert isinstance(reply.said, Matches)
    return reply.said, np.unpackbits(np.frombuffer(reply.data, np.uint8), count=reply.said.total).astype(bool)


def test_words_select_the_gaussians_of_their_objects(store: Store, manifest: str, tmp_path: Path) -> None:
    searcher = Searcher(store, tmp_path / "work", "cpu", load)
    for text, labels in (("large ball", [1]), ("small ball", [2]), ("ball", [1, 2])):
        matches, chosen = ask(searcher, manifest, text)
        np.testing.assert_array_equal(chosen, np.isin(LABELS, labels))
        assert (matches.objects, matches.count, matches.total) == (len(labels), int(chosen.sum()), len(LABELS))
        assert sorted(match.label for match in matches.best) == labels
        assert all(match.score > 0.9 and match.name == f"Object {match.label}" for match in matches.best)
        assert matches.rendered, "the store has no scene"
    matches, chosen = ask(searcher, manifest, "submarine")
    assert (matches.objects, matches.count, chosen.any()) == (0, 0, False)
    assert len(matches.best) == 1, "the best candidate is said"


def test_a_detector_is_loaded_once(store: Store, manifest: str, tmp_path: Path) -> None:
    loaded: list[SimulatedDetector] = []

    def load_one(model: str | None, device: str) -> SimulatedDetector:
        loaded.append(SimulatedDetector())
        return loaded[-1]

    searcher = Searcher(store, tmp_path / "work", "cpu", load_one)
    ask(searcher, manifest, "large ball")
    ask(searcher, manifest, "small ball")
    assert len(loaded) == 1
    assert set(loaded[0].looks) == {(40, 80)}
    assert len(loaded[0].looks) <= 2 * VIEWS


def test_what_cannot_be_searched_is_said(store: Store, manifest: str, tmp_path: Path, monkeypatch) -> None:
    searcher = Searcher(store, tmp_path / "work", "cpu", words_worker.load)
    with pytest.raises(BadArgument, match="contains no letter"):
        ask(searcher, manifest, "12")
    with pytest.raises(BadArgument, match="not a name of the model hub"):
        ask(searcher, manifest, "cup", "/etc")
    monkeypatch.setattr(words_worker, "is_installed", lambda: False)
    with pytest.raises(Unavailable, match="transformers is not installed there") as caught:
        ask(searcher, manifest, "cup")
    assert caught.value.remedy == "On the server: Run pip install 'splatlift[masks]'."
    monkeypatch.setattr(words_worker, "is_installed", lambda: True)
    monkeypatch.setattr(words_worker, "find_weights", lambda name: None)
    with pytest.raises(Unavailable, match="The server has no model that finds objects by words"):
        ask(searcher, manifest, "cup")
    with pytest.raises(Unavailable, match="The server has no model owner/name"):
        ask(searcher, manifest, "cup", "owner/name")
    with pytest.raises(NotFound):
        ask(Searcher(store, tmp_path / "work", "cpu", load), "b" * 64, "cup")


def test_names_are_a_new_version(store: Store, manifest: str, tmp_path: Path) -> None:
    searcher = Searcher(store, tmp_path / "work", "cpu", load)
    wanted = NameObjects(JOB, ["small ball", "submarine"])
    reply = searcher(Question(8, manifest, wanted, manifest, "a" * 64), quiet)
    assert isinstance(reply.said, Named)
    assert (reply.said.named, reply.said.total) == (1, 2)
    assert msgspec.json.decode(reply.data) == {"2": "small ball"}
    entries = read_manifest(store, reply.said.version)
    store.checkout(entries, tmp_path / "out")
    assert [row.name for row in read_table(tmp_path / "out").objects] == ["Object 1", "small ball"]
    assert reply.said.base == manifest
    before = {entry.path: entry.digest for entry in read_manifest(store, manifest)}
    assert [entry.path for entry in entries if entry.digest != before[entry.path]] == ["objects.json"]
    store.checkout(read_manifest(store, manifest), tmp_path / "old")
    assert [row.name for row in read_table(tmp_path / "old").objects] == ["Object 1", "Object 2"]
    earlier = Question(9, manifest, wanted, reply.said.version, "a" * 64)
    assert isinstance(searcher(earlier, quiet).said, Named)
    folder = write_seen(tmp_path / "other")
    write_ply(read_splats(folder).pick(np.arange(9)), folder / SPLATS)
    other, _ = finish(store_result(store, folder))
    with pytest.raises(NotFound, match="no such version"):
        searcher(Question(10, other, wanted, manifest, "a" * 64), quiet)


def test_words_over_the_wire(tmp_path: Path, connect) -> None:
    served = Serving(tmp_path / "data", searcher_command=SIMULATED)
    try:
        client: Client = connect(served)
        assert "text" in client.welcome.features
        job = finished(client, tmp_path, f"copy {write_seen(tmp_path / 'made')}")
        id = client.send(SelectText(job, "small ball"))
        said, arrays = [], []
        while not said or isinstance(said[-1], Working):
            message, arrays, of = client.receive(patience=300)
            if of == id:
                said.append(message)
        assert isinstance(said[-1], Matches), said
        assert [match.label for match in said[-1].best] == [2]
        chosen = np.unpackbits(np.concatenate(arrays), count=said[-1].total).astype(bool)
        np.testing.assert_array_equal(chosen, LABELS == 2)
        assert [step.note for step in said[:-1]], "it says how far it is"
        before = client.result(job)
        named = client.ask(NameObjects(job, ["small ball", "large ball"]), Named)
        assert (named.named, named.total) == (2, 2)
        assert client.result(job).manifest == named.version != before.manifest
        with pytest.raises(Unavailable, match="no model owner/name"):
            client.ask(SelectText(job, "cup", "owner/name"), Matches)
        with pytest.raises(NotFound):
            client.ask(SelectText(uuid.uuid4().hex, "cup"), Matches)
    finally:
        served.stop()


ENDLESS = """
import time
from backend.server.question_loop import answer_questions
from backend.server.question_protocol import Reply
from protocol.messages import Matches

def answer(question, tell):
    while question.wanted.text == "cup":
        time.sleep(0.02)
        tell("words", 0.5, "looking")
    return Reply(question.number, Matches(question.wanted.job, question.wanted.text, 0, [], 0, True, 0, 0))

answer_questions(lambda store, folder: answer)
"""


def test_a_search_that_is_withdrawn_or_whose_client_left_makes_room_for_others(tmp_path: Path, connect) -> None:
    served = Serving(tmp_path / "data", searcher_command=(sys.executable, "-c", ENDLESS))
    try:
        client: Client = connect(served)
        assert "withdraw" in client.welcome.features
        job = finished(client, tmp_path, f"copy {write_seen(tmp_path / 'made')}")
        with Client(served.address) as other:
            other.attach()
            given_up, left = client.send(SelectText(job, "cup")), other.send(SelectText(job, "cup"))
            while client.receive(patience=60)[2] != given_up:
                pass
            waiting = client.send(SelectText(job, "cup"))
            for id in (given_up, waiting, given_up, 12345):
                client.send(Withdraw(id))
            while other.receive(patience=60)[2] != left:
                pass
        assert client.ask(SelectText(job, "plate"), Matches).text == "plate"
    finally:
        served.stop()


@pytest.mark.parametrize("text", ["", "a\nb", "яблоко", "cup. plate", "a" * 101], ids=repr)
def test_the_schema_refuses_other_texts(serving: Serving, connect, text: str) -> None:
    client: Client = connect(serving)
    header = {"v": MAJOR, "id": 77, "message": {"type": "selecttext", "job": JOB, "text": text}}
    client.control.send(msgspec.json.encode(header))
    message, _, id = client.receive()
    assert isinstance(message, Error)
    assert (message.code, id) == (BadFrames.code, 77)
    assert "not part of this protocol" in message.sentence


def test_a_process_that_cannot_search_is_said(tmp_path: Path, connect) -> None:
    failing = (sys.executable, "-c", "import sys; sys.stdin.readline(); sys.exit('out of memory')")
    served = Serving(tmp_path / "data", searcher_command=failing)
    try:
        client: Client = connect(served)
        job = finished(client, tmp_path, f"copy {write_seen(tmp_path / 'made')}")
        with pytest.raises(Unavailable, match="The process that searches by words has failed: out of memory"):
            client.ask(SelectText(job, "cup"), Matches)
    finally:
        served.stop()


def test_backend_serve_searches_with_a_model_of_its_machine(tmp_path: Path) -> None:
    made_by = Serving(tmp_path / "data")
    with Client(made_by.address) as client:
        client.attach()
        job = finished(client, tmp_path, f"copy {write_seen(tmp_path / 'made')}")
    made_by.stop()
    model = tmp_path / "hub" / f"models--{KNOWN[0].name.replace('/', '--')}"
    build("grounding_dino", model / "snapshots" / "1")
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("1")
    command = [
        sys.executable,
        "-m",
        "backend",
        "serve",
        "--bind",
        "tcp://127.0.0.1:0",
        "--data",
        str(tmp_path / "data"),
    ]
    environment = {**os.environ, "HF_HUB_CACHE": str(tmp_path / "hub")}
    server = subprocess.Popen([*command, "--device", "cpu"], env=environment, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        with Client(server.stdout.readline().split()[-1]) as client:
            id, said = client.send(SelectText(job, "cup")), []
            while not said or isinstance(said[-1], Working):
                message, _, of = client.receive(patience=300)
                if of == id:
                    said.append(message)
            assert isinstance(said[-1], Matches), said
            assert (said[-1].total, said[-1].rendered) == (len(LABELS), True)
            assert 1 <= said[-1].views <= VIEWS
            with pytest.raises(Unavailable, match="The server has no model owner/name"):
                client.ask(SelectText(job, "cup", "owner/name"), Matches)
    finally:
        server.terminate()
        server.wait(120)
