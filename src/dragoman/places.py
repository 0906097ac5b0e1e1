"""Place words: the rare words by which a vulnerability's text names product, script, parameter.

A payload's vector says what kind of attack a request is, and on purpose nothing of where it went.
Which of a thousand SQL injections it resembles is told by the place: a request for
``/wp-content/plugins/shop-cart/list.php?cid=`` shares rare words with one text. So known
vulnerabilities are ranked by

    score = 0.5 * cosine + 0.5 * lexical

with the lexical score below. It ranks the texts listed as ``nearest`` and nothing else: whether a
record is a finding, and of which class, rests on the attack and never on these words.

Of each text the ``WORDS`` rarest words are kept as CRC-32 hashes with a weight: about 40 bytes a
text, none of them readable. With relative rarity ``r(w) = log((N + 1) / df(w)) / log(N + 1)``,

    weight(w) = r(w)**2 / norm of the kept r          lexical = min(1, GAIN * sum of weights shared)

which is TF-IDF cosine (Salton and Buckley 1988) without the length of the query, since a request
names many places that no text speaks of. Words in more than ``COMMON`` of the texts are left out.
The numbers were chosen on validation requests that carry a CVE.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .prepare.decode import percent
from .records import Field, Text

WORDS = 8
COMMON = 0.02
GAIN = 1.5
_FEW = 10  # texts that any word may occur in, so that a handful of texts has rare words too
_QUERY = 256  # words of one request that are looked up
_WORD = re.compile(r"[a-z0-9]{2,40}")
_WHOLE = re.compile(
    r"[a-z0-9_][a-z0-9_.-]{0,60}\.(?:php|aspx?|jspx?|cgi|do|action|pl|html?|cfm|py|js)\b"
    r"|[a-z0-9]{1,40}(?:[_-][a-z0-9]{1,40}){1,6}"
)
_PLAIN = re.compile(rb"[A-Za-z0-9_.:/-]{3,60}")
_NAMED = {"query", "form", "json", "part", "cookie"}

Arrays = dict[str, NDArray[Any]]


def build(texts: Sequence[Text], shipped: Places | None = None) -> Arrays:
    """Place words of texts, one row each in the order given.

    ``offsets`` (n + 1,) uint32 delimit the rows of ``words`` (m,) uint32 and ``weights`` (m,)
    uint8; ``common`` are the hashes left out. With ``shipped``, rarity is that among its texts.
    """
    bags = [sorted(set(map(_hash, words(f"{t.title} {t.body}")))) for t in texts]
    if shipped and shipped.n:
        n, common, df = shipped.n, set(shipped.common.tolist()), shipped.frequency(bags)
    else:
        n, df = len(bags), Counter(word for bag in bags for word in bag)
        common = {word for word, count in df.items() if count > max(_FEW, COMMON * n)}
    offsets, kept, weights = [0], list[int](), list[float]()
    for bag in bags:
        rarity = {w: math.log((n + 1) / df[w]) / math.log(n + 1) for w in bag if w not in common}
        rarest = sorted(rarity, key=lambda w: (-rarity[w], w))[:WORDS]
        norm = math.sqrt(sum(rarity[w] ** 2 for w in rarest)) or 1.0
        kept += rarest
        weights += [rarity[w] ** 2 / norm for w in rarest]
        offsets.append(len(kept))
    return {
        "offsets": np.array(offsets, np.uint32),
        "words": np.array(kept, np.uint32),
        "weights": np.rint(255 * np.array(weights)).astype(np.uint8),
        "common": np.array(sorted(common), np.uint32),
    }


class Places:
    """Looks place words up in what :func:`build` made.

    ``at`` (n,) is where the score of each row goes among ``size`` scores; a row at -1 has none.
    """

    def __init__(
        self, arrays: Arrays, at: NDArray[np.intp] | None = None, size: int | None = None
    ) -> None:
        offsets: NDArray[np.int64] = arrays["offsets"].astype(np.int64)
        counts = offsets[1:] - offsets[:-1]
        order = np.argsort(arrays["words"], kind="stable")
        self.n = len(counts)
        self.size = self.n if size is None else size
        at = np.arange(self.n) if at is None else at
        self.common: NDArray[np.uint32] = arrays["common"]
        self._words: NDArray[np.uint32] = arrays["words"][order]
        self._rows = np.repeat(np.where(at < 0, self.size, at), counts)[order]
        self._weights = arrays["weights"][order].astype(np.float32) / 255

    def scores(self, asked: Iterable[str]) -> NDArray[np.float32]:
        """Lexical scores in [0, 1], shape (size,), for the words of one request."""
        hashes = np.unique(np.fromiter(map(_hash, asked), np.uint32))
        begins = np.searchsorted(self._words, hashes, "left")
        ends = np.searchsorted(self._words, hashes, "right")
        out = np.zeros(self.size + 1, np.float32)
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            if begin < end:
                out[self._rows[begin:end]] += self._weights[begin:end]
        return np.asarray(np.minimum(GAIN * out[:-1], 1), np.float32)

    def frequency(self, bags: Iterable[Iterable[int]]) -> dict[int, int]:
        """How many rows keep each word, the bags' own text counted as one more."""
        asked = np.array(sorted({word for bag in bags for word in bag}), np.uint32)
        held = np.searchsorted(self._words, asked, "right") - np.searchsorted(self._words, asked)
        return {w: min(c + 1, self.n) for w, c in zip(asked.tolist(), held.tolist(), strict=True)}


def words(text: str) -> Iterator[str]:
    """Words of a text in lower case, and whole the names of scripts and what hyphens join."""
    text = text.lower()
    yield from (word for word in _WORD.findall(text) if not word.isdigit())
    yield from _WHOLE.findall(text)


def asked(fields: Iterable[Field]) -> list[str]:
    """The place words of a request: of its path, its names, and values that are plain names.

    At most ``_QUERY`` distinct ones, in order. Values of headers, the host among them, say nothing.
    """
    out: dict[str, None] = {}
    for field in fields:
        kind, _, name = field.name.partition(":")
        if field.name == "path":
            out.update(dict.fromkeys(words(percent(field.value).decode("latin-1"))))
        elif name and kind in _NAMED:
            out.update(dict.fromkeys(words(percent(name.encode("latin-1")).decode("latin-1"))))
            if _PLAIN.fullmatch(field.value):
                out.update(dict.fromkeys(words(field.value.decode("latin-1"))))
        elif name and kind == "header":
            out[name] = None
        if len(out) > _QUERY:
            break
    return list(out)[:_QUERY]


def _hash(word: str) -> int:
    return zlib.crc32(word.encode("utf-8"))
