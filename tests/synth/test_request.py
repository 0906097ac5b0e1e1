"""Requests around values: the value comes back out of every place with standard library parsers."""

import email
import html
import json
import random
from email.policy import HTTP
from urllib.parse import unquote_to_bytes

import pytest
from defusedxml import ElementTree
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.synth import grammar
from dragoman.synth.request import PLACES, benign_request, complete, embed, wrap

OURS = (
    "benign",
    "code-injection",
    "crlf-injection",
    "file-upload",
    "unsafe-deserialization",
    "xml-external-entity",
)
ROUNDS = 40


def parse(request):
    """Start line, header pairs and body of a request."""
    head, _, body = request.partition(b"\r\n\r\n")
    start, *lines = head.split(b"\r\n")
    headers = [tuple(part.strip() for part in line.split(b":", 1)) for line in lines]
    return start, headers, body


def header(headers, name):
    return [pair[-1] for pair in headers if pair[0].lower() == name.lower()]


def pairs(text):
    """The decoded values of a query string or form, by name."""
    split = (pair.partition(b"=") for pair in text.split(b"&"))
    return {unplus(name): unplus(value) for name, _, value in split}


def unplus(text):
    return unquote_to_bytes(text.replace(b"+", b" "))


def leaves(node):
    if isinstance(node, dict):
        return [leaf for key in node for leaf in leaves(node[key])]
    return [leaf for item in node for leaf in leaves(item)] if isinstance(node, list) else [node]


def found(request, where, name):
    """The bytes a server would read under ``name`` at ``where``."""
    start, headers, body = parse(request)
    target = start.split(b" ", 1)[1].rsplit(b" ", 1)[0]
    if where == "query":
        return pairs(target.split(b"?", 1)[1])[name.encode()]
    if where == "form":
        return pairs(body)[name.encode()]
    if where == "path":
        return unquote_to_bytes(target)
    if where == "header":
        return header(headers, name.encode())[-1]
    if where == "cookie":
        cookies = header(headers, b"cookie")[0].split(b"; ")
        return next(c.split(b"=", 1)[1] for c in cookies if c.startswith(name.encode() + b"="))
    if where == "json":
        return json.loads(body)
    if where == "xml":
        return [node.text or "" for node in ElementTree.fromstring(body).findall(f".//{{*}}{name}")]
    kind = header(headers, b"content-type")[0]
    message = email.message_from_bytes(b"Content-Type: " + kind + b"\r\n\r\n" + body, policy=HTTP)
    parts = {
        p.get_param("name", header="content-disposition"): p.get_payload(decode=True)
        for p in message.iter_parts()
    }
    return parts[name]


VALUES = [
    b"plain",
    b"two words",
    b'O\'Brien & "sons" <b>; a=b#c?d',
    "Größe 12½ 漢字 😀".encode(),
    b"{{7*7}}",
    b"a/../b\\c|d`e^f",
    b"1+1=2",
    b"x]]>y&amp;z",
]


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("where", PLACES)
def test_the_value_is_found_again(where, value):
    for seed in range(ROUNDS):
        request = wrap(value, random.Random(seed), where=where, param="zq9")
        read = found(request, where, "zq9")
        if where == "path":
            assert value in read
        elif where == "cookie":
            assert value in (read, unquote_to_bytes(read))
        elif where == "json":
            assert value.decode() in leaves(read)
        elif where == "xml":
            assert read == [value.decode()]
        else:
            assert read == value


@pytest.mark.parametrize("where", ["query", "form", "path", "header"])
def test_escapes_are_not_escaped_again(where):
    value = b"a%0d%0aSet-Cookie:%20b=1"
    for seed in range(ROUNDS):
        request = wrap(value, random.Random(seed), where=where, param="zq9")
        if where == "header":
            assert found(request, where, "zq9") == value
        else:
            assert unquote_to_bytes(value) in found(request, where, "zq9")


def test_controls_cannot_end_a_header():
    value = b"x\r\nEvil: 1"
    for where in ("header", "cookie"):
        request = wrap(value, random.Random(1), where=where, param="zq9")
        _, headers, _ = parse(request)
        assert not header(headers, b"evil")
        assert unquote_to_bytes(found(request, where, "zq9")) == value


def test_binary_survives_in_a_multipart_file():
    value = bytes(range(1, 9)) + b"\xff\xd8\x00\xfe"
    for seed in range(ROUNDS):
        request = wrap(value, random.Random(seed), where="multipart", param="zq9")
        assert b'filename="' in request
        assert value in request


