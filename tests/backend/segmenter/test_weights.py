"""Models that are on this machine, and what is wrong with those that cannot be used."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from huggingface_hub import constants
from transformers.utils.import_utils import BACKENDS_MAPPING

from backend.segmenter.catalogue import DEFAULT, KNOWN
from backend.segmenter.load import load_segmenter
from backend.segmenter.weights import default_model, describe, find_known, find_weights, known_models
from protocol.errors import BadArgument, Unavailable


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def put_into_cache(cache: Path, name: str, folder: Path) -> Path:
    """Lay out a model as huggingface_hub does and return its snapshot."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    shutil.copytree(folder, repository / "snapshots" / "abc")
    return repository / "snapshots" / "abc"


def test_a_folder_is_found_with_size_and_licence(model, tmp_path):
    shutil.copytree(model("sam2"), tmp_path / "sam2")
    (tmp_path / "sam2" / "README.md").write_text("---\nlibrary_name: x\nlicense: apache-2.0\n---\n# A\nlicense: no\n")
    found = find_weights(str(tmp_path / "sam2"))
    assert found is not None
    size = (tmp_path / "sam2" / "model.safetensors").stat().st_size
    assert (found.bytes, found.licence) == (size, "apache-2.0")
    assert describe("a/b", 184_416_285, "mit") == "a/b, 184 MB, licence mit"


@pytest.mark.parametrize("card", ["", "---\nlicense: mit", "# license\nlicense: mit\n", "---\ntags: []\n---\n"])
def test_a_licence_is_what_the_head_of_the_card_states_and_nothing_else(model, tmp_path, card):
    shutil.copytree(model("sam2"), tmp_path / "sam2")
    (tmp_path / "sam2" / "README.md").write_text(card)
    found = find_weights(str(tmp_path / "sam2"))
    assert found is not None
    assert found.licence == "not stated"


def test_a_model_of_the_cache_is_found_by_its_name(model, cache):
    assert find_weights("owner/tiny") is None
    snapshot = put_into_cache(cache, "owner/tiny", model("sam2"))
    found = find_weights("owner/tiny")
    assert found is not None
    assert found.folder == snapshot
    (snapshot / "model.safetensors").unlink()
    assert find_weights("owner/tiny") is None, "half a model is none"


def test_a_known_model_of_the_cache_is_the_one_to_use(model, cache):
    assert find_known() is None
    assert default_model() == DEFAULT
    put_into_cache(cache, KNOWN[2].name, model("sam2"))
    put_into_cache(cache, KNOWN[7].name, model("edgetam"))
    assert default_model() == KNOWN[2].name


def test_the_catalogue_says_which_models_are_here(model, cache):
    assert known_models().default() is None
    snapshot = put_into_cache(cache, KNOWN[2].name, model("sam2"))
    models = known_models()
    assert models.installed
    assert [each.name for each in models.models] == [known.name for known in KNOWN]
    here = models.default()
    assert here is not None
    assert here == models.models[2]
    assert here.bytes == (snapshot / "model.safetensors").stat().st_size
    assert models.models[0].bytes == KNOWN[0].megabytes * 10**6
    assert [each.is_here for each in models.models].count(True) == 1


def test_without_transformers_no_model_is_here(model, cache, monkeypatch):
    put_into_cache(cache, KNOWN[2].name, model("sam2"))
    monkeypatch.setattr("backend.segmenter.weights.is_installed", lambda: False)
    models = known_models()
    assert not models.installed
    assert models.default() is None


def test_several_files_of_weights_are_all_needed(model, tmp_path):
    folder = tmp_path / "sam2"
    shutil.copytree(model("sam2"), folder)
    half_an_index(folder)
    (folder / "model-00002-of-00002.safetensors").write_bytes(b"12345")
    found = find_weights(str(folder))
    assert found is not None
    assert found.bytes == (folder / "model-00001-of-00002.safetensors").stat().st_size + 5


@pytest.mark.parametrize("name", ["", "a/b/c", "../up", "a b/c", "-x/y", "https://hub/a/b"])
def test_a_name_that_is_none_is_refused(name, cache):
    with pytest.raises(BadArgument, match="neither a folder nor a hub model name"):
        find_weights(name or " ")


def load(folder: Path):
    found = find_weights(str(folder))
    assert found is not None
    return load_segmenter(found, "cpu", 2)


