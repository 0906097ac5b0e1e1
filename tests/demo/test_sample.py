"""The shipped sample is what it says: 300 well-formed requests with labelled attacks among them."""

import re
from collections import Counter

from dragoman import demo
from dragoman.records import Payload
from dragoman.sources import open_source

CLASSES = {
    "cross-site-scripting", "sql-injection", "path-traversal", "command-injection",
    "code-injection", "server-side-request-forgery", "open-redirect", "xml-external-entity",
    "unsafe-deserialization", "file-upload", "crlf-injection",
}  # fmt: skip
REQUEST_LINE = re.compile(rb"[A-Z]+ (\S+) HTTP/1\.1\r\n")


def requests():
    return list(open_source([str(demo.sample_path())], format="http"))


def test_every_request_is_parsed_as_it_was_written():
    records = requests()
    assert len(records) == 300
    for record in records:
        assert isinstance(record, Payload)
        assert REQUEST_LINE.match(record.data)
        head, _, body = record.data.partition(b"\r\n\r\n")
        assert b"\n" not in head.replace(b"\r\n", b"")
        length = re.search(rb"\r\nContent-Length: (\d+)", head)
        assert len(body) == (int(length[1]) if length else 0)
        assert re.fullmatch(r"[\w.-]+\.(example\.(com|net|org|test))", record.host)


def test_labels_cover_every_class():
    labels = demo.labels()
    assert set(labels.values()) == CLASSES
    assert all(n >= 3 for n in Counter(labels.values()).values())
    assert 40 <= len(labels) <= 60
    assert set(labels) <= set(range(1, 301))


def test_planted_names_records_as_a_scan_does():
    ids = [record.id for record in requests()]
    assert demo.planted() == {ids[n - 1] for n in demo.labels()}


def test_labels_point_at_attacks():
    """Spot checks on marks that only the planted attacks of a class carry."""
    records = requests()
    marks = {
        "xml-external-entity": b"<!ENTITY",
        "unsafe-deserialization": rb"(\xac\xed\x00\x05|O%3A\d|@type|state=gAR)",
        "open-redirect": rb"^GET /\w+\?\w+=",
        "server-side-request-forgery": rb"(169\.254|127\.0\.0\.1)",
    }
    for ordinal, slug in demo.labels().items():
        if slug in marks:
            assert re.search(marks[slug], records[ordinal - 1].data), (ordinal, slug)
    attacks = set(demo.labels())
    benign = b"".join(r.data for n, r in enumerate(records, 1) if n not in attacks)
    assert not re.search(rb"<!ENTITY|\$\{jndi|/etc/passwd[&\s]|<script", benign)
