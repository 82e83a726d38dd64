"""What ``backend status`` says of a server that runs, of one that does not, and to whom."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path

import pytest

from backend import cli
from backend.server import contact, keys, status
from backend.server.status import as_lines, of_folder, of_server
from protocol.errors import NotFound, Unavailable
from protocol.messages import Overview, Survey
from tests.backend.server.conftest import Serving, serve_at_free_port


def busy(client, scene) -> tuple[str, str]:
    """One job that runs and one that waits."""
    manifest, _ = client.offer(scene("step lift 0.5", "until-cancelled", a=1000))
    running, waiting = client.submit(manifest, title="kitchen").job, client.submit(manifest, title="hall").job
    client.until(running, "running", stage="lift")
    return running, waiting


def test_the_owner_of_the_folder_sees_all(serving, connect, scene):
    client = connect(serving)
    running, waiting = busy(client, scene)
    found = of_folder(serving.data)
    assert found["running_server"]
    assert found["address"] == serving.address
    assert (found["running"], found["waiting"], found["trouble"]) == (1, 1, "")
    assert [(job["job"], job["title"], job["client"], job["state"]) for job in found["jobs"]] == [
        (running, "kitchen", "default", "running"),
        (waiting, "hall", "default", "queued"),
    ]
    assert found["jobs"][0]["stage"] == "lift"
    assert sorted(found["clients"]) == ["default: backend status", "default: test client"]
    stored = sum(path.stat().st_size for path in (serving.data / "store").glob("*/*"))
    assert found["store_bytes"] == stored > 1000
    assert 0 < found["free_bytes"] < found["disk_bytes"]
    assert 0 <= time.time() - found["since"] < 60
    lines = as_lines(found)
    assert lines[0].startswith(f"SplatLift 0.1.0 at {serving.address}, since ")
    assert "jobs: 1 running, 1 waiting" in lines
    assert f"  {running} running lift 50%, kitchen, from default, submitted" in "\n".join(lines)
    client.cancel(running)


def test_other_clients_do_not_learn_who_is_there(serving, connect, scene):
    client = connect(serving)
    running, _ = busy(client, scene)
    found = of_server(serving.address, None)
    assert found["clients"] == []
    assert {job["client"] for job in found["jobs"]} == {""}
    assert (found["running"], found["waiting"], found["sessions"]) == (1, 1, 2)
    assert client.ask(Survey("0" * 32), Overview).clients == []
    client.cancel(running)


def test_an_overview_of_many_long_jobs_fits_in_a_message(serving, connect, scene):
    client = connect(serving)
    manifest, _ = client.offer(scene("until-cancelled"))
    jobs = [client.submit(manifest, title="\U0001f600" * 200).job for _ in range(60)]
    found = of_folder(serving.data)
    assert found["running"] + found["waiting"] == 60
    assert 20 < len(found["jobs"]) <= 50
    assert as_lines(found)[-1] == f"  and {60 - len(found['jobs'])} more"
    for job in reversed(jobs):
        client.cancel(job)


def test_where_to_ask_is_for_the_owner_alone_and_goes_with_the_server(serving):
    file = serving.data / contact.FILE
    if os.name == "posix":
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert contact.find(serving.data) is not None
    serving.stop()
    assert not file.exists()


def test_an_encrypted_server_is_asked_with_its_keys(tmp_path):
    served = serve_at_free_port(tmp_path / "data", encrypted=True)
    try:
        assert of_folder(tmp_path / "data")["running_server"]
        known = keys.load(tmp_path / "data")
        assert known is not None
        assert of_server(served.address, known.pairing)["clients"] == []
    finally:
        served.end(signal.SIGTERM)


def test_a_server_that_does_not_encrypt_is_asked_without_the_keys_of_an_earlier_one(serving):
    keys.load_or_make(serving.data)
    assert of_folder(serving.data)["running_server"]


def test_a_folder_without_a_server_says_what_waits(start, connect, scene, tmp_path):
    served = start()
    client = connect(served)
    running, waiting = busy(client, scene)
    served.end(signal.SIGTERM)
    found = of_folder(tmp_path / "data")
    assert (found["running_server"], found["running"], found["waiting"]) == (False, 0, 2)
    assert [job["job"] for job in found["jobs"]] == [running, waiting]
    lines = as_lines(found)
    assert lines[0] == "No server runs on this folder."
    assert any(running in line and "kitchen" in line for line in lines)


def test_a_killed_server_does_not_run(start, tmp_path):
    start().end(signal.SIGKILL)
    assert (tmp_path / "data" / contact.FILE).exists()
    assert not of_folder(tmp_path / "data")["running_server"]


def test_a_server_that_does_not_answer_is_said(start, tmp_path, monkeypatch):
    monkeypatch.setattr("backend.server.ask.PATIENCE", 0.3)
    served = start()
    served.process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match=r"No server answered at tcp://127\.0\.0\.1"):
            of_folder(tmp_path / "data")
    finally:
        served.process.send_signal(signal.SIGCONT)


def test_a_folder_that_is_no_servers(tmp_path):
    with pytest.raises(NotFound, match="No server has used"):
        of_folder(tmp_path)


def test_a_table_that_cannot_be_read(tmp_path):
    (tmp_path / "jobs.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(Unavailable, match="cannot be read"):
        of_folder(tmp_path)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("tcp://0.0.0.0:5757", "tcp://127.0.0.1:5757"),
        ("tcp://[::]:5757", "tcp://[::1]:5757"),
        ("tcp://10.0.0.3:5757", "tcp://10.0.0.3:5757"),
    ],
)
def test_a_server_at_all_addresses_is_asked_at_one(given, asked):
    assert status._reachable(given) == asked


def run(monkeypatch, capsys, *arguments: object) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["backend", *map(str, arguments)])
    with pytest.raises(SystemExit) as end:
        cli.main()
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def test_the_command(serving: Serving, monkeypatch, capsys, tmp_path: Path):
    code, out, _ = run(monkeypatch, capsys, "status", "--data", serving.data, "--json")
    assert code == 0
    assert json.loads(out)["waiting"] == 0
    code, out, _ = run(monkeypatch, capsys, "status", "--server", serving.address)
    assert code == 0
    assert "jobs: 0 running, 0 waiting" in out
    assert run(monkeypatch, capsys, "status", "--data", tmp_path)[0] == 2
    assert run(monkeypatch, capsys, "status", "--data", tmp_path, "--server", serving.address)[0] == 2
    serving.stop()
    code, out, _ = run(monkeypatch, capsys, "status", "--data", serving.data)
    assert code == 1
    assert "No server runs" in out


def test_a_pairing_string_that_is_none(monkeypatch, capsys):
    code, _, error = run(monkeypatch, capsys, "status", "--server", "tcp://127.0.0.1:1", "--pairing", "secret")
    assert code == 2
    assert "secret" not in error
