"""What a payload of the benchmark must be: inert, and silent about its own class.

Hosts are those reserved for documentation (RFC 2606, RFC 6761) or local to a machine or network,
addresses those of RFC 5737 or not global. Nothing deletes, overwrites or stops anything.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from random import Random

from ..config import Limits
from ..duplicates import decoded
from ..prepare.decode import readings
from ..synth.filters import BUILTINS

_LIMITS = Limits()
_RESERVED = re.compile(
    r"(?:^|\.)(?:example(?:\.(?:com|net|org))?|test|invalid|localhost|localdomain|local|internal"
    r"|svc|default)\.?$"
)
# Names of XML namespaces and document types: identifiers that nothing is fetched from.
_NAMESPACE = re.compile(r"xmlns(?::[\w.-]+)?\s*=\s*(?:\"[^\"]*\"|'[^']*')", re.I)
_IDENTIFIER = re.compile(
    r"(?:www\.)?(?:w3\.org|schemas\.(?:xmlsoap|datacontract|openxmlformats)\.org|bea\.com|omg\.org"
    r"|schemas\.microsoft\.com|java\.sun\.com|(?:ws|xml|maven)\.apache\.org|springframework\.org"
    r"|opengis\.net|sitemaps\.org|kubernetes\.io|php\.net|yaml\.org|type\.googleapis\.com"
    r"|topografix\.com|ns\.adobe\.com|macromedia\.com)"
)
_TLD = (
    "com|net|org|io|info|biz|xyz|site|online|edu|gov|mil|eu|us|uk|de|fr|nl|ru|ua|cn|jp|kr|br|au|ca"
)
_NAME = r"(?:[a-z0-9_-]+\.)+"
_END = r"\.?(?![\w-]|\.\w|\()"
_AFTER = "|".join(
    f"(?<={scheme}://)"
    for scheme in ("http", "https", "ftp", "ldap", "ldaps", "rmi", "gopher", "smb")
)
_HOST = re.compile(
    rf"(?<![\w.$%-]){_NAME}(?:{_TLD}){_END}|(?:{_AFTER}){_NAME}[a-z]{{2,}}{_END}", re.I
)
_CODE = re.compile(r"^(?:system|microsoft|java|javax|document|window|self|this)\.", re.I)
_ADDRESS = re.compile(r"(?<![\w.%=-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\w)|(?<=://\[)[0-9a-f:.]+")
_NUMBER = re.compile(r"(?<=://)(?:\d{8,10}|0x[0-9a-f]{8})(?![\w.])", re.I)
_METADATA = {"168.63.129.16", "192.0.0.192"}  # of cloud platforms, reached from inside only
_DESTRUCTIVE = re.compile(
    r"\brm\s+-|\brm\s+/|\brmdir\b|\bmkfs|\bdd\s+(?:if|of)=|\b(?:shutdown|poweroff|reboot|halt)\b"
    r"|\bformat\s+[c-z]:|\b(?:del|erase)\s+/|\bdeltree\b|:\(\)\s*\{\s*:\||\bkillall?\s+-9"
    r"|\bdrop\s+(?:table|database|schema|user|view|index)\b|\btruncate\s+table\b"
    r"|\bdelete\s+from\b|\bupdate\s+[\w.`\"\[\]]+\s+set\b|\balter\s+table\b"
    r"|>\s*/dev/sd[a-z]|>\s*/etc/|\bshred\b|\bwipefs\b|\bvssadmin\b|\bcipher\s+/w|\bfdisk\b"
    r"|\bremove-item\b|\brmtree\s*\(|\bunlink(?:sync)?\s*\(|\bos\.remove\s*\(|\bfiles?\.delete\s*\("
    r"|\bflushall\b|\bflushdb\b|\biptables\s+-f\b",
    re.I,
)
_NAMES = re.compile(
    r"(?<![a-z0-9])(?:xss|sqli|ssrf|xxe|ssti|lfi|rfi|rce|crlfi|cve[-_ ]\d{4}[-_ ]\d+|cwe[-_ ]?\d+"
    r"|cross[-_ ]?site[-_ ]?scripting|sql[-_ ]?injection|(?:path|directory)[-_ ]?traversal"
    r"|(?:local|remote)[-_ ]file[-_ ]inclusion|(?:os[-_ ]?)?command[-_ ]?injection"
    r"|(?:code|template|expression)[-_ ]?injection|server[-_ ]?side[-_ ]?request[-_ ]?forgery"
    r"|open[-_ ]?redirect(?:ion)?|(?:xml[-_ ]?)?external[-_ ]?entity"
    r"|(?:unsafe|insecure)[-_ ]?deseriali[sz]ation|(?:unrestricted[-_ ]?)?file[-_ ]?upload"
    r"|(?:crlf|header)[-_ ]?injection|(?:request|response)[-_ ]?(?:smuggling|splitting)"
    r"|exploit|attacker|malicious|pwned|hacked|evil)(?![a-z0-9])"
)


def fault(data: bytes) -> str | None:
    """Why ``data`` may not stand in the benchmark as an attack; None if it may."""
    for text in _readings(data):
        if word := leak(text):
            return f"names what it is: {word!r}"
        if deed := _DESTRUCTIVE.search(text):
            return f"destructive: {deed[0].lower()!r}"
        if host := next(_foreign(text), None):
            return f"a host or address that is not reserved: {host!r}"
    return None


def leak(text: str) -> str | None:
    """A word in ``text`` that names a class, a CVE or the attack as such."""
    found = _NAMES.search(text.lower())
    return found[0] if found else None


def reserve(text: str) -> str:
    """``text`` with every host and address that is not reserved replaced by one that is.

    The same name becomes the same host wherever it stands.
    """
    for found in sorted(set(_foreign(text)), key=len, reverse=True):
        kind = "host" if re.search(r"[a-z]", found, re.I) and ":" not in found else "ip"
        text = text.replace(found, BUILTINS[kind](Random(found.lower())))
    return text


def _foreign(text: str) -> Iterator[str]:
    """Hosts and addresses that are neither reserved nor local."""
    bare = _NAMESPACE.sub("", text)
    for match in _HOST.finditer(bare):
        name = match[0].lower().rstrip(".")
        if not (_RESERVED.search(name) or _IDENTIFIER.fullmatch(name) or _CODE.search(name)):
            yield match[0]
    for match in _ADDRESS.finditer(bare):
        if _is_global(match[0]):
            yield match[0]
    for match in _NUMBER.finditer(bare):
        if _is_global(int(match[0], 0) % 2**32):  # as clients that let it overflow read it
            yield match[0]


def _is_global(address: str | int) -> bool:
    try:
        return ipaddress.ip_address(address).is_global and address not in _METADATA
    except ValueError:
        return False


def _readings(data: bytes) -> Iterator[str]:
    """What a server may read behind the bytes, without repeats."""
    seen: dict[str, None] = {data.decode("utf-8", "replace"): None, decoded(data): None}
    for reading, _ in readings(data, _LIMITS):
        seen[reading.decode("utf-8", "replace")] = None
    yield from seen
