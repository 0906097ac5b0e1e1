"""The built-in ATT&CK techniques, read from ``techniques.toml`` (written for Dragoman).

They make everything work without a bundle of ATT&CK's own; one that is added takes their place.
"""

from __future__ import annotations

import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from ..records import Matrix, Text, TextKind
from .attack import matrices

DOMAIN = "enterprise-attack"
SOURCE = f"{DOMAIN} built-in"


def builtin() -> list[Text]:
    """Techniques and sub-techniques that leave evidence on Windows and Linux, in order of id."""
    return [
        _text(
            entry,
            "technique",
            looks=tuple(entry["looks"]),
            techniques=(entry["id"],),
            tactics=tuple(entry["tactics"]),
            platforms=tuple(entry["platforms"]),
            parent=entry["id"].partition(".")[0] if "." in entry["id"] else "",
            aliases=tuple(entry.get("also", ())),
        )
        for entry in _entries()["technique"]
    ]


def tactics() -> list[Text]:
    """The tactics in the order of the matrix."""
    return [
        _text(entry, "tactic", slug=entry["slug"], order=place)
        for place, entry in enumerate(_entries()["tactic"], 1)
    ]


def matrix() -> Matrix:
    """The matrix of the built-in techniques; its version is ``built-in``."""
    return matrices([*tactics(), *builtin()])[DOMAIN]


def _text(entry: dict[str, Any], kind: TextKind, **more: Any) -> Text:
    return Text(entry["id"], entry["name"], entry["body"], SOURCE, kind, **more)


@cache
def _entries() -> dict[str, list[dict[str, Any]]]:
    raw = files(__package__).joinpath("techniques.toml").read_text("utf-8")
    return tomllib.loads(raw)
