"""Tiny models with random weights, one of each class, saved as their publishers save the large ones; no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPTokenizer,
    DetrConfig,
    DetrForSegmentation,
    EdgeTamConfig,
    EdgeTamModel,
    EomtConfig,
    EomtForUniversalSegmentation,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    OneFormerConfig,
    OneFormerForUniversalSegmentation,
    PretrainedConfig,
    PreTrainedModel,
    ResNetConfig,
    Sam2Config,
    Sam2Model,
    Sam3TrackerConfig,
    Sam3TrackerModel,
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamModel,
    SwinConfig,
)
from transformers.modeling_outputs import BaseModelOutput

SIDE = 64
"""Pixels that the tiny models look at."""
NORMAL = {
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "rescale_factor": 1 / 255,
    "resample": 2,
    "do_normalize": True,
    "do_rescale": True,
    "do_resize": True,
}
LABELS = {0: "cup", 1: "wall-brick", 2: "book"}
PROMPTS = {"hidden_size": 32, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 8}
DECODER = {
    "hidden_size": 32,
    "mlp_dim": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "iou_head_hidden_dim": 32,
}


class PyramidConfig(PretrainedConfig):
    """Replaces the configuration of EdgeTAM's RepViT, which needs timm."""

    model_type = "pyramid"
    widths: list[int] | None = None


class Pyramid(PreTrainedModel):
    """Replaces EdgeTAM's RepViT: four feature maps, each half as large as the previous one."""

    config_class = PyramidConfig
    main_input_name = "pixel_values"

    def __init__(self, config: PyramidConfig) -> None:
        super().__init__(config)
        widths = config.widths or [8, 16, 24, 32]
        self.steps = nn.ModuleList(
            nn.Conv2d(before, after, 4 if i == 0 else 2, 4 if i == 0 else 2)
            for i, (before, after) in enumerate(zip([3, *widths], widths, strict=False))
        )
        self.post_init()

    def forward(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutput:
        maps = []
        for step in self.steps:
            pixel_values = step(pixel_values)
            maps.append(pixel_values)
        return BaseModelOutput(last_hidden_state=maps)  # pyright: ignore[reportArgumentType]


AutoConfig.register("pyramid", PyramidConfig, exist_ok=True)
AutoModel.register(PyramidConfig, Pyramid, exist_ok=True)


VISION = {
    "hidden_size": 32,
    "output_channels": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
    "window_size": 4,
    "global_attn_indexes": [1],
    "mlp_dim": 32,
    "num_pos_feats": 16,
}
"""Of SAM and SAM-HQ."""


def sam(folder: Path) -> None:
    config = SamConfig(vision_config=VISION, prompt_encoder_config=PROMPTS, mask_decoder_config=DECODER)
    _save(SamModel(config), folder, size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}, do_pad=True)


def sam_hq(folder: Path) -> None:
    decoder = {**DECODER, "vit_dim": 32}
    config = SamHQConfig(vision_config=VISION, prompt_encoder_config=PROMPTS, mask_decoder_config=decoder)
    _save(
        SamHQModel(config), folder, size={"longest_edge": SIDE}, pad_size={"height": SIDE, "width": SIDE}, do_pad=True
    )


def _hiera() -> dict[str, Any]:
    return {
        "model_type": "sam2_vision_model",
        "backbone_config": {
            "model_type": "sam2_hiera_det_model",
            "hidden_size": 8,
            "num_attention_heads": 1,
            "image_size": [SIDE, SIDE],
            "blocks_per_stage": [1, 2, 2, 1],
            "embed_dim_per_stage": [8, 16, 32, 64],
            "num_attention_heads_per_stage": [1, 2, 4, 8],
            "window_size_per_stage": [4, 4, 4, 4],
            "global_attention_blocks": [4],
            "window_positional_embedding_background_size": [4, 4],
        },
        "backbone_channel_list": [64, 32, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }


def sam2(folder: Path) -> None:
    prompts = {**PROMPTS, "patch_size": 16}
    config = Sam2Config(vision_config=_hiera(), prompt_encoder_config=prompts, mask_decoder_config=DECODER)
    _save(Sam2Model(config), folder, size={"height": SIDE, "width": SIDE})


def sam3(folder: Path) -> None:
    """The vision encoder is that of SAM 2: transformers gives SAM 3's own only where torchvision is."""
    prompts = {**PROMPTS, "patch_size": 16}
    config = Sam3TrackerConfig(vision_config=_hiera(), prompt_encoder_config=prompts, mask_decoder_config=DECODER)
    _save(Sam3TrackerModel(config), folder, size={"height": SIDE, "width": SIDE})


def edgetam(folder: Path) -> None:
    vision = {
        "backbone_config": {"model_type": "pyramid", "widths": [8, 16, 24, 32]},
        "backbone_channel_list": [32, 24, 16, 8],
        "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        "fpn_hidden_size": 32,
    }
    prompts = {**PROMPTS, "patch_size": 16}
    config = EdgeTamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=DECODER)
    _save(EdgeTamModel(config), folder, size={"height": SIDE, "width": SIDE})


