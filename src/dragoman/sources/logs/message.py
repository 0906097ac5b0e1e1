"""The fields that the English text of a Windows event tells, under the names of its XML."""

from __future__ import annotations

import re

_LINE = re.compile(r"([ \t]*)([A-Za-z][\w /()-]{0,60}?):(?![^\s])")
_PAIR = re.compile(r"\b([A-Z]\w{1,40}) = ([^;\r\n]*)")
_CHARS = 65_536  # of a message that are read
_ACTING = ("subject", "creator subject")
_TARGETS = (
    *("new logon", "target subject", "target account", "new account", "group", "member"),
    *("account for which logon failed", "account whose credentials were used", "user"),
    "account information",
)
_NAMES = {  # label in lower case: name of the field
    "new process id": "NewProcessId",
    "new process name": "NewProcessName",
    "creator process id": "ProcessId",
    "creator process name": "ParentProcessName",
    "process command line": "CommandLine",
    "process id": "ProcessId",
    "process name": "ProcessName",
    "caller process id": "ProcessId",
    "caller process name": "ProcessName",
    "application name": "Application",
    "object name": "ObjectName",
    "object type": "ObjectType",
    "object value name": "ObjectValueName",
    "new value": "NewValue",
    "handle id": "HandleId",
    "accesses": "AccessList",
    "access mask": "AccessMask",
    "logon type": "LogonType",
    "workstation name": "WorkstationName",
    "source network address": "IpAddress",
    "network address": "IpAddress",
    "client address": "IpAddress",
    "client port": "IpPort",
    "source address": "SourceAddress",
    "source port": "SourcePort",
    "destination address": "DestAddress",
    "destination port": "DestPort",
    "direction": "Direction",
    "protocol": "Protocol",
    "share name": "ShareName",
    "share path": "ShareLocalPath",
    "relative target name": "RelativeTargetName",
    "service name": "ServiceName",
    "service file name": "ServiceFileName",
    "task name": "TaskName",
    "task content": "TaskContent",
    "privileges": "PrivilegeList",
    "exit status": "Status",
    "status": "Status",
}
_ACCOUNT = {
    "security id": "UserSid",
    "account name": "UserName",
    "account domain": "DomainName",
    "group name": "UserName",
    "group domain": "DomainName",
    "logon id": "LogonId",
}


def message_data(message: str) -> dict[str, str]:
    """``Label: value`` lines by field name; a label without one is its words run together.

    A value that goes on over lines (privileges, accesses) is kept whole. ``Name = value; ...``, as
    WMI writes, is read as well.
    """
    out = dict(_PAIR.findall(message[:_CHARS])) if "; " in message and " = " in message else {}
    section = last = ""
    for line in message[:_CHARS].split("\n"):
        found = _LINE.match(line)
        if found is None:
            text = line.strip()
            if last and text and line[:1] in "\t ":
                out[last] = f"{out[last]}\n{text}"
            else:
                last = ""
            continue
        indent, label, value = (
            found.group(1),
            found.group(2).strip().lower(),
            line[found.end() :].strip(),
        )
        if not value and not indent:
            section, last = label, ""
            continue
        if not indent:
            section = ""
        last = _name(section, label, found.group(2))
        if last in out:
            last = ""
        else:
            out[last] = value
    return out


def _name(section: str, label: str, written: str) -> str:
    if label in _ACCOUNT and section in _ACTING:
        return f"Subject{_ACCOUNT[label]}"
    if label in _ACCOUNT and section in _TARGETS:
        return f"Target{_ACCOUNT[label]}"
    return _NAMES.get(label) or written.replace(" ", "")
