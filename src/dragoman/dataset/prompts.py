"""The words of ``prompts.toml`` filled in, and the answers to them read."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib import resources
from typing import Any

from ..config import Limits
from ..intel.threats import benchmark, builtin
from ..opening import loads
from ..synth.grammar import Sample
from ..synth.request import PLACES
from .cves import Cve

ASKED = 4  # payloads in one answer
LONGEST = 2000  # characters of a description that are sent
MAX_VALUE = 4096  # bytes of a payload

Messages = list[dict[str, str]]

_LIMITS = Limits()
_PARAM = re.compile(r"[\w.\[\]-]{1,64}")
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads((resources.files(__package__) / "prompts.toml").read_text("utf-8"))


def variants() -> dict[str, str]:
    """The prompt variants: id -> what it asks for."""
    return {v["id"]: v["text"] for v in _words()["variant"]}


def digest() -> str:
    """SHA-256 of all prompts."""
    return hashlib.sha256(json.dumps(_words(), sort_keys=True).encode()).hexdigest()


@cache
def _titles() -> dict[str | None, str]:
    return {t.slug: t.title for t in builtin()}


def ask(cve: Cve, variant: str, turn: int) -> Messages:
    """The request for :data:`ASKED` payloads; ``turn`` counts the requests for this pair from 1."""
    words = _words()
    text = words["ask"].format(
        description=json.dumps(cve.text[:LONGEST], ensure_ascii=False),
        weakness=_titles()[cve.label],
        count=ASKED,
        variant=variants()[variant],
        hint=words["hints"].get(cve.label, "").strip(),
        again=words["again"].format(turn=turn) if turn > 1 else "",
    )
    return _messages(text)


def judge(samples: Sequence[Sample]) -> Messages:
    """The request to name the class of each sample, without the class that was asked for."""
    text = _words()["judge"].format(
        count=len(samples),
        values=json.dumps([s.payload.decode() for s in samples], ensure_ascii=False),
        classes=", ".join(benchmark()),
        places=json.dumps([f"{'/'.join(s.where)} {'/'.join(s.params)}".strip() for s in samples]),
    )
    return _messages(text)


def _messages(text: str) -> Messages:
    return [
        {"role": "system", "content": _words()["system"].strip()},
        {"role": "user", "content": text.strip()},
    ]


def payloads(answer: str) -> list[Any]:
    """The entries of an answer to :func:`ask`.

    Raises:
        ValueError: the answer is not the JSON that was asked for.
    """
    entries = _object(answer).get("payloads")
    if not isinstance(entries, list):
        raise ValueError('no list "payloads" in the answer')
    return entries


def sample(entry: Any, label: str, template: str) -> Sample:
    """One entry as a payload; a place or name that cannot be is left open.

    Raises:
        ValueError: there is no value, or it is longer than :data:`MAX_VALUE` bytes.
    """
    value = entry.get("value") if isinstance(entry, dict) else None
    if not isinstance(value, str) or not value.strip():
        raise ValueError("an entry without a value")
    data = value.encode("utf-8", "replace")
    if len(data) > MAX_VALUE:
        raise ValueError(f"longer than {MAX_VALUE} bytes")
    place, name = entry.get("where"), entry.get("param")
    return Sample(
        data,
        label,
        template,
        params=(name,) if isinstance(name, str) and _PARAM.fullmatch(name) else (),
        where=(place,) if place in PLACES else (),
    )


def verdicts(answer: str, count: int) -> list[str]:
    """The classes of an answer to :func:`judge`.

    Raises:
        ValueError: the answer is not ``count`` words in the JSON that was asked for.
    """
    words = _object(answer).get("classes")
    if not isinstance(words, list) or len(words) != count:
        raise ValueError(f'no list "classes" of {count} in the answer')
    return [str(word)[:60] for word in words]


def _object(answer: str) -> dict[str, Any]:
    """The JSON object in an answer, whatever stands around it."""
    found = _OBJECT.search(answer)
    value = loads(found[0].encode("utf-8", "replace"), _LIMITS) if found else None
    if not isinstance(value, dict):
        raise ValueError("no JSON object in the answer")
    return value
