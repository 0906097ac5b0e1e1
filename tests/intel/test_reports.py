from __future__ import annotations

import gzip
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.intel import read_texts
from dragoman.intel.page import blocks
from dragoman.intel.pieces import Block, pieces
from dragoman.intel.reports import sentences
from dragoman.records import Rejected, Text

REPORT = """# The Garden Affair

The intruder opened a shell, e.g. cmd.exe. Then it created a task named "Weeder" (T1053.005)! Ünder
the task ran version 2.1 of the [spade](https://example.org/spade) by J. Example.
Yes. No.

- a list item of its own, with **emphasis**
1. another list item of its own

| Technique | T1059.001 |
|---|---|

```
schtasks /create /tn Weeder
net user gardener /add
```
"""


def read(path: Path, **options: Any) -> tuple[list[Text], list[str]]:
    items = list(read_texts(path, **options))
    texts = [item for item in items if isinstance(item, Text)]
    return texts, [item.reason for item in items if isinstance(item, Rejected)]


def bodies(texts: list[Text]) -> list[str]:
    return [t.body for t in texts if t.kind == "sentence"]


def test_markdown_is_cut_into_sentences(tmp_path: Path) -> None:
    path = tmp_path / "garden.md"
    path.write_text(REPORT, "utf-8")
    texts, reasons = read(path)
    assert not reasons
    assert bodies(texts) == [
        "The intruder opened a shell, e.g. cmd.exe.",
        'Then it created a task named "Weeder" (T1053.005)!',
        "Ünder the task ran version 2.1 of the spade by J. Example.",
        "Yes. No.",
        "a list item of its own, with emphasis",
        "another list item of its own",
        "Technique | T1059.001 |",
        "schtasks /create /tn Weeder",
        "net user gardener /add",
    ]
    [document] = [t for t in texts if t.kind == "document"]
    assert document.techniques == ("T1053.005", "T1059.001")
    assert {t.title for t in texts} == {"The Garden Affair"}
    assert {t.parent for t in texts} == {"", document.id}
    raw = path.read_bytes()
    for text in texts[1:]:
        start, end = text.span
        assert raw[start:end].decode().split()[0].startswith(text.body.split()[0])
        assert raw[start:end].decode().rstrip("*").endswith(text.body.split()[-1])
    assert texts[2].techniques == ("T1053.005",)


def test_offsets_are_those_of_what_was_packed(tmp_path: Path) -> None:
    path = tmp_path / "garden.txt.gz"
    path.write_bytes(gzip.compress("Ä first sentence here. A second sentence, café.\n".encode()))
    texts, _ = read(path)
    data = gzip.decompress(path.read_bytes())
    assert [data[slice(*t.span)].decode() for t in texts[1:]] == [
        "Ä first sentence here.",
        "A second sentence, café.",
    ]


PAGE = b"""<!-- a comment > with a bracket -->
<!DOCTYPE html><html><head><title>Garden &amp; House</title><style>p { color: red }</style></head>
<body><nav><p>Home. Blog.</p></nav>
<p>The <b>intruder</b> ran <code>net&#46;exe user</code> on the host. It then left
the caf\xc3\xa9 &mdash; quietly.</p>
<script>alert("This is no text. At all.")</script>
<h2>Later <i>on</i></h2><ul><li>A task was created &amp; run<li>A service was created</ul>
<pre><code>whoami /all
ipconfig /all</code></pre>
<footer>Subscribe now to this.</footer></body></html>"""


def test_html(tmp_path: Path) -> None:
    path = tmp_path / "garden.html"
    path.write_bytes(PAGE)
    texts, reasons = read(path)
    assert not reasons
    assert bodies(texts) == [
        "The intruder ran net.exe user on the host.",
        "It then left the café — quietly.",
        "A task was created & run",
        "A service was created",
        "whoami /all",
        "ipconfig /all",
    ]
    assert [t.title for t in texts if t.kind == "document"] == ["Garden & House", "Later on"]
    spans = {t.body: PAGE[slice(*t.span)] for t in texts}
    assert spans["The intruder ran net.exe user on the host."].startswith(
        b"The <b>intruder</b> ran"
    )
    assert spans["It then left the café — quietly."].endswith(b"&mdash; quietly.")
    assert spans["A task was created & run"] == b"A task was created &amp; run"
    assert spans["whoami /all"] == b"whoami /all"


