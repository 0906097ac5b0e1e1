"""The plots: drawn from the committed figures and from figures made for the purpose."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import plots
from defusedxml import ElementTree

RESULTS = Path(plots.__file__).with_name("results.json")
SVG = "{http://www.w3.org/2000/svg}"


def system(name: str, seed: int, f1: float, tpr: float) -> dict[str, Any]:
    part = {"macro_f1": f1, "macro_f1_ci": [f1 - 0.1, f1 + 0.05]}
    detection = {
        "tpr": tpr, "fpr": 0.001, "tpr_ci": [tpr - 0.02, tpr + 0.02], "fpr_ci": [0.0005, 0.002],
        "tpr_at_fpr": {"0.0007": tpr / 2, "0.001": tpr, "0.01": tpr},
    }  # fmt: skip
    views = {v: {"classification": part} for v in ("later", "exploitdb")}
    return {
        "name": name,
        "seed": seed,
        "views": views | {"mixed_disguised": {"detection": detection}},
    }


def made(*more: dict[str, Any]) -> dict[str, Any]:
    return {"ours": "a<b", "systems": [system("other", 1, 0.6, 0.4), *more,
            system("a<b", 1, 0.8, 0.9), system("a<b", 2, 0.7, 0.7)]}  # fmt: skip


def test_the_committed_results_are_drawn(tmp_path: Path) -> None:
    plots.main([str(RESULTS), "--out", str(tmp_path)])
    names = {s["name"] for s in json.loads(RESULTS.read_text("utf-8"))["systems"]}
    for file in ("classes.svg", "detection.svg"):
        root = ElementTree.parse(tmp_path / file).getroot()
        assert root.tag == f"{SVG}svg"
        assert names <= {text.text for text in root.iter(f"{SVG}text")}
        first = (tmp_path / file).read_bytes()
        plots.main([str(RESULTS), "--out", str(tmp_path)])
        assert (tmp_path / file).read_bytes() == first


def test_seeds_become_a_mean_and_the_widest_interval() -> None:
    seeds = plots.systems(made())["a<b"]
    mean, lo, hi = plots.macro_f1(seeds, "later") or (0, 0, 0)
    assert [round(v, 6) for v in (mean, lo, hi)] == [0.75, 0.6, 0.85]
    rates = plots.found_rates(seeds) or {}
    line = [(x, round(y, 6)) for x, y in rates["line"]]
    assert line == [(0.0007, 0.4), (0.001, 0.8), (0.01, 0.8)]


def test_dots_lie_where_the_figures_say() -> None:
    root = ElementTree.fromstring(plots.classes(made()))
    dots = [g.find(f"{SVG}circle") for g in root.iter(f"{SVG}g")]
    titles = [g.findtext(f"{SVG}title") for g in root.iter(f"{SVG}g")]
    assert titles == ["a<b: 0.750, 0.750", "other: 0.600, 0.600"]
    first, second = ((float(d.get("cx")), float(d.get("cy"))) for d in dots if d is not None)
    assert first[0] > second[0]
    assert first[1] < second[1]  # higher on the page


def test_a_system_without_figures_is_left_out() -> None:
    results = made({"name": "detector", "seed": 1, "views": {}})
    groups = ElementTree.fromstring(plots.classes(results)).iter(f"{SVG}g")
    drawn = {(group.findtext(f"{SVG}title") or "").split(":")[0] for group in groups}
    assert drawn == {"a<b", "other"}
    assert "a&lt;b" in plots.detection(results)


def test_a_logarithmic_axis() -> None:
    axis = plots.Axis(0.001, 0.1, (), "", log=True, percent=True)
    assert axis.at(0.01) == plots.SIDE / 2
    assert axis.at(0.0) == 0
    assert axis.shown(0.0007) == "0.07 %"
