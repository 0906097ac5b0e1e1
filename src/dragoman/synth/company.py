"""What stands around a value in a request: clients, hosts, paths, names and other, benign values.

Header blocks and paths are drawn from ``clients.toml``, benign values from the benign grammar.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import resources
from random import Random

from . import grammar
from .filters import BUILTINS
from .grammar import Grammar, Sample

_MAX_VALUE = 160  # bytes of a value that is only there as company
_HOSTS = ("www.example.com", "example.com", "localhost:8080", "shop.example.net", "api.example.org")
_NAMES = ("id", "q", "name", "page", "type", "action", "data", "value", "user", "token", "lang")


def client(rng: Random, where: str) -> list[bytes]:
    """The header lines of a client that sends values at ``where``.

    The lines ``{host}``, ``{entity}``, ``{cookie}`` and ``{extra}`` are places still to be filled.
    """
    clients = _clients()
    rules = (clients.templates[name] for name in _ids("client-"))
    fit = [rule.id for rule in rules if not rule.where or where in rule.where]
    lines = clients.expand(rng.choice(fit), rng).payload.split(b"\n")
    return [line for line in lines if not line.startswith(b"Referer") or rng.random() < 0.7]


def path(rng: Random) -> bytes:
    """A path as products have them, without a query."""
    return _clients().expand(rng.choice(_ids("path-")), rng).payload


def host(rng: Random) -> bytes:
    """A reserved name or address, sometimes with a port."""
    address = BUILTINS["ip"](rng) + rng.choice(("", ":8080", ":8443", ":80"))
    names = (BUILTINS["host"](rng), rng.choice(_HOSTS), address)
    return rng.choices(names, (5, 3, 2))[0].encode()


def name(rng: Random) -> str:
    """A parameter name."""
    word, other = BUILTINS["word"](rng), BUILTINS["word"](rng)
    return rng.choice((word, word, f"{word}_{other}", word + other.title(), rng.choice(_NAMES)))


def pairs(where: str, rng: Random) -> list[tuple[str, bytes]]:
    """Up to four names with short benign values that are at home at ``where``."""
    return [_pair(where, rng) for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4)))]


def benign(rng: Random, where: str | None = None) -> Sample:
    """A benign text value that may stand at ``where``; without a place any sample."""
    return grammar.load("benign").expand(rng.choice(_benign_ids(where)), rng)


def _pair(where: str, rng: Random) -> tuple[str, bytes]:
    while True:
        sample = benign(rng, where)
        if len(sample.payload) <= _MAX_VALUE:
            return rng.choice(sample.params) or name(rng), sample.payload


@lru_cache(maxsize=16)
def _benign_ids(where: str | None) -> tuple[str, ...]:
    rules = grammar.load("benign").templates.values()
    texts = (t for t in rules if where is None or (t.params and not t.binary and where in t.where))
    return tuple(t.id for t in texts)


@lru_cache(maxsize=1)
def _clients() -> Grammar:
    file = resources.files(__package__) / "clients.toml"
    return grammar.parse(file.read_text("utf-8"), "clients.toml")


@lru_cache(maxsize=4)
def _ids(prefix: str) -> tuple[str, ...]:
    return tuple(name for name in _clients().templates if name.startswith(prefix))
