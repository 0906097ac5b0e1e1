import csv
import io
import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from report_samples import FINDINGS, counts
from rich.console import Console

from dragoman.records import Counts, Evidence, Rejected, Where
from dragoman.report.rows import COLUMNS, table, tee_csv, tee_jsonl, write_csv, write_jsonl

ANY = st.text(st.characters(exclude_categories=()), max_size=60)
HOSTILE = st.one_of(ANY, st.sampled_from("=+-@\t\r＝").flatmap(lambda c: ANY.map(lambda t: c + t)))


def shown(findings, of=None, *, width=140, encoding="utf-8", **options):
    raw = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    console = Console(file=raw, width=width, color_system=None)
    table(iter(findings), of or Counts(parsed=9, found=len(findings)), console, **options)
    raw.flush()
    return raw.buffer.getvalue().decode(encoding)


def rows(findings):
    file = io.StringIO(newline="")
    write_csv(findings, file)
    return list(csv.DictReader(io.StringIO(file.getvalue(), newline="")))


def with_evidence(text, **changes):
    return replace(FINDINGS[0], evidence=(Evidence("query:q", text),), **changes)


def test_jsonl_is_the_findings_format():
    file = io.StringIO()
    write_jsonl(iter(FINDINGS), file)
    lines = file.getvalue().splitlines()
    assert [json.loads(line) for line in lines] == [f.to_dict() for f in FINDINGS]
    assert file.getvalue().isascii()


@given(ANY)
def test_jsonl_keeps_any_text_exactly_on_one_line(text):
    file = io.StringIO()
    write_jsonl([with_evidence(text)], file)
    assert file.getvalue().count("\n") == 1
    assert json.loads(file.getvalue())["evidence"][0]["text"] == text


def test_writers_stream():
    lines, sheet = io.StringIO(), io.StringIO()
    taken = 0

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield FINDINGS[0]

    stream = tee_csv(tee_jsonl(endless(), lines), sheet)
    for n in range(1, 4):
        assert next(stream) is FINDINGS[0]
        assert taken == n
        assert lines.getvalue().count("\n") == n
        assert sheet.getvalue().count("\r\n") == n + 1  # and the header


def test_csv_row():
    row = rows(FINDINGS)[0]
    assert tuple(row) == COLUMNS
    assert row["verdict"] == "sql-injection"
    assert (row["path"], row["line"], row["byte"]) == ("evidence/shop-week-2.http.gz", "14", "")
    assert (row["score"], row["threshold"]) == ("0.9871", "0.7312")
    assert (row["field"], row["decoded"]) == ("query:id", "percent > percent")
    assert row["evidence"] == "7' UNION SELECT name,pass FROM users--"
    assert (row["span_start"], row["span_end"]) == ("20", "89")
    assert (row["nearest_id"], row["runner_up"]) == ("CWE-89", "cross-site-scripting")


@given(HOSTILE, HOSTILE)
def test_no_csv_cell_is_a_formula_and_every_cell_is_one_line(evidence, host):
    row = rows([with_evidence(evidence, host=host, verdict=evidence, record=host)])
    assert len(row) == 1
    for cell in row[0].values():
        assert not cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))
        assert cell.isprintable() or not cell
        cell.encode("utf-8")


def test_csv_prefixes_formulas_but_not_numbers():
    risky = with_evidence("=HYPERLINK(1)", host="\t=1", score=-0.5)
    row = rows([risky])[0]
    assert row["evidence"] == "'=HYPERLINK(1)"
    assert row["host"] == "'\\t=1"
    assert row["score"] == "-0.5"


def test_csv_cell_fits_a_spreadsheet():
    assert len(rows([with_evidence("=" + "\x00" * 100_000)])[0]["evidence"]) <= 32_767


def test_table_says_counts_first_then_classes_then_findings():
    out = shown(FINDINGS, counts())
    order = ["8 found · 1,204 parsed · 2 rejected · 1 not covered", "no request line",
             "Threat class", "SQL injection", "Verdict,", "shop-week-2.http.gz:14"]  # fmt: skip
    places = [out.index(text) for text in order]
    assert places == sorted(places)
    assert out.lstrip().startswith("8 found")
    assert "0.987" in out
    assert "/0.731" in out
    assert "7' UNION SELECT" in out


def test_table_groups_by_class():
    lines = shown(FINDINGS).splitlines()
    at = [n for n, line in enumerate(lines) if "sql-injection" in line]
    assert len(at) == 2
    assert not any("path-traversal" in line for line in lines[at[0] : at[1]])


def test_table_shows_at_most_limit_rows_and_says_how_many_more():
    out = shown(FINDINGS * 3, limit=5)
    assert "… and 19 more, not shown here" in out
    assert out.count("0.7312"[:5]) == 5
    assert "not shown here" not in shown(FINDINGS, limit=8)
    assert "Verdict" not in shown(FINDINGS, limit=0)


def test_table_reads_counts_only_after_the_last_finding():
    seen = Counts()

    def scan():
        for finding in FINDINGS:
            seen.found += 1
            yield finding
        seen.parsed = 77

    assert "8 found · 77 parsed" in shown(scan(), seen)


def test_table_with_nothing_found():
    assert shown([], Counts(parsed=3)).strip() == (
        "0 found · 3 parsed · 0 rejected · 0 not covered"
    )


def test_table_lists_five_rejects_and_counts_the_rest():
    rejects = [Rejected(Where("a.har", byte=n), f"reason {n}\x1b[2J") for n in range(7)]
    out = shown([], Counts(rejected=7000, rejects=rejects))
    assert "rejected a.har@4: reason 4\\x1b[2J" in out
    assert "reason 5" not in out
    assert "… and 6,995 more rejected" in out


@given(ANY | st.sampled_from(["[red]x[/red]", "[/]", "[link=file:///]a", "\\[b]", "\x1b]0;t\x07"]))
def test_table_never_reads_evidence_as_markup_or_control(text):
    hostile = with_evidence(text, verdict=text, name=text, where=Where(text, line=3))
    out = shown([hostile], width=400)
    assert all(char.isprintable() or char == "\n" for char in out)


def test_table_shows_markup_as_text():
    assert "[red]x[/red]" in shown([with_evidence("[red]x[/red]")])


def test_table_on_a_narrow_or_ascii_terminal():
    out = shown([with_evidence("Käse")], width=72, encoding="ascii")
    assert "K\\xe4se" in out
    assert all(len(line) <= 72 for line in out.splitlines())
