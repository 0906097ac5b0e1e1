"""What the text of a Windows event tells."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st

from dragoman.sources.logs.message import message_data


def test_sections_tell_accounts_apart() -> None:
    data = message_data(
        "A user account was created.\r\n\r\nSubject:\r\n\tAccount Name:\t\tadm\r\n"
        "\tLogon ID:\t\t0x1\r\n\r\nNew Account:\r\n\tAccount Name:\t\teve\r\n\r\n"
        "Additional Information:\r\n\tPrivileges\t\t-\r\n\tPrivileges:\t\tSeA\r\n\t\t\tSeB\r\n"
    )
    assert data == {
        "SubjectUserName": "adm",
        "SubjectLogonId": "0x1",
        "TargetUserName": "eve",
        "PrivilegeList": "SeA\nSeB",
    }


def test_plain_labels_and_pairs() -> None:
    assert (
        message_data("Process Create:\nImage: C:\\x.exe\nCommandLine: x: y")["Image"] == "C:\\x.exe"
    )
    data = message_data("Id = {1}; ClientMachine = PC1; Operation = Start q : SELECT *; Code = 1")
    assert (data["ClientMachine"], data["Operation"]) == ("PC1", "Start q : SELECT *")


@given(st.text())
def test_any_text(text: str) -> None:
    assert all(isinstance(value, str) for value in message_data(text).values())


def test_a_hostile_message_costs_little() -> None:
    began = time.process_time()
    message_data("a = " * 50_000 + "; ")
    message_data("x: \n" * 50_000)
    message_data("A" + " " * 70_000)
    message_data("Label: y" + " " * 60_000 + "z")
    assert time.process_time() - began < 2
