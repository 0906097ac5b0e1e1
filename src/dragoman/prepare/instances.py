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
_PLACES = {"header:host", "header:content-type"}
_PLAIN = re.compile(rb"[A-Za-z0-9_.:-]{0,20}")
_PLAIN_PATH = re.compile(rb"(?!.*\.\.)(?:/[A-Za-z0-9._~@+,=-]*)*")
_PATH_PREFIX = re.compile(rb"(?:/[a-z0-9_~@+,=-]+(?=/))+")
_URL = re.compile(rb"\s*[\"']?(?:[a-z][a-z0-9+.-]{1,10}:|[/\\]{2}|/\\)", re.I)
_JSON_ESCAPE = re.compile(rb"\\([\"\\/])")  # in a JSON string, RFC 8259, section 7
_DIGITS = re.compile(rb"[0-9]+")
_SPACE = re.compile(rb"[ \t\x0b\x0c\xa0]+")
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
    return _SPACE.sub(b" ", data)


def instances_of(field: Field, limits: Limits = _DEFAULT) -> list[bytes]:
    """The model inputs of one field; an empty list if the field can carry no attack on its own."""
    value = field.value
    if _PLAIN.fullmatch(value) and b".." not in value:
        return []
    kind, _, name = field.name.partition(":")
    if kind == "path" and not name and _PLAIN_PATH.fullmatch(value):
        return []
    if kind == "header":
        plain = _PLAIN_PLACE if field.name in _PLACES else _PLAIN_HEADER
        if plain.fullmatch(value):
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
        for start in range(0, max(len(text) - OVERLAP, 1), size - OVERLAP):
            out.append(text[start : start + size])
    return out
