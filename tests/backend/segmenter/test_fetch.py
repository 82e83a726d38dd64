"""Models are fetched after a yes, from a hub on this machine; where that fails it is one sentence."""

from __future__ import annotations

import errno
import shutil
import sys
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import pytest
from huggingface_hub import constants

from backend.cli import main
from backend.scene import load_scene
from backend.segmenter.fetch import Agree, Offer, fetch, get_weights, never
from protocol.errors import BadArgument, Fault, Refused, Unavailable
from tests.backend.scene.writing import write_transforms
from tests.backend.segmenter.hub import running_hub

OFFER = Offer("owner/tiny", (("config.json", 1), ("model.safetensors", 184_000_000)), "mit")


@contextmanager
def asking(cache: Path, address: str, forbidden: bool = False) -> Iterator[None]:
    """Use the hub at an address, with a separate cache."""
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    with patch.multiple(
        constants,
        HF_HUB_CACHE=str(cache / "cache"),
        ENDPOINT=address,
        HF_HUB_OFFLINE=forbidden,
        HUGGINGFACE_CO_URL_TEMPLATE=template,
    ):
        yield


def yes(offer: Offer) -> bool:
    return True


def from_hub(name: str, agree: Agree = yes, **files: str) -> Callable[[Path], object]:
    """Return what asks a hub, which has a model of these files, for a model."""

    def attempt(folder: Path) -> object:
        served = folder / "served"
        served.mkdir()
        for file, content in files.items():
            (served / file.replace("_json", ".json").replace("_bin", ".bin")).write_text(content)
        with running_hub(served) as hub, asking(folder, hub.address):
            return get_weights(name, agree)

    return attempt


def without_network(folder: Path) -> object:
    with asking(folder, "http://127.0.0.1:9"):
        return get_weights("owner/tiny", yes)


def forbidden(folder: Path) -> object:
    with asking(folder, "http://127.0.0.1:9", forbidden=True):
        return get_weights("owner/tiny", yes)


def on_a_small_disk(folder: Path) -> object:
    usage = namedtuple("usage", "total used free")
    with asking(folder, ""), patch("shutil.disk_usage", lambda place: usage(10, 0, 300 << 20)):
        return fetch(OFFER)


def on_a_disk_that_fills_up(folder: Path) -> object:
    full = OSError(errno.ENOSPC, "No space left on device")
    with asking(folder, ""), patch("huggingface_hub.hf_hub_download", side_effect=full):
        return fetch(OFFER)


BAD_FETCHES: dict[str, tuple[Callable[[Path], object], type[Fault], str]] = {
    "not a name": (
        lambda folder: get_weights("a b/c", yes),
        BadArgument,
        "neither a folder nor a hub model name",
    ),
    "a name that the hub does not know": (from_hub("owner/other"), BadArgument, "no accessible hub model owner/other"),
    "a model that is not for everybody": (from_hub("owner/gated"), Unavailable, "accept its licence"),
    "a model with pickled weights only": (
        from_hub("owner/tiny", config_json="{}", pytorch_model_bin=""),
        BadArgument,
        "no weights in safetensors format",
    ),
    "no yes": (
        from_hub("owner/tiny", never, **{"config_json": "{}", "model.safetensors": "12345"}),
        Refused,
        r"needs a download \(owner/tiny, 0 MB, licence mit\)",
    ),
    "no network": (without_network, Unavailable, "the hub cannot be reached"),
    "a network that is forbidden": (forbidden, Unavailable, "HF_HUB_OFFLINE"),
    "a disk that is too small": (on_a_small_disk, Unavailable, "184 MB are needed and 315 MB are free"),
    "a disk that fills up": (on_a_disk_that_fills_up, Unavailable, "no space is left"),
}


@pytest.mark.parametrize("case", BAD_FETCHES)
def test_a_model_that_cannot_be_fetched_is_one_sentence(tmp_path: Path, case):
    attempt, kind, says = BAD_FETCHES[case]
    with pytest.raises(kind, match=says) as caught:
        attempt(tmp_path)
    assert "\n" not in str(caught.value)
    assert not list((tmp_path / "cache").rglob("*.safetensors")), "nothing was fetched"


def test_a_folder_is_taken_without_a_question(model, monkeypatch):
    monkeypatch.setattr("backend.segmenter.fetch.look_up", lambda name: pytest.fail("the hub was asked"))
    assert get_weights(str(model("sam2"))).folder == model("sam2")


def test_size_and_licence_are_told_before_anything_is_fetched(model, tmp_path):
    told: list[Offer] = []

    def no(offer: Offer) -> bool:
        told.append(offer)
        return False

    served = tmp_path / "served"
    shutil.copytree(model("sam2"), served)
    (served / "pytorch_model.bin").write_bytes(b"pickled")
    with running_hub(served) as hub, asking(tmp_path, hub.address):
        with pytest.raises(Refused):
            get_weights("owner/tiny", no)
        assert [line for line in hub.asked if "resolve" in line] == []
    (offer,) = told
    assert offer.licence == "mit"
    names = [name for name, _ in offer.files]
    assert names[-1] == "model.safetensors", "a model without weights is not used, so they come last"
    assert "pytorch_model.bin" not in names
    assert offer.bytes == sum(file.stat().st_size for file in served.iterdir()) - len(b"pickled")


def test_the_command_fetches_after_a_yes_and_no_network_is_asked_then(model, tmp_path, monkeypatch, capsys):
    write_transforms(tmp_path / "scene")
    command = ["backend", "masks", str(tmp_path / "scene"), "--model", "owner/tiny", "--yes", "--points", "2"]
    monkeypatch.setattr(sys, "argv", command)
    with running_hub(model("sam2")) as hub, asking(tmp_path, hub.address):
        with pytest.raises(SystemExit) as end:
            main()
        assert end.value.code == 0
        assert get_weights("owner/tiny", never).bytes == (model("sam2") / "model.safetensors").stat().st_size
    assert hub.asked.count("GET /owner/tiny/resolve/main/model.safetensors") == 1
    said = capsys.readouterr()
    assert "owner/tiny, 0 MB, licence mit" in said.err, "told before it is fetched"
    assert said.out.startswith("0 masks made; 3 photographs have masks")
    assert load_scene(tmp_path / "scene").masks_from == tmp_path / "scene" / "masks"
