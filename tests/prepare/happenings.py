"""Events of an invented host, and a strategy for streams of hostile ones."""

from itertools import count

from hypothesis import strategies as st

from dragoman.records import Event, Object, Process, Where

SECOND = 1_000_000_000
START = 1_700_000_000 * SECOND
_NUMBER = count(1)


def process(pid, image="", command="", *, parent="", user="", id=None):
    return Process(id or f"{pid}@1", pid, image, command, user, str(parent))


def event(
    verb,
    kind,
    name="",
    value="",
    *,
    actor=None,
    target=None,
    at=0.0,
    host="a",
    id=None,
    what="",
    code="test/1",
    outcome="",
    remote="",
    local="",
    user="",
    fields=None,
):
    return Event(
        id or f"e{next(_NUMBER)}",
        START + int(at * SECOND),
        host,
        verb,
        Object(kind, name, value, remote, local, target),
        actor,
        code,
        what or f"{verb} {kind}",
        Where("log"),
        user,
        outcome,
        fields or {},
    )


def start(child, by=None, *, at=0.0, **more):
    return event(
        "start", "process", child.image, child.command_line, actor=by, target=child, at=at, **more
    )


_TEXT = st.sampled_from(
    ["", "a", r"C:\Windows\System32\cmd.exe", "/bin/sh", "/tmp/x", "é", "10.0.0.1:445",
     r"HKLM\Software\Microsoft\Windows\CurrentVersion\Run\x", "cmd ^x",
     "-enc " + "QQBB" * 9]
) | st.text(max_size=12)  # fmt: skip
_PROCESS = st.builds(
    Process,
    st.sampled_from(["", "1", "2", "3", "4@7", "5-g", "6-g"]),
    st.none() | st.integers(0, 6),
    _TEXT,
    _TEXT,
    _TEXT,
    st.sampled_from(["", "1", "2", "3", "4@7", "5-g", "9"]),
)
_VERBS = ["start", "fork", "end", "load", "inject", "read", "write", "create", "delete", "rename",
          "access", "set", "connect", "accept", "query", "logon", "run", "schedule",
          "other"]  # fmt: skip
_KINDS = ["process", "file", "module", "registry", "socket", "dns", "session", "credential",
          "service", "task", "script", "share", "other"]  # fmt: skip
_ENDS = st.sampled_from(["", "192.0.2.1:50000", "192.0.2.2:445", "[::1]:80", "192.0.2.1", "x"])
_FIELDS = st.dictionaries(
    st.sampled_from(["TargetLogonId", "LogonId", "ses", "Message"]),
    st.sampled_from(["0x3e7", "0x11", "5", "hello 123"]),
    max_size=2,
)


@st.composite
def streams(draw, most=25):
    """Events in any order, of forged ids, times far apart, with cycles of parents."""
    events = []
    for number in range(draw(st.integers(0, most))):
        thing = Object(
            draw(st.sampled_from(_KINDS)), draw(_TEXT), draw(_TEXT), draw(_ENDS), draw(_ENDS),
            draw(st.none() | _PROCESS),
        )  # fmt: skip
        events.append(
            Event(
                f"e{number}",
                draw(st.sampled_from([START, 0, 4 * 10**18]) | st.integers(START, START + 10**12)),
                draw(st.sampled_from(["a", "b", ""])),
                draw(st.sampled_from(_VERBS)),
                thing,
                draw(st.none() | _PROCESS),
                "test/1",
                draw(st.sampled_from(["", "something happened"])),
                Where("log"),
                draw(_TEXT),
                draw(st.sampled_from(["", "success", "failure"])),
                draw(_FIELDS),
            )
        )
    return events
