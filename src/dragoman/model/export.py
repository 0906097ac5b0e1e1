"""Trained towers -> the parts of a bundle (`bundle.py`), for inference without torch."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file
from torch import Tensor, nn

from .language import LanguageTower
from .payload import HashedTower, cosine_logit
from .text import TextTower


def text_tower(tower: TextTower, path: Path, *, quantize: bool) -> None:
    """Write a text tower as ONNX: ids, mask (B, T) -> vectors (B, 384); int8 if ``quantize``."""
    _onnx(tower, path, ["vectors"])
    if quantize:
        _quantize(path)


def language_tower(tower: LanguageTower, anchors: Tensor, detects: bool, path: Path) -> None:
    """Write a language model as payload tower: ids, mask -> vectors (B, 384), logits (B,)."""
    _onnx(_WithLogit(tower, anchors, detects), path, ["vectors", "logits"])
    _quantize(path)


class _WithLogit(nn.Module):
    """Without a trained detector, the logit is the nearest anchor's cosine, scaled."""

    anchors: Tensor

    def __init__(self, tower: LanguageTower, anchors: Tensor, detects: bool) -> None:
        super().__init__()
        self.tower, self.detects = tower, detects
        self.register_buffer("anchors", nn.functional.normalize(anchors.detach(), dim=-1))

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        vectors, logits = self.tower(ids, mask)
        unit = nn.functional.normalize(vectors, dim=-1)
        return unit, logits if self.detects else cosine_logit(unit, self.anchors)


def _onnx(model: nn.Module, path: Path, outputs: list[str]) -> None:
    ids = torch.randint(1000, 2000, (3, 9))
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=2, max=512)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                model.eval(),
                (ids, torch.ones_like(ids)),
                path,
                input_names=["ids", "mask"],
                output_names=outputs,
                dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
                external_data=False,
                dynamo=True,
                verbose=False,
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


def _quantize(path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    plain = path.with_suffix(".float.onnx")
    path.replace(plain)
    quantize_dynamic(plain, path, weight_type=QuantType.QInt8, per_channel=True)
    plain.unlink()


def hashed_tower(tower: HashedTower, path: Path) -> None:
    """Write a hashed tower: its table as int8 with one scale a column, the rest as float32."""
    table = tower.table.detach().numpy()
    # A few large rows would cost all others their precision: clip at the 99.99th percentile.
    scale = np.quantile(np.abs(table), 0.9999, axis=0) / 127
    parts: dict[str, NDArray[np.generic]] = {
        "table": np.clip(np.rint(table / scale), -127, 127).astype(np.int8),
        "scale": scale.astype(np.float32),
    }
    for name in ("norm", "hidden", "out", "attack"):
        layer = getattr(tower, name)
        parts[f"{name}.weight"] = layer.weight.detach().numpy()
        parts[f"{name}.bias"] = layer.bias.detach().numpy()
    save_file(parts, path)
