import base64
import random
import re
from importlib import resources
from urllib.parse import unquote

import pytest

from dragoman.errors import UsageError
from dragoman.synth import Sample, classes, generate, load
from dragoman.synth.grammar import MAX_BYTES, parse

OURS = (
    "command-injection",
    "cross-site-scripting",
    "open-redirect",
    "path-traversal",
    "server-side-request-forgery",
    "sql-injection",
)

# What a payload must never do, whatever it is decoded to.
DESTRUCTIVE = re.compile(
    r"\brm\s+-|\brmdir\b|\bmkfs|\bdd\s+if=|\bshutdown\b|\bpoweroff\b|\bformat\s+[c-z]:|\bdel\s+/|:\(\)\s*\{\s*:\|"
    r"|\bdrop\s+(?:table|database|schema|user)|\btruncate\s+table|\bdelete\s+from|>\s*/dev/sd[a-z]|\bshred\b"
    r"|\bwipefs\b|\bvssadmin\b|\bcipher\s+/w|\bfdisk\b|remove-item\b",
    re.I,
)
HOST = re.compile(
    r"(?:https?|ftp|wss?|ldap|smb)://(?:[^/@\s]*@)?([a-z0-9.-]*\.[a-z]{2,}\.?)(?![a-z0-9.-])", re.I
)
RESERVED = re.compile(
    r"(?:^|\.)(?:example|example\.(?:com|net|org)|test|internal|local|localhost|localdomain|svc|default|"
    r"w3\.org|xmlsoap\.org)$"
)
ADDRESS = re.compile(r"(?<![\w.%])(\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3})(?![\w-]|\.\w)")
SPECIAL = re.compile(
    r"^(?:192\.0\.2|198\.51\.100|203\.0\.113|127|10|192\.168|169\.254|172\.(?:1[6-9]|2\d|3[01])|0|100\.(?:64|96|100)"
    r"|192\.0\.0|168\.63|425|169\.(?:1|2)|0?1?77)\."
)

LITTLE = """
slug = "little"
[slots]
name = ['a«int»', 'b']
tick = ["'", '"']
[[template]]
id = "one"
text = '''«name»-«=tick»«name?»«=tick»'''
where = ["query"]
param = ["id"]
"""


def little(text: str, slots: str = "", more: str = "") -> str:
    return f"slug = 'little'\n[slots]\n{slots}\n[[template]]\nid = 't'\ntext = '''{text}'''\n{more}"


def expand(text: str, slots: str = "", more: str = "", seed: int = 1) -> bytes:
    return parse(little(text, slots, more), "little.toml").expand("t", random.Random(seed)).payload


@pytest.mark.parametrize("slug", classes())
def test_every_template_expands(slug: str) -> None:
    grammar = load(slug)
    assert grammar.slug == slug
    for template in grammar.templates:
        for seed in range(40):
            sample = grammar.expand(template, random.Random(seed))
            assert isinstance(sample, Sample)
            assert len(sample.payload) <= MAX_BYTES
            assert (sample.label, sample.template) == (slug, template)


@pytest.mark.parametrize("slug", OURS)
def test_breadth(slug: str) -> None:
    assert len(load(slug).templates) >= 80
    payloads = list(generate(slug, 4000, 1))
    assert len(payloads) == 4000
    assert len({s.template for s in payloads}) == len(load(slug).templates)


@pytest.mark.parametrize("slug", OURS)
def test_every_slot_is_used(slug: str) -> None:
    text = (resources.files("dragoman.synth") / "classes" / f"{slug}.toml").read_text("utf-8")
    used = set(re.findall(r"[a-z0-9_]+", " ".join(re.findall(r"«([^«»]*)»", text))))
    assert set(load(slug).slots) - used == set()


@pytest.mark.parametrize("slug", classes())
def test_generate_is_deterministic_and_without_duplicates(slug: str) -> None:
    first = list(generate(slug, 400, 7))
    assert first == list(generate(slug, 400, 7))
    assert len({s.payload for s in first}) == len(first)
    assert first != list(generate(slug, 400, 8))


def test_generate_is_the_same_on_every_machine() -> None:
    payloads = [s.payload for s in generate("sql-injection", 3, 0, templates=["time-xor"])]
    assert payloads == [
        b"'XOR(if(now()=sysdate(),sleep(10),0))XOR'",
        b"6'XOR(if(now()=sysdate(),sleep(7),0))XOR'",
        b"999999'XOR(if(now()=sysdate(),sleep(20),0))XOR'",
    ]


def test_near_duplicates_are_removed() -> None:
    """Two templates with ten and two shapes: random words alone make no new payload."""
    samples = list(generate("sql-injection", 50, 3, templates=["login-backslash", "login-md5-raw"]))
    assert 6 <= len(samples) <= 12
    assert sum(s.payload.startswith(b"ffifdyop") for s in samples) <= 2


def test_templates_select() -> None:
    samples = list(generate("open-redirect", 200, 5, templates={"slashes-plain", "allowed-user"}))
    assert {s.template for s in samples} == {"slashes-plain", "allowed-user"}
    assert all(s.params and b"//" in s.payload for s in samples)


def test_generate_nothing() -> None:
    assert list(generate("sql-injection", 0, 1)) == []
    assert list(generate("sql-injection", 10, 1, templates=[])) == []


@pytest.mark.parametrize("slug", OURS)
def test_inert(slug: str) -> None:
    for sample in generate(slug, 3000, 11):
        text = sample.payload.decode("utf-8", "replace")
        for reading in (text, unquote(unquote(text)), unquote(text).replace("+", " ")):
            assert not DESTRUCTIVE.search(reading), (sample.template, reading)


