"""Hashed n-gram features of byte strings, computed for a whole batch at once with NumPy.

Three families share one table of ``2**bits`` rows: byte n-grams; token n-grams (a token is a run
of letters, digits and underscores, or one other byte that is not a space); and skeleton n-grams,
in which every word token reads the same, so that only the syntax between the words is seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.uint32]
Offsets = NDArray[np.int64]

_P = np.uint32(0x9E3779B1)
_Q = np.uint32(0x85EBCA6B)
_SHIFT = np.uint32(15)


class Grams(NamedTuple):
    """Which n-grams are taken: lengths per family, and the size of the table as a power of two."""

    bits: int = 17
    chars: tuple[int, ...] = (3, 4, 5)
    tokens: tuple[int, ...] = (1, 2, 3)
    skeleton: tuple[int, ...] = (3, 5)


def _random_table(seed: int) -> NDArray[np.uint32]:
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.integers(1, 2**32, 256, dtype=np.uint32) | np.uint32(1)


_CHAR = _random_table(1)
_PLACE = _random_table(2)
_WORD = np.zeros(256, bool)
_WORD[[*range(48, 58), *range(65, 91), *range(97, 123), 95, 126]] = True
_GAP = np.zeros(256, bool)
_GAP[[0x20, 0x09, 0x0A, 0x0D]] = True


def _mixed(code: NDArray[np.uint32], salt: int, mask: np.uint32) -> Ids:
    code = (code + np.uint32(salt * 0x27D4EB2F & 0xFFFFFFFF)) * _Q
    code ^= code >> _SHIFT
    code *= _P
    return (code ^ (code >> np.uint32(13))) & mask


def _chain(codes: NDArray[np.uint32], owner: NDArray[np.int32], lengths: Sequence[int]):  # type: ignore[no-untyped-def]
    """Yield (n, hashes, owners) of the n-grams over ``codes`` that stay within one owner."""
    rolling, count = codes.copy(), len(codes)
    for n in range(1, max(lengths, default=0) + 1):
        if n > 1:
            if count < n:
                return
            rolling = rolling[:-1] * _P + codes[n - 1 :]
        if n in lengths:
            same = owner[: count - n + 1] == owner[n - 1 :]
            yield n, rolling[same], owner[: count - n + 1][same]


def _tokens(data: NDArray[np.uint8], owner: NDArray[np.int32]):  # type: ignore[no-untyped-def]
    """Token hashes, skeleton codes and owners of a batch of concatenated strings."""
    word = _WORD[data]
    starts = np.ones(len(data), bool)
    starts[1:] = ~(word[1:] & word[:-1]) | (owner[1:] != owner[:-1])
    first = np.flatnonzero(starts)
    number = np.cumsum(starts) - 1
    place = np.arange(len(data)) - first[number]
    codes = np.add.reduceat(_CHAR[data] * _PLACE[place & 255], first, dtype=np.uint32)
    lead = data[first]
    keep = ~_GAP[lead]
    skeleton = np.where(word[first], np.uint32(7), _CHAR[lead])
    return codes[keep], skeleton[keep], owner[first][keep]


def features(strings: Sequence[bytes], grams: Grams) -> tuple[Ids, Offsets]:
    """Feature ids of each string, concatenated, with the start of each string's ids.

    Returns ``(ids, offsets)``: ``ids`` (n_features,) in [0, 2**bits), ``offsets`` (n_strings + 1,).
    A string without features owns an empty range.
    """
    data = np.frombuffer(b"".join(strings), np.uint8)
    sizes = np.fromiter(map(len, strings), np.int64, len(strings))
    if not len(data):
        return np.zeros(0, np.uint32), np.zeros(len(strings) + 1, np.int64)
    owner = np.repeat(np.arange(len(strings), dtype=np.int32), sizes)
    mask = np.uint32((1 << grams.bits) - 1)
    parts: list[Ids] = []
    owners: list[NDArray[np.int32]] = []
    token, shape, token_owner = _tokens(data, owner)
    for salt, codes, who, lengths in (
        (100, _CHAR[data], owner, grams.chars),
        (200, token, token_owner, grams.tokens),
        (300, shape, token_owner, grams.skeleton),
    ):
        for n, hashes, of in _chain(codes, who, lengths):
            parts.append(_mixed(hashes, salt + n, mask))
            owners.append(of)
    if not parts:
        return np.zeros(0, np.uint32), np.zeros(len(strings) + 1, np.int64)
    return _grouped(np.concatenate(parts), np.concatenate(owners), len(strings))


def _grouped(ids: Ids, owner: NDArray[np.int32], count: int) -> tuple[Ids, Offsets]:
    order = np.argsort(owner, kind="stable")
    offsets = np.zeros(count + 1, np.int64)
    np.cumsum(np.bincount(owner, minlength=count), out=offsets[1:])
    return ids[order], offsets
