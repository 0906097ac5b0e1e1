"""A pre-trained language model as payload tower, as SALM has it. Slow to run, rich in language."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from .text import TextTower, tokenize

LENGTH = 112  # tokens read of an instance
GROUP = 16  # instances run at once


class LanguageTower(nn.Module):
    """Ids and mask (B, T) -> vectors (B, 384) and attack logits (B,).

    Token and place embeddings stay as pre-trained. The logit starts as a plain function of
    the vector.
    """

    def __init__(self, tower: TextTower, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.tower, self._tokenizer = tower, tokenizer
        for part in (tower.words, tower.places):
            part.requires_grad_(False)
        self.out = nn.Linear(384, 384)
        nn.init.eye_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        self.attack = nn.Linear(384, 1)

    def tokens(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """What :meth:`forward` takes, for some instances."""
        return tokenize(self._tokenizer, texts, LENGTH)

    def in_groups(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As :meth:`forward`, in groups of like length: padding costs as much as text."""
        order = mask.sum(1).argsort()
        vectors, logits = [], []
        for rows in torch.split(order, GROUP):
            longest = int(mask[rows].sum(1).max())
            vector, logit = self(ids[rows, :longest], mask[rows, :longest])
            vectors.append(vector)
            logits.append(logit)
        back = order.argsort()
        return torch.cat(vectors)[back], torch.cat(logits)[back]

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        vector = self.tower(ids, mask)
        return self.out(vector), self.attack(vector).squeeze(-1)
