"""A request as received, split into named fields with their byte spans (RFC 9110, 9112).

The split is lenient, linear and bounded: whatever a server might read as a separate value becomes a
field of its own, and wholes that carry meaning only together (path, body, an uploaded file with its
headers) are fields too. Names: ``method``, ``path``, ``path:2``, ``query:id``, ``header:referer``,
``cookie:sid``, ``form:user``, ``json:name``, ``xml``, ``part:comment``, ``file:avatar``, ``body``,
``value``.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from ..config import Limits
from ..records import Field, Payload
from .decode import inflate

_DEFAULT = Limits()
_END_OF_HEAD = re.compile(rb"\r?\n\r?\n")
_METHOD = re.compile(rb"\s{0,8}([A-Za-z]{2,20}) +(?=\S)")
_VERSION = re.compile(rb"HTTP/[0-9.]{1,4}")
_ORIGIN = re.compile(rb"[a-zA-Z][a-zA-Z0-9+.-]{1,10}://[^/?#\s]*")
_PAIR = re.compile(rb"([^&=]*)(?:=([^&]*))?(?:&|$)")
_COOKIE = re.compile(rb"\s*([^;=]*)(?:=([^;]*))?(?:;|$)")
_SAFE_PATH = re.compile(rb"[A-Za-z0-9._~/-]*")
_SAFE_SEGMENT = re.compile(rb"[A-Za-z0-9._~-]*")
_ODD_NAME = re.compile(rb"[^A-Za-z0-9._~\[\]-]|\[\$|__proto__|\.class|^class\.")
_SCRIPT = re.compile(
    rb"\.(php|phtml|asp|aspx|ashx|asmx|jsp|jspx|jsf|do|action|cgi|pl|cfm|nsf|dll|fcgi)[0-9]?(?=[/;?\s]|$)",
    re.I,
)
_SYNTAX = re.compile(rb"[<>'\"`|;(){}$\\]")
_JSON_STRING = re.compile(rb'"((?:[^"\\]|\\.)*+)(?:"(\s{0,8}:)?|\\?$)', re.S)
_SAFE = re.compile(rb"[A-Za-z0-9_.:-]*")
_XML_VALUE = re.compile(
    rb"=\s*\"([^\"<]{3,})\"|=\s*'([^'<]{3,})'|>([^<>]{3,})<"
    rb"|<!\[CDATA\[((?:[^\]]|\](?!\]>))++)"
)
_CHUNK = re.compile(rb"([0-9a-fA-F]{1,8})[^\n]{0,256}\n")
_BOUNDARY = re.compile(rb"boundary=\"?([^\";,\s]{1,200})", re.I)
_DISPOSITION = re.compile(rb'name\*?="?([^";\r\n]*)', re.I)
_FILENAME = re.compile(rb"filename\*?\s*=", re.I)
_UPLOAD_METHODS = {b"PUT", b"MOVE", b"COPY"}
_FILE_HEAD = 2048
_LONG_LINE = 1024  # bytes of a header line that is not remembered


class Split(NamedTuple):
    """Fields of one record; ``covered`` is False if a limit or an encoding left a part unread."""

    fields: list[Field]
    covered: bool


def split(payload: Payload, limits: Limits = _DEFAULT) -> Split:
    """Split a payload into fields; a ``value`` is one field, and a query if it looks like one."""
    if payload.kind == "value":
        return _split_value(payload.data, limits)
    return _split_request(payload.data, limits)


def _split_value(data: bytes, limits: Limits) -> Split:
    fields = [Field("value", data, 0, len(data))]
    mark = data.find(b"?")
    start = mark + 1 if 0 <= mark < 512 else 0
    if b"=" in data[start:] and (mark >= 0 or b"&" in data):
        _pairs(fields, "query", data, start, len(data), limits)
    return _bounded(fields, True, limits)


def _split_request(data: bytes, limits: Limits) -> Split:
    fields: list[Field] = []
    line = _request_line(data)
    if line is None:
        return _split_value(data, limits)
    _target(fields, data, line.start, line.end, limits)
    end = _END_OF_HEAD.search(data, line.end)
    head_end = end.start() if end else len(data)
    first = data.find(b"\n", line.end, head_end) + 1 or head_end
    headers = _headers(fields, data, first, head_end, limits)
    covered = True
    if end and end.end() < len(data):
        covered = _body(fields, data, end.end(), headers, line, limits)
    script = _SCRIPT.search(data, line.start, _path_end(data, line.start, line.end))
    if script:
        _mark(fields, script[1].lower().decode())
    return _bounded(fields, covered, limits)


def _path_end(data: bytes, start: int, end: int) -> int:
    """Where the query of a target begins, or the target's end."""
    mark = data.find(b"?", start, end)
    return end if mark < 0 else mark


def _mark(fields: list[Field], script: str) -> None:
    """Note on every parameter which kind of script it goes to."""
    for i, f in enumerate(fields):
        if f.name.startswith(("query:", "form:")):
            fields[i] = f._replace(script=script)


