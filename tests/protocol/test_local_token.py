"""The token by which programs of one user know one another."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.address import Address, parse
from protocol.local_token import TOKEN, prove, proves, read_token, token_file

A, B = "a" * 64, "b" * 64
HERE = parse("tcp://127.0.0.1:5757")

tokens = st.from_regex(TOKEN, fullmatch=True)
nonces = st.from_regex(r"[0-9a-f]{32}", fullmatch=True)
ports = st.integers(1, 65535)


def written(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_it_is_in_the_users_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert token_file() == tmp_path / ".splatlift" / "local.token"


def test_it_is_read_as_it_was_written(tmp_path):
    assert read_token(written(tmp_path / "token", f"{A}\n")) == A
    assert read_token(tmp_path / "nothing") is None


@pytest.mark.parametrize("text", ["", "\n", A[1:], A + "a", A.upper(), f"{A}\n{B}\n", "\0" * 64, "x" * 500])
def test_what_is_no_token(tmp_path, text):
    assert read_token(written(tmp_path / "token", text)) is None


@pytest.mark.skipif(os.name != "posix", reason="file modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622, 0o666])
def test_one_that_others_can_read_or_change_is_not_used(tmp_path, mode):
    assert read_token(written(tmp_path / "token", A, mode)) is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes")
def test_a_pipe_or_folder_of_that_name_holds_up_nobody(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
    assert read_token(tmp_path / "pipe") is None
    (tmp_path / "folder").mkdir()
    assert read_token(tmp_path / "folder") is None


@given(st.binary(max_size=300))
def test_no_content_breaks_the_reader(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "token"
    path.write_bytes(content)
    path.chmod(0o600)
    read = read_token(path)
    assert read is None or content.decode().strip() == read


@given(tokens, nonces, ports)
def test_a_proof_holds_for_its_token_nonce_and_address_alone(token, nonce, port):
    there = Address("127.0.0.1", port)
    mac = prove(token, nonce, there)
    assert proves(mac, token, nonce, there)
    other = ("0" if token[0] != "0" else "1") + token[1:]
    assert not proves(mac, other, nonce, there)
    assert not proves(mac, token, nonce[::-1] + "0", there)
    assert not proves(mac, token, nonce, Address("127.0.0.1", port % 65535 + 1))
    assert not proves(mac, token, nonce, Address("::1", port))
    assert not proves(mac[::-1] + "0", token, nonce, there)


def test_one_address_is_written_in_several_ways():
    nonce = "1" * 32
    assert prove(A, nonce, parse("tcp://localhost:5757")) == prove(A, nonce, HERE)
    assert prove(A, nonce, parse("tcp://[0:0:0:0:0:0:0:1]:5757")) == prove(A, nonce, parse("tcp://[::1]:5757"))


def test_the_token_is_not_in_the_proof():
    assert A not in prove(A, "1" * 32, HERE)
