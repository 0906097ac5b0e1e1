"""Evasions of shell command lines: other spellings that a shell turns back into the same words."""

from __future__ import annotations

import re
from random import Random

_COMMAND = re.compile(
    r"\b(cat|ls|id|whoami|uname|wget|curl|ping|nslookup|sleep|head|tail|bash|nc|netstat|ifconfig|hostname|"
    r"echo|nl|tac|od|xxd|base64|grep|dig|pwd|ps|tftp|perl|php|python3?|ruby|awk|sed|find)"
    r"\b(?![.=/:@-])"
)
_WINDOWS = re.compile(
    r"cmd(?:\.exe)?|powershell|pwsh|ipconfig|[a-z]:\\|%[A-Z]+%|\bnet user|systeminfo", re.I
)
SYSTEM_FILE = re.compile(r"(?<![a-z])(etc|bin|usr|proc|var|windows|WEB-INF)/([a-zA-Z]{2,12})\b")
_NOTHING = ("''", '""', "\\", "$@", "$9", "$*", "${x}", "``", "$()")
_PATH = re.compile(r"(?<![\w:/.])/(?:etc|bin|usr|proc|var)(?:/[\w.-]+)+")
_BREAK = re.compile(rf"; ?(?={_COMMAND.pattern})")
_CALL = re.compile(rf"({_COMMAND.pattern}) ([\w/.:-]+)(?=[;|&)`\n]|$)")
_SPACE = re.compile(r"(?<=[a-z]) (?=[/\w-])")


def split_command(text: str, rng: Random) -> str:
    """A shell word broken by characters that the shell takes out again."""
    glue = rng.choice(("^", '""') if _WINDOWS.search(text) else _NOTHING)

    def change(word: str) -> str:
        at = rng.randint(1, len(word) - 1)
        return word[:at] + glue + word[at:]

    return _COMMAND.sub(lambda m: change(m[0]), text)


def split_every_letter(text: str, rng: Random) -> str:
    """Every letter of a command quoted, escaped or followed by nothing."""
    forms = ("{}^",) if _WINDOWS.search(text) else ("'{}'", '"{}"', "\\{}", "{}$@")
    form = rng.choice(forms)
    return _COMMAND.sub(lambda m: "".join(form.format(c) for c in m[0]).rstrip("^"), text)


def split_path(text: str, rng: Random) -> str:
    """The name of a system file broken in the same way, or its slashes taken from a variable."""
    if _WINDOWS.search(text):
        return text
    glue = rng.choice(_NOTHING)
    if rng.random() < 0.3:
        return _PATH.sub(lambda m: m[0].replace("/", "${HOME:0:1}"), text)
    return SYSTEM_FILE.sub(lambda m: f"{m[1]}/{m[2][:1]}{glue}{m[2][1:]}", text)


def substitute(text: str, rng: Random) -> str:
    """A command's name as what another command prints, or as an ANSI C string."""
    if _WINDOWS.search(text):
        return text
    form = rng.choice(("$(echo {0})", "`echo {0}`", "$(printf {0})", "$'{1}'", "$'{2}'"))

    def change(word: str) -> str:
        octal = "".join(f"\\{ord(c):03o}" for c in word)
        return form.format(word, octal, "".join(f"\\x{ord(c):02x}" for c in word))

    return _COMMAND.sub(lambda m: change(m[0]), text)


def separator(text: str, rng: Random) -> str:
    """Another separator for a semicolon before a command."""
    form = rng.choice(("\n", "||", "&&", "|", "&", ";;", " ; ", "\r\n"))
    return _BREAK.sub(lambda _: form, text)


def braces(text: str, rng: Random) -> str:
    """A command and one argument as a brace expansion."""
    if _WINDOWS.search(text):
        return text
    return _CALL.sub(lambda m: f"{{{m[1]},{m[3]}}}", text, count=1)


def space(text: str, rng: Random) -> str:
    if _WINDOWS.search(text):
        return text
    space = rng.choice(("${IFS}", "$IFS$9", "\t", "${IFS%??}", "$IFS", "${IFS:0:1}"))
    return _SPACE.sub(lambda _: space, text)


def wildcard(text: str, rng: Random) -> str:
    if _WINDOWS.search(text):
        return text

    def change(match: re.Match[str]) -> str:
        name = match[2]
        at = rng.randint(1, len(name) - 1)
        glob = rng.choice(("?", "?", "*", f"[{name[at]}]"))
        return f"{match[1]}/{name[:at]}{glob}{name[at + 1 :]}"

    return SYSTEM_FILE.sub(change, text)


TRICKS = (
    split_command,
    split_every_letter,
    split_path,
    substitute,
    separator,
    braces,
    space,
    wildcard,
)
