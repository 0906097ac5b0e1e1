"""Whole HTTP requests around a value, as many clients and sites would send them.

Attack and benign values go through the same builder, so nothing around a value tells them apart.
"""

from __future__ import annotations

import re
from random import Random
from urllib.parse import quote_from_bytes

from . import body, company
from .grammar import Sample

PLACES = ("query", "form", "json", "cookie", "header", "path", "xml", "multipart")
_BODIES = {
    "form": body.form,
    "json": body.json_document,
    "xml": body.xml_document,
    "multipart": body.multipart,
}
_HEADERS = (
    *("User-Agent", "Referer", "X-Forwarded-For", "X-Api-Version", "Accept-Language", "Origin"),
    *("X-Requested-With", "X-Forwarded-Host", "Authorization", "X-Real-IP", "If-None-Match"),
    *("X-Client-Id", "X-Original-URL", "Accept", "X-Csrf-Token", "From"),
)
_HEADER_NAME = re.compile(r"[A-Z][A-Za-z0-9]*(-[A-Za-z0-9]+)+")

Header = tuple[str, bytes]


def embed(sample: Sample, rng: Random) -> bytes:
    """The whole request of a generated payload, at one of its natural places and names."""
    if sample.kind == "http":
        return complete(sample.payload, rng)
    where = rng.choice(sample.where or PLACES)
    names = [name for name in sample.params if _is_header(name) == (where == "header")]
    if sample.where == ("header",):
        names = list(sample.params)
    return wrap(sample.payload, rng, where=where, param=rng.choice(names) if names else None)


def benign_request(rng: Random) -> bytes:
    """A request with one hard benign value; one in eight holds nothing of note."""
    if rng.random() < 0.125:
        return _request(rng, "GET", _target(rng, body.others(rng)), "query")
    return embed(company.benign(rng), rng)


def wrap(value: bytes, rng: Random, *, where: str, param: str | None = None) -> bytes:
    """A whole HTTP/1 request that carries ``value`` at ``where``, one of ``PLACES``.

    The value is encoded as its place needs it; in a path, query or form one that holds percent
    escapes already keeps them. ``param`` names the parameter, cookie, header or element; an empty
    name makes the value the whole query string or body. See :mod:`dragoman.synth.body` for values
    that are documents or multipart parts themselves.

    Raises:
        ValueError: ``where`` is no place.
    """
    if where not in PLACES:
        raise ValueError(f"no such place {where!r}; known: {', '.join(PLACES)}")
    name = company.name(rng) if param is None else param
    if where == "path":
        return _request(rng, "GET", body.path_segment(value, rng), where)
    if where == "query":
        return _request(rng, _method(rng, "GET"), _target(rng, body.query(value, name, rng)), where)
    target = _target(rng, body.others(rng) if rng.random() < 0.3 else b"")
    if where == "cookie":
        own = (name or company.name(rng), value)
        return _request(rng, "GET", target, where, cookie=own)
    if where == "header":
        header = (param or rng.choice(_HEADERS), body.header_value(value))
        return _request(rng, "GET", target, where, header=header)
    entity = _BODIES[where](value, name, rng)
    return _request(rng, _method(rng, "POST"), target, where, entity=entity)


def complete(request: bytes, rng: Random) -> bytes:
    """A request written by a template, with what a client adds: headers, cookies, Content-Length.

    Its own lines stay as they are; a length is added where neither it nor chunking is declared.
    """
    head, _, content = request.partition(b"\r\n\r\n")
    start, *own = head.split(b"\r\n")
    named = {line.split(b":")[0].strip().lower() for line in own if line[:1] not in b" \t"}
    hosts = [line for line in own if line.lower().startswith(b"host:")]
    rest = [line for line in own if line not in hosts]
    if content and not named & {b"content-length", b"transfer-encoding"}:
        rest.append(b"Content-Length: %d" % len(content))
    slots = {
        b"{host}": hosts or [b"Host: " + company.host(rng)],
        b"{extra}": rest,
        b"{cookie}": _cookies(rng, None),
        b"{entity}": [],
    }
    return _assembled(
        start, slots, named, company.client(rng, "form" if content else "query"), content
    )


def _request(
    rng: Random,
    method: str,
    target: bytes,
    where: str,
    *,
    cookie: Header | None = None,
    header: Header | None = None,
    entity: tuple[str, bytes] | None = None,
) -> bytes:
    version = rng.choices(("HTTP/1.1", "HTTP/2", "HTTP/1.0"), (92, 5, 3))[0]
    own = {header[0].lower().encode()} if header else set()
    slots: dict[bytes, list[bytes]] = {
        b"{host}": [] if b"host" in own else [b"Host: " + company.host(rng)],
        b"{extra}": [header[0].encode() + b": " + header[1]] if header else [],
        b"{cookie}": [] if b"cookie" in own else _cookies(rng, cookie),
        b"{entity}": [],
    }
    content = b""
    if entity:
        kind, content = entity
        lines = [b"Content-Type: " + kind.encode(), b"Content-Length: %d" % len(content)]
        slots[b"{entity}"] = rng.sample(lines, 2)
    start = b"%s %s %s" % (method.encode(), target, version.encode())
    return _assembled(start, slots, own, company.client(rng, where), content)


def _assembled(
    start: bytes,
    slots: dict[bytes, list[bytes]],
    named: set[bytes],
    client: list[bytes],
    content: bytes,
) -> bytes:
    """The client's lines with the slots filled in, less those that are named already."""
    lines = [start]
    for line in client:
        if line in slots:
            lines += slots[line]
        elif line.split(b":")[0].lower() not in named:
            lines.append(line)
    return b"\r\n".join(lines) + b"\r\n\r\n" + content


def _cookies(rng: Random, own: Header | None) -> list[bytes]:
    pairs = company.pairs("cookie", rng)
    if own:
        pairs.insert(rng.randint(0, len(pairs)), own)
    text = b"; ".join(
        quote_from_bytes(name.encode(), safe="!#$&'*+^`|~").encode()
        + b"="
        + body.cookie_value(value, rng)
        for name, value in pairs
    )
    return [b"Cookie: " + text] if pairs else []


def _method(rng: Random, usual: str) -> str:
    if usual == "GET":
        return rng.choices(("GET", "POST", "HEAD", "DELETE", "PUT"), (93, 3, 2, 1, 1))[0]
    return rng.choices(("POST", "PUT", "PATCH", "DELETE"), (90, 6, 3, 1))[0]


def _target(rng: Random, query: bytes) -> bytes:
    return company.path(rng) + b"?" + query if query else company.path(rng)


def _is_header(name: str) -> bool:
    """Whether a parameter name reads as a header's (X-Api-Version, Referer), not a field's."""
    return name in _HEADERS or _HEADER_NAME.fullmatch(name) is not None