def _swin() -> SwinConfig:
    return SwinConfig(
        image_size=SIDE,
        embed_dim=8,
        depths=[1, 1, 1, 1],
        num_heads=[1, 2, 2, 2],
        window_size=4,
        out_features=["stage1", "stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
    )


def mask2former(folder: Path) -> None:
    config = Mask2FormerConfig(
        backbone_config=_swin(),
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=32,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=6,
        id2label=LABELS,
    )
    sides = {"shortest_edge": SIDE, "longest_edge": 2 * SIDE}
    _save(Mask2FormerForUniversalSegmentation(config), folder, size=sides, size_divisor=32)


def maskformer(folder: Path) -> None:
    decoder = DetrConfig(
        d_model=16,
        decoder_layers=1,
        encoder_layers=1,
        decoder_attention_heads=2,
        encoder_attention_heads=2,
        decoder_ffn_dim=16,
        encoder_ffn_dim=16,
        num_queries=6,
    )
    config = MaskFormerConfig(
        backbone_config=_swin(), decoder_config=decoder, fpn_feature_size=32, mask_feature_size=32, id2label=LABELS
    )
    # As the first models were saved: numbers instead of names of sides.
    _save(MaskFormerForInstanceSegmentation(config), folder, size=SIDE, max_size=2 * SIDE, size_divisor=32)


def oneformer(folder: Path) -> None:
    config = OneFormerConfig(
        backbone_config=_swin(),
        hidden_dim=32,
        conv_dim=32,
        mask_dim=32,
        num_attention_heads=2,
        dim_feedforward=16,
        encoder_feedforward_dim=16,
        encoder_layers=1,
        decoder_layers=2,
        query_dec_layers=1,
        num_queries=6,
        text_encoder_width=16,
        text_encoder_num_layers=1,
        text_encoder_context_length=8,
        text_encoder_vocab_size=64,
        text_encoder_n_ctx=2,
        task_seq_len=8,
        id2label=LABELS,
    )
    _save(OneFormerForUniversalSegmentation(config), folder, size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE})
    words = ["the</w>", "task</w>", "is</w>", "panoptic</w>"]
    letters = sorted(set("".join(words).replace("</w>", "")))
    vocabulary = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(json.dumps({word: i for i, word in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt")).save_pretrained(folder)


def eomt(folder: Path) -> None:
    config = EomtConfig(
        hidden_size=16,
        num_hidden_layers=3,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        num_blocks=1,
        num_queries=6,
        num_upscale_blocks=1,
        num_register_tokens=1,
        id2label=LABELS,
    )
    sides = {"shortest_edge": SIDE, "longest_edge": SIDE}
    _save(EomtForUniversalSegmentation(config), folder, size=sides, do_pad=True, do_split_image=False)


def detr(folder: Path) -> None:
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage1", "stage2", "stage3", "stage4"],  # pyright: ignore[reportCallIssue]
    )
    config = DetrConfig(
        use_timm_backbone=False,  # pyright: ignore[reportCallIssue]
        use_pretrained_backbone=False,  # pyright: ignore[reportCallIssue]
        backbone_config=backbone,
        backbone=None,  # pyright: ignore[reportCallIssue]
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=8,
        decoder_attention_heads=8,
        encoder_ffn_dim=16,
        decoder_ffn_dim=16,
        num_queries=6,
        id2label=LABELS,
    )
    _save(DetrForSegmentation(config), folder, size={"shortest_edge": SIDE, "longest_edge": 2 * SIDE}, do_pad=True)


POINTS: dict[str, Callable[[Path], None]] = {
    "sam": sam,
    "sam_hq": sam_hq,
    "sam2": sam2,
    "sam3": sam3,
    "edgetam": edgetam,
}
QUERIES: dict[str, Callable[[Path], None]] = {
    "mask2former": mask2former,
    "maskformer": maskformer,
    "oneformer": oneformer,
    "eomt": eomt,
    "detr": detr,
}


def build(name: str, folder: Path) -> Path:
    """Save the tiny model of that name and return its folder; the same weights at every call."""
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    {**POINTS, **QUERIES}[name](folder)
    return folder


def photographs(count: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Return photographs of soft blobs in colour: (H, W, 3) uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    found = []
    for _ in range(count):
        picture = np.zeros((height, width, 3))
        for _ in range(6):
            cx, cy, r = rng.uniform(0, width), rng.uniform(0, height), rng.uniform(5, 20)
            picture += np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / r**2)[..., None] * rng.uniform(0, 200, 3)
        found.append(picture.clip(0, 255).astype(np.uint8))
    return found


SHARPER = {
    "point_embed": 20.0,
    "no_mask_embed": 5.0,
    "output_hypernetworks_mlps": 20.0,
    "hf_mlp": 20.0,
    "conv_s": 5.0,
    "upscale": 5.0,
    "mask_embed": 4.0,
    "mask_head": 3.0,
}


def _sharpen(model: PreTrainedModel) -> None:
    """Make random weights sure of themselves and unlike one another, so that masks and classes come out of them."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "iou_prediction_head.proj_out" in name:
                sure = 0.9 if "Sam2" not in type(model).__name__ and type(model) in (SamModel, SamHQModel) else 3.0
                weight.normal_(sure if name.endswith("bias") else 0.0, 0.01)
            elif name.endswith("bias") and ("class_predictor" in name or "class_embed" in name or "classifier" in name):
                weight.copy_(torch.linspace(6.0, 0.0, len(weight)))
            elif ("quer" in name and "embed" in name) or name.endswith("query.weight"):
                weight.normal_(0.0, 20.0 if "detr" in name else 3.0)
            else:
                weight.mul_(next((factor for part, factor in SHARPER.items() if part in name), 1.0))


def _save(model: PreTrainedModel, folder: Path, **preprocessor: Any) -> None:
    _sharpen(model)
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps({**NORMAL, **preprocessor}))
