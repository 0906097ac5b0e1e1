"""The code in a look, and when an instance is close enough to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    table = Prototypes(
        np.eye(3, dtype=np.float32)[:2],
        np.array([0.6, 0.8], np.float32),
        np.array([4, 7]),
        threshold=0.5,
    )
    asked = np.array([[1, 0, 0], [0.6, 0, 0.8], [0.59, 0, 0.8], [0, 0.9, 0.4]], np.float32)
    found = table.matches(asked)
    assert sorted(found) == [0, 1, 3]
    assert [found[i].owner for i in (0, 1, 3)] == [4, 4, 7]
    assert [found[i].score for i in (0, 1, 3)] == pytest.approx([1, 0.5, 0.75], abs=1e-5)
