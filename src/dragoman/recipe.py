"""Training recipes: small TOML files, one trainer. The shipped ones are in ``recipes/``."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path

from .config import from_toml
from .errors import UsageError


@dataclass(frozen=True, slots=True)
class Stage1:
    """The text tower, contrastively on vulnerability descriptions (SALM, section on stage 1)."""

    loss: str = "multi-positive"  # triplet | multi-positive | none
    frozen: int = 4  # lower layers kept as pre-trained
    length: int = 96  # tokens read of a text
    per_class: int = 300  # descriptions of one class at most
    until: int = 2021  # CVEs of later years are held out
    steps: int = 500
    batch: int = 64
    rate: float = 3e-5
    margin: float = 0.5  # triplet
    scale: float = 12.0  # multi-positive: inverse temperature
    keep: float = 2.0  # weight of staying near the pre-trained vector


@dataclass(frozen=True, slots=True)
class Stage2:
    """The payload tower, pulled onto the frozen text space (SALM, section on stage 2)."""

    tower: str = "hashed"  # hashed | language-model
    anchors: str = "text"  # text: class texts | learned: free vectors, no text (ablation)
    distance: float = 1.0  # weight of the squared distance to the class anchor
    softmax: float = 0.5  # weight of cross entropy over all anchors
    scale: float = 8.0  # its inverse temperature
    detection: float = (
        1.0  # weight of attack against benign; 0: the nearest anchor's cosine decides
    )
    steps: int = 2000
    attacks: int = 96  # labelled attack records in a batch
    benign: int = 128  # benign records, half requests and half values; 0 if detection is 0
    mined: float = 0.0  # share of them drawn from the ones that look most like attacks
    rate: float = 1e-3
    table_rate: float = 3e-3
    drop: float = 0.3  # share of n-grams left out at each step
    balance: float = 0.6  # 0: classes as frequent as they are; 1: all alike
    bits: int = 17
    width: int = 96
    hidden: int = 256
    chars: tuple[int, ...] = (3, 4, 5)
    tokens: tuple[int, ...] = (1, 2, 3)
    skeleton: tuple[int, ...] = (3, 5)


@dataclass(frozen=True, slots=True)
class Grammar:
    """Generated attacks and hard benign values added to the training rows (`synth/`)."""

    per_class: int = 2500  # 0: none
    benign: int = 8000
    wrapped: float = 0.5  # share put into a whole request
    mutated: float = 0.3  # share of attacks rewritten by an evasion
    padded: float = 0.0  # share of values with harmless text around them


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds, from validation rows only."""

    fpr: float = 0.0005  # share of benign validation requests allowed above the threshold
    lost: float = 0.05  # share of known attacks that may be called unknown


@dataclass(frozen=True, slots=True)
class Shipped:
    """What goes into the bundle's index beside the built-in texts."""

    cves: int = 30_000  # ids and vectors, no text
    quantize: bool = True  # text tower as int8


@dataclass(frozen=True, slots=True)
class Recipe:
    """All of a training run."""

    name: str = "unnamed"
    seed: int = 1
    without: tuple[str, ...] = ()  # classes no payload of which is learnt: known by text alone
    stage1: Stage1 = field(default_factory=Stage1)
    stage2: Stage2 = field(default_factory=Stage2)
    grammar: Grammar = field(default_factory=Grammar)
    calibration: Calibration = field(default_factory=Calibration)
    index: Shipped = field(default_factory=Shipped)


def load(name: str) -> Recipe:
    """A shipped recipe by name, or one from a TOML file.

    Raises:
        UsageError: there is no such recipe, or a key in it does not fit.
    """
    if name.endswith(".toml"):
        return _checked(from_toml(Recipe, name), name)
    folder = files("dragoman") / "recipes"
    names = sorted(
        p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml")
    )
    if name not in names:
        raise UsageError(
            f"no recipe {name!r}", hint=f"shipped: {', '.join(names)}, or a .toml file"
        )
    return _checked(from_toml(Recipe, Path(str(folder / f"{name}.toml"))), name)


def _checked(recipe: Recipe, where: str) -> Recipe:
    s1, s2 = recipe.stage1, recipe.stage2
    for key, value, known in (
        ("stage1.loss", s1.loss, ("triplet", "multi-positive", "none")),
        ("stage2.tower", s2.tower, ("hashed", "language-model")),
        ("stage2.anchors", s2.anchors, ("text", "learned")),
    ):
        if value not in known:
            raise UsageError(f"{key} is {value!r}", where=where, hint=f"one of {', '.join(known)}")
    if s2.tower == "hashed" and not s2.detection:
        raise UsageError(
            "the hashed tower needs stage2.detection above 0",
            where=where,
            hint="only a language model may score by its nearest anchor",
        )
    return recipe
