"""Models are fetched after a yes, from a hub on this machine; where that fails it is one sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
from huggingface_hub import constants

from backend.scene import load_scene
from backend.segmenter.fetch import Offer, fetch, get_weights, look_up
from protocol.errors import BadArgument, Refused, Unavailable
from tests.backend.scene.writing import write_transforms
from tests.backend.segmenter.hub import running_hub


@pytest.fixture
def online(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the hub be asked, and return the folder of an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_a_folder_is_taken_without_a_question(model, monkeypatch):
    monkeypatch.setattr("backend.segmenter.fetch.look_up", lambda name: pytest.fail("the hub was asked"))
    assert get_weights(str(model("sam2"))).folder == model("sam2")


def test_size_and_licence_are_told_before_anything_is_fetched_and_a_no_fetches_nothing(model, online, monkeypatch):
    told: list[Offer] = []

    def no(offer: Offer) -> bool:
        told.append(offer)
        return False

    (model("sam2") / "pytorch_model.bin").write_bytes(b"pickled")
    with running_hub(model("sam2")) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        with pytest.raises(Refused, match=r"owner/tiny, 0 MB, licence mit"):
            get_weights("owner/tiny", no)
        assert [line for line in hub.asked if "resolve" in line] == []
    (model("sam2") / "pytorch_model.bin").unlink()
    assert told[0].licence == "mit"
    names = [name for name, _ in told[0].files]
    assert names[-1] == "model.safetensors"
    assert "pytorch_model.bin" not in names
    assert told[0].bytes >= (model("sam2") / "model.safetensors").stat().st_size
    assert not online.exists()


def test_a_name_that_the_hub_does_not_know_is_one_sentence(tmp_path, online, monkeypatch):
    with running_hub(tmp_path) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        with pytest.raises(BadArgument, match="no accessible hub model owner/other"):
            look_up("owner/other")
        with pytest.raises(Unavailable, match="accept its licence"):
            look_up("owner/gated")


def test_a_model_with_pickled_weights_only_is_not_offered(tmp_path, online, monkeypatch):
    (tmp_path / "pytorch_model.bin").write_bytes(b"pickled")
    (tmp_path / "config.json").write_text("{}")
    with running_hub(tmp_path) as hub:
        monkeypatch.setattr(constants, "ENDPOINT", hub.address)
        with pytest.raises(BadArgument, match="no weights in safetensors format"):
            look_up("owner/tiny")


def test_no_network_is_one_sentence(online, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(Unavailable, match="the hub cannot be reached") as caught:
        get_weights("owner/tiny", lambda offer: True)
    assert "\n" not in str(caught.value)


def test_a_network_that_is_forbidden_is_one_sentence(online, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(Unavailable, match="HF_HUB_OFFLINE"):
        get_weights("owner/tiny", lambda offer: True)


def test_a_full_disk_is_told_before_anything_is_fetched(online, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr("shutil.disk_usage", lambda folder: usage(10, 0, 300 << 20))
    with pytest.raises(Unavailable, match="184 MB are needed and 315 MB are free"):
        fetch(Offer("owner/tiny", (("model.safetensors", 184_000_000),), "mit"))


def test_a_disk_that_fills_up_is_one_sentence(online, monkeypatch):
    def full(*args: object, **named: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", full)
    with pytest.raises(Unavailable, match="no space is left"):
        fetch(Offer("owner/tiny", (("config.json", 1),), "mit"))


def test_the_command_fetches_after_a_yes_and_no_network_is_asked_then(model, tmp_path, monkeypatch):
    """In a process of its own, as huggingface_hub reads the address of the hub when it is imported."""
    write_transforms(tmp_path / "scene")
    command = [sys.executable, "-m", "backend", "masks", str(tmp_path / "scene"), "--model", "owner/tiny", "--yes"]
    with running_hub(model("sam2")) as hub:
        environment = {**os.environ, "HF_ENDPOINT": hub.address, "HF_HUB_CACHE": str(tmp_path / "cache")}
        environment.pop("HF_HUB_OFFLINE")
        done = subprocess.run(
            [*command, "--points", "2"], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert "Downloading owner/tiny, 0 MB, licence mit." in done.stderr
    assert "GET /owner/tiny/resolve/main/model.safetensors" in hub.asked
    assert load_scene(tmp_path / "scene").masks_from == tmp_path / "scene" / "masks"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("backend.segmenter.fetch.look_up", lambda name: pytest.fail("the hub was asked"))
    assert get_weights("owner/tiny").bytes == (model("sam2") / "model.safetensors").stat().st_size
