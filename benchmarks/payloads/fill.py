"""Fill what is left of template placeholders, and vary fixed fillers so that nothing rests on them.

The templates write ``{{url_encode('x')}}``; the helpers are expanded here through a parsed
expression (never evaluated as code). Names only a live session would know become random tokens.
"""

from __future__ import annotations

import ast
import base64
import binascii
import hashlib
import random
import re
import string
from collections.abc import Callable
from urllib.parse import quote, unquote

_NAMES = {
    "username": ("admin", "user", "editor", "test", "root"),
    "password": ("admin", "Passw0rd!", "changeme", "123456", "s3cret"),
    "core": ("core0", "demo", "products"),
    "path": ("index.php", "upload", "data"),
    "filename": ("a.php", "shell.jsp", "x.aspx", "up.phtml"),
}
_INNER = re.compile(r"\{\{((?:(?!\{\{|\}\}).){1,20000}?)\}\}", re.S)
_LETTERS = string.ascii_lowercase + string.digits


def token(rng: random.Random, length: int = 8) -> str:
    """A random token of lower-case letters and digits."""
    return "".join(rng.choices(_LETTERS, k=max(1, min(length, 64))))


def host_name(rng: random.Random) -> str:
    """A random host name; most are plain, some have a sub-domain."""
    name = "".join(rng.choices(string.ascii_lowercase, k=rng.randint(4, 11)))
    end = rng.choice(("com", "net", "org", "io", "me", "info", "co.uk", "de", "site", "cn"))
    return (
        f"{rng.choice(('www', 'cdn', 'app', token(rng, 6)))}.{name}.{end}"
        if rng.random() < 0.5
        else f"{name}.{end}"
    )


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _java_gadget(_kind: str, url: str, encoding: str = "raw") -> str:
    """A Java object stream (serialization protocol 5): a HashMap with one URL as key."""
    head = (
        bytes.fromhex("aced00057372")
        + b"\0\x11java.util.HashMap"
        + bytes.fromhex("0507dac1c31660d1030002")
    )
    fields = b"F\0\nloadFactorI\0\tthresholdxp" + bytes.fromhex(
        "3f4000000000000c770800000010000000017372"
    )
    host = url.partition("://")[2].encode()[:255]
    link = b"\0\x0cjava.net.URL" + bytes.fromhex("962537361afce47203000749") + b"\0\x08hashCode"
    data = head + fields + link + b"t\0" + bytes([len(host)]) + host + b"t\0\4http" + b"pxx"
    match encoding:
        case "base64" | "base64-raw":
            return base64.b64encode(data).decode()
        case "hex":
            return data.hex()
    return _text(data)


_CALLS: dict[str, Callable[..., str]] = {
    "url_encode": lambda text: quote(text, safe=""),
    "url_decode": unquote,
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64_py": lambda text: base64.b64encode(text.encode()).decode(),
    "base64_decode": lambda text: _text(base64.b64decode(text)),
    "hex_decode": lambda text: _text(binascii.unhexlify(text)),
    "hex_encode": lambda text: text.encode().hex(),
    "md5": lambda text: hashlib.md5(text.encode(), usedforsecurity=False).hexdigest(),
    "to_lower": str.lower,
    "tolower": str.lower,
    "to_upper": str.upper,
    "concat": lambda *parts: "".join(parts),
    "repeat": lambda text, times: text * min(int(times), 5_000),
    "html_escape": lambda text: text.replace("<", "&lt;"),
    "generate_java_gadget": _java_gadget,
    "replace": lambda text, old, new: text.replace(old, new),
}


def _value(node: ast.expr, rng: random.Random) -> str:
    match node:
        case ast.Constant(value=str() | int() as value):
            return str(value)
        case ast.Name(id=name):
            return rng.choice(_NAMES[name]) if name in _NAMES else token(rng, rng.randint(6, 12))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _value(left, rng) + _value(right, rng)
        case ast.Call(func=ast.Name(id=name), args=args):
            if name in _CALLS:
                return _CALLS[name](*(_value(arg, rng) for arg in args))
            length = args[0].value if args and isinstance(args[0], ast.Constant) else 8
            return token(rng, length if isinstance(length, int) else 24)
    raise ValueError("not a template expression")


def _expand(match: re.Match[str], rng: random.Random) -> str:
    if re.fullmatch(r"[A-Za-z][\w-]*", match[1]):  # a name only a live session would know
        return (
            rng.choice(_NAMES[match[1]]) if match[1] in _NAMES else token(rng, rng.randint(6, 12))
        )
    try:
        return _value(ast.parse(match[1].strip(), mode="eval").body, rng)
    except (SyntaxError, ValueError, TypeError, RecursionError):
        return match[0]  # a real template-injection probe such as {{7*7}} stays


def fill(request: str, rng: random.Random) -> str:
    """``request`` without annotations, helpers expanded; empty if no request line is left."""
    lines = request.split("\n")
    while lines and (lines[0].startswith("@") or not lines[0].strip()):
        lines.pop(0)
    text = "\n".join(lines)
    for _ in range(3):
        text, before = _INNER.sub(lambda m: _expand(m, rng), text), text
        if text == before:
            break
    return text if re.match(r"[A-Z]{3,10} \S", text) else ""


_CALL_BACK = re.compile(
    r"(?:c8k2m1v3q9t0\.)?(?:oast\.(?:fun|me|pro|live|site|online)|interact\.sh)"
)
_TOKENS = re.compile(r"2Xk9QmZ|Qk3xT9|c8k2m1v3q9t0|uzmpvjPBmwEO3tFXq0vlJg|rlHeqZw2vrPzOiWWfCParA")


def vary(request: str, rng: random.Random) -> str:
    """The request as received: CRLF line ends in the head, own host, call-back host and tokens."""
    site, call_back = host_name(rng), host_name(rng)
    tokens: dict[str, str] = {}
    text = _CALL_BACK.sub(lambda m: call_back, request)
    text = _TOKENS.sub(lambda m: tokens.setdefault(m[0], token(rng, len(m[0]))), text)
    text = text.replace("www.example.com", site)
    head, _, body = text.replace("\r\n", "\n").partition("\n\n")
    return head.rstrip("\n").replace("\n", "\r\n") + "\r\n\r\n" + body
