"""Requests split into fields: every kind of part, exact spans, and hostile input."""

import gzip
import time
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.prepare.fields import Split, split
from dragoman.records import Payload, Where

HERE = Where("test")


def parts(data: bytes, kind="http", limits=Limits()) -> Split:  # noqa: B008
    return split(Payload("1", data, kind, HERE), limits)


def values(data: bytes, kind="http") -> dict[str, bytes]:
    return {f.name: f.value for f in parts(data, kind).fields}


def request(target="/", headers="", body=b"", method="GET") -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: example.com\r\n{headers}\r\n".encode() + body


def test_query_parameters_and_the_query_as_a_whole():
    found = values(request("/shop?id=1'&name=blue&flag"))
    assert found["query:id"] == b"1'"
    assert found["query:name"] == b"blue"
    assert found["query-name"] == b"flag"
    assert found["query"] == b"id=1'&name=blue&flag"
    assert found["path"] == b"/shop"


def test_a_plain_query_is_not_repeated_as_a_whole():
    assert "query" not in values(request("/shop?id=1&name=blue"))


def test_odd_parameter_names_are_fields():
    found = values(request("/?user[$ne]=1"))
    assert found["query-name"] == b"user[$ne]"


def test_segments_that_hold_more_than_a_name():
    found = values(request("/shop/<script>/end"))
    assert found["path:2"] == b"<script>"
    assert "path:1" not in found


def test_an_absolute_target_is_read_without_its_origin():
    assert values(request("http://example.com/a/b?x=1"))["path"] == b"/a/b"


def test_a_target_with_spaces_and_one_without_a_version():
    assert values(b"GET /a b/c HTTP/1.1\r\n\r\n")["path"] == b"/a b/c"
    assert values(b"GET /a?q=1 or 1=1")["query:q"] == b"1 or 1=1"


def test_headers_cookies_and_folded_lines():
    headers = "Referer: https://example.net/\r\nCookie: sid=a1; theme=dark\r\n\t folded tail\r\n"
    found = values(request(headers=headers))
    assert found["header:referer"] == b"https://example.net/"
    assert (found["cookie:sid"], found["cookie:theme"]) == (b"a1", b"dark")
    assert found["header"] == b"folded tail"


def test_an_odd_header_name_is_a_field():
    assert values(request(headers="${jndi:x}: 1\r\n"))["header-name"] == b"${jndi"


def test_form_fields():
    kind = "Content-Type: application/x-www-form-urlencoded\r\n"
    found = values(request("/", kind, b"user=jane&pw=%27--", "POST"))
    assert found["form:user"] == b"jane"
    assert found["form:pw"] == b"%27--"
    assert "body" not in found


def test_json_leaves_follow_their_keys():
    kind = "Content-Type: application/json\r\n"
    found = values(request("/", kind, b'{"a": {"cmd": "; id"}, "n": "plain"}', "POST"))
    assert found["json:cmd"] == b"; id"
    assert "json:n" not in found
    assert found["body"].startswith(b"{")


def test_xml_text_and_attributes():
    body = b'<?xml version="1.0"?><a b="1\'--"><c>x; id</c></a>'
    read = parts(request("/", "Content-Type: text/xml\r\n", body, "POST")).fields
    assert {f.value for f in read if f.name == "xml"} >= {b"x; id", b"1'--"}
    assert read[-1].name == "body"


def test_multipart_parts_and_files():
    body = (
        b'--X\r\nContent-Disposition: form-data; name="note"\r\n\r\n<b>hi\r\n'
        b'--X\r\nContent-Disposition: form-data; name="f"; filename="a.php"\r\n'
        b"Content-Type: image/png\r\n\r\n<?php phpinfo();\r\n--X--\r\n"
    )
    found = values(request("/", "Content-Type: multipart/form-data; boundary=X\r\n", body, "POST"))
    assert found["part:note"] == b"<b>hi"
    assert b'filename="a.php"' in found["file:f"]
    assert found["file:f"].endswith(b"phpinfo();")


def test_multipart_without_an_end_or_a_boundary():
    body = b'--X\r\nContent-Disposition: form-data; name="note"\r\n\r\n<b>hi'
    assert values(request("/", "Content-Type: multipart/form-data\r\n", body))["part:note"]
    plain = values(request("/", "Content-Type: multipart/form-data\r\n", b"no parts; at all"))
    assert plain["body"] == b"no parts; at all"


