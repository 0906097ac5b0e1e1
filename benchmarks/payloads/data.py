"""Turn the shared public payload sources into labelled rows with honest splits.

    python benchmarks/payloads/data.py --data DIR --out DIR

``--data`` is the folder that holds ``payload/`` and ``vuln_text/`` (see its README for origin and
licences). ``--out`` becomes a training directory: one file a split, ``texts/`` with the
vulnerability texts, and ``card.json`` with what was counted and dropped. Rows follow the
labelled-payload format, plus ``source``. Splits:

* ``test_later``: vulnerability templates whose CVE is of 2022 or later (in distribution, later);
* ``test_exploitdb``: published exploits read by eye, with the class read (``audit/README.md``);
* ``test_httpparams``, ``test_csic``: data sets that training never sees;
* ``test_disguised``: the attack requests of ``test_later`` and ``test_exploitdb``, each with host
  and headers of a request of ``test_benign_hosts``, so that the place tells nothing;
* ``test_benign_hosts``: benign requests to registered domains and from clients unseen in training;
* ``train``, ``valid``: the rest. Validation takes whole products and domains, and a tenth of the
  list values, by hash; nothing of the unlabelled access log: no threshold rests on it.

Tests stay whole: training and validation rows whose product (``group``), CVE or near-duplicate key
(:func:`fold_key`) occurs in a test are dropped, and so are training rows with one of validation.

Labels of the templates. The classes a template may have come from its CWE ids, else its tags
(``rce`` alone says nothing). A request is labelled when it shows a possible class
(:data:`SHOWS`); with one possible class and no sign of another, the source's attack flag is enough.
When a request shows only other classes (a web shell used after the upload, ``/etc/passwd`` read
through a command flaw) it is ``attack``. Repairs made after reading the rows: template annotations
(``@timeout:``) removed, helper functions expanded, line ends made CRLF; fixed fillers (host,
call-back host, random tokens) varied per row, as they occur in attacks only; word lists, HTML
names, bare commands and comments inside the payload lists left out; templates such as ``{FILE}``
filled; the stray closing quote in grananqvist values removed; attacks in its benign part left out.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

import exploitdb
from fill import fill, vary
from label import BY_CWE, BY_TAG, CLASSES, fold_key, label_of, share, text_of
from lists import ATTACK_LIKE, entry

Row = dict[str, Any]


class Source(NamedTuple):
    """``use``: ``train`` (the shipped bundle may learn from it), ``benign`` (as benign statistics
    only, no text of it is shipped), ``test`` (measured on, never learnt from) or ``never``."""

    name: str
    licence: str
    use: str


SOURCES = (
    Source("nuclei_pairs", "MIT", "train"),
    Source("PATT", "MIT", "train"),
    Source("fuzzdb", "New BSD and CC-BY, as the project states", "train"),
    Source("grananqvist", "MIT", "train"),
    Source("blazehttp", "GPL-3.0", "benign"),
    Source("apache_access", "Apache-2.0", "benign"),
    Source("httpparams", "MIT", "test"),
    Source("csic", "research use", "test"),
    Source("exploitdb", "no licence file, research use", "test"),
    Source("fwaf_bad", "none", "never"),
)


TEXTS = ("cve_text", "cwe", "capec")  # what stage 1 and the index read


def _row(
    source: str, number: object, payload: bytes | str, kind: str, label: str, **more: Any
) -> Row:
    data = payload.encode("utf-8", "surrogateescape") if isinstance(payload, str) else payload
    row: Row = {"id": f"{source}/{number}"}
    try:
        row["payload"] = data.decode("utf-8")
    except UnicodeDecodeError:
        row["payload_b64"] = base64.b64encode(data).decode("ascii")
    row |= {"kind": kind, "label": label, "source": source}
    return row | {key: value for key, value in more.items() if value not in (None, [], "")}


def _lines(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _nuclei(path: Path) -> Iterator[Row]:
    for record in _lines(path):
        if not record["dir"].startswith(
            ("http/cves", "http/vulnerabilities", "http/cnvd", "http/misc", "http/iot")
        ):
            continue
        by_cwe = list(dict.fromkeys(BY_CWE[c] for c in record["cwe"] if c in BY_CWE))
        allowed = by_cwe or list(
            dict.fromkeys(BY_TAG[t] for t in record["vuln_tags"] if t in BY_TAG)
        )
        cve = [c for c in record["cve"] if re.fullmatch(r"CVE-\d{4}-\d{4,}", c)]
        keys: set[str] = set()
        flags = record["req_attack_flag"]
        for number, (request, flagged) in enumerate(
            zip(record["requests_filled"], flags, strict=True)
        ):
            rng = random.Random(f"{record['id']}/{number}")
            text = fill(request, rng)
            label = label_of(allowed, text, flagged, "rce" in record["vuln_tags"]) if text else None
            if label is None or (not flagged and any(flags)) or len(keys) == 3:
                continue
            key = fold_key(text, "http")
            if key in keys:
                continue
            keys.add(key)
            slug = re.search(r"/wp-content/(?:plugins|themes)/([\w.-]+)/", request)
            group = record["product"] or (slug and slug[1]) or record["id"]
            yield _row(
                "nuclei_pairs", f"{record['id']}/{number}", vary(text, rng), "http", label, cve=cve,
                cwe=record["cwe"], group=group.lower().replace("-", "_"),
                year=int(cve[0][4:8]) if cve else None, text=record["description"],
            ) | {"_key": key}  # fmt: skip


def _lists(path: Path) -> Iterator[Row]:
    for number, record in enumerate(_lines(path)):
        found = None if record["src"] == "fwaf_bad" else entry(record)
        if found:
            payload, kind, label = found
            yield _row(record["src"], number, payload, kind, label)


def _httpparams(path: Path) -> Iterator[Row]:
    names = {
        "norm": "benign", "sqli": "sql-injection", "xss": "cross-site-scripting",
        "cmdi": "command-injection", "path-traversal": "path-traversal",
    }  # fmt: skip
    for number, record in enumerate(_lines(path)):
        if record["payload"]:
            yield _row(
                "httpparams", number, record["payload"], "value", names[record["attack_type"]]
            )


def _csic(path: Path) -> Iterator[Row]:
    for number, record in enumerate(_lines(path)):
        yield _row("csic", number, record["request"], "http", record["label"])


def _exploitdb(data: Path) -> Iterator[Row]:
    labels = {r["id"]: r for r in map(json.loads, exploitdb.AUDIT.read_text("utf-8").splitlines())}
    for record in exploitdb.audited(exploitdb.rows(data), labels):
        if record["audited"] and record["label"] in CLASSES:
            more = {key: record.get(key) for key in ("cve", "group", "year", "text")}
            draw = labels[record["id"]]["draw"]
            yield _row(
                "exploitdb", record["id"], record["payload"], "http", record["label"],
                **more, draw=draw,
            )  # fmt: skip


_SECOND_LEVEL = frozenset({"com", "net", "org", "gov", "edu", "co", "ac"})


def registered_domain(host: str) -> str:
    """``a.b.example.com.cn`` -> ``example.com.cn`` (a rule of thumb; no public-suffix list)."""
    name = (urlsplit(f"//{host}").hostname or host).rstrip(".")
    parts = name.split(".")
    if name.replace(".", "").isdigit():
        return name
    country = len(parts) > 2 and len(parts[-1]) == 2 and parts[-2] in _SECOND_LEVEL
    return ".".join(parts[-3 if country else -2 :])


def _blazehttp(path: Path) -> Iterator[Row]:
    for number, record in enumerate(_lines(path)):
        group = registered_domain(record["host"])
        yield _row(
            "blazehttp", number, record["request"].encode("latin-1"), "http", "benign", group=group
        )


_COMBINED = re.compile(r'^(\S+) \S+ \S+ \[[^\]]+\] "([^"]+)" \d+ \S+ "([^"]*)" "([^"]*)"')


def _apache(path: Path) -> Iterator[Row]:
    with gzip.open(path, "rt", encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file):
            match = _COMBINED.match(line)
            if not match or ATTACK_LIKE.search(
                unquote_to_bytes(match[2]).decode("utf-8", "replace")
            ):
                continue
            client, request, referer, agent = match.groups()
            head = [request, "Host: www.example.org", f"User-Agent: {agent}"]
            head += [f"Referer: {referer}"] if referer not in ("", "-") else []
            yield _row(
                "apache_access",
                number,
                "\r\n".join(head) + "\r\n\r\n",
                "http",
                "benign",
                group=client,
            )


_CARRIED = ("content-", "transfer-encoding")  # belong to the body
_BROWSER = (
    "host", "user-agent", "accept", "connection", "referer", "origin", "cache-control", "pragma",
    "upgrade-insecure-requests", "sec-", "dnt", "te",
)  # fmt: skip


def disguise(attack: bytes, benign: bytes) -> bytes:
    """The attack's request line and body under the benign request's host and headers.

    Of the attack's own headers those stay that no browser sends, describe the body, or carry
    something attack-like.
    """
    head, _, body = attack.partition(b"\r\n\r\n")
    first, *own = head.split(b"\r\n")
    target = re.sub(rb"^([A-Z]+ )https?://[^/ ]*", rb"\1", first)
    around = [
        line
        for line in benign.partition(b"\r\n\r\n")[0].split(b"\r\n")[1:]
        if not line.lower().startswith(tuple(n.encode() for n in _CARRIED))
    ]
    kept = [line for line in own if _stays(line.decode("latin-1"))]
    names = {line.partition(b":")[0].lower() for line in kept}
    around = [line for line in around if line.partition(b":")[0].lower() not in names]
    return b"\r\n".join([target, *around, *kept]) + b"\r\n\r\n" + body


def _stays(header: str) -> bool:
    name, _, value = header.lower().partition(":")
    return not name.startswith(_BROWSER) or bool(ATTACK_LIKE.search(value) or "() {" in value)


def _disguised(attacks: Iterable[Row], benign: list[Row]) -> Iterator[Row]:
    for row in attacks:
        if row["kind"] == "http" and benign:
            around = random.Random(row["id"]).choice(benign)
            payload = disguise(text_of(row), text_of(around))
            more = {key: row.get(key) for key in ("cve", "group", "year", "text")}
            yield _row("disguised", row["id"], payload, "http", row["label"], **more)


def _split(row: Row) -> str:
    source = row["source"]
    if source in ("exploitdb", "httpparams", "csic"):
        return f"test_{source}"
    place = share(row.get("group") or row["_key"])
    if source == "apache_access":  # nobody has labelled it: no threshold may rest on it
        return "train" if place < 0.85 else "test_benign_hosts"
    if source == "blazehttp":
        return "train" if place < 0.5 else "valid" if place < 0.8 else "test_benign_hosts"
    if row.get("year", 0) >= 2022:
        return "test_later"
    return "valid" if place < (0.15 if source == "nuclei_pairs" else 0.1) else "train"


def build(data: Path, counts: Counter[str] | None = None) -> dict[str, list[Row]]:
    """All splits as lists of rows. ``counts`` (if given) receives what was dropped and why."""
    counts = Counter() if counts is None else counts
    folder = data / "payload"
    splits: dict[str, list[Row]] = {name: [] for name in SPLITS}
    readers = (
        _nuclei(folder / "nuclei_pairs.jsonl.gz"),
        _lists(folder / "payload_lists.jsonl.gz"),
        _exploitdb(data),
        _httpparams(folder / "httpparams.jsonl.gz"),
        _csic(folder / "csic.jsonl.gz"),
        _blazehttp(folder / "blazehttp_benign.jsonl.gz"),
        _apache(folder / "apache_access.log.gz"),
    )
    for rows in readers:
        for row in rows:
            row.setdefault("_key", fold_key(text_of(row), row["kind"]))
            splits[_split(row)].append(row)
    attacks = [*splits["test_later"], *splits["test_exploitdb"]]
    browser = [row for row in splits["test_benign_hosts"] if row["source"] == "blazehttp"]
    splits["test_disguised"] = [
        row | {"_key": fold_key(text_of(row), "http")} for row in _disguised(attacks, browser)
    ]
    seen = Seen(set(), set(), set())
    for name in SPLITS:  # tests first, training last
        if not name.startswith("test"):
            splits[name] = list(_unseen(splits[name], seen, name, counts))
        for row in splits[name]:
            seen.add(row)
    for row in (row for rows in splits.values() for row in rows):
        del row["_key"]
    return splits


SPLITS = (
    "test_later", "test_exploitdb", "test_disguised", "test_httpparams", "test_csic",
    "test_benign_hosts", "valid", "train",
)  # fmt: skip


class Seen(NamedTuple):
    """What the splits already filled hold."""

    groups: set[str]
    cves: set[str]
    keys: set[str]

    def add(self, row: Row) -> None:
        self.groups.update([row["group"]] if "group" in row else [])
        self.cves.update(row.get("cve", ()))
        self.keys.add(row["_key"])


def _unseen(rows: Iterable[Row], seen: Seen, name: str, counts: Counter[str]) -> Iterator[Row]:
    """Rows whose group, CVE and key occur in no split filled before, each (key, label) once."""
    own: set[tuple[str, str]] = set()
    for row in rows:
        if row.get("group") in seen.groups:
            counts[f"{name}: group in a test or validation split"] += 1
        elif not seen.cves.isdisjoint(row.get("cve", ())):
            counts[f"{name}: CVE in a test or validation split"] += 1
        elif row["_key"] in seen.keys:
            counts[f"{name}: near-duplicate of a test or validation row"] += 1
        elif (row["_key"], row["label"]) in own:
            counts[f"{name}: near-duplicate within the split"] += 1
        else:
            own.add((row["_key"], row["label"]))
            yield row


def write(splits: dict[str, list[Row]], out: Path) -> None:
    """One ``SPLIT.jsonl.gz`` each, the same bytes for the same rows."""
    out.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (out / f"{name}.jsonl.gz").write_bytes(gzip.compress(text.encode("utf-8"), 6, mtime=0))


def card(splits: dict[str, list[Row]], counts: Counter[str]) -> dict[str, Any]:
    """What the splits hold and what was dropped, ready for JSON."""
    return {
        "rows": {
            name: dict(Counter(row["label"] for row in rows)) for name, rows in splits.items()
        },
        "dropped": dict(sorted(counts.items())),
        "sources": [source._asdict() for source in SOURCES],
    }


def copy_texts(data: Path, out: Path) -> None:
    """The vulnerability texts, to where the trainer looks for them."""
    (out / "texts").mkdir(parents=True, exist_ok=True)
    for name in TEXTS:
        source = data / "vuln_text" / f"{name}.jsonl.gz"
        shutil.copyfile(source, out / "texts" / source.name)


def table(splits: dict[str, list[Row]]) -> str:
    """Counts by label and split."""
    counts = {name: Counter(row["label"] for row in rows) for name, rows in splits.items()}
    labels = [*CLASSES, "attack", "benign"]
    lines = [f"{'':28}" + "".join(f"{name.removeprefix('test_'):>14}" for name in splits)]
    for label in labels:
        lines.append(f"{label:28}" + "".join(f"{count[label]:14,}" for count in counts.values()))
    lines.append(f"{'all':28}" + "".join(f"{len(rows):14,}" for rows in splits.values()))
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--data", type=Path, required=True, help="holds payload/ and vuln_text/")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    counts: Counter[str] = Counter()
    splits = build(args.data, counts)
    write(splits, args.out)
    copy_texts(args.data, args.out)
    text = json.dumps(card(splits, counts), indent=1, ensure_ascii=False)
    (args.out / "card.json").write_text(text + "\n", "utf-8")
    print(table(splits))
    for reason, number in sorted(counts.items()):
        print(f"dropped, {reason}: {number:,}")
    for source in SOURCES:
        print(f"{source.name:14} {source.use:7} {source.licence}")


if __name__ == "__main__":
    main()
