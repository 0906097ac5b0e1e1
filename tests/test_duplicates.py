"""When two payloads are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.duplicates import core, decoded, fold_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1' OR 17=17", "1'+or+8=8"),
        ("%3Cscript%3E", "&lt;SCRIPT&gt;"),
        ("%253Cb%253E", "<b>"),
        ("a \t b\n", "a b"),
        (b"\xff%41", b"\xffa"),
    ],
)
def test_the_same(one, other):
    assert fold_key(one) == fold_key(other)


def test_not_the_same():
    assert fold_key("<b>") != fold_key("<i>")


def test_of_a_request_host_and_headers_do_not_count():
    one = b"GET http://a.example/x?q=1 HTTP/1.1\r\nHost: a.example\r\n\r\n"
    other = b"GET /x?q=22 HTTP/1.0\nHost: b.example\nCookie: a=b\n\n"
    assert fold_key(one, "http") == fold_key(other, "http")
    assert fold_key(one, "http") != fold_key(one.replace(b"GET", b"PUT"), "http")
    assert core(b"POST /x HTTP/1.1\r\nHost: a\r\n\r\nbody") == b"POST /x body"


@given(st.binary(max_size=300), st.sampled_from(["http", "value"]))
def test_any_bytes_have_a_key(data, kind):
    key = fold_key(data, kind)
    assert key == " ".join(key.split())


@given(st.text(max_size=200))
def test_decoding_is_bounded(text):
    assert decoded(text, rounds=0).lower() == decoded(text, rounds=0)
