"""The reports of fixed findings, byte for byte. Renewed by running ``report_samples.py``."""

import pytest
from report_samples import GOLDEN, write


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    write(folder)
    return folder


@pytest.mark.parametrize("name", ["report.html", "report.csv", "report.jsonl"])
def test_golden(written, name):
    assert (written / name).read_bytes() == (GOLDEN / name).read_bytes()
