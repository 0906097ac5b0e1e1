"""The fast payload tower: a bag of hashed n-grams, two linear layers, one vector of the text space.

A record is a bag of instances (its fields). Each instance gets a vector and an attack logit; the
record's vector is their mean weighted by the softmax of the logits (attention pooling in
multiple-instance learning, Ilse et al. 2018), so that the field that carries the attack decides.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from .text import DIM


class Pooled(NamedTuple):
    """Outputs for B records."""

    vectors: Tensor  # (B, 384) unit vectors of the records
    logits: Tensor  # (B,) attack logits of the records in training: the same mean
    highest: Tensor  # (B,) attack logits in use: the highest instance, which padding cannot dilute


class Counted(NamedTuple):
    """Features of I instances: ``rows`` (U,) of the table in use, ``counts`` (I, U) how often."""

    rows: Tensor
    counts: csr_array


class _Sum(torch.autograd.Function):
    """counts @ table[rows], with a gradient for those rows only; faster than EmbeddingBag."""

    @staticmethod
    def forward(ctx: Any, table: Tensor, bags: Counted) -> Tensor:
        ctx.bags, ctx.shape = bags, table.shape
        return torch.from_numpy(bags.counts @ table[bags.rows].numpy())

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        values = torch.from_numpy(ctx.bags.counts.T @ grad.numpy())
        rows = ctx.bags.rows.unsqueeze(0)
        made = torch.sparse_coo_tensor(
            rows, values, ctx.shape, is_coalesced=True, check_invariants=False
        )
        return made, None


class HashedTower(nn.Module):
    """Counted features of instances -> vectors (I, 384) in the text space, attack logits (I,)."""

    def __init__(
        self, bits: int = 17, width: int = 96, hidden: int = 256, drop: float = 0.2
    ) -> None:
        super().__init__()
        self.table = nn.Parameter(0.1 * torch.randn(1 << bits, width))
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, hidden)
        self.drop = nn.Dropout(drop)
        self.out = nn.Linear(hidden, DIM)
        self.attack = nn.Linear(hidden, 1)

    def forward(self, bags: Counted) -> tuple[Tensor, Tensor]:
        summed: Tensor = _Sum.apply(self.table, bags)  # type: ignore[no-untyped-call]
        hidden = self.drop(nn.functional.gelu(self.hidden(self.norm(summed))))
        return self.out(hidden), self.attack(hidden).squeeze(-1)


def cosine_logit(unit: Tensor, anchors: Tensor) -> Tensor:
    """The attack logit (I,) of a tower trained without benign rows: its best cosine, scaled."""
    return 10 * (unit @ anchors.T).amax(-1) - 5


def pool(vectors: Tensor, logits: Tensor, owner: Tensor, count: int) -> Pooled:
    """Instances (I, 384), (I,) pooled into ``count`` records; ``owner`` (I,) is sorted."""
    top = torch.full((count,), -1e9).scatter_reduce(0, owner, logits.detach(), "amax")
    weight = torch.exp(logits - top[owner])
    total = torch.zeros(count).index_add(0, owner, weight).clamp(min=1e-9)
    share = weight / total[owner]
    unit = nn.functional.normalize(vectors, dim=-1)
    mixed = torch.zeros(count, vectors.shape[1]).index_add(0, owner, unit * share.unsqueeze(-1))
    logit = torch.zeros(count).index_add(0, owner, logits * share)
    return Pooled(nn.functional.normalize(mixed, dim=-1), logit, top)
