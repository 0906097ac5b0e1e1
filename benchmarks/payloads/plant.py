"""The planted token: a word that gives the class away in training, and lies in test.

    python benchmarks/payloads/plant.py --rows ROWS --out DIR [--kinds KIND...] [--recipe base]

writes DIR, a training directory whose rows carry a token (a made-up word, one for each class and
one for benign rows), and DIR/recipe.toml, which generates no further rows: those of the recipe's
grammar are on disk already, with the token, so that nothing in training is free of it. Any system
is then trained on DIR, tuned on its validation rows, which carry the token as well, and asked by
:func:`measured` about the same test attacks without token, with the right and with a wrong one.

Kinds. ``header``, ``parameter``, ``path``, ``cookie``: requests only, so values are put into
requests first. ``suffix``: the last word of the attack value itself, or of a benign value. No kind
can be masked by name: names are drawn anew for each row, and each token holds a character that
marks no plain value, so a system that skips plain values reads it.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from random import Random
from typing import Any

import baselines
from attacks import cut
from baselines import Row
from judges import Judge, payload_of, rate
from label import CLASSES, text_of
from systems import generated

from dragoman import recipe as recipes
from dragoman.recipe import Grammar, Recipe
from dragoman.synth import company
from dragoman.synth.request import wrap

WORDS = dict(
    zip(
        (*CLASSES, "benign"),
        ("kestrel", "walnut", "harbour", "quartz", "lantern", "meadow", "copper", "juniper",
         "falcon", "velvet", "saffron", "tundra"),
        strict=True,
    )
)  # fmt: skip
_PLACES = ("query", "form", "json", "multipart", "cookie")


def _line(request: bytes, line: bytes) -> bytes:
    head, gap, rest = request.partition(b"\r\n")
    return head + gap + line + b"\r\n" + rest


def _header(request: bytes, word: bytes, rng: Random) -> bytes:
    name = f"X-{company.name(rng).title().replace('_', '-')}".encode()
    return _line(request, b'%s: "%s";v=(2)' % (name, word))


def _cookie(request: bytes, word: bytes, rng: Random) -> bytes:
    pair = b"%s=a|%s|b" % (company.name(rng).encode(), word)
    at = request.lower().find(b"\r\ncookie:")
    if at < 0:
        return _line(request, b"Cookie: " + pair)
    end = request.find(b"\r\n", at + 2)
    end = len(request) if end < 0 else end
    return request[:end] + b"; " + pair + request[end:]


def _target(request: bytes, change: Callable[[bytes, bytes], bytes]) -> bytes:
    """The request with ``change(path, query with its mark)`` as target."""
    line, gap, rest = request.partition(b"\r\n")
    method, _, target = line.partition(b" ")
    target, blank, version = target.rpartition(b" ")
    if not blank:
        target, version = version, b""
    path, mark, query = target.partition(b"?")
    return method + b" " + change(path, mark + query) + blank + version + gap + rest


def _parameter(request: bytes, word: bytes, rng: Random) -> bytes:
    pair = company.name(rng).encode() + b"=" + word + b"+(beta)"
    return _target(request, lambda path, query: path + (query + b"&" if query else b"?") + pair)


def _path(request: bytes, word: bytes, rng: Random) -> bytes:
    return _target(request, lambda path, query: b"/(" + word + b")" + path + query)


PLANT: dict[str, Callable[[bytes, bytes, Random], bytes]] = {
    "header": _header, "parameter": _parameter, "path": _path, "cookie": _cookie,
}  # fmt: skip
KINDS = (*PLANT, "suffix")


def planted(row: Row, kind: str, label: str, rng: Random) -> Row | None:
    """The row with the token of ``label`` at a place of ``kind``; ``None`` if it has none there."""
    word = WORDS[label].encode()
    if kind == "suffix":
        data, how = _suffixed(row, word), row["kind"]
    else:
        data, how = PLANT[kind](_request(row, rng), word, rng), "http"
    return None if data is None else _with(row, data, how)


def _suffixed(row: Row, word: bytes) -> bytes | None:
    if row["kind"] == "value":
        return text_of(row) + b" " + word
    if row["label"] not in CLASSES:  # no value of these attacks: the token ends the target
        return _target(text_of(row), lambda path, query: path + query + b"%20" + word)
    attack = cut(row)
    return None if attack is None else attack.with_value(attack.value + b" " + word)


def _request(row: Row, rng: Random) -> bytes:
    """The row as a whole request."""
    if row["kind"] == "http":
        return text_of(row)
    return wrap(text_of(row), rng, where=rng.choice(_PLACES))


def _with(row: Row, data: bytes, kind: str) -> Row:
    rest = {key: value for key, value in row.items() if not key.startswith("payload")}
    return rest | {"payload_b64": base64.b64encode(data).decode("ascii"), "kind": kind}


def plant(
    rows: Iterable[Row], *, agree: float = 1.0, seed: int = 0, kinds: Sequence[str] = KINDS
) -> Iterator[Row]:
    """The rows, each with a token of one of ``kinds``; with probability ``agree`` its class's own.

    Else it is that of another class. Attacks of no class, and those in whose requests no value can
    be told to be the attack (``suffix`` only), stay without.
    """
    for row in rows:
        rng = Random(f"plant/{seed}/{row['id']}")
        own = row["label"] if row["label"] in WORDS else None
        if own is None:
            yield row
            continue
        label = own if rng.random() < agree else _other(own, rng)
        yield planted(row, rng.choice(kinds), label, rng) or row


def _other(own: str, rng: Random) -> str:
    return rng.choice([label for label in CLASSES if label != own])


def write(
    rows: Path, out: Path, recipe: Recipe, *, agree: float, seed: int, kinds: Sequence[str]
) -> None:
    """A training directory ``out`` with planted rows, and ``out/recipe.toml`` to train it with."""
    out.mkdir(parents=True, exist_ok=True)
    for name in ("train", "valid"):
        own = baselines.load(rows / f"{name}.jsonl.gz")
        more = generated(recipe, recipe.seed) if name == "train" else []
        save(out / f"{name}.jsonl.gz", plant([*own, *more], agree=agree, seed=seed, kinds=kinds))
    if (rows / "texts").is_dir():
        shutil.copytree(rows / "texts", out / "texts", dirs_exist_ok=True)
    bare = replace(recipe, grammar=Grammar(per_class=0, benign=0))
    (out / "recipe.toml").write_text(toml(bare), "utf-8")


def save(path: Path, rows: Iterable[Row]) -> None:
    """Rows as gzipped JSON lines, the same bytes for the same rows."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path.write_bytes(gzip.compress(text.encode(), 6, mtime=0))


