"""MITRE ATT&CK as STIX 2.x objects -> Text, and back to its matrices.

Enterprise, mobile and ICS, from one bundle, several, or a directory of single objects. What an
object says depends on others (a technique's parent, who used it), so all are gathered first.
"""

from __future__ import annotations

import html
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ..config import Limits
from ..records import Matrix, Rejected, Text, TextKind, Where
from .vuln import clean

DOMAINS = {
    "mitre-attack": "enterprise-attack",
    "mitre-mobile-attack": "mobile-attack",
    "mitre-ics-attack": "ics-attack",
}
KINDS: dict[str, TextKind] = {
    "attack-pattern": "technique",
    "x-mitre-tactic": "tactic",
    "intrusion-set": "group",
    "malware": "software",
    "tool": "software",
    "campaign": "campaign",
}
# Types that hold a bundle together, or are read into the techniques they belong to.
PARTS = {"identity", "marking-definition", "relationship", "x-mitre-collection", "x-mitre-matrix"}
DETECTION = {
    "x-mitre-analytic",
    "x-mitre-data-component",
    "x-mitre-data-source",
    "x-mitre-detection-strategy",
}
STIX_ID = re.compile(r"[a-z0-9-]{1,60}--[0-9A-Za-z-]{1,64}")
ID = re.compile(r"[A-Z0-9.-]{2,20}")
TECHNIQUE = re.compile(r"\bT\d{4}(?:\.\d{3})?\b")
SLUG = re.compile(r"[a-z0-9-]{1,60}")
DATE = re.compile(r"\d{4}-\d\d-\d\d")
LINK = re.compile(r"\[([^\[\]]{1,200})\]\(https?://[^\s()]{1,500}\)")
CITATION = re.compile(r"\(Citation:(?:[^()]|\([^()]{0,100}\)){1,300}\)")
TAG = re.compile(r"</?(?:code|pre|p|br|ul|ol|li|b|i|em|strong)\s?/?>", re.I)
CHAIN = 16  # revocations that are followed from one id to the next
NAME = 200
LOOKS = 12  # descriptions of how to detect a technique that are kept


class _Object(NamedTuple):
    """What is kept of a STIX object that becomes a text."""

    kind: TextKind
    key: str  # the ATT&CK id
    name: str
    body: str
    domain: str
    gone: str  # revoked, deprecated or empty
    modified: str
    where: Where
    slugs: tuple[str, ...]  # of a technique's tactics, or a tactic's own
    platforms: tuple[str, ...]
    aliases: tuple[str, ...]
    detection: str


class _Link(NamedTuple):
    source: str
    target: str
    body: str
    where: Where