def test_an_upload_by_put_is_read_with_its_target():
    found = values(request("/a.jsp", body=b"<% code %>", method="PUT"))
    assert found["file"] == b"/a.jsp\n<% code %>"


@pytest.mark.parametrize("pack", [gzip.compress, zlib.compress])
def test_compressed_bodies_are_read(pack):
    headers = "Content-Encoding: gzip\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    data = request("/", headers, pack(b"q=<script>&r=1"), "POST")
    found = parts(data)
    assert found.covered
    field = next(f for f in found.fields if f.name == "form:q")
    assert (field.value, field.end) == (b"<script>", len(data))


def test_every_member_of_a_gzip_body_is_read():
    body = gzip.compress(b"q=") + gzip.compress(b"<script>")
    headers = "Content-Encoding: gzip\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    assert values(request("/", headers, body, "POST"))["form:q"] == b"<script>"


@pytest.mark.parametrize(
    ("encoding", "body"),
    [("br", b"\x0b\x02"), ("gzip", b"not gzip"), ("gzip, gzip", gzip.compress(b"a"))],
)
def test_a_body_that_cannot_be_unpacked_is_not_covered(encoding, body):
    assert not parts(request("/", f"Content-Encoding: {encoding}\r\n", body, "POST")).covered


def test_a_gzip_bomb_stops_at_the_limit():
    limits = Limits(inflate_bytes=10_000)
    bomb = gzip.compress(bytes(50 << 20))
    found = parts(request("/", "Content-Encoding: gzip\r\n", bomb, "POST"), limits=limits)
    assert not found.covered
    assert sum(len(f.value) for f in found.fields if f.name == "body") <= 10_000


def test_a_value_that_looks_like_a_query_is_also_split():
    found = values(b"/index.php?id=1'&x=2", "value")
    assert found["value"] == b"/index.php?id=1'&x=2"
    assert found["query:id"] == b"1'"


def test_what_is_no_request_is_a_value():
    assert values(b"\x00\x01 nothing like HTTP")["value"] == b"\x00\x01 nothing like HTTP"


# -- limits: what is cut is said to be not covered ---------------------------------------------

MULTI = "Content-Type: multipart/form-data; boundary=X\r\n"
PART = b'--X\r\nContent-Disposition: form-data; name="a"\r\n\r\n;id\r\n'


@pytest.mark.parametrize(
    "data",
    [
        request("/?" + "&".join(f"a{i}=;{i}" for i in range(50))),
        request("/" + "/".join("<b>" for _ in range(50))),
        request(headers="".join(f"X-{i}: ;{i}\r\n" for i in range(50))),
        request(headers="Cookie: " + "; ".join(f"a{i}=<{i}" for i in range(50)) + "\r\n"),
        request("/", "Content-Type: application/json\r\n", b'["<id>",' * 50, "POST"),
        request("/", "Content-Type: text/xml\r\n", b"<a>;id;</a>" * 50, "POST"),
        request("/", MULTI, PART * 50, "POST"),
    ],
    ids=["query", "path", "headers", "cookies", "json", "xml", "multipart"],
)
def test_too_many_fields_are_cut_and_not_covered(data):
    found = parts(data, limits=Limits(fields=20))
    assert len(found.fields) == 20
    assert not found.covered
    assert parts(data, limits=Limits(fields=200)).covered


def test_a_long_field_is_cut_and_not_covered():
    found = parts(request("/?q=" + "a" * 500), limits=Limits(field_bytes=100))
    assert not found.covered
    assert max(len(f.value) for f in found.fields) == 100


# -- hostile input -------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        b"GET ",
        b"/",
        b"?",
        b"a=",
        b"&",
        b"\r\n",
        b"\r\n\r\n",
        b"Cookie: ",
        b"Content-Type: ",
        b"; ",
        b"multipart/form-data; boundary=X",
        b"--X",
        b'"',
        b"\\",
        b"{",
        b"<a ",
        b"=",
        b">",
        b" HTTP/1.1",
        b"Content-Disposition: form-data; name=",
        b"Content-Encoding: gzip\r\n",
        b"%27",
        b"\xff",
        b"\0",
    ]
)
HOSTILE = st.one_of(
    st.binary(max_size=400),
    st.lists(PIECES | st.binary(max_size=6), max_size=40).map(b"".join),
    st.lists(PIECES, max_size=30).map(lambda p: b"POST / HTTP/1.1\r\n" + b"".join(p)),
)


