"""The probes' part of the results as Markdown (`table.py` joins it with the rest)."""

from __future__ import annotations

from typing import Any

Results = dict[str, Any]
Table = tuple[list[str], list[list[str]]]


def share(one: dict[str, Any]) -> str:
    """A rate as ``1.7% [1.1, 2.3]``."""
    if not one["n"]:
        return "–"
    lo, hi = one["ci"]
    return f"{one['share']:.1%} [{100 * lo:.1f}, {100 * hi:.1f}]"


def context_swap(results: Results) -> Table:
    """Flipped verdicts by source of the attacks."""
    head = ["attacks from", "attacks", "found / not found", "class", "class, found or not"]
    rows = []
    for source, one in results["probes"]["context_swap"].items():
        for part, name in (("values", source), ("bare_url", f"{source}, nothing but a URL")):
            found = one[part]
            rates = [share(found[key]) for key in ("detection", "class", "forced")]
            rows.append([name, f"{found['attacks']:,}", *rates])
    return head, rows


def swap_kinds(results: Results) -> Table:
    """Flipped detection verdicts by what was swapped, values only."""
    swaps = results["probes"]["context_swap"]
    kinds = list(dict.fromkeys(k for one in swaps.values() for k in one["values"]["kinds"]))
    rows = [
        [kind]
        + [
            share(one["values"]["kinds"][kind]["detection"])
            if kind in one["values"]["kinds"]
            else "–"
            for one in swaps.values()
        ]
        for kind in kinds
    ]
    return ["swapped", *swaps], rows


def parts_removed(results: Results) -> Table:
    """Findings in what is left of a request without its attack."""
    sets = results["probes"]["parts_removed"]
    kinds = list(dict.fromkeys(kind for one in sets.values() for kind in one))
    return ["left", *sets], [[k, *(share(one[k]) for one in sets.values())] for k in kinds]


def evasion(results: Results) -> Table:
    """Detected attacks lost by rewriting."""
    head = [
        "set",
        "detected",
        "known tricks",
        "held-out tricks",
        "held out, 2 at once",
        "3 at once",
    ]
    rows = []
    for name, one in results["evasion"]["sets"].items():
        curve = one["curve"]["held-out"]
        rows.append(
            [
                name,
                f"{one['detected']:,} of {one['attacks']:,}",
                share(one["known"]["lost"]),
                share(one["held-out"]["lost"]),
                *(share(curve[k]) for k in ("2", "3")),
            ]
        )
    return head, rows


def evasion_kinds(results: Results) -> Table:
    """Detected attacks lost by one held-out trick of each kind."""
    sets = results["evasion"]["sets"]
    kinds = list(dict.fromkeys(k for one in sets.values() for k in one["held-out"]["kinds"]))
    rows = []
    for kind in kinds:
        found = [one["held-out"]["kinds"].get(kind) for one in sets.values()]
        rows.append([kind, *(share(one) if one else "–" for one in found)])
    return ["held-out trick", *sets], rows


def zero_shot(results: Results) -> Table:
    """Recall of classes no payload of which was learnt."""
    found = results["zero_shot"]
    head = ["class left out", "requests", "forced: text", "forced: text and looks", "others taken"]
    rows = []
    for slug, one in found["classes"].items():
        text, intel = one["text"]["requests"], one["intel"]["requests"]
        rows.append(
            [
                slug,
                f"{text['forced']['n']:,}",
                share(text["forced"]),
                share(intel["forced"]),
                share(intel["others"]),
            ]
        )
    mean = found["average"]
    averages = [f"**{mean[how]['forced']:.1%}**" for how in ("text", "intel")]
    return head, [*rows, ["**mean**", "", *averages, ""]]


def planted(results: Results) -> Table:
    """Accuracy lost to a token that agreed with the class in training and lies in the test."""
    head = ["system", "set", "token in", "without", "lying", "loss"]
    rows = []
    for system, sets in results["planted"].items():
        for name, kinds in sets.items():
            for kind, one in kinds.items():
                rates = [share(one[key]) for key in ("absent", "lying")]
                rows.append([system, name, kind, *rates, f"{one['loss']:+.3f}"])
    return head, rows
