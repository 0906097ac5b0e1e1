import base64
import hashlib
import re
import tracemalloc
from dataclasses import fields, replace
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_samples import FINDINGS, META, counts

from dragoman.errors import UsageError
from dragoman.records import Counts, Evidence, Excerpt, Finding, Hit, Rejected, Where
from dragoman.report.card import card, marked, rich
from dragoman.report.html import Meta, tee_html, write_html
from dragoman.report.visible import visible

MARKUP = [
    "<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "\"'><b>x</b>",
    "--><svg/onload=alert(1)>", "</pre></details><h1>", "<!--", "<![CDATA[", "&lt;b&gt;", "&#60;",
    "</style><style>*{}", "</title><script>", "\x00<b>", "<\x00b>", "\u202e<b>", "<b", "x\n<b>\r\n",
]  # fmt: skip
TEXTS = st.one_of(
    st.text(st.characters(exclude_categories=()), min_size=1, max_size=40),
    st.lists(st.sampled_from(MARKUP), min_size=1, max_size=3).map("".join),
)


class Shape(HTMLParser):
    """The elements of a page with their attribute names, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.open, self.text, self.stray = [], [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))
        self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, tuple(name for name, _ in attributes)))

    def handle_endtag(self, tag):
        while self.open and self.open.pop() != tag:
            pass

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)

    def handle_comment(self, data):
        self.stray.append(data)

    handle_pi = unknown_decl = handle_comment

    @property
    def skeleton(self):
        """All elements but ``<i>``, which only wraps the escape of an odd character."""
        return [element for element in self.elements if element != ("i", ())]


def page(tmp_path, findings, of=None, meta=META, **options):
    path = tmp_path / "report.html"
    write_html(iter(findings), of or Counts(parsed=50, found=len(findings)), meta, path, **options)
    return path.read_text("utf-8")


def filled(text):
    """A finding, a rejected record and a meta with ``text`` wherever a text can stand."""
    raw = text.encode("utf-8", "surrogatepass")
    hit = Hit(text, text, text, 0.5)
    finding = Finding(
        family=text, record=text, where=Where(text, line=1), verdict=text, name=text, score=0.9,
        threshold=0.5, severity=text, evidence=(Evidence(text, text, (2, 2 + len(raw)), (text,)),),
        nearest=(hit,), runner_ups=(hit,), bundle=text, intel_version=text, time=text, host=text,
        tactics=(text,), excerpt=Excerpt(b"A " + raw + b" Z", 0),
    )  # fmt: skip
    meta = Meta(**{field.name: text for field in fields(Meta)})
    reject = Rejected(Where(text, byte=0), text, raw)
    return finding, Counts(parsed=2, found=1, rejected=1, rejects=[reject]), meta


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    finding, of, meta = filled("x")
    return Shape(page(tmp_path_factory.mktemp("plain"), [finding], of, meta))


@settings(max_examples=150, deadline=None)
@given(text=TEXTS)
def test_no_text_makes_an_element_an_attribute_or_a_comment(tmp_path_factory, plain, text):
    finding, of, meta = filled(text)
    shape = Shape(page(tmp_path_factory.mktemp("hostile"), [finding], of, meta))
    assert shape.skeleton == plain.skeleton
    assert not shape.stray
    said = "".join(shape.text).replace("\n", "")
    assert visible(text) in said


@given(TEXTS)
def test_rich_text_reads_as_the_text(text):
    shape = Shape(f"<pre>{rich(text)}</pre>")
    assert "".join(shape.text).replace("\n", "") == visible(text)
    assert set(shape.elements) <= {("pre", ()), ("i", ())}


def test_counts_come_first(tmp_path):
    text = "".join(Shape(page(tmp_path, FINDINGS, counts())).text)
    order = ["8 of 1,204 records look like an attack", "found", "parsed", "rejected", "not covered",
             "Threat classes", "Findings", "Rejected records", "About this report"]  # fmt: skip
    places = []
    for part in order:
        places.append(text.index(part, places[-1] if places else 0))
    assert META.digest in text
    assert META.command in text
    assert META.intel_version in text
    assert "no request line: expected METHOD SP target" in text


def test_page_is_self_contained_and_its_policy_names_its_own_code(tmp_path):
    html = page(tmp_path, FINDINGS, counts())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1]
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        (code,) = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.S)
        digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    attributes = {name for _, names in Shape(html).elements for name in names}
    assert not attributes & {"src", "href", "style", "srcset", "action"}
    assert not [name for name in attributes if name.startswith("on")]
    assert "url(" not in html
    assert "@import" not in html


def test_deciding_span_is_marked(tmp_path):
    html = page(tmp_path, FINDINGS, counts())
    marks = re.findall(r"<mark>(.*?)</mark>", html, re.S)
    assert len(marks) == len(FINDINGS)
    assert marks[2] == "file=..%2f..%2f..%2fetc%2fpasswd%00.png"


@pytest.mark.parametrize(
    ("excerpt", "span", "said"),
    [
        (Excerpt(b"abcdef", 0), (2, 4), "ab<mark>cd</mark>ef"),
        (Excerpt(b"abcdef", 100), (102, 104), "ab<mark>cd</mark>ef"),
        (Excerpt(b"abcdef", 100), (90, 103), "<mark>abc</mark>def"),
        (Excerpt(b"abcdef", 100), (900, 950), "abcdef"),
        (Excerpt(b"abcdef", 0), (0, 0), "abcdef"),
        (Excerpt(b"", 0), (0, 9), ""),
        (Excerpt(b"a\xff<\r\nb\n", 0), (1, 2), "a<mark>\\xff</mark>&lt;\nb<i>\\n</i>"),
    ],
)
def test_marked_excerpt(excerpt, span, said):
    assert marked(excerpt, span) == said


@given(st.binary(max_size=60), st.integers(0, 50), st.integers(-9, 99), st.integers(-9, 99))
def test_marked_excerpt_bears_any_span(data, start, left, right):
    shape = Shape(marked(Excerpt(data, start), (left, right)))
    assert {tag for tag, _ in shape.elements} <= {"mark", "i"}


def test_long_text_and_long_excerpts_are_cut_and_say_so():
    long = replace(
        FINDINGS[0],
        evidence=(Evidence("body", "y" * 90_000, (40_000, 80_000)),),
        excerpt=Excerpt(b"z" * 100_000, 0),
    )
    html = card(1, long)
    assert len(html) < 12_000
    assert "… 88,000 more characters" in html
    assert "… 39,500 bytes …" in html  # before, of 40,000
    assert "… 39,000 bytes …" in html  # of the span itself
    assert "… 19,500 bytes …" in html  # after


def test_finding_without_evidence_or_neighbours_still_has_a_card():
    bare = replace(FINDINGS[0], evidence=(), nearest=(), runner_ups=(), excerpt=None, time=None)
    assert "SQL injection" in card(1, bare)


def test_details_are_capped_and_the_rest_is_stated(tmp_path):
    html = page(tmp_path, FINDINGS * 2, limit=10)
    assert html.count('<li class="card') == 10
    assert "These are the first 10 findings. 6 more are counted above" in html
    assert ">SQL injection</th>" in html
    assert '<td class="num">4</td>' in html  # every finding is counted


def test_nothing_found(tmp_path):
    html = page(tmp_path, [], Counts(parsed=12))
    assert "No attack found in 12 records." in html
    html = page(tmp_path, [], Counts(parsed=12, not_covered=1))
    assert "No attack found in 12 records; not everything could be read." in html


def test_listed_rejects_are_capped_and_the_rest_is_stated(tmp_path):
    rejects = [Rejected(Where("a", line=n), "bad") for n in range(1000)]
    html = page(tmp_path, [], Counts(rejected=4321, rejects=rejects))
    assert html.count("<td>bad</td>") == 200
    assert "4,121 more were rejected and are not listed" in html


def test_page_stands_only_when_the_last_finding_has_passed(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("the old one")
    stream = tee_html(iter(FINDINGS), counts(), META, path)
    assert next(stream) is FINDINGS[0]
    assert path.read_text() == "the old one"
    assert list(stream) == FINDINGS[1:]
    assert path.read_text("utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [path]


def test_broken_scan_leaves_the_old_page_and_nothing_else(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("the old one")

    def scan():
        yield FINDINGS[0]
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError):
        write_html(scan(), counts(), META, path)
    stream = tee_html(iter(FINDINGS), counts(), META, path)
    next(stream)
    stream.close()
    assert path.read_text() == "the old one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["missing/report.html", "."])
def test_unwritable_place_is_said_before_the_scan(tmp_path, place):
    def scan():
        raise AssertionError("nothing may be scanned")
        yield

    with pytest.raises(UsageError, match="cannot write"):
        write_html(scan(), counts(), META, tmp_path / place)


def test_memory_does_not_grow_with_the_findings(tmp_path):
    def peak(n):
        tracemalloc.start()
        write_html((FINDINGS[i % 8] for i in range(n)), counts(), META, tmp_path / "r.html")
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(8)
    assert peak(1500) - peak(150) < 500_000  # bytes; the page itself grows by 6 MB
