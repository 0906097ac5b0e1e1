"""Checkpoints without pickle: parameters and optimiser moments as safetensors, replaced atomically.

Nothing random is stored: every step draws from a generator seeded by (seed, step), so a resumed run
makes the very steps the stopped one would have made.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer


def save(path: Path, step: int, model: nn.Module, optimizers: Sequence[Optimizer]) -> None:
    """Write the state after ``step`` steps."""
    tensors = {f"model.{k}": v.detach().clone() for k, v in model.state_dict().items()}
    for i, optimizer in enumerate(optimizers):
        for p, state in optimizer.state_dict()["state"].items():
            for key, value in state.items():
                tensors[f"opt.{i}.{p}.{key}"] = torch.as_tensor(value).detach().clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    save_file(tensors, fresh, metadata={"step": json.dumps(step)})
    fresh.replace(path)


def load(path: Path, model: nn.Module, optimizers: Sequence[Optimizer]) -> int:
    """Restore a state and return its step; 0 if there is none."""
    if not path.exists():
        return 0
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        step = int(json.loads(file.metadata()["step"]))
    tensors = load_file(path)
    model.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
    for i, optimizer in enumerate(optimizers):
        state: dict[int, dict[str, Tensor | int]] = {}
        for key, value in tensors.items():
            if key.startswith(f"opt.{i}."):
                _, _, number, name = key.split(".")
                plain = isinstance(optimizer, torch.optim.SparseAdam) and name == "step"
                state.setdefault(int(number), {})[name] = int(value) if plain else value
        optimizer.load_state_dict({**optimizer.state_dict(), "state": state})
    return step
