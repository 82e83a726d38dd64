"""Tiny zero-shot detectors with random weights, built from their configurations; no network."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from transformers import (
    BertTokenizer,
    CLIPTokenizer,
    GroundingDinoConfig,
    GroundingDinoForObjectDetection,
    MMGroundingDinoConfig,
    MMGroundingDinoForObjectDetection,
    Owlv2Config,
    Owlv2ForObjectDetection,
    OwlViTConfig,
    OwlViTForObjectDetection,
    PreTrainedModel,
)

from tests.backend.segmenter.tiny import NORMAL, SIDE

WORDS = ["green", "apple", "red", "cup", "submarine"]


def _grounding(config_class: type, model_class: type, folder: Path) -> None:
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", "?", *WORDS]
    config = config_class(
        backbone_config={
            "model_type": "swin",
            "image_size": SIDE,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 2, 2, 2],
            "window_size": 4,
            "out_indices": [2, 3, 4],
        },
        text_config={
            "model_type": "bert",
            "vocab_size": len(words),
            "hidden_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "max_position_embeddings": 64,
        },
        d_model=32,
        encoder_layers=1,
        decoder_layers=2,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        encoder_attention_heads=4,
        decoder_attention_heads=4,
        num_queries=8,
        num_feature_levels=3,
        max_text_len=16,
    )
    _save(model_class(config), folder, size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE}, do_pad=True)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


def _owl(config_class: type, model_class: type, folder: Path) -> None:
    letters = sorted(set("".join(WORDS)))
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    config = config_class(
        text_config={
            "vocab_size": len(vocabulary),
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "max_position_embeddings": 16,
            "eos_token_id": len(vocabulary) - 1,
            "bos_token_id": len(vocabulary) - 2,
            "pad_token_id": 0,
        },
        vision_config={
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "image_size": SIDE,
            "patch_size": 16,
        },
        projection_dim=16,
    )
    _save(model_class(config), folder, size={"height": SIDE, "width": SIDE})
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)


DETECTORS = {
    "grounding_dino": (_grounding, GroundingDinoConfig, GroundingDinoForObjectDetection),
    "mm_grounding_dino": (_grounding, MMGroundingDinoConfig, MMGroundingDinoForObjectDetection),
    "owlvit": (_owl, OwlViTConfig, OwlViTForObjectDetection),
    "owlv2": (_owl, Owlv2Config, Owlv2ForObjectDetection),
}


def build(name: str, folder: Path) -> Path:
    """Save the tiny detector of that name and return its folder; the same weights at every call."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    write, config, model = DETECTORS[name]
    write(config, model, folder)
    return folder


def _save(model: PreTrainedModel, folder: Path, **preprocessor: object) -> None:
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({**NORMAL, **preprocessor}))