def test_html_in_another_encoding_and_with_an_xml_head(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(b"<html><p>The caf\xe9 of the intruder was closed.</p></html>")
    assert read(path)[0][0].body == "The café of the intruder was closed."
    path.write_bytes(b'<?xml version="1.0"?>\n<!DOCTYPE html><html><p>One plain sentence.</p>')
    assert read(path)[0][0].body == "One plain sentence."


def test_html_that_never_ends(tmp_path: Path) -> None:
    for tail in (b"<!-- x <p>Hidden text.", b"<script>Hidden text.", b"<p title='Hidden text."):
        path = tmp_path / "a.html"
        path.write_bytes(b"<p>The part that shows.</p>" + tail)
        assert [t.body for t in read(path)[0]] == ["The part that shows."], tail
    path.write_bytes(b"<p>The part that shows.</p><nav>Never closed, so it is read.")
    assert len(bodies(read(path)[0])) == 2


PARTS = (
    b"<!--",
    b"<script>",
    b"<nav>",
    b"<p>",
    b"&amp;",
    b"<b>",
    b"a. B",
    b"<h1>",
    b"<",
    b"<!",
    b" ",
)


@pytest.mark.parametrize("part", PARTS)
def test_html_takes_linear_time(part: bytes) -> None:
    def seconds(size: int) -> float:
        data = b"<p>" + part * (size // len(part))
        start = time.process_time()
        for block in blocks(data):
            for _ in sentences(block):
                pass
        return time.process_time() - start

    seconds(10_000)
    assert seconds(320_000) < 40 * max(seconds(40_000), 0.005)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from([*PARTS, b"-->", b"</script>", b"\xff", b"\n"]) | st.binary(max_size=9)
    )
)
def test_any_page_gives_blocks_within_it(parts: list[bytes]) -> None:
    data = b"".join(parts)
    last = 0
    for block in blocks(data):
        for one in sentences(block):
            assert one.text
            assert last <= one.start < one.end <= len(data)
            last = one.start


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([". ", "! ", "A", "b", "\n", "e.g.", "Ü", "-\n", " "]), max_size=300)
)
def test_sentences_cover_a_block(parts: list[str]) -> None:
    text = "".join(parts)
    data = text.encode()
    found = list(sentences(Block("", pieces(text, 0))))
    at = 0
    for one in found:
        assert not set(data[at : one.start].decode()) - set(" .!\n-")
        assert len(one.text) <= 400
        at = one.end
    assert not set(data[at:].decode()) - set(" .!\n-")


def test_one_endless_word_is_cut() -> None:
    found = list(sentences(Block("", pieces("x" * 10_000, 7))))
    assert sum(len(one.text) for one in found) == 10_000
    assert (found[0].start, found[-1].end) == (7, 10_007)


def pdf(*pages: str) -> bytes:
    """A PDF (ISO 32000-1) with one line of text a page."""
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, text in enumerate(pages):
        font = "/Resources << /Font << /F1 3 0 R >> >> /MediaBox [0 0 600 200]"
        objects.append(f"<< /Type /Page /Parent 2 0 R {font} /Contents {5 + 2 * i} 0 R >>")
        lines = " ".join(f"({line}) Tj T*" for line in text.split("\n"))
        draw = f"BT /F1 12 Tf 14 TL 20 150 Td {lines} ET"
        objects.append(f"<< /Length {len(draw)} >>\nstream\n{draw}\nendstream")
    out, places = "%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n"
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    size = len(objects) + 1
    tail = f"trailer << /Size {size} /Root 1 0 R >>\nstartxref\n{len(out)}\n%%EOF\n"
    return f"{out}xref\n0 {size}\n0000000000 65535 f \n{table}{tail}".encode()


def test_pdf(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    path = tmp_path / "garden.pdf"
    path.write_bytes(
        pdf("The intruder used a spade. It com-\npressed all files.", "Then it left the host.")
    )
    texts, reasons = read(path)
    assert not reasons
    assert [(t.body, t.source) for t in texts if t.kind == "document"] == [
        ("The intruder used a spade. It com-pressed all files.", "garden.pdf#page=1"),
        ("Then it left the host.", "garden.pdf#page=2"),
    ]
    assert bodies(texts) == ["The intruder used a spade.", "It com-pressed all files."]


def test_without_pypdf_the_reason_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    path = tmp_path / "a.pdf"
    path.write_bytes(pdf("A sentence that stands here."))
    assert read(path) == ([], ["PDF needs the package pypdf: pip install 'dragoman[pdf]'"])


def test_broken_pdfs_are_rejected(tmp_path: Path) -> None:
    pytest.importorskip("pypdf")
    path = tmp_path / "a.pdf"
    whole = pdf("A sentence that stands here.")
    for data in (b"%PDF-1.7\n" + b"\0" * 500, whole[:200], pdf("")):
        path.write_bytes(data)
        texts, reasons = read(path)
        assert not texts
        assert len(reasons) == 1, reasons
    path.write_bytes(whole)
    assert "limits.report_bytes" in read(path, limits=Limits(report_bytes=100))[1][0]


def test_a_long_page_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_bytes(b"<html>" + b"x" * 500)
    assert "limits.report_bytes" in read(path, limits=Limits(report_bytes=100))[1][0]
