"""The code in a look, and when an instance is close enough to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.features import Grams, features
from dragoman.prototypes import Prototypes, fragments


@pytest.mark.parametrize(
    ("look", "code"),
    [
        ("dropping it: `~>drop{x};;` or `~>x[]`", ["~>drop{x};;", "~>x[]"]),
        ("~>drop{x};;", ["~>drop{x};"]),
        ("a tag <b onx=1> in it", ["a tag <b onx=1> in it", "<b onx=1>"]),
        ("the text 'a=b{c}' quoted", ["the text 'a=b{c}' quoted", "a=b{c}", "'a=b{c}'"]),
        ("plain words, the user's own: nothing else.", []),
        ("", []),
    ],
)
def test_fragments(look, code):
    assert [c.rstrip(";") for c in fragments(look)] == [c.rstrip(";") for c in code]


@given(st.text(max_size=400))
def test_fragments_of_anything_are_parts_of_it(look):
    words = " ".join(look.split())
    assert all(" ".join(part.split()) in words for part in fragments(look))


def test_a_match_is_scored_from_the_threshold_to_one():
    grams = Grams()
    theirs = np.unique(features([b"~>drop{ledger};;~>commit[]"], grams)[0])
    common = np.unique(features([b"select name from users"], grams)[0])
    table = Prototypes({4: theirs}, common, grams, threshold=0.5)
    found = table.matches(
        [
            b"~>drop{ledger};;~>commit[]",
            b"x~>drop{ledger};; and more of other things",
            b"a plain text",
        ]
    )
    assert sorted(found) == [0, 1]
    assert [found[i].owner for i in (0, 1)] == [4, 4]
    assert found[0].score == pytest.approx(1)
    assert 0.5 <= found[1].score < 1
