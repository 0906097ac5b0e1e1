"""Encoding of a value for its place in a request, and the bodies that carry it among others."""

from __future__ import annotations

import html
import json
import re
import string
from random import Random
from typing import Any
from urllib.parse import quote_from_bytes

from . import company

# What clients leave unescaped: strict libraries, encodeURIComponent, hand-written or curl requests.
_SAFE = ("", "!'()*", "!'()*,:/?@;$=[]", "!'()*,:/?@;$=[]{}|\"<>\\^`")
_PATH_SAFE = ("/:@$&'()*+,;=!~", "/:@$&'()*+,;=!~?[]{}|\"<>\\^`")
_ESCAPED = re.compile(rb"%(?:[0-9a-fA-F]{2}|u[0-9a-fA-F]{4})")
_NOT_COOKIE_OCTET = re.compile(rb"[^!#-+\--:<-\[\]-~]")  # RFC 6265, section 4.1.1
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_JSON_DOCUMENT = re.compile(rb"""\s*(?:\{+\s*["'\\]|\[\s*["'{\[]).*[\]}]\s*\Z""", re.DOTALL)
_XML_DOCUMENT = re.compile(
    rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\s*<(?:[?!]|([A-Za-z_][\w.-]*)[\s>/:])"
)
_NOT_XML_CHAR = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HTML_ELEMENTS = frozenset(
    b"a audio b body br button center details div em embed figure form h1 h2 html i iframe img "
    b"input link marquee math meta object p script span strong style svg table template u ul "
    b"video".split()
)
_JSON_TYPES = (
    "application/json",
    "application/json",
    "application/json; charset=utf-8",
    "application/json;charset=UTF-8",
    "text/plain;charset=UTF-8",
)
_XML_TYPES = ("text/xml", "application/xml", "text/xml; charset=utf-8", "application/soap+xml")
_XML_FORMS = (
    "<{root}>{inner}</{root}>",
    '<?xml version="1.0" encoding="UTF-8"?>\n<{root}>{inner}</{root}>',
    '<?xml version="1.0"?><{root} xmlns="http://www.example.com/ns/{root}">{inner}</{root}>',
    '<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/"><soapenv:Header/>'
    "<soapenv:Body><{root}>{inner}</{root}></soapenv:Body></soapenv:Envelope>",
    '<?xml version="1.0"?><methodCall><methodName>{root}</methodName><params><param><value>'
    "<struct>{inner}</struct></value></param></params></methodCall>",
)
_FILE_TYPES = {
    "jpg": "image/jpeg",
    "png": "image/png",
    "pdf": "application/pdf",
    "zip": "application/zip",
    "bin": "application/octet-stream",
    "txt": "text/plain",
    "csv": "text/csv",
    "xml": "text/xml",
    "svg": "image/svg+xml",
    "json": "application/json",
}


def query(value: bytes, name: str, rng: Random) -> bytes:
    """``name=value`` among others; without a name the value is the whole query string."""
    if not name:
        return _escaped(value, rng.choice(_SAFE[2:]) + "&=+", plus=False)
    return _joined([*company.pairs("query", rng), (name, value)], rng)


def others(rng: Random) -> bytes:
    """A query string of benign parameters, perhaps empty."""
    return _joined(company.pairs("query", rng), rng)


def path_segment(value: bytes, rng: Random) -> bytes:
    """The value as a path of its own where it begins with a slash, else as a segment of a path."""
    text = _escaped(value, rng.choice(_PATH_SAFE), plus=False)
    if text.startswith(b"/"):
        return text
    end = rng.choice((b"", b"", b"/", b"/" + company.name(rng).encode()))
    return company.path(rng).rstrip(b"/") + b"/" + text + end


def cookie_value(value: bytes, rng: Random) -> bytes:
    """As it is where RFC 6265 allows it, at times where only parsers do; else percent-encoded."""
    broken = _CONTROL.search(value) or b";" in value or value != value.strip()
    if not _NOT_COOKIE_OCTET.search(value) or (not broken and rng.random() < 0.4):
        return value
    return quote_from_bytes(value, safe="").encode()


def header_value(value: bytes) -> bytes:
    """CR, LF and other controls are percent-encoded: raw, they would end the header."""
    return _CONTROL.sub(lambda m: b"%%%02X" % m[0][0], value).strip(b" \t")


def form(value: bytes, name: str, rng: Random) -> tuple[str, bytes]:
    """Content-Type and body of an HTML form."""
    charset = rng.choice(("", "", "; charset=UTF-8", ";charset=utf-8"))
    return f"application/x-www-form-urlencoded{charset}", query(value, name, rng)


def json_document(value: bytes, name: str, rng: Random) -> tuple[str, bytes]:
    """Content-Type and JSON body; a value that looks like a document is mostly the body itself."""
    kind = rng.choice(_JSON_TYPES)
    if not name or (_JSON_DOCUMENT.match(value) and rng.random() < 0.7):
        return kind, value
    fields = [
        (other, _scalar(_text(v))) for other, v in company.pairs("json", rng) if other != name
    ]
    fields.insert(rng.randint(0, len(fields)), (name, _text(value)))
    compact = rng.random() < 0.6
    text = json.dumps(
        _json_shape(dict(fields), rng),
        ensure_ascii=rng.random() < 0.4,
        separators=(",", ":") if compact else (", ", ": "),
        indent=2 if not compact and rng.random() < 0.2 else None,
    )
    return kind, text.encode()


