"""Windows events as XML."""

from __future__ import annotations

import pytest
from events import START, one, read, xml
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.records import Event
from dragoman.sources.logs import winxml
from dragoman.sources.logs.build import Skipped
from reading import stream_of

START_XML = xml(1, START).encode()


@pytest.mark.parametrize(
    "data",
    [
        START_XML,
        b'<?xml version="1.0" encoding="utf-8"?>\n<Events>' + START_XML + b"</Events>",
        b"May  2 10:00:00 pc1 sysmon: " + START_XML + b"\n",
        ('<?xml version="1.0" encoding="UTF-16"?>' + xml(1, START)).encode("utf-16"),
    ],
    ids=["bare", "export", "syslog", "utf-16"],
)
def test_an_event(data: bytes) -> None:
    event = one(data)
    assert event.object.process is not None
    assert event.object.process.command_line == "child.exe --go"
    assert (event.host, event.time) == ("pc1", 1_714_644_000_123_000_000)
    assert event.where.event_ids == ("Microsoft-Windows-Sysmon/Operational/7",)


def test_sysmon_for_linux() -> None:
    data = {**START, "Image": "/usr/bin/curl", "CommandLine": "curl x"}
    event = one(xml(1, data, "Linux-Sysmon").encode())
    assert (event.code, event.object.name) == ("sysmon/1", "/usr/bin/curl")


def test_user_data_and_unnamed_data() -> None:
    log = xml(1102, {}, "Microsoft-Windows-Eventlog").replace(
        "<EventData></EventData>",
        "<UserData><LogFileCleared xmlns='http://x'><SubjectUserName>eve</SubjectUserName>"
        "<SubjectDomainName>LAB</SubjectDomainName></LogFileCleared></UserData>",
    )
    event = one(log.encode())
    assert (event.verb, event.user) == ("clear", "LAB\\eve")
    loose = xml(1033, {}, "MsiInstaller").replace(
        "<EventData></EventData>", "<EventData><Data>Tool</Data><Data>1.0</Data></EventData>"
    )
    assert one(loose.encode()).object.name == "Tool\n1.0"


def test_entities_and_faults_cost_one_event_each() -> None:
    entity = START_XML.replace(b"child.exe --go", b"&a;")
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + entity
    deep = START_XML.replace(b"child.exe --go", b"<a>" * 100 + b"</a>" * 100)
    cut = START_XML[:-20]
    events, rejects, _ = read(START_XML + bomb + deep + START_XML + cut)
    assert len(events) == 2
    assert [reject.reason.split(":")[0] for reject in rejects] == [
        "broken XML", "XML nested deeper than limits.xml_depth = 64", "broken XML",
    ]  # fmt: skip
    assert rejects[0].where.byte is not None


def test_an_event_too_long_is_passed_over() -> None:
    long = START_XML.replace(b"child.exe --go", b"x" * 9_000)
    events, rejects, _ = read(long + START_XML, limits=Limits(record_bytes=4_000))
    assert len(events) == 1
    assert "limits.record_bytes" in rejects[0].reason


@given(st.lists(st.sampled_from([START_XML, b"<Event ", b"</Event>", b"<Event>", b"&x;", b"\xff"])))
def test_any_pieces(pieces: list[bytes]) -> None:
    read(b"".join(pieces), format="xml")


def test_pieces_may_arrive_in_any_size() -> None:
    data = b"noise<Even" + START_XML * 3 + b"<Event x" + b"y" * 5_000 + b"</Event>" + START_XML
    for step in (1, 7, 700):
        stream = stream_of(data, Limits(record_bytes=3_000), step)
        found = list(winxml.read(stream, Skipped()))
        assert [isinstance(item, Event) for item in found] == [True, True, True, False, True]
        assert isinstance(found[-1], Event)
        assert found[-1].where.byte == len(data) - len(START_XML)
