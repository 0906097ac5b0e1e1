"""Whether the built-in technique texts are our own words: no 8 words in a row as ATT&CK has them.

    python benchmarks/logs/own_words.py enterprise-attack.json.gz

Words in a row that are commands or lists of names (in ``looks``) count as well; lines of agreement
are printed, and the exit code is 1 if there are any.
"""

from __future__ import annotations

import re
import sys

from dragoman.intel import read_texts
from dragoman.intel.techniques import builtin, tactics
from dragoman.records import Text

WORDS = 8


def grams(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"[a-z0-9]+", text.lower())
    return {tuple(words[i : i + WORDS]) for i in range(len(words) - WORDS + 1)}


def main(path: str) -> int:
    theirs: dict[tuple[str, ...], str] = {}
    for text in read_texts(path):
        if isinstance(text, Text):
            for part in (text.body, *text.looks):
                theirs.update(dict.fromkeys(grams(part), text.id))
    shared = 0
    for text in [*tactics(), *builtin()]:
        for part in (text.body, *text.looks):
            for gram in sorted(grams(part) & theirs.keys()):
                shared += 1
                print(f"{text.id}: {' '.join(gram)}  ({theirs[gram]})")
    print(f"{len(theirs):,} sequences of {WORDS} words in ATT&CK, {shared} of them here too")
    return int(shared > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
