"""Draws strings of the coarse classes of the attack lists and shows them, nothing else.

    python benchmarks/payloads/audit/draw_lists.py DIR

DIR holds ``payload/payload_lists.jsonl.gz``. Source and class steer the draw and are not shown.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))
import exploitdb

SEED = 20261121
# (source, class) and how many of its strings to read.
STRATA = {
    ("PATT", "File Inclusion"): 35,
    ("PATT", "Command Injection"): 35,
    ("PATT", "XXE Injection"): 30,
    ("fuzzdb", "rfi"): 20,
    ("fuzzdb", "os-cmd-execution"): 40,
    ("fuzzdb", "all-attacks"): 40,
    ("fuzzdb", "xml"): 25,
}


def sample(data: Path) -> list[dict[str, Any]]:
    """The strings to read in a random order; ``id`` is the source and the digest of the string."""
    with gzip.open(data / "payload" / "payload_lists.jsonl.gz", "rt", encoding="utf8") as lines:
        rows = [json.loads(line) for line in lines]
    rng = random.Random(SEED)
    drawn: list[dict[str, Any]] = []
    for (src, cls), most in STRATA.items():
        stratum = [row for row in rows if (row["src"], row["cls"]) == (src, cls)]
        drawn += rng.sample(stratum, min(most, len(stratum)))
    rng.shuffle(drawn)
    return [row | {"id": f"{row['src']}:{exploitdb.digest(row['payload'])}"} for row in drawn]


if __name__ == "__main__":
    for row in sample(Path(sys.argv[1])):
        print(row["id"], repr(row["payload"][:500]))