def test_a_json_document_is_mostly_the_body():
    value = b'{"@type":"x.Y","n":1}'
    bodies = [
        parse(wrap(value, random.Random(s), where="json", param="p"))[2] for s in range(ROUNDS)
    ]
    assert ROUNDS / 2 < sum(body == value for body in bodies) < ROUNDS
    assert all(value.decode() in leaves(json.loads(b)) for b in bodies if b != value)


def test_an_xml_document_is_the_body_and_html_is_not():
    document = b"<?xml version='1.0'?><a/>"
    assert parse(wrap(document, random.Random(1), where="xml", param="p"))[2] == document
    body = parse(wrap(b"<script>1</script>", random.Random(1), where="xml", param="p"))[2]
    assert "<script>1</script>" in html.unescape(body.decode())
    assert ElementTree.fromstring(body) is not None


def test_an_empty_name_makes_the_value_the_whole():
    value = b"a[0]=x y&b=1"
    start, _, _ = parse(wrap(value, random.Random(1), where="query", param=""))
    assert start.split(b"?", 1)[1].startswith(b"a[0]=x%20y&b=1 ")
    assert parse(wrap(value, random.Random(1), where="form", param=""))[2] == b"a[0]=x%20y&b=1"


def test_a_multipart_part_is_taken_as_it_is():
    part = b'Content-Disposition: form-data; name="zq9"; filename="a.php"\nX: 1\n\nhello\nworld'
    request = wrap(part, random.Random(1), where="multipart", param="ignored")
    assert found(request, "multipart", "zq9") == b"hello\nworld"
    assert b"ignored" not in request


def test_unknown_place():
    with pytest.raises(ValueError, match="known: query, form"):
        wrap(b"x", random.Random(1), where="nowhere")


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(PLACES), st.integers(0, 2**32))
def test_any_bytes_make_a_sound_request(value, where, seed):
    request = wrap(value, random.Random(seed), where=where)
    assert request == wrap(value, random.Random(seed), where=where)
    check(request)


def check(request):
    """One start line, sound header lines, at least a host or none at all, the right length."""
    start, headers, body = parse(request)
    assert len(start.split(b" ")) == 3
    assert all(len(pair) == 2 and pair[0] for pair in headers)
    assert len(header(headers, b"host")) <= 1
    lengths = header(headers, b"content-length")
    assert [int(n) for n in lengths] == ([len(body)] if body or lengths else [])


@pytest.mark.parametrize("slug", OURS)
def test_every_template_expands_and_embeds(slug):
    rules = grammar.load(slug)
    wanted = 120 if slug == "benign" else 60 if slug in ("code-injection",) else 30
    assert len(rules.templates) >= wanted
    for name, rule in rules.templates.items():
        assert set(rule.where) <= set(PLACES)
        assert not any("«" in param for param in rule.params)
        for seed in range(3):
            sample = rules.expand(name, random.Random(f"{name}{seed}"))
            assert sample.payload
            assert "«".encode() not in sample.payload
            request = embed(sample, random.Random(seed))
            assert request == embed(sample, random.Random(seed))
            if rule.kind == "value":
                check(request)


@pytest.mark.parametrize("slug", OURS)
def test_requests_of_templates_get_a_length(slug):
    rules = grammar.load(slug)
    for name in (t.id for t in rules.templates.values() if t.kind == "http"):
        sample = rules.expand(name, random.Random(name))
        request = complete(sample.payload, random.Random(1))
        _, own, body = parse(sample.payload)
        _, headers, sent = parse(request)
        assert sent == body
        assert all(pair in headers for pair in own if len(pair) == 2)
        declared = header(own, b"content-length") or header(own, b"transfer-encoding")
        if body and not declared and b"Transfer" not in sample.payload.split(b"\r\n\r\n")[0]:
            assert header(headers, b"content-length") == [str(len(body)).encode()]


def test_benign_requests_are_sound_varied_and_repeatable():
    requests = [benign_request(random.Random(seed)) for seed in range(300)]
    assert requests == [benign_request(random.Random(seed)) for seed in range(300)]
    assert len(set(requests)) == 300
    agents = {agent for r in requests for agent in header(parse(r)[1], b"user-agent")}
    assert len(agents) > 100
    assert {r.split(b" ")[0] for r in requests} >= {b"GET", b"POST", b"PUT"}
