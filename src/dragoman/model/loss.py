"""Losses between evidence vectors and text vectors. All vectors are unit length."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def squared_distance(vectors: Tensor, anchors: Tensor, labels: Tensor) -> Tensor:
    """Mean squared distance of each vector (B, D) to its class anchor (C, D): SALM's stage 2.

    Requirements: ``labels`` (B,) in [0, C). Relation: 2 - 2 cos.
    """
    return (2 - 2 * (vectors * anchors[labels]).sum(-1)).mean()


def anchor_softmax(vectors: Tensor, anchors: Tensor, labels: Tensor, scale: float) -> Tensor:
    """Cross entropy over the cosines to all anchors, times ``scale``: alignment by contrast."""
    return functional.cross_entropy(scale * vectors @ anchors.T, labels, label_smoothing=0.05)


def triplet(anchor: Tensor, positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Triplet loss on Euclidean distances (B, D) x 3: SALM's stage 1."""
    return functional.triplet_margin_loss(anchor, positive, negative, margin=margin)


def multi_positive(vectors: Tensor, groups: Tensor, scale: float) -> Tensor:
    """Supervised contrastive loss (Khosla et al. 2020): rows of one group attract each other.

    Inputs: ``vectors`` (B, D), ``groups`` (B,) integers. Rows alone in their group add nothing.
    """
    scores = scale * vectors @ vectors.T
    itself = torch.eye(len(vectors), dtype=torch.bool)
    scores = scores.masked_fill(itself, -1e9)
    same = (groups[:, None] == groups[None, :]) & ~itself
    logp = scores - scores.logsumexp(1, keepdim=True)
    counted = same.sum(1)
    each = -(logp * same).sum(1) / counted.clamp(min=1)
    return each[counted > 0].mean() if bool((counted > 0).any()) else scores.sum() * 0
