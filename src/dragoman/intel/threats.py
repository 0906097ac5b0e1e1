"""The built-in threat classes, read from ``threats.toml`` (written for Dragoman around CWE ids)."""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from ..records import Text

SOURCE = "dragoman"

# Children of the benchmark classes' CWE ids in the research view (CWE-1000) that are met in CVEs.
_CHILDREN = {
    "cross-site-scripting": range(80, 88),
    "sql-injection": (564,),
    "path-traversal": range(23, 41),
    "command-injection": (624,),
    "code-injection": (97,),
}


def builtin() -> list[Text]:
    """All built-in threats: kind ``class`` if a finding may be named after it, else ``weakness``.

    Ids are ``class:<slug>`` (``slug`` set) or ``weakness:<slug>``; benchmark classes come first.
    """
    return [_text(entry) for entry in _entries()]


def benchmark() -> tuple[str, ...]:
    """Slugs of the eleven classes that evaluation is reported on, in their fixed order."""
    return tuple(entry["slug"] for entry in _entries() if entry.get("benchmark"))


@cache
def by_cwe() -> dict[str, str]:
    """The benchmark class of each CWE id (``CWE-89``) it stands for, children included."""
    entries = [entry for entry in _entries() if entry.get("benchmark")]
    found = {cwe: str(entry["slug"]) for entry in entries for cwe in entry["cwe"]}
    children = {f"CWE-{n}": slug for slug, numbers in _CHILDREN.items() for n in numbers}
    return found | children


@cache
def _entries() -> tuple[dict[str, Any], ...]:
    raw = files(__package__).joinpath("threats.toml").read_text("utf-8")
    return tuple(tomllib.loads(raw)["threat"])


def _text(entry: dict[str, Any]) -> Text:
    verdict = entry.get("verdict", False)
    slug = entry["slug"]
    return Text(
        id=f"class:{slug}" if verdict else f"weakness:{slug}",
        title=entry["title"],
        body=entry["body"].strip(),
        source=SOURCE,
        kind="class" if verdict else "weakness",
        slug=slug if verdict else None,
        cwe=tuple(entry["cwe"]),
        severity=entry["severity"],
        looks=tuple(entry["looks"]),
    )
