"""Traffic to measure with: a sample of requests, repeated and varied."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from .. import demo
from ..errors import SourceError
from ..records import Payload
from ..sources import open_source

SAMPLE = 5_000  # different requests at most


def read_sample(data: Sequence[str | Path] | None) -> list[bytes]:
    """The requests to repeat; at most ``SAMPLE``."""
    paths = [str(path) for path in data] if data else [str(demo.sample_path())]
    records = open_source(paths)
    found = (r.data for r in records if isinstance(r, Payload) and r.kind == "http")
    sample = list(islice(found, SAMPLE))
    if not sample:
        raise SourceError(
            "no HTTP request to measure with",
            where=", ".join(paths),
            hint="name files of raw requests, HAR, access logs or labelled payloads",
        )
    return sample


_DIGITS = re.compile(rb"(?<![%\w])\d+")  # a digit after % belongs to an encoded byte
_VALUE = re.compile(
    rb"(?<![a-z]boundary)=([^&\s;,\"'<>=]+)|\"(\w+)\"(?=\s*[,}\]])|(?<=/)(\w+)", re.I
)
_TEN = [b"%d" % digit for digit in range(10)]
_LENGTH = re.compile(rb"(?im)^(content-length:[ \t]*)\d+")


def vary(
    sample: Sequence[bytes], n: int, seed: int, *, every_value: bool = False
) -> Iterator[bytes]:
    """``n`` requests: the sample in turn, fresh digits in target and body of every copy.

    With ``every_value`` every parameter, cookie, JSON string and path segment gets a token of its
    own, so that no value is seen twice. ``Content-Length`` is corrected.
    """
    rng = random.Random(seed)
    for number in range(n):
        request = sample[number % len(sample)]
        head, gap, body = request.partition(b"\r\n\r\n")
        line, end, headers = head.partition(b"\r\n")
        target, space, version = line.rpartition(b" ")
        target, body = _fresh_digits(target, rng), _fresh_digits(body, rng)
        if every_value:
            target, headers = _fresh_values(target, rng), _fresh_values(headers, rng)
            body = body if b"multipart/" in headers.lower() else _fresh_values(body, rng)
        headers = _LENGTH.sub(rb"\g<1>%d" % len(body), headers)
        yield target + space + version + end + headers + gap + body


def _fresh_digits(data: bytes, rng: random.Random) -> bytes:
    return _DIGITS.sub(lambda m: b"".join(rng.choices(_TEN, k=len(m[0]))), data)


def _fresh_values(data: bytes, rng: random.Random) -> bytes:
    def fresh(match: re.Match[bytes]) -> bytes:
        token = b"%06x" % rng.randrange(16**6)
        return match[0][:-1] + token + b'"' if match[2] else match[0] + token

    return _VALUE.sub(fresh, data)


def write(path: Path, requests: Iterable[bytes]) -> None:
    """JSON lines that ``dragoman scan`` reads."""
    with path.open("w", encoding="utf-8") as file:
        for request in requests:
            try:
                row = {"payload": request.decode("utf-8"), "kind": "http"}
            except UnicodeDecodeError:
                row = {"payload_b64": base64.b64encode(request).decode("ascii"), "kind": "http"}
            file.write(json.dumps(row) + "\n")