class _Line(NamedTuple):
    method: bytes
    start: int  # of the target
    end: int


def _request_line(data: bytes) -> _Line | None:
    """Method and target; the target may hold spaces, the version may be missing."""
    found = _METHOD.match(data)
    if found is None:
        return None
    start = found.end()
    stop = data.find(b"\n", start)
    target = data[start : len(data) if stop < 0 else stop].rstrip()
    cut = target.rfind(b" ")
    if cut >= 0 and _VERSION.fullmatch(target, cut + 1):
        target = target[:cut].rstrip()
    return _Line(found[1].upper(), start, start + len(target))


def _bounded(fields: list[Field], covered: bool, limits: Limits) -> Split:
    longest = limits.field_bytes
    if len(fields) > limits.fields:
        fields, covered = fields[: limits.fields], False
    for i, f in enumerate(fields):
        if len(f.value) > longest:
            end = min(f.end, f.start + longest)
            fields[i] = f._replace(value=f.value[:longest], end=end)
            covered = False
    return Split(fields, covered)


def _target(fields: list[Field], data: bytes, start: int, end: int, limits: Limits) -> None:
    origin = _ORIGIN.match(data, start, end)
    if origin:
        start = origin.end()
    path_end = _path_end(data, start, end)
    if path_end > start + 1:
        fields.append(Field("path", data[start:path_end], start, path_end))
        _segments(fields, data, start, path_end, limits)
    if path_end < end:
        _pairs(fields, "query", data, path_end + 1, end, limits)


def _segments(fields: list[Field], data: bytes, start: int, end: int, limits: Limits) -> None:
    """Path segments that hold more than a plain name."""
    if _SAFE_PATH.fullmatch(data, start, end):
        return
    at = start
    for number, segment in enumerate(data[start:end].split(b"/")):
        if len(segment) < end - start - 1 and not _SAFE_SEGMENT.fullmatch(segment):
            fields.append(Field(f"path:{number}", segment, at, at + len(segment)))
            if len(fields) > limits.fields:
                break
        at += len(segment) + 1


def _pairs(
    fields: list[Field], kind: str, data: bytes, start: int, end: int, limits: Limits
) -> None:
    first = len(fields)
    for match in _PAIR.finditer(data, start, end):
        name, value = match[1], match[2]
        if value:
            label = f"{kind}:{name[:64].decode('latin-1')}"
            fields.append(Field(label, value, match.start(2), match.end(2)))
        if name and (value is None or _ODD_NAME.search(name)):
            fields.append(Field(f"{kind}-name", name, match.start(1), match.end(1)))
        if len(fields) > limits.fields:
            break
    if len(fields) > first + 1 and _SYNTAX.search(data, start, end):
        fields.append(Field(kind, data[start:end], start, end))


def _headers(
    fields: list[Field], data: bytes, start: int, end: int, limits: Limits
) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    at = start
    for line in data[start:end].split(b"\n"):
        read = _header if len(line) < _LONG_LINE else _header.__wrapped__
        key, label, value, offset, odd = read(line)
        begin = at + offset
        if key == b"cookie":
            headers[key] = value
            _cookies(fields, data, begin, begin + len(value), limits)
        elif value:
            if key:
                headers[key] = value
            fields.append(Field(label, value, begin, begin + len(value)))
        if odd:
            name = line.partition(b":")[0]
            fields.append(Field("header-name", name, at, at + len(name)))
        at += len(line) + 1
        if len(fields) > limits.fields:
            break
    return headers


class _Header(NamedTuple):
    """A header line: lower-case name (may be empty), field name, value, its start, odd name."""

    key: bytes
    label: str
    value: bytes
    offset: int
    odd: bool


@lru_cache(maxsize=16_384)  # clients send the same few lines again and again
def _header(line: bytes) -> _Header:
    name, colon, rest = line.partition(b":")
    value = rest.strip()
    if not (colon and value):
        return _Header(b"", "header", line.strip(), len(line) - len(line.lstrip()), False)
    key = name.strip().lower()
    label = f"header:{key[:64].decode('latin-1')}"
    offset = len(name) + 1 + len(rest) - len(rest.lstrip())
    return _Header(key, label, value, offset, bool(_ODD_NAME.search(key)))


def _cookies(fields: list[Field], data: bytes, start: int, end: int, limits: Limits) -> None:
    for match in _COOKIE.finditer(data, start, end):
        if match[2]:
            label = f"cookie:{match[1][:64].decode('latin-1')}"
            fields.append(Field(label, match[2], match.start(2), match.end(2)))
        elif match[1] and _ODD_NAME.search(match[1]):
            fields.append(Field("cookie", match[1], match.start(1), match.end(1)))
        if len(fields) > limits.fields:
            break


