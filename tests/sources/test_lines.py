from __future__ import annotations

from reading import read_bytes


def test_every_line_is_a_value_with_its_bytes() -> None:
    found, rejected = read_bytes(b"a b\r\n\n\xff\xfe;ls\n' or 1=1 --", format="lines")
    assert rejected == []
    assert [(p.id, p.data, p.kind) for p in found] == [
        ("-#1", b"a b", "value"),
        ("-#3", b"\xff\xfe;ls", "value"),
        ("-#4", b"' or 1=1 --", "value"),
    ]