def _json_shape(fields: dict[str, Any], rng: Random) -> Any:
    other = company.name(rng)
    graphql = f"query($v: String) {{ {other}(v: $v) {{ id }} }}"
    shapes: tuple[Any, ...] = (
        fields,
        {other: fields},
        {other: [fields]},
        [fields],
        {"data": {"type": other, "attributes": fields}},
        {"jsonrpc": "2.0", "id": rng.randint(1, 99), "method": other, "params": [fields]},
        {"query": graphql, "variables": fields},
    )
    return rng.choices(shapes, (6, 2, 1, 1, 1, 1, 1))[0]


def _scalar(text: str) -> Any:
    """A number where the text is one, as JSON senders write it."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else text


def xml_document(value: bytes, name: str, rng: Random) -> tuple[str, bytes]:
    """Content-Type and XML body; a value that is an XML document is the body itself.

    What XML cannot hold (most controls) is percent-encoded.
    """
    kind = rng.choice(_XML_TYPES)
    root = _XML_DOCUMENT.match(value)
    if not name or (root and (root[1] or b"").lower() not in _HTML_ELEMENTS):
        return kind, value
    fields = [(n, html.escape(_xml_text(v))) for n, v in company.pairs("form", rng)]
    fields.insert(rng.randint(0, len(fields)), (name, _xml_content(_xml_text(value), rng)))
    inner = "".join("<{0}>{1}</{0}>".format(_element(n), text) for n, text in fields)
    body = rng.choice(_XML_FORMS).replace("{root}", _element(company.name(rng)))
    return kind, body.replace("{inner}", inner).encode()


def _xml_text(value: bytes) -> str:
    return _NOT_XML_CHAR.sub(lambda m: quote_from_bytes(m[0].encode()), _text(value))


def _xml_content(text: str, rng: Random) -> str:
    if "]]>" not in text and "\r" not in text and rng.random() < 0.25:
        return f"<![CDATA[{text}]]>"
    return html.escape(text, quote=rng.random() < 0.5).replace("\r", "&#13;")


def _element(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", re.sub(r"^[^A-Za-z_]+", "", name)) or "value"


def multipart(value: bytes, name: str, rng: Random) -> tuple[str, bytes]:
    """Content-Type and body of a multipart form.

    The value is a field or a file; one that begins with ``Content-Disposition:`` is a part, one
    that begins with a boundary all of the body (its bare line feeds become CRLF).
    """
    whole = re.match(rb"--([^\r\n]{1,70})\r?\n(?=Content-Disposition:)", value)
    if whole:
        text = value if b"\r\n" in value else value.replace(b"\n", b"\r\n")
        return f"multipart/form-data; boundary={whole[1].decode('latin-1')}", text
    parts = [_field(other, text) for other, text in company.pairs("form", rng)]
    parts.insert(rng.randint(0, len(parts)), _part(value, name or company.name(rng), rng))
    boundary = _boundary(rng)
    line = b"--" + boundary.encode()
    body = b"".join(line + b"\r\n" + part + b"\r\n" for part in parts) + line + b"--\r\n"
    return f"multipart/form-data; boundary={boundary}", body


def _boundary(rng: Random) -> str:
    token = "".join(rng.choices(string.ascii_letters + string.digits, k=16))
    digits = "".join(rng.choices(string.digits, k=27))
    forms = (f"----WebKitFormBoundary{token}", "-" * 27 + digits, "-" * 24 + token, token)
    return rng.choice(forms)


def _part(value: bytes, name: str, rng: Random) -> bytes:
    if value.startswith(b"Content-Disposition:"):
        head, gap, content = value.partition(b"\n\n")
        return (head + gap).replace(b"\n", b"\r\n") + content
    binary = any(byte < 9 for byte in value)
    if not binary and rng.random() < 0.6:
        return _field(name, value)
    extension = rng.choice(list(_FILE_TYPES)[:5] if binary else list(_FILE_TYPES)[5:])
    file = f"{company.name(rng)}{rng.choice(('', '_1', '-final', ' (2)'))}.{extension}"
    lines = f'{_disposition(name)}; filename="{file}"\r\nContent-Type: {_FILE_TYPES[extension]}'
    return f"{lines}\r\n\r\n".encode() + value


def _field(name: str, value: bytes) -> bytes:
    return f"{_disposition(name)}\r\n\r\n".encode() + value


def _disposition(name: str) -> str:
    quoted = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
    return f'Content-Disposition: form-data; name="{quoted}"'


def _joined(pairs: list[tuple[str, bytes]], rng: Random) -> bytes:
    rng.shuffle(pairs)
    safe, plus = rng.choice(_SAFE), rng.random() < 0.5
    return b"&".join(
        _escaped(name.encode(), "[]:$.", plus) + b"=" + _escaped(value, safe, plus)
        for name, value in pairs
    )


def _escaped(value: bytes, safe: str, plus: bool) -> bytes:
    """Percent-encoded; a value that holds escapes already keeps them, and its plus signs."""
    if _ESCAPED.search(value):
        safe, plus = safe + "%+", False
    return quote_from_bytes(value, safe=safe + (" " if plus else "")).replace(" ", "+").encode()


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
