"""From a record to model inputs: normalised byte strings, each with the field it stands for.

An instance holds what a class may rest on. What names the place rather than the attack is taken out
before a model can learn it (the shortcut SALM, arXiv 2603.20181, warns of): the ``Host`` header and
plain paths are left out, the plain prefix of a path, host names in URLs, digits and long random
tokens are masked, letter case is folded. A parameter's name and the extension of its script are
kept only beside a value that is a URL, where they tell a redirect from a fetch or an include.
"""

from __future__ import annotations

import re

from ..config import Limits
from ..records import Field
from .decode import readings

CHUNK = (
    192  # bytes of one instance; a longer field becomes overlapping chunks: no padding hides a part
)
OVERLAP = 64
FILE_CHUNK = 512  # an uploaded file is judged with its headers

_DEFAULT = Limits()
_PLAIN_HEADER = re.compile(rb"(?!.*(?:\.\.|//))[A-Za-z0-9_.:/=,*+ -]*")
_PLAIN_PLACE = re.compile(rb"[A-Za-z0-9_.:/+;= \[\]\"-]*")
_PLAIN_VALUES = {  # headers of a fixed syntax, which plain words cannot break
    f"header:{name}": _PLAIN_HEADER
    for name in (
        *("accept", "accept-charset", "accept-encoding", "accept-language", "cache-control"),
        *("connection", "content-length", "date", "dnt", "if-modified-since", "keep-alive"),
        *("pragma", "priority", "range", "sec-ch-ua-mobile", "sec-ch-ua-platform", "te"),
        *("sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "upgrade"),
        *("transfer-encoding", "upgrade-insecure-requests", "user-agent", "via"),
    )
} | {"header:host": _PLAIN_PLACE, "header:content-type": _PLAIN_PLACE}
_PLAIN = re.compile(rb"[A-Za-z0-9_.:-]{0,20}")
_PLAIN_PATH = re.compile(rb"(?!.*\.\.)(?:/[A-Za-z0-9._~@+,=-]*)*")
_PATH_PREFIX = re.compile(rb"(?:/[a-z0-9_~@+,=-]+(?=/))+")
_URL = re.compile(rb"\s*[\"']?(?:[a-z][a-z0-9+.-]{1,10}:|[/\\]{2}|/\\)", re.I)
_JSON_ESCAPE = re.compile(rb"\\([\"\\/])")  # in a JSON string, RFC 8259, section 7
_DIGITS = re.compile(rb"[0-9]+")
_SPACE = re.compile(rb"[ \t\x0b\x0c\xa0]+")
_ODD_SPACE = re.compile(rb"(?<=[a-z0-9)'\"*])\x01(?=[a-z0-9(@'\"*])")  # 0x01 to 0x1F: SQL Server
_COMMENT = re.compile(rb"/\*[^*!][^*]{0,200}\*/")  # not /*! */, which MySQL runs
_LINE_COMMENT = re.compile(rb"(#|--)[^\n#]{1,200}\n")
_PATH_PARAMETER = re.compile(rb"\.\.;[^/;?#]{1,40}(?=/)")  # Java servers drop it
_SPLIT = re.compile(  # what a shell reads as nothing between two letters of a word
    rb"(?<=[a-z/])(?:''|\"\"|``|\\(?=[a-z/])|\$(?:[0-9@*!]|\{[0-9@*!]\}|\(\)))+(?=[a-z/])"
)
_FIELD_GAP = re.compile(rb"\$(?:ifs\b|\{ifs[^}]{0,20}\})(?:\$[0-9@*])?")
_BRACED = re.compile(rb"\{([a-z/][a-z0-9_./-]{1,40}(?:,[^{},\s]{1,120}){1,8})\}")
_SHELLED = re.compile(rb"''|\"\"|``|\\[a-z/]|\$|\{[a-z/]")
_LONG = re.compile(rb"(?<![a-z0-9_])([a-z0-9_]{10})[a-z0-9_]{14,}")
_LOCAL = re.compile(
    rb"(?<![0-9.a-z])(?:127\.[0-9.]{1,11}|0\.0\.0\.0|localhost|0x7f[0-9a-f.x]*|2130706433|017700000001"
    rb"|\[?(?:0{0,4}:){2,7}(?:ffff:)?(?:127\.[0-9.]+|0{0,3}1)?\]?)(?![0-9a-z])"
)
_METADATA = re.compile(
    rb"169\.254\.1[67][0-9]\.[0-9]{1,3}|metadata\.google\.internal|100\.100\.100\.200|2852039166"
    rb"|0xa9fea9fe|\[?fd00:ec2::254\]?"
)
_PRIVATE = re.compile(rb"(?<![0-9.])(?:10\.|192\.168\.|172\.(?:1[6-9]|2[0-9]|3[01])\.)[0-9.]{3,7}")
_HOST = re.compile(
    rb"(?<=//)((?:[a-z0-9_-]+\.)+[a-z0-9-]{2,}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?![a-z0-9.-])"
)
_LOWER = bytes(
    (c + 32 if 65 <= c <= 90 else 0x80 if c >= 0x80 else 1 if c < 9 or 13 < c < 32 else c)
    if c
    else 0
    for c in range(256)
)
_ADDRESS = re.compile(rb"[0-9]\.|localhost|0x|::|[0-9]{9}|metadata")


def normal(data: bytes) -> bytes:
    """Fold case, mask digits, hosts and long tokens; addresses are named by what they point to."""
    data = data.translate(_LOWER)
    if _ADDRESS.search(data):
        data = _METADATA.sub(b"metadata~", data)
        data = _LOCAL.sub(b"local~", data)
        data = _PRIVATE.sub(b"private~", data)
    if b"//" in data:
        data = _HOST.sub(b"host~", data)
    data = _LONG.sub(rb"\1~", data)
    data = _DIGITS.sub(b"0", data)
    data = _SPACE.sub(b" ", data)
    return _bare(data)


def _bare(data: bytes) -> bytes:
    """Without what interpreters skip: text of comments, odd white space, path parameters."""
    if b"/*" in data:
        data = _COMMENT.sub(b"/**/", data)
    if b"\n" in data:
        data = _LINE_COMMENT.sub(rb"\1\n", data)
    if b"\x01" in data:
        data = _ODD_SPACE.sub(b" ", data)
    return _PATH_PARAMETER.sub(b"..;", data) if b"..;" in data else data


def as_shell(text: bytes) -> bytes | None:
    """A normal text as a shell would read it, words joined and spread; None if that is no other.

    ``i""d``, ``i\\d`` and ``i$@d`` are ``id``, ``cat$IFS/etc`` is ``cat /etc``, ``{cat,/etc}`` is
    ``cat /etc`` (POSIX shell command language, 2.2 and 2.6; brace expansion as in bash).
    """
    if not _SHELLED.search(text):
        return None
    out = _SPLIT.sub(b"", _FIELD_GAP.sub(b" ", text))
    out = _BRACED.sub(lambda match: match[1].replace(b",", b" "), out)
    return None if out == text else out


def instances_of(field: Field, limits: Limits = _DEFAULT) -> list[bytes]:
    """The model inputs of one field; an empty list if the field can carry no attack on its own."""
    value = field.value
    if _PLAIN.fullmatch(value) and b".." not in value:
        return []
    kind, _, name = field.name.partition(":")
    if kind == "path" and not name and _PLAIN_PATH.fullmatch(value):
        return []
    plain = _PLAIN_VALUES.get(field.name)
    if plain and plain.fullmatch(value):
        return []
    if kind == "json":
        value = _JSON_ESCAPE.sub(rb"\1", value)
    out: list[bytes] = []
    for data, _chain in readings(value, limits):
        text = normal(data)
        if kind == "path" and not name:
            text = _PATH_PREFIX.sub(b"/w", text, count=1)
        elif name and kind != "header" and _URL.match(text):
            script = b"." + field.script.encode() + b"?" if field.script else b""
            text = script + normal(name.encode("latin-1"))[:32] + b"=" + text
        size = FILE_CHUNK if kind == "file" else CHUNK
        out += _chunks(text, size)
        shell = as_shell(text)
        if shell is not None:
            out += _chunks(shell, size)
    return out


def _chunks(text: bytes, size: int) -> list[bytes]:
    starts = range(0, max(len(text) - OVERLAP, 1), size - OVERLAP)
    return [text[start : start + size] for start in starts]
