"""What the server declares: its machine, its methods, and what it refuses by that."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields

import msgspec
import pytest

from backend.lift.methods import METHODS, read_settings
from backend.render import device_of
from backend.server import capabilities, silence
from backend.server.capabilities import CapabilityProbe, Found, check_settings
from protocol.errors import BadArgument, Unavailable
from protocol.job_request import JobRequest
from protocol.messages import Describe, DescribeMasks, DescribeMethod, Facts, MaskModel, MaskModels, MethodSettings
from protocol.settings import Setting, declare
from tests.backend.server.conftest import Serving

FOUND = Found(
    Facts("cuda", "A device", 3 << 30, 8 << 30),
    {"consensus": [Setting("tau", "Tau", "float", 0.6, 0.0, 1.0), Setting("on", "On", "bool", True)]},
    masks=MaskModels(True, [MaskModel("owner/model", "Model", 56, True)]),
)


def probe(text: bytes) -> list[str]:
    return [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({text!r})"]


@pytest.fixture
def served(tmp_path) -> Iterator[Serving]:
    served = Serving(tmp_path / "data", probe_command=probe(msgspec.json.encode(FOUND)))
    yield served
    served.stop()


def test_the_facts_are_told_and_then_stand_in_the_welcome(served, connect):
    client = connect(served)
    assert client.welcome.device == "auto"
    assert "facts" in client.welcome.features
    assert client.ask(Describe(), Facts) == FOUND.facts
    assert "masks" in client.welcome.features
    assert client.ask(DescribeMasks(), MaskModels) == FOUND.masks
    assert client.ask(DescribeMethod("consensus"), MethodSettings).settings == FOUND.methods["consensus"]
    with pytest.raises(BadArgument, match="method 'magic' does not exist"):
        client.ask(DescribeMethod("magic"), MethodSettings)
    assert connect(served, attach=False).welcome.device == "cuda"


def test_settings_that_a_method_would_refuse_are_refused_at_once(served, connect, scene):
    client = connect(served)
    client.ask(Describe(), Facts)
    manifest, _ = client.offer(scene("write out 5", "done"))
    for wrong in ({"tau": 1.5}, {"magic": 1}, {"on": 1}):
        with pytest.raises(BadArgument, match=next(iter(wrong))):
            client.submit(manifest, settings=wrong)
    job = client.submit(manifest, settings={"tau": 0.5, "on": False}).job
    client.until(job, "done")


@pytest.mark.parametrize(
    "command", [["/nowhere"], probe(b"nonsense"), [sys.executable, "-c", "raise SystemExit('no')"]]
)
def test_a_look_that_fails_is_said_and_the_server_serves_on(tmp_path, connect, command):
    served = Serving(tmp_path / "data", probe_command=command)
    try:
        client = connect(served)
        for _ in range(2):
            with pytest.raises(Unavailable):
                client.ask(Describe(), Facts)
        assert client.welcome.methods
    finally:
        served.stop()


def test_a_look_that_freezes_is_said(tmp_path, connect, monkeypatch):
    monkeypatch.setattr(silence, "IDLE_AFTER", 0.5)
    frozen = [sys.executable, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGSTOP)"]
    served = Serving(tmp_path / "data", probe_command=frozen)
    try:
        client = connect(served)
        with pytest.raises(Unavailable, match="capabilities of this machine: it was frozen for"):
            client.ask(Describe(), Facts)
    finally:
        served.stop()


def test_the_true_look(serving, connect):
    client = connect(serving)
    client.send(Describe())
    facts, _, _ = client.receive(patience=60)
    assert isinstance(facts, Facts)
    assert facts.device == device_of("auto")
    assert facts.device_name
    assert 0 < facts.free_bytes < facts.total_bytes
    for name, method in METHODS.items():
        settings = client.ask(DescribeMethod(name), MethodSettings).settings
        assert [each.name for each in settings] == [field.name for field in fields(method.settings)]
        assert all(each.help for each in settings), [each.name for each in settings if not each.help]


@pytest.mark.parametrize("name", METHODS)
def test_what_is_declared_is_what_the_method_takes(name):
    method = METHODS[name]
    declared = declare(method.settings)
    assert msgspec.convert({each.name: each.default for each in declared}, method.settings) == method.settings()
    for each in declared:
        for value in (each.least, each.most, *each.choices):
            if value is not None:
                given = {each.name: int(value) if each.kind == "int" else value}
                check_settings(name, given, declared)
                read_settings(name, method, given)
        outside = [each.least - 1] if each.least is not None else []
        outside += [each.most + 1] if each.most is not None else []
        for value in [*outside, "nonsense"]:
            given = {each.name: int(value) if each.kind == "int" and value != "nonsense" else value}
            with pytest.raises(BadArgument):
                read_settings(name, method, given)
            with pytest.raises(BadArgument):
                check_settings(name, given, declared)


def test_a_request_without_settings_is_what_it_was():
    assert msgspec.json.encode(JobRequest(method="consensus")) == b'{"method":"consensus"}'


def test_questions_that_wait_for_the_look_are_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(capabilities, "MOST_WAITING", 3)
    probe = CapabilityProbe(tmp_path / "log", [sys.executable, "-c", "import time; time.sleep(60)"])
    for _ in range(3):
        probe.ask(lambda found: None)
    with pytest.raises(Unavailable, match="still looks for the capabilities"):
        probe.ask(lambda found: None)
    probe.close()
