"""How the automatic labels agree with the audited ones, as the tables of README.md.

    python benchmarks/payloads/audit/agreement.py DIR

DIR holds ``payload/``. ``sample`` is the seeded first draw, ``look`` the second (see ``draw.py``).
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
import exploitdb

Pairs = list[tuple[str | None, str]]


def table(pairs: Pairs) -> str:
    """Per automatic label: rows, and how many were read as the same class, as another, as none."""
    lines = [
        "| automatic label | rows | same class | another class | none | other, unclear |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    counts = Counter(auto for auto, _ in pairs)
    for auto in [*sorted(set(counts) - {None}, key=lambda a: -counts[a]), None, "all labelled"]:
        chosen = [p for p in pairs if (p[0] if auto != "all labelled" else p[0] and auto) == auto]
        kinds = Counter(_kind(a, read) for a, read in chosen)
        cells = [
            f"{kinds[k]} ({kinds[k] / len(chosen):.0%})" for k in ("same", "class", "none", "rest")
        ]
        lines.append(f"| {auto or '(no label)'} | {len(chosen)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _kind(auto: str | None, read: str) -> str:
    if read in exploitdb.CLASSES:
        return "same" if read == auto else "class"
    return "none" if read == "none" else "rest"


def main() -> None:
    labels = [json.loads(line) for line in exploitdb.AUDIT.read_text("utf8").splitlines()]
    auto = {row["id"]: row["label"] for row in exploitdb.rows(Path(sys.argv[1]))}
    draws: dict[str, Pairs] = {"sample": [], "look": []}
    for row in labels:
        draws[row["draw"]].append((auto[row["id"]], row["label"]))
    for name, pairs in draws.items():
        print(f"### {name}\n\n{table(pairs)}\n")
    by_draw = {name: Counter(read for _, read in pairs) for name, pairs in draws.items()}
    print("| label | sample | look | all |\n| --- | ---: | ---: | ---: |")
    for label, count in (by_draw["sample"] + by_draw["look"]).most_common():
        print(f"| {label} | {by_draw['sample'][label]} | {by_draw['look'][label]} | {count} |")


if __name__ == "__main__":
    main()
