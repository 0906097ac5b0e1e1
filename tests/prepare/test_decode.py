"""Each decoder, chains of them, and what bounds them."""

import base64
import gzip
import random
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.prepare import decode
from dragoman.prepare.decode import canonical, inflate, readings, views
from dragoman.synth.grammar import generate
from dragoman.synth.mutate import encode_chain


@pytest.mark.parametrize(
    ("step", "given_", "expected"),
    [
        (decode.percent, b"%3Cb%3e %zz 100%", b"<b> %zz 100%"),
        (decode.percent, b"%u003cb%U003E%ud800", b"<b>\xed\xa0\x80"),
        (decode.plus, b"a+b", b"a b"),
        (decode.plus, b"1 + 1", b"1 + 1"),
        (decode.plus, b"PHNjcmlwd+4gYWxl+A==", b"PHNjcmlwd+4gYWxl+A=="),
        (decode.entities, b"&lt;b&gt;&#60;&#x3C&#0000060;", b"<b><<<"),
        (decode.entities, b"&Tab;&nosuchthing; AT&T", b"\t&nosuchthing; AT&T"),
        (decode.escapes, rb"\u003cb\x3e\u{3c}", b"<b><"),
        (decode.escapes, rb"\x3c\n\'", b"<\n'"),
        (decode.escapes, rb"C:\new\table", rb"C:\new\table"),
        (decode.escapes, rb"\u{ffffff}", b"?"),
        (decode.overlong, b"\xc0\xae\xe0\x80\xaf\xf0\x80\x80\xaf", b".//"),
        (decode.overlong, "é€".encode(), "é€".encode()),
        (decode.utf7, b"+ADw-script+AD4-", b"<script>"),
        (decode.utf7, b"+A-", b"+A-"),
        (decode.width, "＜script＞".encode(), b"<script>"),
        (decode.width, b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_one_decoder(step, given_, expected):
    assert step(given_) == expected


@pytest.mark.parametrize(
    ("value", "expected", "chain"),
    [
        (b"%253Cscript%253E", b"<script>", ("percent", "percent")),
        (b"%26lt%3Bb%26gt%3B", b"<b>", ("percent", "entity")),
        (b"%5Cu003cb", b"<b", ("percent", "escape")),
        (b"1%27+or+1", b"1' or 1", ("plus", "percent")),
        (b"..%c0%af..", b"../..", ("percent", "overlong")),
        ("％3Cb".encode(), b"%3Cb", ("full-width",)),
    ],
)
def test_chains_name_their_decoders_in_order(value, expected, chain):
    assert canonical(value) == (expected, chain)


def test_a_plain_value_is_its_own_only_reading():
    assert readings(b"blue running shoes") == [(b"blue running shoes", ())]


def test_depth_is_bounded_and_configured():
    value = b"%3C"
    for _ in range(9):
        value = value.replace(b"%", b"%25")
    assert canonical(value, Limits(decode_depth=3))[1] == ("percent",) * 3
    assert canonical(value, Limits(decode_depth=20))[0] == b"<"


def test_base64_gives_a_second_reading():
    value = base64.b64encode(b"<script>alert(1)</script>")
    assert readings(value)[1] == (b"<script>alert(1)</script>", ("base64",))
    assert readings(value.rstrip(b"="))[1:] == readings(value)[1:]


def test_url_safe_base64():
    data = b"cat /etc/passwd ??>>~~ | id"
    value = base64.urlsafe_b64encode(data)
    assert b"_" in value or b"-" in value
    assert readings(value)[1][0] == data


@pytest.mark.parametrize(
    "value",
    [
        b"d41d8cd98f00b204e9800998ecf8427e",
        base64.b64encode(bytes(range(128, 178))),
        b"averylongplainwordwithoutspaces",
    ],
)
def test_what_is_not_readable_is_not_taken_for_base64(value):
    assert len(readings(value)) == 1


def test_gzip_inside_base64_is_unpacked():
    packed = base64.b64encode(gzip.compress(b"<?php system($_GET['c']); ?> " * 9, mtime=0))
    assert readings(packed)[1][0].startswith(b"<?php system")


def test_nested_base64_is_bounded_by_the_number_of_views():
    value = b"<script>alert(1)</script>"
    for _ in range(9):
        value = base64.b64encode(value)
    assert len(readings(value)) == Limits().decode_views
    assert len(readings(value, Limits(decode_views=2))) == 2
    assert readings(value, Limits(decode_views=20))[-1][0] == b"<script>alert(1)</script>"


def test_a_gzip_bomb_inside_base64_is_bounded():
    packed = base64.b64encode(gzip.compress(b"A b; " * 10_000_000, mtime=0))
    limits = Limits(inflate_bytes=5_000, field_bytes=2_000)
    data, chain = readings(packed, limits)[1]
    assert (len(data), chain) == (2_000, ("base64",))


def test_inflate_reads_gzip_zlib_truncated_data_and_several_members():
    packed = gzip.compress(bytes(range(256)) * 9)
    assert inflate(packed, 10_000) == bytes(range(256)) * 9
    assert inflate(packed[:-12], 10_000).startswith(bytes(range(100)))
    assert inflate(gzip.compress(b"a") + gzip.compress(b"b"), 10) == b"ab"
    assert inflate(gzip.compress(b"a") + b"rubbish", 10) == b"a"
    assert inflate(gzip.compress(b"") * 1000, 10) is None
    assert inflate(packed, 7) == bytes(range(7))
    assert inflate(b"plain", 10) is None


def test_views_are_text_with_the_span_of_their_field():
    view = views(b"%ff%3Cb", 3, 10)[0]
    assert (view.text, view.chain, view.start, view.end) == (r"\xff<b", ("percent",), 3, 10)


ATTACKS = [
    s.payload
    for slug in ("cross-site-scripting", "sql-injection", "command-injection")
    for s in generate(slug, 40, 3)
    if s.kind == "value"
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(ATTACKS), st.integers(0, 10_000))
def test_generated_encodings_are_undone(payload, seed):
    """Whatever `encode_chain` wraps is among the readings, as the bare payload's own one is."""
    bare = canonical(payload)[0]
    assume(len(payload) >= 24 and payload.isascii())  # else it is not taken for base64
    assume(b"+" not in payload)  # read as a space where nothing shows otherwise
    assume(bare == payload)  # a payload that is encoded itself only has deeper chains
    wrapped, chain = encode_chain(payload, random.Random(seed))
    assert bare in [data for data, _ in readings(wrapped)], chain


@settings(max_examples=300, deadline=None)
@given(
    st.binary(max_size=300)
    | st.text(alphabet="%u0\\x+A-&#;=<Zz9/_ é", max_size=200).map(str.encode)
)
def test_any_bytes_decode_within_bounds(value):
    limits = Limits(decode_depth=3, decode_views=3, inflate_bytes=1000, field_bytes=400)
    found = readings(value, limits)
    assert 1 <= len(found) <= 3
    assert all(len(data) <= max(400, 12 * len(value)) for data, _ in found)


UNITS = [
    b"%",
    b"%25",
    b"%u",
    b"%uD800",
    b"+",
    b"+A",
    b"&",
    b"&#x",
    b"&lt",
    b"\\",
    b"\\u00",
    b"\\x",
    b"\xc0",
    b"\xc0\xae",
    b"\xcc\x80\xcc\x96",
    b"\xef\xb7\xba",
    b"A",
    b"YWFh",
    b"=",
    b"-",
]


@pytest.mark.parametrize("unit", UNITS)
def test_a_longest_field_of_anything_takes_linear_time(unit):
    """64 KiB is `limits.field_bytes`; combining marks in disorder once took a second."""
    began = time.process_time()
    readings(unit * (65_536 // len(unit)))
    assert time.process_time() - began < 0.6


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b"1+union+select+password+from+users", b"1 union select password from users"),
        (b"find+/+-name+passwd+-type+f", b"find / -name passwd -type f"),
        (b"3q2+7W3q2+7w3q2+7w3q2+7wAB", b"3q2 7W3q2 7w3q2 7w3q2 7wAB"),  # 26 characters
        (b"3q2+7W3q2+7w3q2+7w3q2+7w", b"3q2+7W3q2+7w3q2+7w3q2+7w"),
    ],
)
def test_words_joined_by_plus_signs_are_not_base64(value, read):
    assert readings(value)[0][0] == read