def _body(
    fields: list[Field],
    data: bytes,
    start: int,
    headers: dict[bytes, bytes],
    line: _Line,
    limits: Limits,
) -> bool:
    """Add the body's fields; False if it could not be read fully."""
    chunks = b"chunked" in headers.get(b"transfer-encoding", b"").lower()
    joined = _dechunked(data, start) if chunks else None
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding != b"identity":
        packed = data[start:] if joined is None else joined
        plain = inflate(packed, limits.inflate_bytes + 1) if encoding in _INFLATE else None
        if plain is None:
            return False
        _inner(fields, plain[: limits.inflate_bytes], data, start, headers, limits)
        return len(plain) <= limits.inflate_bytes
    if joined is not None:  # and as it came: smuggled requests show only there
        _inner(fields, joined, data, start, headers, limits)
    if line.method in _UPLOAD_METHODS:
        target = data[line.start : min(line.end, line.start + 512)]
        upload = target + b"\n" + data[start : start + _FILE_HEAD]
        fields.append(Field("file", upload, line.start, min(len(data), start + _FILE_HEAD)))
    _parts(fields, data, start, headers, limits)
    return True


_INFLATE = {b"gzip", b"x-gzip", b"deflate"}


def _inner(
    fields: list[Field],
    plain: bytes,
    data: bytes,
    start: int,
    headers: dict[bytes, bytes],
    limits: Limits,
) -> None:
    """Add the fields of an unpacked body; each spans the body as it came."""
    inner: list[Field] = []
    _parts(inner, plain, 0, headers, limits)
    fields.extend(f._replace(start=start, end=len(data)) for f in inner)


def _dechunked(data: bytes, start: int) -> bytes | None:
    """The chunks of a body joined (RFC 9112, 7.1), a cut last one included; None if malformed."""
    out: list[bytes] = []
    while found := _CHUNK.match(data, start):
        size = int(found[1], 16)
        if not size:
            return b"".join(out)
        out.append(data[found.end() : found.end() + size])
        start = found.end() + size + 2
        if start >= len(data):
            return b"".join(out)
    return None


def _parts(
    fields: list[Field], data: bytes, start: int, headers: dict[bytes, bytes], limits: Limits
) -> None:
    kind = headers.get(b"content-type", b"").lower()
    lead = data[start : start + 64].lstrip()[:1]
    named = lead == b"-" and b"content-disposition" in data[start:].lower()
    if b"multipart/" in kind or named:
        _multipart(fields, data, start, headers.get(b"content-type", b""), limits)
        return
    if b"json" in kind or lead in (b"{", b"["):
        _json(fields, data, start, limits)
    elif b"xml" in kind or lead == b"<":
        _xml(fields, data, start, limits)
    elif b"urlencoded" in kind or (not kind and b"=" in data[start : start + 128]):
        before = len(fields)
        _pairs(fields, "form", data, start, len(data), limits)
        if len(fields) > before:
            return
    fields.append(Field("body", data[start:], start, len(data)))


def _json(fields: list[Field], data: bytes, start: int, limits: Limits) -> None:
    """String leaves that hold more than one plain word, each under the key it follows."""
    label = "json"
    for match in _JSON_STRING.finditer(data, start):
        if match[2]:
            label = f"json:{match[1][:64].decode('latin-1')}"
        if len(match[1]) < 3 or _SAFE.fullmatch(match[1]):
            continue
        fields.append(Field("json-name" if match[2] else label, match[1], *match.span(1)))
        if len(fields) >= limits.fields:
            break


def _xml(fields: list[Field], data: bytes, start: int, limits: Limits) -> None:
    """Attribute values and text that hold more than one plain word."""
    for match in _XML_VALUE.finditer(data, start):
        group = match.lastindex or 1
        if _SAFE.fullmatch(match[group]):
            continue
        fields.append(Field("xml", match[group], match.start(group), match.end(group)))
        if len(fields) >= limits.fields:
            break


def _multipart(
    fields: list[Field], data: bytes, start: int, content_type: bytes, limits: Limits
) -> None:
    found = _BOUNDARY.search(content_type)
    first = data[start : start + 256].lstrip().split(b"\n", 1)[0].strip()
    mark = b"--" + found[1] if found and b"--" + found[1] in data else first
    if not mark.startswith(b"--"):
        fields.append(Field("body", data[start:], start, len(data)))
        return
    at = data.find(mark, start)
    while at >= 0 and len(fields) <= limits.fields:
        begin = at + len(mark)
        following = data.find(mark, begin)
        end = len(data) if following < 0 else following
        if data[begin : begin + 2] != b"--":
            _part(fields, data, begin, end)
        at = following


def _part(fields: list[Field], data: bytes, start: int, end: int) -> None:
    while start < end and data[start] in b"\r\n":
        start += 1
    gap = _END_OF_HEAD.search(data, start, end)
    body = gap.end() if gap else end
    head = data[start : gap.start() if gap else end]
    named = _DISPOSITION.search(head)
    name = named[1][:64].decode("latin-1") if named else ""
    if _FILENAME.search(head):
        stop = min(end, body + _FILE_HEAD)
        fields.append(Field(f"file:{name}", data[start:stop].rstrip(b"\r\n"), start, stop))
    elif body < end:
        fields.append(Field(f"part:{name}", data[body:end].rstrip(b"\r\n"), body, end))
