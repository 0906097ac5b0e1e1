"""Tricks held out from training: each leaves what the attack does to its target as it is.

Written for this benchmark alone. A trick gets a decoded value (latin-1 text, one character a byte)
and returns it written otherwise; one that does not fit returns it unchanged. ``TRICKS`` holds
(classes, kind, name, trick).
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from random import Random

from dragoman.synth.filters import BUILTINS

Trick = Callable[[str, Random], str]

_NOT_MYSQL = re.compile(
    r"waitfor|pg_|dual\b|xp_|::|chr\(|dbms|\$\$|sqlite|rdb\$|sysusers|sys\.", re.I
)
_SQL_SPACE = re.compile(r"(?<=[\w)*,]) (?=[\w(*@])")
_WINDOWS = re.compile(
    r"cmd(?:\.exe)?|powershell|ipconfig|[a-z]:\\|%[A-Z]+%|(?:win|boot)\.ini", re.I
)
_CALL = re.compile(r"(?<![.\w\]])(alert|confirm|prompt)(?=[(`])")
_ARGUMENT = re.compile(r"(?<![.\w\]])(alert|confirm|prompt)\(([^()'\"]*)\)")
_HANDLER = re.compile(r"(\bon[a-z]{4,24}\s*=\s*[\"']?)([a-z]{4,9})(?=\()", re.I)
_TAG = re.compile(r"(<(?:img|svg|body|input|iframe|video|details|audio|object|a)) (?=\w)", re.I)
_COMMAND = re.compile(
    r"\b(cat|ls|id|whoami|uname|wget|curl|ping|nslookup|sleep|head|tail|nc)\b(?![.=/:@-])"
)
_ARGUED = re.compile(r"\b(cat|ls|head|tail|wget|curl|ping) ([\w./:-]+)(?![ \w./:-])")
_STARTED = re.compile(
    r"([;|&\n]\s*|\$\(|`)((?:cat|ls|id|whoami|uname|wget|curl|ping|sleep)\b[^;|&`)\"']*)"
)
_PHP = re.compile(r"\b(system|eval|assert|passthru|phpinfo|shell_exec|md5|print_r|exec)(?=\()")
_CALLABLE = re.compile(r"\b(system|passthru|phpinfo|shell_exec|md5|print_r|exec)(?=\()")
_NUMBERED = re.compile(r"\b(or|and) (\d+)=(\d+)\b", re.I)
_HTML_NAME = re.compile(r"</?[a-z]+|\bon[a-z]{4,24}(?=\s*=)")
_SCRIPT_URI = re.compile(r"javascript:(?!/)", re.I)
_SCRIPT_TAG = re.compile(r"(<script)(?=>)", re.I)
_SYSTEM_FILE = re.compile(r"(?<=/)etc/(?=passwd|shadow|hosts|group)")
_READ = re.compile(r"\b(cat|head|tail) (?=/)")
_SEPARATOR = re.compile(r"^(\W?\w*)(?:;|\|\||&&|\|) ?(?=[a-z/])")
_DUNDER = re.compile(r"\.(__[a-z]{2})([a-z]+__)")
_PRODUCT = re.compile(r"(?<=[{( ])(\d+)\*(\d+)(?=[}) ])")
_SCHEME = re.compile(r"^(ht)(tps?:)", re.I)
_SLASHES = re.compile(r"^(?:https?:)?//(?=[a-z0-9])", re.I)
_METADATA = re.compile(r"(?<=://)169\.254\.169\.254\b")
_SYSTEM_ID = re.compile(r"(SYSTEM\s+)\"([^\"']*)\"")
_PHP_CLASS = re.compile(r"(?<=\")[A-Z][A-Za-z_\\]{3,}(?=\":\d)")
_FILE_NAME = re.compile(r'filename="([\w.-]+)"')
_HEADER_NAME = re.compile(r"(?<=[\r\n])[A-Za-z-]+(?=:)")
_HOST = re.compile(r"(?<=://)([a-z0-9-]+(?:\.[a-z0-9-]+)+)(?=[/?#]|$)", re.I)
_LOCAL = re.compile(r"(?<=://)(?:127\.0\.0\.1|localhost)\b(?!\.)")
_UP = re.compile(r"(?:\.\./)+")


def _word(rng: Random) -> str:
    return BUILTINS["word"](rng)


def _put(pattern: re.Pattern[str], *forms: str, unless: re.Pattern[str] | None = None) -> Trick:
    """A trick that rewrites every match to one form (a template for ``Match.expand``).

    ``{w}`` in a form is a made-up word. Values that ``unless`` occurs in are left alone.
    """

    def trick(text: str, rng: Random) -> str:
        if unless is not None and unless.search(text):
            return text
        form = rng.choice(forms).replace("{w}", _word(rng))
        return pattern.sub(lambda m: m.expand(form), text)

    return trick


def _each(
    pattern: re.Pattern[str],
    change: Callable[[str, Random], str],
    unless: re.Pattern[str] | None = None,
) -> Trick:
    def trick(text: str, rng: Random) -> str:
        if unless is not None and unless.search(text):
            return text
        return pattern.sub(lambda m: change(m[0], rng), text)

    return trick


def _split(text: str, rng: Random) -> tuple[str, str]:
    at = rng.randint(1, len(text) - 1)
    return text[:at], text[at:]


def _utf8(text: str) -> str:
    return text.encode().decode("latin-1")


# --- SQL


def _sql_string(text: str, rng: Random) -> str:
    def change(m: re.Match[str]) -> str:
        a, b = _split(m[1], rng)
        if _NOT_MYSQL.search(text):
            return f"'{a}'||'{b}'"
        return rng.choice((f"concat('{a}','{b}')", f"0x{m[1].encode().hex()}", f"'{a}' '{b}'"))

    return re.sub(r"'([A-Za-z]{2,24})'", change, text)


def _sql_number(text: str, rng: Random) -> str:
    form = rng.choice(("({0})", "{0}.0", "{0}e0"))
    return re.sub(r"(?<=[=<>(])\d{1,4}(?=[) ]|$)", lambda m: form.format(m[0]), text)


# --- JavaScript and HTML


def _entities(m: re.Match[str]) -> str:
    return m[1] + "".join(
        f"&#{ord(c)};" if i % 2 else f"&#x{ord(c):x};" for i, c in enumerate(m[2])
    )


def _called(name: str, rng: Random) -> str:
    a, b = _split(name, rng)
    return f"{rng.choice(('self', 'top', 'globalThis', 'parent'))}[`{a}`+`{b}`]"


# --- paths


def _up(form: str) -> Trick:
    """Each step up written as ``form``; ``{w}`` is a made-up word."""

    def trick(text: str, rng: Random) -> str:
        step = form.replace("{w}", _word(rng))
        return _UP.sub(lambda m: m[0].replace("../", step), text)

    return trick


def _null(text: str, rng: Random) -> str:
    if ".." not in text or "\0" in text:
        return text
    return f"{text}\0.{rng.choice(('png', 'html', 'pdf'))}"


def _backslashes(text: str, rng: Random) -> str:
    return text.replace("/", "\\") if _WINDOWS.search(text) else text


# --- shell


def _variable(word: str, rng: Random) -> str:
    a, b = _split(word, rng)
    return a + rng.choice(("${u}", "$()", "``", "$9", "$*")) + b


def _base64(text: str, rng: Random) -> str:
    if _WINDOWS.search(text):
        return text
    shell = rng.choice(("sh", "bash"))

    def change(m: re.Match[str]) -> str:
        code = base64.b64encode(m[2].strip().encode("latin-1")).decode()
        return f"{m[1]}echo {code}|base64 -d|{shell}"

    return _STARTED.sub(change, text, count=1)


def _ansi(word: str, rng: Random) -> str:
    return "$'" + "".join(f"\\x{ord(c):02x}" for c in word) + "'"


def _remark(text: str, rng: Random) -> str:
    """A comment at the end, if no quote is open there."""
    quoted = text.count("'") % 2 or text.count('"') % 2
    if quoted or _WINDOWS.search(text) or not _COMMAND.search(text):
        return text
    return f"{text} #{_word(rng)}"


# --- PHP


def _php_parts(name: str, rng: Random) -> str:
    return '("{}"."{}")'.format(*_split(name, rng))


# --- URLs and addresses


def _enclosed(text: str, rng: Random) -> str:
    """One letter of the host as an enclosed one, which IDNA maps back (UTS 46)."""

    def change(m: re.Match[str]) -> str:
        letters = [i for i, c in enumerate(m[1]) if c.isascii() and c.islower()]
        if not letters:
            return m[1]
        at = rng.choice(letters)
        return m[1][:at] + _utf8(chr(0x24D0 + ord(m[1][at]) - 97)) + m[1][at + 1 :]

    return _HOST.sub(change, text, count=1)


_URL = ("server-side-request-forgery", "open-redirect")
_SQL, _XSS, _DIR = ("sql-injection",), ("cross-site-scripting",), ("path-traversal",)
_CMD, _CODE, _XXE = ("command-injection",), ("code-injection",), ("xml-external-entity",)
_LINES, _OBJECT, _UPLOAD = ("crlf-injection",), ("unsafe-deserialization",), ("file-upload",)
_TEMPLATE = re.compile(r"\{\{|\{%")

TRICKS: tuple[tuple[tuple[str, ...], str, str, Trick], ...] = (
    (
        _SQL,
        "comments",
        "words in comments",
        _put(_SQL_SPACE, "/*{w} {w}*/", "/*{w}!*/", "/*/{w}/*/"),
    ),
    (_SQL, "comments", "line comments", _put(_SQL_SPACE, "-- {w}\n", "--+{w}\r\n")),
    (_SQL, "comments", "hash comments", _put(_SQL_SPACE, "#{w}\n", unless=_NOT_MYSQL)),
    (_SQL, "whitespace", "rare white space", _put(_SQL_SPACE, "\x0b", "\t\n ", " \x0c\n", "\xa0")),
    (_SQL, "whitespace", "brackets for spaces", _put(_NUMBERED, r"\1(\2)=(\3)")),
    (_SQL, "concatenation", "strings in parts", _sql_string),
    (
        _SQL,
        "spelling",
        "symbols for words",
        _put(re.compile(r" or ", re.I), " || ", "||", unless=_NOT_MYSQL),
    ),
    (_SQL, "spelling", "numbers", _sql_number),
    (_SQL, "case", "one capital", _each(re.compile(r"\b[a-z]{3,}\b"), lambda w, _: w.capitalize())),
    (_XSS, "case", "all capitals", _each(_HTML_NAME, lambda t, _: t.upper())),
    (_XSS, "comments", "in the call", _put(_CALL, r"\1/*{w}*/", r"\1/*{w} {w}*/", r"\1//{w}\n")),
    (
        _XSS,
        "comments",
        "in the scheme",
        _put(_SCRIPT_URI, "javascript:/*{w}*/", r"javascript://{w}\n"),
    ),
    (_XSS, "whitespace", "in script tags", _put(_SCRIPT_TAG, r"\1\n", r"\1/{w}", r"\1\f {w}")),
    (
        _XSS,
        "padding",
        "more attributes",
        _put(_TAG, r"\1 {w}={w} ", r"\1 data-{w}='{w} {w}' ", r"\1/{w}/"),
    ),
    (_XSS, "encoding", "entities in handlers", lambda text, _: _HANDLER.sub(_entities, text)),
    (_XSS, "concatenation", "called by name", _each(_CALL, _called)),
    (
        _XSS,
        "spelling",
        "called otherwise",
        _put(
            _ARGUMENT,
            r"(\1)(\2)",
            r"\1.call(null,\2)",
            r"\1?.(\2)",
            r"[\2].find(\1)",
            r"Function`\1\\x28\2\\x29```",
        ),
    ),
    (_DIR, "encoding", "overlong slash", _up("..\xc0\xaf")),
    (_DIR, "encoding", "overlong dots", _up("\xc0\xae\xc0\xae/")),
    (_DIR, "encoding", "full-width slash", _up(".." + _utf8("／"))),
    (_DIR, "spelling", "path parameters", _up("..;{w}=1/")),
    (_DIR, "spelling", "stripped once", _up("....//")),
    (
        _DIR,
        "spelling",
        "through /proc",
        _put(_SYSTEM_FILE, "proc/self/root/etc/", "proc/1/root/etc/"),
    ),
    (_DIR, "spelling", "backslashes", _backslashes),
    (_DIR, "padding", "folders that lead back", _put(re.compile(r"(?<![.\w])\.\./"), "{w}/../../")),
    (_DIR, "padding", "null and extension", _null),
    (_CMD, "concatenation", "empty expansions", _each(_COMMAND, _variable, unless=_WINDOWS)),
    (_CMD, "encoding", "base64 to a shell", _base64),
    (_CMD, "encoding", "quoted hex", _each(_COMMAND, _ansi, unless=_WINDOWS)),
    (_CMD, "whitespace", "braces", _put(_ARGUED, r"{\1,\2}", unless=_WINDOWS)),
    (_CMD, "whitespace", "redirected input", _put(_READ, r"\1<", r"\1 < ", unless=_WINDOWS)),
    (_CMD, "comments", "at the end", _remark),
    (_CMD, "spelling", "other separators", _put(_SEPARATOR, r"\1\n", r"\1&", r"\1;{w}=1;")),
    (
        _CMD,
        "spelling",
        "stars",
        _put(re.compile(r"/etc/passwd"), "/e*c/pas*wd", "/et[c]/pass[w]d", unless=_WINDOWS),
    ),
    (_CODE, "comments", "in PHP calls", _put(_PHP, r"\1/*{w}*/", unless=_TEMPLATE)),
    (_CODE, "case", "PHP names", _each(_PHP, lambda name, _: name.upper(), unless=_TEMPLATE)),
    (_CODE, "concatenation", "PHP names in parts", _each(_CALLABLE, _php_parts, unless=_TEMPLATE)),
    (_CODE, "concatenation", "attributes in parts", _put(_DUNDER, r"['\1'~'\2']", r"['\1''\2']")),
    (_CODE, "spelling", "sums", _put(_PRODUCT, r"(\1)*(\2)", r"0+\1*\2", r"\1 * \2 * 1")),
    (
        _CODE,
        "spelling",
        "nested lookups",
        _put(
            re.compile(r"(?<=\$\{)jndi:"),
            "${upper:j}${sys:{w}:-n}di:",
            "${env:{w}:-j}n${date:'d'}i:",
            "jnd${main:{w}:-i}:",
        ),
    ),
    (
        _CODE,
        "whitespace",
        "in directives",
        _put(re.compile(r"<!--#(\w+) (\w+)="), r"<!--#\1\n\t\2 = "),
    ),
    (
        _URL,
        "spelling",
        "local addresses",
        _put(_LOCAL, "127.45.6.7", "0x7f.1", "[::ffff:7f00:1]", "017700000001", "127.0.0.1."),
    ),
    (
        _URL,
        "spelling",
        "metadata addresses",
        _put(
            _METADATA,
            "169.254.43518",
            "0xa9.0xfe.0xa9.0xfe",
            "[::ffff:169.254.169.254]",
            "2852039166",
        ),
    ),
    (_URL, "encoding", "enclosed letters", _enclosed),
    (
        _URL,
        "encoding",
        "percent in the host",
        lambda text, rng: _HOST.sub(lambda m: f"%{ord(m[1][0]):02x}{m[1][1:]}", text, count=1),
    ),
    (
        _URL,
        "padding",
        "port and fragment",
        _put(_HOST, r"\1:443/#{w}", r"\1:80/?{w}", r"\1/{w}/.."),
    ),
    (
        ("open-redirect",),
        "whitespace",
        "inside the scheme",
        _put(_SCHEME, r"\1\t\2", r"\1\n\2", r" \1\2"),
    ),
    (
        ("open-redirect",),
        "spelling",
        "slashes",
        _put(_SLASHES, "////", r"/\\/\\", "https:///", r"http:\\\\", r"\\/\\/"),
    ),
    (
        _XXE,
        "comments",
        "before the DOCTYPE",
        _put(re.compile(r"<!DOCTYPE"), "<!-- {w} --><!DOCTYPE", "<?{w} {w}?><!DOCTYPE"),
    ),
    (
        _XXE,
        "whitespace",
        "in declarations",
        _put(re.compile(r"<!(DOCTYPE|ENTITY) "), r"<!\1 \n\t", r"<!\1\r\n  "),
    ),
    (_XXE, "spelling", "other quotes", _put(_SYSTEM_ID, r"\1'\2'")),
    (
        _OBJECT,
        "encoding",
        "escaped keys",
        _put(re.compile(r'"@type"'), r'"\\u0040type"', r'"\\x40type"', r'"@\\u0074ype"'),
    ),
    (_OBJECT, "spelling", "signed lengths", _put(re.compile(r"\b([OC]):(\d)"), r"\1:+\2")),
    (_OBJECT, "case", "class names", _each(_PHP_CLASS, lambda name, _: name.swapcase())),
    (
        _UPLOAD,
        "spelling",
        "extensions",
        _put(re.compile(r"\.php(?=[\"';])"), ".php7", ".phtml", ".php.", ".php%20", ".pht"),
    ),
    (_UPLOAD, "spelling", "bare file name", _put(_FILE_NAME, r"filename=\1", r"filename='\1'")),
    (_UPLOAD, "encoding", "extended file name", _put(_FILE_NAME, r"filename*=UTF-8''\1")),
    (
        _UPLOAD,
        "whitespace",
        "around the name",
        _put(re.compile(r'filename="'), 'filename = "', 'filename\t="'),
    ),
    (_UPLOAD, "padding", "image first", _put(re.compile(r"<\?php|<%"), r"GIF89a;\n\g<0>")),
    (
        _LINES,
        "spelling",
        "one of the two",
        lambda text, rng: text.replace("\r\n", rng.choice("\r\n")),
    ),
    (_LINES, "case", "header names", _each(_HEADER_NAME, lambda name, _: name.swapcase())),
    (
        _LINES,
        "whitespace",
        "before the value",
        _put(re.compile(r"(?<=[\r\n])([A-Za-z-]+): ?"), r"\1:\t \t"),
    ),
    (
        _LINES,
        "padding",
        "more before",
        lambda text, rng: f"{_word(rng)} {text}" if text[:1] in "\r\n" else text,
    ),
)
