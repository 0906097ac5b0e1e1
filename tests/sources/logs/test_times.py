"""Times of logs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.sources.logs.times import filetime, ns, seconds_text
from dragoman.sources.logs.viewer import clock

NOON = 1_714_651_200_000_000_000  # 2024-05-02 12:00 UTC


@pytest.mark.parametrize(
    ("value", "time"),
    [
        ("2024-05-02T12:00:00Z", NOON),
        ("2024-05-02 12:00:00", NOON),
        ("2024/05/02 12:00:00.5", NOON + 500_000_000),
        ("2024-05-02T12:00:00.1234567Z", NOON + 123_456_700),
        ("2024-05-02T12:00:00.123456789+00:00", NOON + 123_456_789),
        ("2024-05-02T14:00:00+02:00", NOON),
        ("2024-05-02T08:00:00.000-0400", NOON),
        ("2024-05-02 12:00:00.123 UTC", NOON + 123_000_000),
        (1_714_651_200, NOON),
        (1_714_651_200.25, NOON + 250_000_000),
        (1_714_651_200_123, NOON + 123_000_000),
        (1_714_651_200_123_456, NOON + 123_456_000),
        (NOON + 7, NOON + 7),
        *(
            (bad, None)
            for bad in ("", "yesterday", "2024-13-02T12:00:00Z", "2024-05-02T12:00:00 X")
        ),
        *((bad, None) for bad in (True, None, -1, [], 1e300, float("nan"))),
    ],
)
def test_ns(value: Any, time: int | None) -> None:
    assert ns(value) == time


def test_other_clocks() -> None:
    assert filetime(133_591_248_000_000_007) == NOON + 700
    assert filetime(0) is None
    assert seconds_text("1714651200.007") == NOON + 7_000_000
    assert seconds_text("1714651200") == NOON
    assert seconds_text("x") is seconds_text("1.x") is seconds_text("9" * 40) is None
    assert clock("5/2/2024 12:00:00 PM") == clock("2024-05-02 12:00:00") == NOON
    assert clock("31/5/2024 12:00:00") is not None
    assert clock("32/32/2024 12:00:00") is clock("soon") is None


@given(st.text() | st.floats() | st.integers())
def test_anything(value: Any) -> None:
    time = ns(value)
    assert time is None or 0 <= time < 1 << 63
