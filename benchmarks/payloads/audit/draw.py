"""Draws the exploits to read and shows their requests, nothing else.

    python benchmarks/payloads/audit/draw.py DIR [FIRST LAST]

DIR holds ``payload/``. The sample is seeded; titles and automatic labels steer only how many rows
of each class are drawn and are never shown.
"""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

sys.path.insert(0, str(Path(__file__).parent.parent))
import exploitdb

SEED = 20261121
SIZE = 460
# Rows per automatic label; where fewer exist, all of them. The rest is drawn from all other rows.
RARE = {
    "code-injection": 45,
    "command-injection": 45,
    "file-upload": 40,
    "xml-external-entity": 30,
    "open-redirect": 30,
    "crlf-injection": 30,
    "server-side-request-forgery": 30,
    "unsafe-deserialization": 30,
}
# A second draw, because titles lead to few requests of the rare classes: all rows whose request may
# be one by these looks. Most are something else; the reader decides.
LOOKS = [
    r"filename=\"?[^\"\n]*\.(?:php\w?|phtml|aspx?|jsp|cgi|pl|htaccess)|^put .*\.(?:php|asp|jsp)",
    r"<!doctype[^>]*(?:system|\[)|<!entity",
    r"[?&=/][^\n ]*(?:%250a|%0d%0a|%0a[\w-]+:)",
    r"(?:redir\w*|goto|go|next|return\w*|forward|dest\w*|ref\w*|target|back\w*|continue|r|u|link|out"
    r"|to|came_from)=(?:https?:)?(?://|/\\|www\.)|redir\w*(?:\.\w+)?\?(?:\w+=)?(?:https?:)?//",
    r"(?:url|uri|host|proxy|feed|rss\w*|callback|src|source|address|server|image|site|endpoint)\w*"
    r"\"?[=:]\"?\s*(?:https?|ftp|gopher|dict)://|=https?://(?:127|169\.254|localhost)",
    r"phpinfo|system\(|passthru|eval\(|assert\(|\$\{|\{\{|<\?php|<%|exec\(|<!--#|base64_decode|\{php"
    r"|#_member|@ognl|java\.lang|runtime",
    r"\bo:\d+:\"|ro0ab|aced0005|aaeaaad|__viewstate=|java\.util|xstream|objectdatapro|cos\nsystem",
]
# Headers every browser sends: shown only where they carry something that looks injected.
USUAL = re.compile(
    r"(?:host|accept[\w-]*|user-agent|connection|upgrade-insecure-requests|cache-control|pragma|dnt"
    r"|sec-[\w-]+|content-length|origin|keep-alive|proxy-connection|x-requested-with|te|referer):",
    re.I,
)


def sample(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows to read, in a random order that mixes the strata."""
    rng = random.Random(SEED)
    drawn: list[dict[str, Any]] = []
    for label, most in RARE.items():
        stratum = [row for row in rows if row["label"] == label]
        drawn += rng.sample(stratum, min(most, len(stratum)))
    common = [row for row in rows if row["label"] not in RARE]
    drawn += rng.sample(common, SIZE - len(drawn))
    rng.shuffle(drawn)
    return drawn


def by_look(rows: list[dict[str, Any]], drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The second draw: every row left whose request has one of the looks, in a random order."""
    taken = {row["id"] for row in drawn}
    look = re.compile("|".join(f"(?:{pattern})" for pattern in LOOKS), re.M)
    more = [r for r in rows if r["id"] not in taken and look.search(_own_words(r["payload"]))]
    random.Random(SEED + 1).shuffle(more)
    return more


def _own_words(request: str) -> str:
    """The request as received and decoded, lower case, without headers holding its own address."""
    lines = request.split("\r\n")
    text = "\n".join(ln for ln in lines if not re.match("(?:referer|origin):", ln, re.I))
    return (text + "\n" + unquote_plus(text)).lower()


def shown(request: str, most: int = 900) -> str:
    """The request as the reader sees it: usual headers left out, long bodies cut."""
    head, _, body = request.partition("\r\n\r\n")
    first, *headers = head.split("\r\n")
    kept = [
        h
        for h in headers
        if not USUAL.match(h) or any(m.search(h.lower()) for m in exploitdb.MARKS)
    ]
    text = "\n".join([first, *kept]) + (f"\n\n{body}" if body else "")
    return text if len(text) <= most else text[:most] + f" ... [{len(text) - most} more]"


def main() -> None:
    rows = list(exploitdb.rows(Path(sys.argv[1])))
    drawn = sample(rows)
    drawn += by_look(rows, drawn)
    first, last = (int(a) for a in sys.argv[2:4]) if len(sys.argv) > 2 else (0, len(drawn))
    for row in drawn[first:last]:
        print(f"## {row['id']}\n{shown(row['payload'])}")
    if len(sys.argv) == 2:
        print(Counter(row["label"] for row in drawn))


if __name__ == "__main__":
    main()
