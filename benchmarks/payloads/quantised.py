"""Does the shipped text tower (int8) retrieve as well as the trained one (float32)?

    python benchmarks/payloads/quantised.py --run RUN --rows ROWS --out int8.json

RUN is what ``dragoman train`` wrote, with its checkpoint of stage 1; ROWS what ``data.py`` wrote.
Both towers read the same CVE descriptions of years that stage 1 has not seen:

* threat: is the nearest of the built-in threats the one the CVE's CWE belongs to (hit@1, hit@5)?
* known item: from the second half of a description, is its first half found among all (hit@1,
  hit@10)?

Intervals are those of the paired difference, by a bootstrap over descriptions.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dragoman import bundle as bundles
from dragoman import corpus as corpora
from dragoman import evaluate
from dragoman import recipe as recipes
from dragoman.encode import TextEncoder
from dragoman.intel.threats import builtin
from dragoman.model import checkpoint
from dragoman.model.text import load_minilm
from dragoman.model.train import descriptions, parts_of, space_of

Floats = NDArray[np.float32]
Encode = Callable[[Sequence[str]], Floats]
WORDS = 12  # descriptions with fewer words are left out of the known-item search


def threat_ranks(texts: Floats, threats: Floats, right: Sequence[int]) -> NDArray[np.int64]:
    """Rank from 1 of each text's own threat."""
    scores = texts @ threats.T
    own = scores[np.arange(len(texts)), list(right)]
    ranks: NDArray[np.int64] = 1 + (scores > own[:, None]).sum(1)
    return ranks


def known_item_ranks(texts: Sequence[str], encode: Encode) -> NDArray[np.int64]:
    """Rank from 1 of each description's first half, searched with its second half."""
    words = [text.split() for text in texts]
    words = [w for w in words if len(w) >= WORDS]
    first = encode([" ".join(w[: len(w) // 2]) for w in words])
    second = encode([" ".join(w[len(w) // 2 :]) for w in words])
    return threat_ranks(second, first, range(len(words)))


def compared(plain: NDArray[np.int64], packed: NDArray[np.int64], k: int) -> dict[str, Any]:
    """Hit rates at ``k`` of both towers, and their paired difference with its 95 % interval."""
    a, b = (plain <= k).astype(float), (packed <= k).astype(float)
    drawn = np.random.default_rng(0).integers(len(a), size=(evaluate.SAMPLES, len(a)))
    lo, hi = np.quantile((b - a)[drawn].mean(1), [0.025, 0.975])
    return {
        "float32": a.mean(),
        "int8": b.mean(),
        "difference": {"mean": (b - a).mean(), "lo": lo, "hi": hi},
    }


def measure(run: Path, rows: Path, recipe: str) -> dict[str, Any]:
    """Both towers on the descriptions that stage 1 held out."""
    chosen = recipes.load(recipe)
    _, held_out = descriptions(chosen, builtin(), corpora.descriptions(rows))
    tower, tokenizer = load_minilm()
    if not checkpoint.load(run / "stage1.safetensors", tower, []):
        raise SystemExit(f"{run} holds no checkpoint of the text tower")
    space = space_of(tower.eval(), tokenizer, builtin(), {})
    bundle = bundles.load(run / "bundle")
    packed = TextEncoder(bundle.path, bundle.mean)
    plain: Encode = lambda texts: space.vectors(texts).numpy()  # noqa: E731
    threats = packed.together([parts_of(t) for t in builtin()])
    by_threat = (
        threat_ranks(plain(held_out.texts), space.threats.numpy(), held_out.groups),
        threat_ranks(packed.encode(held_out.texts), threats, held_out.groups),
    )
    by_half = (
        known_item_ranks(held_out.texts, plain),
        known_item_ranks(held_out.texts, packed.encode),
    )
    return {
        "n": len(held_out.texts),
        "bundle": bundle.digest,
        "threat": {f"hit@{k}": compared(*by_threat, k) for k in (1, 5)},
        "known_item": {"n": len(by_half[0])} | {f"hit@{k}": compared(*by_half, k) for k in (1, 10)},
    }


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--recipe", default="base")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args(argv)
    found = evaluate.rounded(measure(args.run, args.rows, args.recipe))
    args.out.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
