"""The user's own intelligence, kept on disk as an index whose entries hold the whole texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from ..index import Index
from ..records import Text


class Store:
    """Texts a user added, with their vectors. Every change is one atomic save of the index.

    Raises:
        IntelError: from any method, if the store is damaged or belongs to another model.
    """

    def __init__(self, directory: str | Path) -> None:
        self.path = Path(directory)

    def add(self, texts: Sequence[Text], vectors: NDArray[Any], model: str) -> None:
        """Add texts with their vectors (n, d); a text whose id is known is replaced."""
        new = Index.build(texts, vectors, model)
        old = self.index(model)
        (old.merge(new) if old else new).save(self.path)

    def texts(self) -> list[Text]:
        """All texts in order of id, whichever model encoded them."""
        index = self._load(None)
        return index.texts() if index else []

    def remove(self, ids: Iterable[str]) -> int:
        """Remove these ids, in which ``*`` stands for anything; returns how many there were."""
        index = self._load(None)
        if index is None:
            return 0
        parts = (".*".join(map(re.escape, i.split("*"))) for i in ids)
        asked = re.compile("|".join(f"(?:{part})" for part in parts), re.S)
        rest = index.without(i for i in index.ids if asked.fullmatch(i))
        rest.save(self.path)
        return len(index) - len(rest)

    def replace(self, texts: Sequence[Text], vectors: NDArray[Any], model: str) -> None:
        """Put these texts in place of all others, e.g. ``texts()`` encoded by a new model."""
        Index.build(texts, vectors, model).save(self.path)

    def index(self, model: str) -> Index | None:
        """The vectors made by ``model``; None if nothing was ever added."""
        return self._load(model)

    @property
    def version(self) -> str:
        """Twelve hex digits that change exactly when the texts do; ``none`` if none were added."""
        index = self._load(None)
        return index.version if index else "none"

    def _load(self, model: str | None) -> Index | None:
        if not (self.path / "index.json").exists():
            return None
        return Index.load(self.path, model=model)