@pytest.mark.parametrize("slug", OURS)
def test_only_reserved_hosts_and_addresses(slug: str) -> None:
    for sample in generate(slug, 3000, 12):
        text = sample.payload.decode("utf-8", "replace")
        for host in HOST.findall(text):
            assert RESERVED.search(host.lower().rstrip(".")), (sample.template, host)
        for address in ADDRESS.findall(text):
            assert SPECIAL.match(address), (sample.template, address)


def test_slots() -> None:
    grammar = parse(LITTLE, "little.toml")
    seen = {grammar.expand("one", random.Random(seed)).payload for seed in range(200)}
    assert all(re.fullmatch(rb"(a\d+|b)-(['\"])(a\d+|b|)\2", payload) for payload in seen)
    assert any(p.endswith(b"''") for p in seen)
    sample = grammar.expand("one", random.Random(0))
    assert (sample.where, sample.params, sample.kind) == (("query",), ("id",), "value")


@pytest.mark.parametrize(
    ("mark", "want"),
    [
        ("«b64(x)»", base64.b64encode(b"a'<")),
        ("«url(x)»", b"a%27%3C"),
        ("«url2(x)»", b"a%2527%253C"),
        ("«urlall(x)»", b"%61%27%3c"),
        ("«hex(x)»", b"61273c"),
        ("«xesc(x)»", rb"\x61\x27\x3c"),
        ("«oct(x)»", rb"\141\047\074"),
        ("«uesc(x)»", rb"\u0061\u0027\u003c"),
        ("«uperc(x)»", b"%u0061%u0027%u003c"),
        ("«ent(x)»", b"&#97;&#39;&#60;"),
        ("«entx(x)»", b"&#x61;&#x27;&#x3c;"),
        ("«codes(x)»", b"97,39,60"),
        ("«chrcat(x)»", b"CHR(97)||CHR(39)||CHR(60)"),
        ("«charplus(x)»", b"CHAR(97)+CHAR(39)+CHAR(60)"),
        ("«upper(x)»", b"A'<"),
        ("«rev(x)»", b"<'a"),
        ("«b64utf16(x)»", base64.b64encode("a'<".encode("utf-16-le"))),
        ("«nest(x,3-3)»", b"a'<" * 3),
        ("«url(b64(x))»", b"YSc8"),
        ("«b64(nest(x,2-2))»", base64.b64encode(b"a'<a'<")),
    ],
)
def test_filters(mark: str, want: bytes) -> None:
    assert expand(mark, slots='x = ["a\'<"]') == want


def test_nest_repeats_within_its_range() -> None:
    lengths = {len(expand("«nest(x,2-5)»", "x = ['a']", seed=s)) for s in range(60)}
    assert lengths == {2, 3, 4, 5}


def test_builtins_are_inert() -> None:
    for seed in range(100):
        text = expand("«host» «ip» «int» «small» «word» «rand» «path»", seed=seed).decode()
        host, ip, number, small, word, token, path = text.split(" ")
        assert RESERVED.search(host)
        assert re.match(r"(192\.0\.2|198\.51\.100|203\.0\.113)\.", ip)
        assert number.isdigit()
        assert small in "123456789"
        assert word.isalpha()
        assert token.isalnum()
        assert path.startswith("/")


def test_binary_and_http() -> None:
    assert expand("\u00ac\u00ed\u00ff", more="binary = true") == b"\xac\xed\xff"
    assert expand("é") == "é".encode()
    assert expand("GET / HTTP/1.1\nHost: «=host»\n\n", more="kind = 'http'").endswith(b"\r\n\r\n")


@pytest.mark.parametrize(
    ("toml", "what", "place"),
    [
        (little("«nothing»"), "unknown slot 'nothing'", "template t"),
        (little("«a»", "a = ['«gone»']"), "unknown slot 'gone'", "slot a"),
        (little("«rot13(a)»", "a = ['x']"), "unknown filter 'rot13'", "template t"),
        (little("x", "a = []"), "list of texts", "slot a"),
        (little("x", "a = 'x'"), "list of texts", "slot a"),
        (little("x", "word = ['x']"), "not a free slot name", "slot word"),
        (little("x", more="colour = 'red'"), "unknown key colour", "template t"),
        (little("x", more="kind = 'mail'"), "kind is value or http", "template t"),
        (LITTLE + LITTLE[LITTLE.index("[[") :], "id used twice", "template one"),
        ("slug = 'x'", "needs a slug", "x.toml"),
        ("slug = ", "not TOML", "x.toml"),
        (LITTLE + "[other]\nx = 1", "unknown key other", "x.toml"),
    ],
)
def test_bad_files_name_the_place(toml: str, what: str, place: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(toml, "x.toml")
    assert what in str(caught.value)
    assert "x.toml" in str(caught.value)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("text", "slots", "more", "what"),
    [
        ("«a»", "a = ['«b»']\nb = ['«a»']", "", "deeper than 20"),
        ("«nest(a,9000-9000)»", "a = ['x']", "", "8192"),
        ("→", "", "binary = true", "latin-1"),
    ],
)
def test_bad_expansions_name_the_place(text: str, slots: str, more: str, what: str) -> None:
    with pytest.raises(UsageError, match=r"little\.toml: template t") as caught:
        expand(text, slots, more)
    assert what in str(caught.value)


def test_recursion_is_allowed_up_to_the_depth() -> None:
    sizes = {len(expand("«a»", "a = ['x', 'x', 'x«a»']", seed=s)) for s in range(50)}
    assert {1, 2, 3} <= sizes


def test_unknown_class_and_template() -> None:
    with pytest.raises(UsageError, match="no grammar for class"):
        load("sql-injektion")
    with pytest.raises(UsageError, match="no such template"):
        list(generate("sql-injection", 1, 1, templates=["gone"]))