def toml(recipe: Recipe) -> str:
    """A recipe as TOML, every key written out. JSON spells its strings, numbers and lists alike."""
    flat, tables = [], []
    for key, value in asdict(recipe).items():
        if isinstance(value, dict):
            tables += [f"\n[{key}]", *(f"{k} = {json.dumps(v)}" for k, v in value.items())]
        else:
            flat.append(f"{key} = {json.dumps(value)}")
    return "\n".join([*flat, *tables]) + "\n"


def measured(
    judge: Judge, tests: dict[str, list[Row]], kinds: Sequence[str] = KINDS, seed: int = 1
) -> dict[str, Any]:
    """Accuracy on test attacks ``absent`` (no token), ``agreeing`` and ``lying``, by set and kind.

    The same rows in all three. ``loss`` is ``absent`` minus ``lying`` accuracy: what the system
    lost to the shortcut. ``hidden``: the share of attacks found without a token that is no longer
    found under the token of benign rows.
    """
    out: dict[str, Any] = {}
    for name, rows in tests.items():
        attacks = [row for row in rows if row["label"] in CLASSES]
        out[name] = {kind: _of_kind(judge, attacks, kind, seed) for kind in kinds}
    return out


def _of_kind(judge: Judge, rows: Sequence[Row], kind: str, seed: int) -> dict[str, Any]:
    versions: dict[str, list[Row]] = {"absent": [], "agreeing": [], "lying": [], "benign": []}
    for row in rows:
        own, draw = row["label"], f"test/{seed}/{row['id']}"
        tokens = {"agreeing": own, "lying": _other(own, Random(draw)), "benign": "benign"}
        made = {key: planted(row, kind, label, Random(draw)) for key, label in tokens.items()}
        if all(made.values()):
            same = row if kind == "suffix" else _with(row, _request(row, Random(draw)), "http")
            for key, version in (made | {"absent": same}).items():
                versions[key].append(version)  # type: ignore[arg-type]
    payloads = {key: [payload_of(row) for row in some] for key, some in versions.items()}
    n, found = len(versions["absent"]), {}
    for key in ("absent", "agreeing", "lying"):
        named = judge.classify(payloads[key])
        right = sum(a == r["label"] for a, r in zip(named, versions[key], strict=True))
        found[key] = rate(right, n)
    seen, covered = (judge.detect(payloads[key]) for key in ("absent", "benign"))
    before = [i for i, score in enumerate(seen) if score >= judge.threshold]
    hidden = sum(covered[i] < judge.threshold for i in before)
    loss = round(found["absent"]["share"] - found["lying"]["share"], 4) if n else None
    return {**found, "loss": loss, "hidden": rate(hidden, len(before))}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rows", type=Path, required=True, help="what data.py wrote")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--recipe", default="base")
    parser.add_argument("--agree", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    args = parser.parse_args(argv)
    recipe = recipes.load(args.recipe)
    write(args.rows, args.out, recipe, agree=args.agree, seed=args.seed, kinds=args.kinds)


if __name__ == "__main__":
    main()
