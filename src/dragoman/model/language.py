"""A pre-trained language model as payload tower, as SALM has it. Slow to run, rich in language."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .text import TextTower, Tokenizer, tokenize

LENGTH = 112  # tokens read of an instance


class LanguageTower(nn.Module):
    """Ids and mask (B, T) -> vectors (B, 384) and attack logits (B,).

    Token and place embeddings stay as pre-trained. The logit starts as a plain function of the vector.
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

    def forward(self, ids: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        vector = self.tower(ids, mask)
        return self.out(vector), self.attack(vector).squeeze(-1)
