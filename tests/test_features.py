"""Hashed n-grams: a batch reads as its strings do one by one, and ids stay in the table."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.features import Grams, features

GRAMS = Grams(bits=14)


def bags(strings, grams=GRAMS):
    """The ids of each string, sorted: their order within a string has no meaning."""
    ids, offsets = features(strings, grams)
    assert len(offsets) == len(strings) + 1
    assert offsets[0] == 0
    assert offsets[-1] == len(ids)
    return [sorted(ids[a:b].tolist()) for a, b in itertools.pairwise(offsets)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=8))
def test_a_batch_equals_its_strings_one_by_one(strings):
    """So no n-gram crosses from one string into the next."""
    assert bags(strings) == [bags([s])[0] for s in strings]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.integers(4, 20))
def test_ids_lie_in_the_table(strings, bits):
    ids, _ = features(strings, Grams(bits=bits))
    assert ids.dtype == np.uint32
    assert not len(ids) or int(ids.max()) < 1 << bits


@pytest.mark.parametrize("strings", [[], [b""], [b"", b""]])
def test_nothing_has_no_features(strings):
    ids, offsets = features(strings, GRAMS)
    assert len(ids) == 0
    assert offsets.tolist() == [0] * (len(strings) + 1)


def test_empty_strings_own_empty_ranges():
    assert bags([b"", b"select 1", b"", b"<b>", b""]) == [
        [],
        bags([b"select 1"])[0],
        [],
        bags([b"<b>"])[0],
        [],
    ]


def test_the_count_of_each_family():
    text = b"id=1 or a"  # 9 bytes; tokens: id = 1 or a
    assert len(bags([text], Grams(14, (3, 4), (), ()))[0]) == 7 + 6
    assert len(bags([text], Grams(14, (), (1, 2, 3), ()))[0]) == 5 + 4 + 3
    assert len(bags([text], Grams(14, (), (), (3, 5)))[0]) == 3 + 1
    assert bags([text], Grams(14, (), (), ())) == [[]]


def test_a_skeleton_sees_only_the_syntax():
    grams = Grams(14, (), (), (3, 5))
    assert bags([b"name='x' or y"], grams) == bags([b"id = 'abc'  or zz"], grams)
    assert bags([b"name='x' or y"], grams) != bags([b"name=(x) or y"], grams)


def test_tokens_do_not_depend_on_the_space_between_them():
    grams = Grams(14, (), (1, 2, 3), ())
    assert bags([b"union select"], grams) == bags([b"union \t\r\n select"], grams)
    assert bags([b"union select"], grams) != bags([b"unionselect"], grams)


def test_the_hash_never_changes():
    """A trained table is tied to these numbers: a change breaks every bundle."""
    ids, _ = features([b"<script>alert(0)</script>"], Grams())
    assert (len(ids), int(ids.astype(np.int64).sum()), ids[:4].tolist()) == EXPECTED


EXPECTED = (112, 7_490_400, [66_070, 82_872, 45_622, 99_869])