class Attack:
    """Gathers the STIX objects of all files; ``texts`` says what they are once all are in."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._objects: dict[str, _Object] = {}  # by STIX id, the latest version of each
        self._links: dict[str, dict[str, _Link]] = defaultdict(dict)  # type -> id -> link
        self._matrices: dict[str, list[str]] = defaultdict(list)  # domain -> STIX ids of tactics
        self._releases: dict[str, str] = {}
        self._parts: dict[str, dict[str, Any]] = {}  # of detection, by STIX id
        self._sources: dict[str, str] = {}  # domain -> how its texts name their source
        self._unread: Counter[str] = Counter()
        self._seen: Where | None = None

    def add(self, record: dict[str, Any], where: Where) -> None:
        """Take one STIX object.

        Raises:
            ValueError: it should become a text, but lacks what a text needs.
        """
        type_, id_ = clean(record.get("type")), record["id"]
        self._seen = self._seen or where
        if type_ in KINDS:
            found = _object(record, KINDS[type_], where, self._limits)
            known = self._objects.get(id_)
            if known is None or known.modified <= found.modified:
                self._objects[id_] = found
        elif type_ == "relationship":
            self._link(record, id_, where)
        elif type_ == "x-mitre-matrix":
            self._matrices[_domain(record)] += _strings(record.get("tactic_refs"))
        elif type_ == "x-mitre-collection":
            domain = clean(record.get("name")).partition(" ")[0].lower() + "-attack"
            self._releases[domain] = clean(record.get("x_mitre_version"))[:20]
        elif type_ in DETECTION:
            self._parts[id_] = {
                "name": clean(record.get("name")),
                "body": plain(record.get("description")),
                "parts": _strings(record.get("x_mitre_analytic_refs")),
            }
        elif type_ not in PARTS:
            self._unread[type_[:60] or "(none)"] += 1

    def _link(self, record: dict[str, Any], id_: str, where: Where) -> None:
        ends = clean(record.get("source_ref")), clean(record.get("target_ref"))
        if not all(ends):
            raise ValueError("a relationship without both ends")
        if _gone(record):
            return
        body = plain(record.get("description"))
        if len(body) > self._limits.record_bytes:
            raise ValueError(f"text longer than limits.record_bytes = {self._limits.record_bytes}")
        self._links[clean(record.get("relationship_type"))][id_] = _Link(*ends, body, where)

    def texts(self) -> Iterator[Text | Rejected]:
        """Tactics, techniques, groups, software, campaigns and procedures; what is of no use."""
        heirs = self._heirs()
        self._sources = {domain: self._source(domain) for domain in self._domains()}
        aliases: dict[str, list[str]] = defaultdict(list)
        for id_, found in self._objects.items():
            if not found.gone:
                continue
            heir = self._objects.get(heirs.get(id_, ""))
            if heir is None:
                yield Rejected(found.where, f"{found.key} is {found.gone} and has no successor")
            else:
                old = found.key if found.kind == "technique" else found.name
                aliases[heirs[id_]].append(old)
        looks = self._looks(heirs)
        parents = {link.source: link.target for link in self._links["subtechnique-of"].values()}
        order = self._order()
        for id_, found in self._objects.items():
            if not found.gone:
                yield self._text(id_, found, parents, order, aliases[id_], looks[id_])
        yield from self._procedures(heirs, parents)
        if self._seen:
            for type_, count in sorted(self._unread.items()):
                reason = f"{count} objects of type {type_} hold nothing about how attacks look"
                yield Rejected(Where(self._seen.path), reason)

    def _heirs(self) -> dict[str, str]:
        """Revoked STIX id -> the object that stands in its place at the end of the chain."""
        step = {link.source: link.target for link in self._links["revoked-by"].values()}
        heirs = {}
        for id_ in (i for i, found in self._objects.items() if found.gone):
            at = id_
            for _ in range(CHAIN):
                at = step.get(at, "")
                if at not in self._objects or not self._objects[at].gone:
                    break
            if at in self._objects and not self._objects[at].gone:
                heirs[id_] = at
        return heirs

    def _order(self) -> dict[tuple[str, str], int]:
        """Place of each tactic by (domain, slug): as the matrix says, the others after them."""
        order: dict[tuple[str, str], int] = {}
        tactics = {i: o for i, o in self._objects.items() if o.kind == "tactic" and not o.gone}
        listed = [i for refs in self._matrices.values() for i in refs if i in tactics]
        others = sorted(tactics, key=lambda i: tactics[i].key)
        for found in (tactics[i] for i in dict.fromkeys([*listed, *others])):
            order.setdefault((found.domain, found.slugs[0]), len(order) + 1)
        return order

    def _looks(self, heirs: Mapping[str, str]) -> dict[str, list[str]]:
        """How to detect each technique, by STIX id: analytics, data components, its own words."""
        looks: dict[str, list[str]] = defaultdict(list)
        for link in self._links["detects"].values():
            part = self._parts.get(link.source, {})
            found = [self._parts[i]["body"] for i in part.get("parts", ()) if i in self._parts]
            if link.body:
                found.append(f"{part.get('name', '')}: {link.body}".removeprefix(": "))
            looks[heirs.get(link.target, link.target)] += filter(None, found)
        for id_, found_ in self._objects.items():
            if found_.detection:
                looks[id_].append(found_.detection)
        return looks

    def _text(
        self,
        id_: str,
        found: _Object,
        parents: Mapping[str, str],
        order: Mapping[tuple[str, str], int],
        aliases: list[str],
        looks: list[str],
    ) -> Text:
        technique, tactic = found.kind == "technique", found.kind == "tactic"
        places = {slug: order.get((found.domain, slug), 999) for slug in found.slugs}
        parent = self._objects.get(parents.get(id_, ""))
        key = parent.key if parent else found.key.partition(".")[0]
        return Text(
            id=found.key,
            title=self._title(id_, parents),
            body=found.body,
            source=self._sources[found.domain],
            kind=found.kind,
            slug=found.slugs[0] if tactic else None,
            looks=tuple(dict.fromkeys(looks))[:LOOKS],
            techniques=(found.key,) if technique else (),
            tactics=tuple(sorted(places, key=lambda slug: places[slug])) if technique else (),
            platforms=found.platforms,
            parent=key if technique and key != found.key else "",
            aliases=tuple(dict.fromkeys([*found.aliases, *aliases])),
            order=places[found.slugs[0]] if tactic else 0,
        )

    def _title(self, id_: str, parents: Mapping[str, str]) -> str:
        """``Parent: Name`` of a sub-technique, else the name."""
        parent = self._objects.get(parents.get(id_, ""))
        name = self._objects[id_].name
        return f"{parent.name}: {name}" if parent else name

    def _source(self, domain: str) -> str:
        release = self._releases.get(domain)
        if not release:
            kin = [o.modified for o in self._objects.values() if o.domain == domain]
            release = max(kin, default="")[:10]
        return f"{domain} {release}".strip()

    def _procedures(
        self, heirs: Mapping[str, str], parents: Mapping[str, str]
    ) -> Iterator[Text | Rejected]:
        seen: Counter[str] = Counter()
        for _, link in sorted(self._links["uses"].items()):
            target = heirs.get(link.target, link.target)
            who = self._objects.get(heirs.get(link.source, link.source))
            what = self._objects.get(target)
            if who is None or what is None:
                yield Rejected(link.where, "a relationship to an object that is not in the input")
            elif what.kind != "technique":
                continue  # who uses which software
            elif what.gone or who.gone:
                gone = what if what.gone else who
                yield Rejected(link.where, f"an example of {gone.key}, which is {gone.gone}")
            elif not link.body:
                yield Rejected(link.where, f"{who.key} uses {what.key}, but nothing says how")
            else:
                id_ = f"{what.key}/{who.key}"
                seen[id_] += 1
                yield Text(
                    id=id_ if seen[id_] == 1 else f"{id_}~{seen[id_]}",
                    title=f"{self._title(target, parents)} ({who.name})",
                    body=link.body,
                    source=self._sources[what.domain],
                    kind="procedure",
                    techniques=(what.key,),
                    who=who.name,
                )

    def _domains(self) -> set[str]:
        return {found.domain for found in self._objects.values()}


def is_attack(record: Any) -> bool:
    """Whether this is a STIX object that ``Attack`` takes: any but an attack pattern of CAPEC."""
    if not isinstance(record, dict) or not isinstance(record.get("id"), str):
        return False
    if not STIX_ID.fullmatch(record["id"]) or not isinstance(record.get("type"), str):
        return False
    return record["type"] != "attack-pattern" or _reference(record)[0] in DOMAINS


def plain(value: Any) -> str:
    """ATT&CK's Markdown and HTML as text on one line; citations are dropped."""
    text = clean(value)
    text = TAG.sub(" ", LINK.sub(r"\1", CITATION.sub(" ", text)))
    return re.sub(r" ([.,;:)])", r"\1", " ".join(html.unescape(text).split()))


