"""The whole benchmark on a handful of rows written here: bundle, peers, results, tables."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the peers need the extra [train]")
import baselines
import run
import systems
import table

ATTACKS = {
    "sql-injection": "1' union select {0},user from accounts--",
    "cross-site-scripting": "<script>alert({0})</script>",
    "path-traversal": "../../../../etc/passwd{0}",
}
RECIPE = "[grammar]\nper_class = 2\nbenign = 4\nmutated = 0.0\nwrapped = 0.5\n"


def attacks(n: int, kind: str) -> list[dict[str, Any]]:
    return [
        one(f"{label}{i}", pattern.format(i), label, kind)
        for label, pattern in ATTACKS.items()
        for i in range(n)
    ]


def benign(n: int, kind: str) -> list[dict[str, Any]]:
    return [one(f"benign{i}", f"page number {i}", "benign", kind) for i in range(n)]


def one(name: str, value: str, label: str, kind: str) -> dict[str, Any]:
    if kind == "http":
        value = f"GET /a?q={value.replace(' ', '+')} HTTP/1.1\r\nHost: www.example.com\r\n\r\n"
    return {"id": name, "payload": value, "kind": kind, "label": label, "group": name}


def write(folder: Path, name: str, rows: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows as ``data.py`` writes them, and a recipe with a small grammar."""
    path = tmp_path_factory.mktemp("benchmark")
    (path / "rows").mkdir()
    both = [*attacks(8, "value"), *attacks(8, "http"), *benign(16, "value"), *benign(16, "http")]
    write(path / "rows", "train", both)
    write(path / "rows", "valid", both[::2])
    later = [r | {"draw": "sample"} for r in attacks(20, "http")]
    write(path / "rows", "test_later", later)
    write(path / "rows", "test_exploitdb", later[::2] + [r | {"draw": "look"} for r in later[1::2]])
    write(path / "rows", "test_benign_hosts", benign(30, "http"))
    (path / "recipe.toml").write_text('name = "tiny"\n' + RECIPE)
    return path


@pytest.fixture(scope="module")
def results(folder: Path, bundle_path: Path) -> dict[str, Any]:
    """What the command writes, the peers' grids cut to one setting."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "GRIDS", {m: grid[:1] for m, grid in baselines.GRIDS.items()})
        arguments = [
            "--rows", folder / "rows", "--bundles", bundle_path, "--out", folder / "results.json",
            "--recipe", folder / "recipe.toml", "--baselines", folder / "peers.json",
        ]  # fmt: skip
        run.main([str(a) for a in arguments])
        first = (folder / "results.json").read_bytes()
        patch.setattr(systems, "fit", None)
        patch.setattr(systems.minilm, "fit", None)  # a second run finds every peer in the cache
        run.main([str(a) for a in arguments])
    assert (folder / "results.json").read_bytes() == first
    found: dict[str, Any] = json.loads(first)
    return found


def test_every_system_answers_every_view(results: dict[str, Any]) -> None:
    names = [(s["name"], s["seed"]) for s in results["systems"]]
    assert len(names) == 1 + 2 * (1 + 3) + 2
    assert names[-2:] == [("minilm-knn", 1), ("minilm-zero-shot", 1)]
    assert names[0][0] == results["ours"]
    assert ("tfidf-forest+generated", 3) in names
    draws = {"exploitdb_sample", "exploitdb_look"}
    assert set(results["views"]) == {"later", "exploitdb", "benign_hosts", "mixed", *draws}
    for system in results["systems"]:
        mixed = system["views"]["mixed"]
        assert set(mixed) == {"detection"}
        assert (mixed["detection"]["n_attack"], mixed["detection"]["n_benign"]) == (120, 30)
        later = system["views"]["later"]["classification"]
        lo, hi = later["accuracy_ci"]
        assert 0 <= lo <= later["accuracy"] <= hi <= 1
        assert sum(system["views"]["later"]["as_shipped"].values()) == pytest.approx(1, abs=1e-3)
    assert results["views"]["exploitdb_look"]["n"] == 30


def test_figures_are_those_of_eval_payloads(
    results: dict[str, Any], folder: Path, bundle_path: Path
) -> None:
    from dragoman.engine import Engine

    told = Engine.load(bundle_path).evaluate([folder / "rows" / "test_later.jsonl.gz"])
    ours = results["systems"][0]["views"]["later"]
    for key, value in told["classification"].items():
        assert ours["classification"][key] == value
    assert {k: ours["detection"][k] for k in told["detection"]} == told["detection"]
    assert ours["retrieval"] == told["retrieval"]


def test_peers_learn_these_easy_rows(results: dict[str, Any]) -> None:
    scores = results["views"]["later"]["summary"]["tfidf-logistic"]
    assert scores["classification.accuracy"]["mean"] > 0.9
    neighbours = results["views"]["later"]["summary"]["minilm-knn"]
    assert neighbours["classification.accuracy"]["mean"] > 0.9
    best = results["views"]["later"]["best_peer"]
    assert best in {"tfidf-logistic", "tfidf-logistic+generated", "minilm-knn"} or "forest" in best
    against = results["views"]["later"]["against"]
    assert set(against) == {s["name"] for s in results["systems"][1:]}
    for found in against.values():
        above = all(s["lo"] > 0 for s in found["per_seed"])
        assert (found["outside"] == "above") == above


def test_tables_are_written_between_the_markers(
    results: dict[str, Any], folder: Path, tmp_path: Path
) -> None:
    text = table.render(results)
    assert all(f"### {title}" in text for title, _ in table.PARTS.values())
    assert f"| **{results['ours']}** |" in text
    page = tmp_path / "README.md"
    page.write_text("before\n<!-- results -->\nold\n<!-- /results -->\nafter\n")
    for _ in range(2):
        table.main([str(folder / "results.json"), "--only", "speed", "--into", str(page)])
        kept = page.read_text()
        assert kept.startswith("before\n<!-- results -->\n\n### Speed\n")
        assert kept.endswith("\n<!-- /results -->\nafter\n")
        assert "old" not in kept
    with pytest.raises(ValueError, match="no lines"):
        table.replaced("no markers", text)


def test_accuracy_interval_knows_groups() -> None:
    right = [True] * 50 + [False] * 50
    alone = run.accuracy_ci(right, [None] * 100)
    pairs = run.accuracy_ci(right, [f"g{i // 25}" for i in range(100)])
    assert alone[0] == pytest.approx(0.4, abs=0.03)
    assert pairs[0] < alone[0] < 0.5 < alone[1] < pairs[1]


def test_as_shipped_tells_the_fates_apart() -> None:
    rows = [{"label": "sql-injection"}] * 4 + [{"label": "attack"}]
    classes = ("sql-injection", "path-traversal")
    nearness = np.array([[1.0, 0], [0, 1], [1, 0], [1, 0], [1, 0]])
    named = np.array([True, True, False, True, True])
    answers = systems.Answers(classes, nearness, np.zeros(5), named, ())
    found = run.as_shipped(rows, answers, np.array([True, True, True, False, True]))
    assert found == {"right": 0.25, "other_class": 0.25, "unknown": 0.25, "missed": 0.25}


COMMITTED = Path(run.__file__).with_name("results.json")


@pytest.mark.skipif(not COMMITTED.exists(), reason="no results are committed yet")
def test_readme_tells_the_committed_results() -> None:
    body = table.render(json.loads(COMMITTED.read_text("utf-8")))
    assert body in COMMITTED.with_name("README.md").read_text("utf-8")