def change(folder: Path, name: str, **values: object) -> None:
    content = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps({**content, **values}))


def cut_off(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:1000])


def of_zeros(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(bytes(1000))


def of_another_size(folder: Path) -> None:
    content = json.loads((folder / "config.json").read_text())
    content["mask_decoder_config"]["mlp_dim"] = 48
    (folder / "config.json").write_text(json.dumps(content))


def of_another_model(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    save_file({f"other.{name}": each for name, each in load_file(file).items()}, file, metadata={"format": "pt"})


def pickled(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def half_an_index(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00002.safetensors")
    weight_map = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))


def outside(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder.parent / "elsewhere.safetensors")
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": "../elsewhere.safetensors"}}))


def spoil(folder: Path, name: str) -> Path:
    """Damage the tiny SAM 2 that was copied to ``folder`` in the way of that name, and return it."""
    (folder / "run.py").write_text("raise SystemExit('code of the model was run')")
    BAD_MODELS[name][0](folder)
    return folder


BAD_MODELS = {
    "no configuration": (lambda folder: (folder / "config.json").unlink(), r"has no file config\.json"),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), r"has no file model\.safetensors"),
    "weights as pickle only": (pickled, r"pickle format only \(pytorch_model.bin\)"),
    "a part of the weights": (half_an_index, "lists weight files that are not in"),
    "weights outside of the folder": (outside, "lists weight files that are not in"),
    "weights that are cut off": (cut_off, "cannot be read"),
    "weights of zeros": (of_zeros, "cannot be read"),
    "weights of another size": (of_another_size, "cannot be read"),
    "weights of another model": (of_another_model, "are missing"),
    "a configuration that is no JSON": (lambda folder: (folder / "config.json").write_text("{"), "cannot be read"),
    "an unknown kind": (lambda folder: change(folder, "config.json", model_type="magic"), "cannot be read"),
    "a model of text": (lambda folder: change(folder, "config.json", model_type="bert"), "type 'bert'"),
    "SAM 3 for words": (lambda folder: change(folder, "config.json", model_type="sam3"), "type 'sam3'"),
    "a model of videos": (lambda folder: change(folder, "config.json", model_type="videomt"), "type 'videomt'"),
    "custom code": (
        lambda folder: change(folder, "config.json", model_type="magic", auto_map={"AutoConfig": "run.Evil"}),
        "cannot be read",
    ),
    "no preprocessor": (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json"),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_a_model_that_cannot_be_used_is_one_sentence(model, tmp_path, case):
    shutil.copytree(model("sam2"), tmp_path / "model")
    with pytest.raises(BadArgument, match=BAD_MODELS[case][1]) as caught:
        load(spoil(tmp_path / "model", case))
    assert "\n" not in str(caught.value)


def test_weights_that_lack_little_are_used_with_a_warning(model, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "sam2"
    shutil.copytree(model("sam2"), folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["no_memory_embedding"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    _, warnings = load(folder)
    assert len(warnings) == 1
    assert "missing 1 of" in warnings[0]


def test_without_transformers_it_is_said_what_to_install(model, monkeypatch):
    folder = model("sam2")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(Unavailable, match=r"pip install 'splatlift\[masks\]'"):
        load(folder)


def test_a_package_that_a_model_needs_is_named(model, tmp_path, monkeypatch):
    """EdgeTAM as it is published has a backbone of timm."""
    folder = tmp_path / "edgetam"
    shutil.copytree(model("edgetam"), folder)
    content = json.loads((folder / "config.json").read_text())
    content["vision_config"]["backbone_config"] = {"model_type": "timm_wrapper", "architecture": "repvit_m1"}
    (folder / "config.json").write_text(json.dumps(content))
    monkeypatch.setitem(BACKENDS_MAPPING, "timm", (lambda: False, BACKENDS_MAPPING["timm"][1]))
    with pytest.raises(Unavailable, match="needs the package timm, which is not installed"):
        load(folder)


def test_the_document_lists_the_models_of_the_catalogue():
    text = (Path(__file__).parents[3] / "docs" / "masks.md").read_text()
    rows = [f"| `{each.name}` | {each.title} | {each.megabytes} MB | {each.licence} |" for each in KNOWN]
    assert [line for line in text.splitlines() if line.startswith("| `") and " MB |" in line] == rows
