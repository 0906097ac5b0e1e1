"""Two plots of ``results.json`` as SVG, the same bytes for the same figures.

    python benchmarks/payloads/plots.py results.json [--out DIR]

``classes.svg``: macro-F1 on later years of the training source (in distribution) against macro-F1
on sources that training never saw, one panel each; on the diagonal a system loses nothing. The bars
are 95 % intervals, the widest over a system's seeds.
``detection.svg``: the share of attacks found against the share of benign requests flagged: a line
through the rates measured at fixed false-alarm rates, a dot at the shipped threshold.
"""

from __future__ import annotations

import argparse
import html
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from table import TITLES

Results = dict[str, Any]
Interval = tuple[float, float, float]  # mean, low, high

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#5c5c5c", "#8c564b")
INSIDE, OUTSIDE = "later", ("exploitdb", "httpparams")
RATES = ("0.0007", "0.001", "0.01")
MIXED = "mixed_disguised"
SIDE, LEFT, TOP, GAP, BELOW = 320, 62, 44, 74, 56  # of a panel, in pixels


class Axis(NamedTuple):
    """A range of values laid over ``SIDE`` pixels; logarithmic if ``log``."""

    low: float
    high: float
    ticks: tuple[float, ...]
    title: str
    log: bool = False
    percent: bool = False

    def at(self, value: float) -> float:
        """Pixels from the low end; values beyond either end are drawn on it."""
        value = min(max(value, self.low), self.high)
        scale: Callable[[float], float] = math.log10 if self.log else float
        low, high = scale(self.low), scale(self.high)
        return SIDE * (scale(value) - low) / (high - low)

    def shown(self, tick: float) -> str:
        return f"{100 * tick:.3g} %" if self.percent else f"{tick:.3g}"


class Panel(NamedTuple):
    """One square plot; ``left`` is where it begins in the picture."""

    left: float
    x: Axis
    y: Axis

    def point(self, x: float, y: float) -> tuple[float, float]:
        return round(self.left + self.x.at(x), 1), round(TOP + SIDE - self.y.at(y), 1)


def _line(a: tuple[float, float], b: tuple[float, float], style: str) -> str:
    return f'<line x1="{a[0]}" y1="{a[1]}" x2="{b[0]}" y2="{b[1]}" {style}/>'


def _text(x: float, y: float, text: str, style: str = "") -> str:
    return f'<text x="{x}" y="{y}" {style}>{html.escape(text)}</text>'


def _frame(panel: Panel, title: str) -> list[str]:
    """Border, grid, ticks and titles."""
    left, bottom = panel.left, TOP + SIDE
    out = [f'<rect x="{left}" y="{TOP}" width="{SIDE}" height="{SIDE}" fill="none" stroke="#888"/>']
    grid = 'stroke="#e4e4e4"'
    for tick in panel.x.ticks:
        x = round(left + panel.x.at(tick), 1)
        out.append(_line((x, TOP), (x, bottom), grid))
        out.append(_text(x, bottom + 18, panel.x.shown(tick), 'text-anchor="middle"'))
    for tick in panel.y.ticks:
        y = round(bottom - panel.y.at(tick), 1)
        out.append(_line((left, y), (left + SIDE, y), grid))
        out.append(_text(left - 6, y + 4, panel.y.shown(tick), 'text-anchor="end"'))
    middle, height = left + SIDE / 2, TOP + SIDE / 2
    turned = f'text-anchor="middle" transform="rotate(-90 {left - 46} {height})"'
    out.append(_text(middle, bottom + 38, panel.x.title, 'text-anchor="middle"'))
    out.append(_text(left - 46, height, panel.y.title, turned))
    out.append(_text(middle, TOP - 14, title, 'text-anchor="middle" font-weight="bold"'))
    return out


def _cross(panel: Panel, x: Interval, y: Interval, colour: str, name: str) -> list[str]:
    """A dot with an interval either way; the name shows under the pointer."""
    style = f'stroke="{colour}" stroke-width="1.5"'
    cx, cy = panel.point(x[0], y[0])
    return [
        f"<g><title>{html.escape(name)}: {x[0]:.3f}, {y[0]:.3f}</title>",
        _line(panel.point(x[1], y[0]), panel.point(x[2], y[0]), style),
        _line(panel.point(x[0], y[1]), panel.point(x[0], y[2]), style),
        f'<circle cx="{cx}" cy="{cy}" r="4.5" fill="{colour}"/></g>',
    ]


def _legend(names: Sequence[str], ours: str, colours: dict[str, str], left: float) -> list[str]:
    out = []
    for row, name in enumerate(names):
        y = TOP + 12 + 20 * row
        weight = 'font-weight="bold"' if name == ours else ""
        out.append(f'<circle cx="{left}" cy="{y - 4}" r="4.5" fill="{colours[name]}"/>')
        out.append(_text(left + 12, y, name, weight))
    return out


def _svg(width: float, title: str, parts: Iterable[str]) -> str:
    size = f'width="{width:.0f}" height="{TOP + SIDE + BELOW}"'
    view = f'viewBox="0 0 {width:.0f} {TOP + SIDE + BELOW}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {view} role="img" '
    style = 'font-family="sans-serif" font-size="12" fill="#222">'
    ground = '<rect width="100%" height="100%" fill="#fff"/>'
    return (
        "\n".join([head + style, f"<title>{html.escape(title)}</title>", ground, *parts, "</svg>"])
        + "\n"
    )


