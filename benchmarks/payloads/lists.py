"""Payload lists: which entry is an attack of which class, and which is junk."""

from __future__ import annotations

import random
import re
from typing import Any

from fill import host_name
from label import SHOWS, decoded, share

_LISTS = {
    "CRLF Injection": "crlf-injection",
    "Command Injection": "command-injection",
    "Directory Traversal": "path-traversal",
    "File Inclusion": "path-traversal",
    "NoSQL Injection": "attack",
    "Open Redirect": "open-redirect",
    "SQL Injection": "sql-injection",
    "Server Side Include Injection": "code-injection",
    "XSS Injection": "cross-site-scripting",
    "XXE Injection": "xml-external-entity",
    "http-protocol": "crlf-injection",
    "html_js_fuzz": "cross-site-scripting",
    "lfi": "path-traversal",
    "os-cmd-execution": "command-injection",
    "redirect": "open-redirect",
    "rfi": "path-traversal",
    "server-side-include": "code-injection",
    "sql-injection": "sql-injection",
    "xml": "xml-external-entity",
    "xss": "cross-site-scripting",
    "SQL": "sql-injection",
    "XSS": "cross-site-scripting",
    "SHELL": "command-injection",
    "LEGAL": "benign",
}
_JUNK_FILES = re.compile(
    r"event[_-](?:handlers|attributes)|/Commands-|html_(?:tags|attributes)|javascript_events|js_inject|quotation"
    r"|Web-files|php-filter-iconv|shell-operators|http-protocol/(?!crlf)|jsonp_endpoint|known-uri"
)
_SLOTS = {
    "{FILE}": ("etc/passwd", "windows/win.ini", "etc/shadow", "boot.ini", "WEB-INF/web.xml"),
    "{cmd}": ("id", "cat /etc/passwd", "whoami", "ping -c 3 127.0.0.1", "uname -a", "sleep 5"),
    "__TIME__": ("5", "10", "15"),
    "0:0:X'": ("0:0:5'", "0:0:10'"),
}  # fmt: skip
ATTACK_LIKE = re.compile(
    r"\||`|\$\{|@@|\bchar\(|chr\(|_sql_|acunetix|boot\.ini|ping.*127|/bin/|<script|\.\./|%3cscript|/etc/|sleep\(",
    re.I,
)


def entry(record: dict[str, Any]) -> tuple[str, str, str] | None:
    """(payload, kind, label) of one entry of a payload list, or ``None`` for junk."""
    label = _LISTS.get(record["cls"] or "")
    name, value = record.get("file") or "", record["payload"]
    if label is None or _JUNK_FILES.search(name) or not value.strip():
        return None
    if label == "benign":
        return None if ATTACK_LIKE.search(value) else (value, "value", label)
    value = re.sub(r"^Exploit String: ", "", value)
    if (
        re.match(r"# |Exploit [DN]", value)
        or len(value) < 4
        or (len(value) > 60 and len(set(value)) < 3)
    ):
        return None
    if "dotdotpwn" in name and share(value) > 0.12:  # eleven thousand spellings of one idea
        return None
    rng = random.Random(value)
    if record["cls"] == "SHELL":
        value = value.replace("file'", rng.choice(_SLOTS["{FILE}"])).removesuffix("'")
    for slot, choices in _SLOTS.items():
        value = value.replace(slot, rng.choice(choices))
    value = value.replace(
        "XXpathXX", f"http://{host_name(rng)}/{rng.choice(('x', 'shell', 'cmd', 'r57'))}.txt"
    )
    value = value.replace("{target}", host_name(rng))
    text = decoded(value)
    if label == "attack":
        return value, "value", label
    shown = [slug for slug, pattern in SHOWS.items() if pattern.search(text)]
    label = _relabel(label, shown, text)
    if label not in shown or (
        label == "cross-site-scripting" and not re.search(r"[<>(=:&%\\`]", value)
    ):
        return None
    if re.match(r"/\S*\?\S*=|/\S*%0a", value, re.I) and label in (
        "open-redirect",
        "path-traversal",
        "crlf-injection",
    ):
        return (
            f"GET {value.replace(' ', '%20')} HTTP/1.1\r\nHost: {host_name(rng)}\r\n\r\n",
            "http",
            label,
        )
    return value, "value", label


def _relabel(label: str, shown: list[str], text: str) -> str:
    """Move an entry that lies in the wrong list; an empty string drops it."""
    if label == "command-injection":
        if re.search(r"\.\.[/\\]|[%?.]c[01]%|2e%|boot\.ini|php://|web-inf", text) and not re.search(
            r"[;|&`]", text
        ):
            return "path-traversal"
        if re.search(r"phpinfo|<\?|<%|<!--#|eval\(|kernel\.|\$\{@|@\{", text):
            return "code-injection"
        return "" if "<svg" in text else label
    if label == "open-redirect" and re.search(r"javascript|data:|alert|<", text):
        return ""
    if label == "cross-site-scripting" and re.search(
        r"<!--#exec|<\?\s*(?:php|echo)|/etc/passwd|union.*select", text
    ):
        return ""
    if (
        label == "sql-injection"
        and "xp_cmdshell" not in text
        and "cross-site-scripting" in shown
        and "<script" in text
    ):
        return ""
    return label
