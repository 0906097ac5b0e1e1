"""CVEs by class, from records in several formats, and the cut into sides."""

import gzip
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.config import Limits
from dragoman.dataset.cves import SIDES, cut, read, require, sizes_of
from dragoman.errors import SourceError
from dragoman.intel import benchmark
from llm_server import records, write_records

LIMITS = Limits()


def line(id, cwe, text, **more):
    return {"cve": id, "cwe": cwe, "description": text} | more


def pool_of(tmp_path, rows):
    return read(write_records(tmp_path / "cves.jsonl", rows), LIMITS)


def test_each_cve_has_the_class_of_its_weakness(tmp_path):
    pool = pool_of(tmp_path, records(4))
    assert list(pool.by_class) == list(benchmark())
    assert {slug: len(cves) for slug, cves in pool.by_class.items()} == dict.fromkeys(
        benchmark(), 4
    )
    one = pool.by_class["sql-injection"][0]
    assert (one.label, one.cwe, one.year) == ("sql-injection", ("CWE-89",), 2010)
    assert one.text.endswith("(noitcejni-lqs).")


def test_what_is_left_out_is_counted(tmp_path):
    pool = pool_of(
        tmp_path,
        [
            line("CVE-2020-90002", ["CWE-79", "CWE-80"], "A field of item 17 is shown as it is."),
            line("CVE-2020-90001", ["CWE-79"], "A field of item 4 is shown as it is."),
            line("CVE-2020-90001", ["CWE-89"], "The same id again."),
            line("CVE-2020-90003", ["CWE-79", "CWE-89"], "Two kinds at once."),
            line("CVE-2020-90004", ["CWE-125"], "Reads past the end."),
            line("CVE-2020-90005", [], "Nobody knows."),
            line("CVE-20-1", ["CWE-79"], "No such id."),
            {"cwe": "CWE-79", "name": "A weakness", "description": "No CVE at all."},
        ],
    )
    assert [c.id for c in pool.by_class["cross-site-scripting"]] == ["CVE-2020-90001"]
    assert pool.left_out == {
        "description of another CVE": 1,
        "a CVE id seen before": 1,
        "CWE ids of two classes": 1,
        "no CWE id of a class": 2,
        "could not be read": 1,
        "not a CVE": 1,
    }
    assert [r.where.line for r in pool.rejects] == [7]


def test_nvd_and_cve5(tmp_path):
    nvd = {
        "vulnerabilities": [
            {
                "cve": {
                    "id": "CVE-2021-90001",
                    "descriptions": [{"lang": "en", "value": "The id ends a statement early."}],
                    "weaknesses": [{"description": [{"lang": "en", "value": "CWE-564"}]}],
                }
            }
        ]
    }
    cve5 = {
        "cveMetadata": {"cveId": "CVE-2022-90001", "state": "PUBLISHED"},
        "containers": {
            "cna": {
                "descriptions": [{"lang": "en", "value": "The next page may be anywhere."}],
                "problemTypes": [{"descriptions": [{"lang": "en", "cweId": "CWE-601"}]}],
            }
        },
    }
    (tmp_path / "nvd.json.gz").write_bytes(gzip.compress(json.dumps(nvd).encode()))
    (tmp_path / "one.json").write_text(json.dumps(cve5))
    pool = read([str(tmp_path)], LIMITS)
    found = {slug: [c.id for c in cves] for slug, cves in pool.by_class.items() if cves}
    assert found == {"sql-injection": ["CVE-2021-90001"], "open-redirect": ["CVE-2022-90001"]}


def test_the_digest_is_that_of_the_texts(tmp_path):
    rows = records()
    one = pool_of(tmp_path, rows).digest
    assert pool_of(tmp_path, rows[::-1]).digest == one
    rows[0]["description"] += " More."
    assert pool_of(tmp_path, rows).digest != one


def test_nothing_of_use(tmp_path):
    with pytest.raises(SourceError, match="no CVE with a CWE id of a benchmark class"):
        pool_of(tmp_path, [line("CVE-2020-90001", ["CWE-125"], "Reads past the end.")])


def test_too_few_are_named(tmp_path):
    pool = pool_of(tmp_path, records(but="file-upload"))
    with pytest.raises(SourceError, match=r"x\.json: too few CVEs of file-upload \(2\)\n"):
        require(pool, "x.json")
    require(pool_of(tmp_path, records(3)), "x.json")


@given(st.integers(3, 500), st.integers())
def test_every_item_is_on_one_side(n, seed):
    sides = cut(range(n), Random(seed))
    assert sorted(i for items in sides.values() for i in items) == list(range(n))
    assert {side: len(items) for side, items in sides.items()} == sizes_of(n)
    assert min(sizes_of(n).values()) >= 1


def test_shares():
    assert sizes_of(1000) == {"train": 700, "valid": 100, "test": 200}
    assert sum(SIDES.values()) == pytest.approx(1)
