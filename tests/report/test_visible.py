import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.report.visible import visible

ANY = st.text(st.characters(exclude_categories=()))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain <b>", "plain <b>"),
        ("a\r\n\tb", "a\\r\\n\\tb"),
        ("\x00\x1b[31m\x7f\x9b", "\\x00\\x1b[31m\\x7f\\x9b"),
        ("exe\u202etxt\u200b", "exe\\u202etxt\\u200b"),
        ("\ud800\U000e0041", "\\ud800\\U000e0041"),
        ("Käse 日本 \u00a0", "Käse 日本 \\xa0"),
    ],
)
def test_odd_characters_become_escapes(text, shown):
    assert visible(text) == shown


def test_limit_cuts_with_an_ellipsis():
    assert visible("x" * 50, 10) == "x" * 9 + "…"
    assert visible("x" * 10, 10) == "x" * 10


@given(ANY)
def test_result_is_one_line_of_printable_text(text):
    shown = visible(text)
    shown.encode("utf-8")
    assert all(char == " " or unicodedata.category(char)[0] not in "CZ" for char in shown)


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E)))
def test_printable_ascii_stays(text):
    assert visible(text) == text