def matrices(texts: Iterable[Text]) -> dict[str, Matrix]:
    """The matrix of each ATT&CK domain among these texts, by domain."""
    found: dict[str, list[Text]] = defaultdict(list)
    for text in texts:
        if text.kind in ("tactic", "technique"):
            found[text.source.partition(" ")[0]].append(text)
    return {domain: _matrix(domain, kin) for domain, kin in sorted(found.items())}


def _matrix(domain: str, texts: list[Text]) -> Matrix:
    tactics = sorted((t for t in texts if t.kind == "tactic"), key=lambda t: (t.order, t.id))
    techniques = sorted((t for t in texts if t.kind == "technique"), key=lambda t: t.id)
    return Matrix(
        domain=domain,
        version=max((t.source.partition(" ")[2] for t in texts), default=""),
        tactics=tuple(t.slug or t.id for t in tactics),
        techniques={t.id: t.tactics for t in techniques},
        parents={t.id: t.parent for t in techniques if t.parent},
        names={t.id: t.title for t in techniques} | {t.slug or t.id: t.title for t in tactics},
        successors={old: t.id for t in techniques for old in t.aliases},
    )


def _object(record: dict[str, Any], kind: TextKind, where: Where, limits: Limits) -> _Object:
    key, name = _reference(record)[1], clean(record.get("name"))[:NAME]
    if not ID.fullmatch(key) or not name:
        raise ValueError(f"an object of type {record['type']} without an ATT&CK id or a name")
    body, detection = plain(record.get("description")), plain(record.get("x_mitre_detection"))
    if max(len(body), len(detection), len(name)) > limits.record_bytes:
        raise ValueError(f"text longer than limits.record_bytes = {limits.record_bytes}")
    phases = record.get("kill_chain_phases")
    slugs = [clean(p.get("phase_name")) for p in _dicts(phases)]
    if kind == "tactic":
        slugs = [clean(record.get("x_mitre_shortname")) or name.lower().replace(" ", "-")]
    slugs = [s.lower() for s in slugs if SLUG.fullmatch(s.lower())]
    if kind == "tactic" and not slugs:
        raise ValueError(f"{key}: a tactic without a short name")
    names = _strings(record.get("aliases")) or _strings(record.get("x_mitre_aliases"))
    return _Object(
        kind=kind,
        key=key,
        name=name,
        body=body,
        domain=_domain(record),
        gone=_gone(record),
        modified=clean(record.get("modified")),
        where=where,
        slugs=tuple(dict.fromkeys(slugs)),
        platforms=tuple(dict.fromkeys(_strings(record.get("x_mitre_platforms")))),
        aliases=tuple(a for a in dict.fromkeys(names) if a != name),
        detection=detection,
    )


def _gone(record: dict[str, Any]) -> str:
    if record.get("revoked") is True:
        return "revoked"
    return "deprecated" if record.get("x_mitre_deprecated") is True else ""


def _reference(record: dict[str, Any]) -> tuple[str, str]:
    """Name of the catalogue and id in it, from the first reference to ATT&CK; or empty."""
    for ref in _dicts(record.get("external_references")):
        if ref.get("source_name") in DOMAINS:
            return str(ref["source_name"]), clean(ref.get("external_id"))
    return "", ""


def _domain(record: dict[str, Any]) -> str:
    source, key = _reference(record)
    named = [d for d in _strings(record.get("x_mitre_domains")) if d in DOMAINS.values()]
    if record["type"] == "x-mitre-matrix" and key in DOMAINS.values():
        return key
    return named[0] if named else DOMAINS.get(source, "enterprise-attack")


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _strings(value: Any) -> list[str]:
    found = [clean(v) for v in value] if isinstance(value, list) else []
    return [v for v in found if v]