@settings(max_examples=300, deadline=None)
@given(HOSTILE, st.sampled_from(["http", "value"]), st.integers(1, 30), st.integers(1, 200))
def test_any_bytes_split_within_limits_and_with_true_spans(data, kind, fields, longest):
    limits = Limits(fields=fields, field_bytes=longest, inflate_bytes=500)
    found = parts(data, kind, limits)
    assert len(found.fields) <= fields
    for f in found.fields:
        assert 0 <= f.start <= f.end <= len(data)
        assert len(f.value) <= longest
        packed = b"content-encoding" in data.lower()
        composed = f.name == "file"  # an upload stands with its target before it
        assert packed or composed or data[f.start : f.end].startswith(f.value)


UNITS = [
    b"%/",
    b"&",
    b"=",
    b'"\\"',
    b'<a ="',
    b" ",
    b"a=b;",
    b"\r\n",
    b"--X",
    b"[",
    b"=\"'",
    b">a",
    b"A:b\n",
    b"?a&",
    b"/..",
    b'{"a":',
    b"\\",
]
HEADS = {
    "target": b"GET /",
    "query": b"GET /?",
    "headers": b"GET / HTTP/1.1\r\n",
    "cookies": b"GET / HTTP/1.1\r\nCookie: ",
    "body": b"POST / HTTP/1.1\r\n\r\n",
    "json": b"POST / HTTP/1.1\r\nContent-Type: application/json\r\n\r\n",
    "xml": b"POST / HTTP/1.1\r\nContent-Type: text/xml\r\n\r\n",
    "multipart": b"POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=X\r\n\r\n",
}


@pytest.mark.parametrize("place", HEADS)
def test_a_megabyte_of_anything_takes_linear_time(place):
    """An algorithm that is quadratic would take minutes for one of these units."""
    head = HEADS[place]
    for unit in UNITS:
        data = head + unit * (1_000_000 // len(unit))
        began = time.process_time()
        found = parts(data)
        assert time.process_time() - began < 5, unit
        assert len(found.fields) <= Limits().fields


def test_chunks_are_joined_and_kept_as_they_came():
    kind = "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n"
    body = b"7\r\nq=1' un\r\n8;x=y\r\nion sele\r\n4\r\nct 2\r\n0\r\n\r\n"
    found = split(Payload("1", request("/", kind, body, "POST"), "http", HERE)).fields
    joined = [f for f in found if f.value == b"1' union select 2"]
    assert [f.name for f in joined] == ["form:q"]
    data = request("/", kind, body, "POST")
    assert data[joined[0].start : joined[0].end] == body
    assert any(b"un\r\n8;x=y" in f.value for f in found)


@pytest.mark.parametrize("body", [b"", b"zz\r\n", b"5\r\nabc", b"ffffffff\r\na=b", b"1\na\n"])
def test_broken_chunks_do_no_harm(body):
    kind = "Transfer-Encoding: chunked\r\n"
    split(Payload("1", request("/", kind, body, "POST"), "http", HERE))


def test_cdata_is_a_field_of_its_own():
    kind = "Content-Type: text/xml\r\n"
    body = b"<a><b><![CDATA[1' or ']]' = ']]']]></b><c><![CDATA[<script>]]></c><d><![CDATA[cut off"
    found = [
        f.value for f in split(Payload("1", request("/", kind, body, "POST"), "http", HERE)).fields
    ]
    assert [v for v in found if v in (b"1' or ']]' = ']]'", b"<script>", b"cut off")] == [
        b"1' or ']]' = ']]'",
        b"<script>",
        b"cut off",
    ]


def test_many_open_cdata_sections_cost_linear_time():
    def cost(n):
        data = request("/", "Content-Type: text/xml\r\n", b"<![CDATA[" * n, "POST")
        begin = time.process_time()
        split(Payload("1", data, "http", HERE))
        return time.process_time() - begin

    assert cost(40_000) < 40 * max(cost(4_000), 1e-3)
