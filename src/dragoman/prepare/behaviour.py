"""An event -> the behaviour it is an instance of: actor role, verb, kind, object role, detail.

Two events of one behaviour are the same to anybody who does not know the names of this machine,
its users and its random files. Behaviours are what frequencies are learned of, what repetition is
merged by, and what tokens are made from.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from ..records import Event
from .generalise import account, domain, endpoint, path, text

_PATHS = frozenset(("file", "module", "registry", "pipe", "device", "share", "log"))
_SLASH = re.compile(r"[\\/]")
_FOLDERS = 4  # of a path that make a place
_TOKENS = 48  # words of the detail that become tokens


class Behaviour(NamedTuple):
    """All generalised, in lower case; ``detail`` is the value: command line, data, rights."""

    actor: str
    verb: str
    kind: str
    object: str
    detail: str
    outcome: str

    def family(self) -> tuple[str, ...] | None:
        """What it has in common with the same done to others of one place and ending.

        The place is the first folders of a file, the key of a registry value. None where each
        name counts: libraries loaded, processes, all that is no file, registry value or pipe.
        """
        if self.kind not in ("file", "registry", "pipe") or not self.object:
            return None
        if self.kind == "registry":
            return (self.verb, self.kind, self.object.rpartition("\\")[0], self.outcome)
        folders = _SLASH.split(self.object, _FOLDERS)
        ending = self.object.rpartition(".")[2] if "." in folders[-1] else ""
        place = "/".join(folders[:_FOLDERS] if len(folders) > _FOLDERS else folders[:-1])
        return (self.verb, self.kind, place, ending[:8], self.outcome)

    def tokens(self) -> tuple[str, ...]:
        """The behaviour as words: the roles first, then the words of the detail, each once."""
        words = dict.fromkeys(self.detail.split()[:_TOKENS])
        head = (f"actor:{self.actor}", f"{self.verb}:{self.kind}", f"object:{self.object}")
        return (*head, *words, self.outcome) if self.outcome else (*head, *words)


def behaviour(event: Event, image: str) -> Behaviour:
    """The behaviour of an event whose actor runs ``image`` (empty if unknown)."""
    thing = event.object
    kind, value = thing.kind, thing.value
    if kind == "process":
        program = thing.process.image if thing.process and thing.process.image else thing.name
        role = path(program) if program else ""
        detail = value.lower() if event.verb == "access" else text(value) if value else ""
    elif kind in _PATHS:
        role = path(thing.name) if thing.name else ""
        detail = path(value) if event.verb == "rename" else text(value) if value else ""
    elif kind == "socket":
        far = thing.remote or thing.name
        where, port = endpoint(far) if far[:1] not in "/@" else (path(far), "")
        role, detail = f"{where} {port}".strip(), ""
    elif kind == "dns":
        role, detail = domain(thing.name), ""
    elif kind in ("session", "user", "credential", "privilege", "ticket"):
        role = account(thing.name)
        detail = value.lower() if len(value) < 8 else text(value)
    else:
        role, detail = text(thing.name), text(value) if value else ""
    verb = event.verb if event.verb != "other" else event.code
    return Behaviour(path(image) if image else "", verb, kind, role, detail, event.outcome)
