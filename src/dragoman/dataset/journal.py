"""Answers that were paid for, kept: one JSON line each, appended as they come."""

from __future__ import annotations

import hashlib
import json
import threading
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import SourceError


class Answer(NamedTuple):
    """What the model said, and the tokens that were counted for it."""

    text: str
    tokens_in: int
    tokens_out: int


def key_of(request: dict[str, Any]) -> str:
    """SHA-256 of a request: the same request is never sent twice."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class Journal:
    """An append-only file of answers by request. A line cut off by a kill is passed over.

    Raises:
        SourceError: the file cannot be read or written.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, threading.Lock()
        self._answers: dict[str, Answer] = {}
        try:
            lines = path.read_bytes().split(b"\n") if path.exists() else []
        except OSError as err:
            raise SourceError(f"cannot read: {err.strerror}", where=str(path)) from err
        self._torn = bool(lines) and lines[-1] != b""
        for line in lines:
            self._learn(line)

    def _learn(self, line: bytes) -> None:
        try:
            row = json.loads(line)
            self._answers[row["key"]] = Answer(
                str(row["answer"]), int(row["tokens_in"]), int(row["tokens_out"])
            )
        except (ValueError, KeyError, TypeError, RecursionError):
            return

    def __len__(self) -> int:
        return len(self._answers)

    def get(self, key: str) -> Answer | None:
        return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> None:
        """Keep an answer; it is in the file when this returns. May be called from any thread."""
        row = {
            "key": key,
            "answer": answer.text,
            "tokens_in": answer.tokens_in,
            "tokens_out": answer.tokens_out,
        }
        with self._lock:
            try:
                with self._path.open("ab") as file:
                    file.write(b"\n" * self._torn + json.dumps(row).encode() + b"\n")
            except OSError as err:
                raise SourceError(f"cannot write: {err.strerror}", where=str(self._path)) from err
            self._torn = False
            self._answers[key] = answer
