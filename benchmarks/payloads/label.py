"""Threat-class labels of requests: what the data builder rests on."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Any

from dragoman.duplicates import core, decoded, fold_key
from dragoman.intel.threats import benchmark, by_cwe

__all__ = [  # the near-duplicate key is the package's
    "BY_CWE", "BY_TAG", "CLASSES", "SHOWS", "attack_text", "core", "decoded", "fold_key",
    "label_of", "share", "text_of",
]  # fmt: skip

CLASSES = benchmark()
BY_CWE = by_cwe()
BY_TAG = {
    "xss": "cross-site-scripting",
    "sqli": "sql-injection",
    "lfi": "path-traversal",
    "lfr": "path-traversal",
    "rfi": "path-traversal",
    "traversal": "path-traversal",
    "cmdi": "command-injection",
    "ssti": "code-injection",
    "ognl": "code-injection",
    "ssrf": "server-side-request-forgery",
    "redirect": "open-redirect",
    "xxe": "xml-external-entity",
    "deserialization": "unsafe-deserialization",
    "fileupload": "file-upload",
    "file-upload": "file-upload",
    "crlf": "crlf-injection",
}

_PROGRAMS = (
    r"(?:id|cat|ls|dir|type|wget|curl|ping|nslookup|dig|whoami|uname|ifconfig|ipconfig|netstat|echo"
    r"|printf|touch|sleep|sh|bash|nc|ncat|perl|python3?|php|powershell|cmd|cp|rm|expr|set|ver|"
    r"net|sudo)"
)
# What each class shows in decoded, lower-case text, the most telling classes first. Used to choose
# among the classes a source allows, never to label alone.
SHOWS = {
    slug: re.compile(pattern, re.S)
    for slug, pattern in {
        "unsafe-deserialization": r"ro0ab|aced0005|\"@type\"|\b[oc]:\d+:\\?\"|jdbcrowset|c3p0|"
        r"java\.util\.(?:priorityqueue|hashmap|hashset|linkedhashset)|dynamic-proxy|gadget|"
        r"__viewstate|<java\b|objectdataprovider|h4siaa|!!javax|\$types?\"|__reduce__|phar://|"
        r"nashorn",
        "xml-external-entity": r"<!doctype[^>]*(?:\[|system|public)|<!entity|xi:include|xinclude",
        "sql-injection": r"union\b.{0,40}select|select\b.{1,200}\bfrom\b|select[\s+(]|sleep\s*\(|"
        r"benchmark\s*\(|waitfor\b|extractvalue|updatexml|group_concat|concat(?:_ws)?\s*\(|"
        r"gtid_subset|"
        r"information_schema|order\s+by\s+\d|['\")]\s*(?:or|and|\|\||&&)\b|\b(?:or|"
        r"and)\s+\(?['\"]?\w+['\"]?\s*"
        r"(?:=|<|>|like\b|is\b)|or\s*'.*'='|'\s*(?:--|#|/\*)|;\s*--|--\s*[-+]?$|"
        r"\bexec\b.{0,20}(?:xp_|sp_|\()|"
        r"having\s+\d|load_file|utl_|dbms_|@@\w+|insert\s+into|drop\s+table|\bcast\s*\(|"
        r"/\*.{0,10}\*/|pg_\w+|md5\s*\(",
        "code-injection": r"\$\{|#\{|\{\{|<%|%\{|\$\\a\{|getruntime|processbuilder|java\.lang|"
        r"phpinfo|"
        r"\b(?:system|eval|assert|passthru|shell_exec|exec|popen|print|call_user_func|"
        r"preg_replace)\s*\(|<\?|"
        r"__import__|import\s+os|classloader|freemarker|velocity|groovy|#set\s*\(|ognl|"
        r"file_put_contents|"
        r"<!--#|<esi:|\.execute\(|invokefunction|function\s*=\s*\w+&vars|fromtemplate|require\(",
        "command-injection": rf"(?:[;|&`\n\r'\"]|\$\(|\{{)\s*[\w/.\\]*\b{_PROGRAMS}\b|\$\(\s*\w|"
        rf"`[^`]+`|/bin/|"
        rf"\bcmd(?:\.exe)?\s*/c|[=>:]\s*\"?{_PROGRAMS}\b(?:[\s+;|<&\"']|$)|\(\)\s*\{{|[;|"
        rf"]\s*(?:wget|curl)|"
        rf"^\s*{_PROGRAMS}\s+[-/\\.\w]|%0a\w|\bwget\s+http|\bcurl\s",
        "file-upload": r"filename=\"|;\s*filename=|^put \S+\.\w+|multipart/form-data",
        "crlf-injection": r"[\r\n]\s*(?:set-cookie|location|content-\w+|x-[\w-]+|[\w-]+)\s*:|"
        r"transfer-encoding|"
        r"嘊|0x0d0x0a|\n[\w-]+=",
        "path-traversal": r"\.\.[/\\;%]|[/\\]\.\.|\.\./|/etc/|(?:win|boot|php)\.ini|wp-config|"
        r"web-inf|"
        r"(?:file|php|phar|zip|data|expect|jar)://|/proc/|c:[/\\]|::\$data|windows[/\\]|(?:^|"
        r"=)[/\\]{1,2}[\w.]|"
        r"log[/\\]|\.htaccess|=https?://|resource=|%00|\0",
        "cross-site-scripting": r"<\s*/?\s*[a-z!?\"'x]|\bon[a-z]{3,24}\s*=|javascript|vbscript|"
        r"(?:alert|prompt|confirm|eval|write)\b|document\.|expression\s*\(|fromcharcode|srcdoc|"
        r"onerror|＜|\\x3c|\\u003c|\+adw-",
        "server-side-request-forgery": r"(?:https?|gopher|dict|ftp|file|ldap|rmi|jar|netdoc):/?/|"
        r"169\.254\.|"
        r"127\.0\.0\.1|localhost|=//|/https?:",
        "open-redirect": r"[=/\\@:]\s*(?:[/\\]\s*){2,}\w|https?:|//|\\\\|"
        r"=\.?[\w-]+\.\w{2,6}(?:[/?&]|$)|@",
    }.items()
}


def text_of(row: dict[str, Any]) -> bytes:
    """The payload of ``row`` as bytes."""
    if "payload_b64" in row:
        return base64.b64decode(row["payload_b64"])
    return str(row["payload"]).encode("utf-8", "surrogateescape")


# Decisive signs, the surest first: they tell the mechanism where the metadata only say "remote code
# execution" (CWE-77 and 78 are used for all of it) and a look at the request leaves no doubt.
_DECISIVE = {
    slug: re.compile(pattern, re.S)
    for slug, pattern in {
        "unsafe-deserialization": r"ro0ab|aced0005|\"@type\"|\b[oc]:\d+:\\?\"\w|jdbcrowset|"
        r"dynamic-proxy|nashorn\.|"
        r"java\.util\.priorityqueue|unserializable-parents|objectdataprovider|"
        r"\ufffd\ufffd\0\x05sr|javax\.naming\.ldap\.rdn",
        "file-upload": r"filename=\"?[^\"\n]*\.(?:php\w?|phtml|jspx?|aspx?|ashx|cfm)\b|"
        r"^put \S+\.(?:php|jsp|asp)",
        "code-injection": r"getruntime|processbuilder|java\.lang|ognl|groovy|<\?php|<%|<\?=|"
        r"import\s+os|child_process|"
        r"\$\{(?!ifs)|\b(?:system|eval|assert|passthru|shell_exec|file_put_contents|"
        r"call_user_func)\s*\(|classloader|invokefunction",
        "command-injection": rf"(?:[;|&`\n]|\$\()\s*\{{?[\w/]*\b{_PROGRAMS}\b(?:[\s+$;|&`,)<>]|"
        rf"$)|/bin/|\$ifs|/dev/tcp/|"
        rf"[=:]\s*\"?{_PROGRAMS}(?:\s+[-/]|\s*$|&)",
    }.items()
}
_EXECUTION = frozenset({"command-injection", "code-injection"})
_VAGUE = frozenset({"open-redirect", "server-side-request-forgery", "command-injection"})


def attack_text(request: str) -> str:
    """Where an attack may sit, decoded: method and target, unusual headers, body."""
    head, _, body = request.partition("\n\n")
    plain = (
        "host:",
        "user-agent:",
        "accept",
        "origin:",
        "connection:",
        "content-",
        "cache-",
        "referer:",
    )
    first, *lines = head.split("\n")
    parts = first.split(" ")
    target = re.sub(r"^https?://www\.example\.com", "", " ".join(parts[1:-1] or parts[1:]))
    headers = [
        line.partition(":")[2].strip() for line in lines if not line.lower().startswith(plain)
    ]
    return decoded("\n\n".join((f"{parts[0]} {target}", *headers, body)))


def label_of(
    allowed: list[str], request: str, flagged: bool, execution: bool = False
) -> str | None:
    """The label of one template request; ``None`` when it is no attack that we can tell.

    Args:
        allowed: classes the template's CWE ids (else tags) allow, the surest first.
        request: the raw request, line ends ``\\n``.
        flagged: whether the source's own heuristic calls this request an attack.
        execution: the template says remote code execution, without saying how.
    """
    text = attack_text(request)
    shown = [slug for slug, pattern in SHOWS.items() if pattern.search(text)]
    decisive = next((slug for slug, pattern in _DECISIVE.items() if pattern.search(text)), None)
    if decisive == "unsafe-deserialization" and (flagged or decisive in allowed):
        return decisive
    if (
        flagged
        and decisive
        and _EXECUTION.union({decisive}).issuperset(allowed)
        and (allowed or execution)
    ):
        return decisive
    both = [slug for slug in shown if slug in allowed]
    if both:
        return both[0] if flagged or both[0] not in _VAGUE else None
    if not flagged:
        return None
    if shown:
        return "attack"
    return allowed[0] if len(allowed) == 1 else None


def share(text: str) -> float:
    """A hash of ``text`` as a number in [0, 1): the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") / 2**56