# --- figures


def systems(results: Results) -> dict[str, list[dict[str, Any]]]:
    """Seeds by name, ours first."""
    out: dict[str, list[dict[str, Any]]] = {results["ours"]: []}
    for one in results["systems"]:
        out.setdefault(one["name"], []).append(one)
    return out


def macro_f1(seeds: Sequence[dict[str, Any]], view: str) -> Interval | None:
    """Mean over seeds, and the widest of their intervals; ``None`` if one has no such figure."""
    parts = [(one["views"].get(view) or {}).get("classification") or {} for one in seeds]
    if not all(part.get("macro_f1_ci") for part in parts):
        return None
    mean = sum(part["macro_f1"] for part in parts) / len(parts)
    cis = [part["macro_f1_ci"] for part in parts]
    return mean, min(lo for lo, _ in cis), max(hi for _, hi in cis)


def found_rates(seeds: Sequence[dict[str, Any]], view: str = MIXED) -> dict[str, Any] | None:
    """``line``: (false alarms, found), means over seeds; ``dot``: the same with intervals."""
    parts = [(one["views"].get(view) or {}).get("detection") or {} for one in seeds]
    if not all(part.get("tpr_ci") and part.get("fpr_ci") for part in parts):
        return None

    def spread(rate: str) -> Interval:
        cis = [part[f"{rate}_ci"] for part in parts]
        mean = sum(part[rate] for part in parts) / len(parts)
        return mean, min(lo for lo, _ in cis), max(hi for _, hi in cis)

    at = {rate: [part["tpr_at_fpr"][rate] for part in parts] for rate in RATES}
    line = [(float(rate), sum(values) / len(values)) for rate, values in at.items()]
    return {"line": line, "dot": (spread("fpr"), spread("tpr"))}


def classes(results: Results) -> str:
    """Macro-F1 in distribution against macro-F1 out of it."""
    of = systems(results)
    colours = dict(zip(of, COLOURS * len(of), strict=False))
    views = [view for view in OUTSIDE if macro_f1(of[results["ours"]], view)]
    ends = [one for view in (INSIDE, *views) for seeds in of.values()
            if (one := macro_f1(seeds, view))]  # fmt: skip
    low = math.floor(10 * min((lo for _, lo, _ in ends), default=0.0)) / 10
    ticks = tuple(i / 10 for i in range(round(10 * low), 11))
    parts: list[str] = []
    for number, view in enumerate(views):
        x = Axis(low, 1.0, ticks, f"macro-F1, {TITLES[INSIDE]} (in distribution)")
        y = Axis(low, 1.0, ticks, f"macro-F1, {TITLES[view]}")
        panel = Panel(LEFT + number * (SIDE + GAP), x, y)
        parts += _frame(panel, TITLES[view])
        diagonal = 'stroke="#aaa" stroke-dasharray="4 4"'
        parts.append(_line(panel.point(low, low), panel.point(1, 1), diagonal))
        for name, seeds in of.items():
            inside, outside = macro_f1(seeds, INSIDE), macro_f1(seeds, view)
            if inside and outside:
                parts += _cross(panel, inside, outside, colours[name], name)
    right = LEFT + len(views) * (SIDE + GAP) - GAP + 24
    parts += _legend(list(of), results["ours"], colours, right)
    return _svg(right + 190, "Macro-F1 in and out of distribution", parts)


def detection(results: Results) -> str:
    """Attacks found against false alarms, in the same headers."""
    of = systems(results)
    colours = dict(zip(of, COLOURS * len(of), strict=False))
    x = Axis(0.0002, 0.05, (0.0002, 0.0007, 0.002, 0.01, 0.05),
             "benign requests flagged", log=True, percent=True)  # fmt: skip
    y = Axis(0.0, 1.0, (0.0, 0.2, 0.4, 0.6, 0.8, 1.0), "attacks found", percent=True)
    panel = Panel(LEFT, x, y)
    parts = _frame(panel, TITLES[MIXED])
    for name, seeds in of.items():
        rates = found_rates(seeds)
        if rates:
            points = " ".join("{},{}".format(*panel.point(*one)) for one in rates["line"])
            style = f'fill="none" stroke="{colours[name]}" stroke-width="1.5" opacity="0.6"'
            parts.append(f'<polyline points="{points}" {style}/>')
            flagged, found = rates["dot"]
            parts += _cross(panel, flagged, found, colours[name], name)
    parts += _legend(list(of), results["ours"], colours, LEFT + SIDE + 24)
    return _svg(LEFT + SIDE + 214, "Attacks found against false alarms", parts)


PLOTS: dict[str, Callable[[Results], str]] = {"classes.svg": classes, "detection.svg": detection}


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--out", type=Path, help="default: beside the results")
    args = parser.parse_args(argv)
    results = json.loads(args.results.read_text("utf-8"))
    folder = args.out or args.results.parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, plot in PLOTS.items():
        (folder / name).write_text(plot(results), "utf-8")


if __name__ == "__main__":
    main()
