"""Evasions: other spellings of a payload that mean the same to the interpreter it is aimed at.

``mutate`` rewrites a payload with tricks of its class (case, comments, other white space, split
words, other spellings of an address); a trick that does not fit leaves it alone. ``encode_chain``
wraps any payload in up to three transport encodings and names them, so that decoding in reverse
gives the payload back. The two compose: ``encode_chain(mutate(payload, slug, rng), rng)``.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from random import Random

from . import shell
from .filters import escapes, percent, percent_all

Trick = Callable[[str, Random], str]
Encoder = Callable[[bytes, Random], bytes]

MAX_TRICKS = 3
MAX_CHAIN = 3
MAX_ENCODED = 16_384

_SQL_WORD = re.compile(
    r"\b(?:union|select|from|where|and|or|insert|into|update|set|like|sleep|benchmark|having|order|"
    r"group|by|limit|exec|declare|waitfor|delay|case|when|then|else|end|null|cast|convert|concat)\b",
    re.I,
)
_SQL_SPACE = re.compile(r"(?<=[\w)*,]) (?=[\w(*@])")
_NOT_MYSQL = re.compile(
    r"waitfor|pg_|dual\b|xp_|::|chr\(|dbms|\$\$|sqlite|sys(?:ibm|objects)", re.I
)
_SQL_BLANKS = (*("/**/", "\t", "\n", "  ", "\x0b", "\x0c", "\r\n", "/**_**/", "/**//**/"),)
_SQL_GAP = re.compile(r"(?<=['\")=,<>|]) (?=[\w(])|(?<=\w) (?=['\"(=<>|])")
_SQL_EQUAL = re.compile(r"(?<![\w@=<>!])(\d+|'\w+') ?= ?(\d+|'\w+')(?![\w=])")
_SQL_STRING = re.compile(r"(?<=[=(,\s])'([a-z]{3,12})'(?=[\s),])", re.I)
_SQL_JOIN = re.compile(r"(?<=[\s)'\"\d])(?:and|or)(?=[\s('\"\d])", re.I)
_TRUE = re.compile(r"\b(\d{1,6})=\1\b")
_TAG = re.compile(r"(</?)([a-zA-Z][a-zA-Z0-9]*)")
_TAG_SPACE = re.compile(
    r"(<(?:img|svg|body|input|iframe|video|details|audio|a|object)) (?=\w)", re.I
)
_HANDLER = re.compile(r"\bon[a-z]{4,24}(?==)", re.I)
_SCRIPT_URI = re.compile(r"javascript:", re.I)
_CALL = re.compile(r"\b(alert|confirm|prompt|eval)(?=[(`])")
_UP = re.compile(r"(?:\.\./){1,16}")
_LOOPBACK = re.compile(r"(?<=://)(?:127\.0\.0\.1|localhost)\b")
_METADATA = re.compile(r"(?<=://)169\.254\.169\.254\b")
_URL_HEAD = re.compile(r"\bhttps?(?=:)", re.I)
_AUTHORITY = re.compile(r"(?<=://)(?=[a-z0-9\[])", re.I)
_HOST_END = re.compile(r"(?<=://)[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,8}(?=[/:?#]|$)", re.I)
_SCHEME_SLASHES = re.compile(r"^(https?:)?//(?=[a-z0-9])", re.I)
_EXPRESSION = re.compile(r"([$#%]\{|\{\{|<%=)(?![\w.-]*[:}])(?=[\w'\"(*])")
_JNDI = re.compile(r"(?<=\$\{)jndi(?=:)", re.I)
_SYSTEM_ID = re.compile(r"\bSYSTEM(\s+)(?=[\"'])")
_EXTENSION = re.compile(r"\.(php|phtml|jsp|jspx|asp|aspx|cgi)(?=[\"'%;])", re.I)
_LINE_BREAK = re.compile(r"%0d%0a", re.I)


def _mixed_case(text: str, rng: Random) -> str:
    return "".join(c.upper() if c.isascii() and rng.random() < 0.5 else c for c in text.lower())


def _each(pattern: re.Pattern[str], text: str, change: Callable[[str], str]) -> str:
    return pattern.sub(lambda m: change(m[0]), text)


def _any_of(pattern: re.Pattern[str], *choices: str) -> Trick:
    """A trick that puts one of ``choices``, the same everywhere, in place of ``pattern``."""

    def trick(text: str, rng: Random) -> str:
        choice = rng.choice(choices)
        return pattern.sub(lambda _: choice, text)

    return trick


def _case_of(pattern: re.Pattern[str]) -> Trick:
    return lambda text, rng: _each(pattern, text, lambda word: _mixed_case(word, rng))


def _sql_space(text: str, rng: Random) -> str:
    """Other white space, block comments with or without words, or a line comment and its end."""
    word = "".join(rng.choices("abcdeikmnorstuxyz0123456789", k=rng.randint(1, 8)))
    forms = [*_SQL_BLANKS, f"/*{word}*/", f"--{word}\n", f"-- {word}\r\n"]
    if not _NOT_MYSQL.search(text):
        forms += (f"#{word}\n", "#\n")
    space = rng.choice(forms)
    return _SQL_SPACE.sub(lambda _: space, text)


def _sql_mixed_space(text: str, rng: Random) -> str:
    """A different blank at every gap."""
    return _SQL_SPACE.sub(lambda _: rng.choice(_SQL_BLANKS), text)


def _sql_no_space(text: str, rng: Random) -> str:
    """Gaps that a parser does not need: before and behind quotes, brackets and operators."""
    return _SQL_GAP.sub("", text)


def _sql_equal(text: str, rng: Random) -> str:
    """Another comparison in place of an equals sign between plain terms."""
    form = rng.choice((" like ", " rlike ", " in (", "<=>", " = ", "/**/=/**/"))
    close = ")" if form.endswith("(") else ""
    return _SQL_EQUAL.sub(lambda m: f"{m[1]}{form}{m[2]}{close}", text)


def _sql_string(text: str, rng: Random) -> str:
    """A quoted word as a hexadecimal literal, or cut in two (MySQL, PostgreSQL, SQL Server)."""
    form = rng.choice(("hex", "cut", "plus", "bars"))

    def change(match: re.Match[str]) -> str:
        word = match[1]
        at = rng.randint(1, len(word) - 1)
        if form == "hex":
            return "0x" + word.encode("latin-1").hex()
        return f"'{word[:at]}'{ {'cut': ' ', 'plus': '+', 'bars': '||'}[form] }'{word[at:]}'"

    return _SQL_STRING.sub(change, text)


def _sql_operator(text: str, rng: Random) -> str:
    """``&&`` and ``||`` for the words, as MySQL reads them."""
    return _SQL_JOIN.sub(lambda m: "&&" if m[0].lower() == "and" else "||", text)


def _sql_versioned(text: str, rng: Random) -> str:
    """MySQL reads what stands in ``/*! */``; to other dialects it is a comment: left alone."""
    if _NOT_MYSQL.search(text):
        return text
    version = rng.choice(("", "50000", "40000", "12345", "00000"))
    words = re.compile(rng.choice((r"\b(?:union|select)\b", _SQL_WORD.pattern)), re.I)
    return _each(words, text, lambda word: f"/*!{version}{word}*/")


def _sql_true(text: str, rng: Random) -> str:
    a = rng.randint(2, 9999)
    form = rng.choice((f"{a}={a}", f"{a} like {a}", f"{a}<{a + 1}", f"{a} between {a} and {a}"))
    return _TRUE.sub(lambda _: form, text)


def _handler_space(text: str, rng: Random) -> str:
    equals = rng.choice((" =", "=\n", "= ", "\t=", "\x0c= "))
    return re.sub(rf"({_HANDLER.pattern})=", lambda m: m[1] + equals, text, flags=re.I)


def _tag_space(text: str, rng: Random) -> str:
    space = rng.choice(("/", "\t", "\n", "\x0c", "  ", " / "))
    return _TAG_SPACE.sub(lambda m: m[1] + space, text)


def _script_uri(text: str, rng: Random) -> str:
    """White space that browsers drop from a scheme (WHATWG URL, 4.4), or a character reference."""
    at, gap = rng.randint(1, 10), rng.choice(("\t", "\n", "\r\n", "&#9;", "&#x0a;", "&Tab;", ""))
    return _each(_SCRIPT_URI, text, lambda uri: _mixed_case(uri[:at], rng) + gap + uri[at:])


def _script_call(text: str, rng: Random) -> str:
    """One letter of the called name as a JavaScript identifier escape."""

    def change(name: str) -> str:
        at = rng.randrange(len(name))
        return f"{name[:at]}\\u{ord(name[at]):04x}{name[at + 1 :]}"

    return _each(_CALL, text, change)


def _path_pad(text: str, rng: Random) -> str:
    """Steps that lead nowhere: ``./``, a doubled slash, or more steps up than the root needs."""
    more = rng.randint(1, 4)
    form = rng.choice(("./", "/", "../" * more))
    return _UP.sub(lambda m: m[0] + form if form != "/" else m[0].replace("/", "//"), text)


def _path_encode(text: str, rng: Random) -> str:
    up = rng.choice(
        ("..%2f", "%2e%2e/", "%2e%2e%2f", "..%252f", ".%2e/", "%252e%252e%252f", "%2e./")
    )
    return _each(_UP, text, lambda run: run.replace("../", up))


def _path_file(text: str, rng: Random) -> str:
    slash = rng.choice(("//", "/./", "///", "/././", "/x/../", "%2f", "/%2e/"))
    return shell.SYSTEM_FILE.sub(lambda m: m[1] + slash + m[2], text)


def _user_info(text: str, rng: Random) -> str:
    user = rng.choice(("example.com@", "a:b@", "www.example.org@", "x@"))
    return _AUTHORITY.sub(lambda _: user, text, count=1)


def _public_id(text: str, rng: Random) -> str:
    public = f'PUBLIC "{rng.choice("abcxyz")}"'
    return _SYSTEM_ID.sub(lambda m: public + m[1], text)


_URL_TRICKS: tuple[Trick, ...] = (
    _case_of(_URL_HEAD),
    _user_info,
    lambda text, _: _each(_HOST_END, text, lambda host: host + "."),
)
TRICKS: dict[str, tuple[Trick, ...]] = {
    "sql-injection": (
        *(_case_of(_SQL_WORD), _sql_space, _sql_mixed_space, _sql_no_space, _sql_versioned),
        *(_sql_true, _sql_equal, _sql_string, _sql_operator),
    ),
    "cross-site-scripting": (
        lambda text, rng: _TAG.sub(lambda m: m[1] + _mixed_case(m[2], rng), text),
        _case_of(_HANDLER),
        _handler_space,
        _tag_space,
        _script_uri,
        _script_call,
    ),
    "path-traversal": (_path_pad, _path_encode, _path_file),
    "command-injection": shell.TRICKS,
    "server-side-request-forgery": (
        *_URL_TRICKS,
        _any_of(
            _LOOPBACK, "127.1", "0x7f000001", "2130706433", "[::1]", "0177.0.0.1", "0", "LocalHost"
        ),
        _any_of(_METADATA, "0xa9fea9fe", "2852039166", "[::ffff:a9fe:a9fe]", "0251.0376.0251.0376"),
    ),
    "open-redirect": (
        *_URL_TRICKS,
        _any_of(_SCHEME_SLASHES, "//", "/\\", "///", "\\\\", "/\t/", "https:", "https:/\\"),
    ),
    "code-injection": (
        _any_of(_JNDI, "${lower:j}ndi", "${::-j}${::-n}di", "j${upper:n}di", "${env:x:-j}ndi"),
        lambda text, rng: _EXPRESSION.sub(
            lambda m: m[1] + rng.choice((" ", "  ", "\n", "\t")), text
        ),
    ),
    "xml-external-entity": (
        _public_id,
        _any_of(re.compile(r"<!ENTITY "), "<!ENTITY\n", "<!ENTITY\t"),
    ),
    "file-upload": (_case_of(_EXTENSION),),
    "crlf-injection": (_any_of(_LINE_BREAK, "%0D%0A", "%0a", "%E5%98%8D%E5%98%8A", "\r\n"),),
}


def mutate(payload: bytes, slug: str, rng: Random) -> bytes:
    """The payload after one to three tricks of its class; unchanged for a class that has none here.

    Bytes beyond ASCII pass through untouched.
    """
    tricks = TRICKS.get(slug, ())
    text = payload.decode("latin-1")
    for trick in rng.sample(tricks, min(len(tricks), rng.randint(1, MAX_TRICKS))):
        text = trick(text, rng)
    return text.encode("latin-1")


def _percent_some(payload: bytes, rng: Random) -> bytes:
    """Reserved bytes and a random part of the others, in either case of hex digits."""
    form = rng.choice(("%{:02x}", "%{:02X}"))
    share = rng.random()

    def one(byte: int) -> str:
        plain = chr(byte).isalnum() and byte < 128
        return chr(byte) if plain and rng.random() > share else form.format(byte)

    return "".join(map(one, payload)).encode()


def _references(payload: bytes, rng: Random) -> bytes:
    form = rng.choice(("&#{};", "&#x{:x};", "&#X{:X};", "&#{:07d};"))
    return _but_alnum(payload.decode(), lambda c: form.format(ord(c))).encode()


def _backslash(payload: bytes, rng: Random) -> bytes:
    form = rng.choice(("\\u{:04x}", "\\u{:04X}"))
    return _but_alnum(payload.decode(), lambda c: escapes(c, form)).encode()


def _percent_u(payload: bytes, rng: Random) -> bytes:
    return _but_alnum(payload.decode(), lambda c: escapes(c, "%u{:04x}")).encode()


def _but_alnum(text: str, change: Callable[[str], str]) -> str:
    return "".join(c if c.isascii() and c.isalnum() else change(c) for c in text)


_PERCENT: tuple[Encoder, ...] = (
    lambda payload, _: percent(payload).encode(),
    lambda payload, _: percent_all(payload).encode(),
    _percent_some,
)
_TEXT: dict[str, Encoder] = {"entity": _references, "escape": _backslash, "percent-u": _percent_u}


def encode_chain(payload: bytes, rng: Random) -> tuple[bytes, tuple[str, ...]]:
    """The payload in one to three encodings, and their names in the order applied.

    ``percent`` (RFC 3986), ``percent-u`` (%uXXXX), ``entity`` (HTML character references),
    ``escape`` (\\uXXXX) and ``base64``. The middle three need text: they are not used on bytes that
    are not UTF-8 or hold control characters. A chain ends early rather than grow beyond 16 KiB.
    """
    names = ["percent", "percent", "base64", *(_TEXT if _is_text(payload) else ())]
    chain: list[str] = []
    for _ in range(rng.choices((1, 2, MAX_CHAIN), (6, 3, 1))[0]):
        name = rng.choice(names)
        out = _encode(name, payload, rng, first=not chain)
        if len(out) > MAX_ENCODED and chain:
            break
        payload = out
        chain.append(name)
        names = ["percent", "percent", "base64"]
    return payload, tuple(chain)


def _encode(name: str, payload: bytes, rng: Random, *, first: bool) -> bytes:
    if name == "base64":
        return base64.b64encode(payload)
    if name == "percent":
        return rng.choice(_PERCENT if first else _PERCENT[:1])(payload, rng)
    return _TEXT[name](payload, rng)


def _is_text(payload: bytes) -> bool:
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        return False
    return all(c.isprintable() or c in "\t\n" for c in text)
