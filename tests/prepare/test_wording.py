"""Sentences say what happened; the tables hold only what the code fills."""

import re
import tomllib
from importlib.resources import files
from typing import get_args

import pytest
from happenings import event, process, start

from dragoman.prepare.behaviour import behaviour
from dragoman.prepare.wording import sentence
from dragoman.records import ObjectKind, Verb

SHELL = process(1, r"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe")
TABLE = tomllib.loads((files("dragoman.prepare") / "wording.toml").read_text("utf-8"))


def said(one, **more):
    return sentence(one, behaviour(one, one.actor.image if one.actor else ""), **more)


@pytest.mark.parametrize("name", TABLE["sentences"])
def test_every_sentence_is_of_a_known_verb_and_kind_and_known_parts(name):
    verb, kind = name.split()
    assert verb in {*get_args(Verb), "*", "transient"}
    assert kind in {*get_args(ObjectKind), "*"}
    parts = re.findall(r"\{(\w+)\}", TABLE["sentences"][name])
    assert set(parts) <= {"actor", "object", "value", "remote", "user", "what", "decoded"}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (event("set", "registry", r"HKCU\Software\Microsoft\Windows\CurrentVersion\Run\x", "a.exe",
               actor=SHELL),
         r"powershell.exe set the registry value"
         r" hkcu\software\microsoft\windows\currentversion\run\x"
         ' (a registry key that starts programs at logon) to "a.exe"'),
        (event("access", "process", "", "0x1410", actor=SHELL, target=process(2, r"C:\lsass.exe")),
         "powershell.exe opened the process lsass.exe (the process that holds credentials of"
         " logged-on users) with the right to read its memory, query it"),
        (event("connect", "socket", actor=SHELL, remote="10.0.0.5:445"),
         "powershell.exe connected to a private address on port 445 (SMB file sharing)"),
        (event("connect", "socket", actor=SHELL, remote="8.8.8.8:50001"),
         "powershell.exe connected to a public address on a high port"),
        (event("query", "dns", "cdn.github.com", actor=SHELL),
         "powershell.exe looked up the host name github.com"),
        (event("create", "file", r"C:\Users\Public\a.ps1", actor=SHELL),
         r"powershell.exe created a script %public%\a.ps1 (the public folder)"),
        (event("logon", "session", r"D\ann", "10", remote="8.8.8.8:1", code="security/4624",
               what="an account logged on"),
         "an account logged on: user by a remote desktop logon from a public address"),
        (event("logon", "session", r"D\ann", "3", code="security/4625", outcome="failure",
               what="an account failed to log on"),
         "an account failed to log on: user by a network logon, which failed"),
        (event("schedule", "task", r"\Updater", "<Exec>a.exe</Exec>", actor=SHELL),
         r"a scheduled task was created by powershell.exe: \updater,"
         ' which runs "<exec>a.exe</exec>"'),
        (event("access", "ticket", "krbtgt", "0x17",
               what="a Kerberos service ticket was requested"),
         "a Kerberos service ticket was requested: krbtgt, weak RC4 encryption"),
        (event("detect", "threat", "Acme.A", what="the virus scanner found malware"),
         "the virus scanner found malware: acme.a"),
        (event("connect", "socket", "/run/x.sock", actor=SHELL),
         "powershell.exe connected to /run/x.sock"),
    ],
)  # fmt: skip
def test_sentences(one, expected):
    assert said(one) == expected


def test_the_parts_that_are_not_known_are_left_out():
    child = process(2, "/bin/id")
    assert said(start(child)) == "id was started"
    assert said(start(child, user="root")) == "id was started as root"
    assert said(event("read", "file", "", actor=SHELL, what="data was read")) == (
        "data was read, by powershell.exe"
    )


def test_how_often_and_what_was_hidden():
    child = process(2, "/bin/sh", "sh -c x")
    assert said(start(child), count=3, decoded="id") == (
        'sh was started with the command line "sh -c x", which decodes to "id", 3 times'
    )
