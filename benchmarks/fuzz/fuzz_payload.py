"""Coverage-guided fuzzing of all that stands between a payload's bytes and the model.

    pip install atheris
    python benchmarks/fuzz/fuzz_payload.py [CORPUS_DIR] -max_total_time=600 -timeout=5

Splits, decodes and normalises each input as a request and as a value, and checks what the detector
relies on: spans inside the record, bounded fields, instances and views. Any exception, and any
input that takes longer than the timeout, is a finding; libFuzzer writes the input to ``crash-*``. A
directory of sample requests as corpus speeds it up. Not part of the tests: hypothesis covers the
same there.
"""

import sys

import atheris

with atheris.instrument_imports(include=["dragoman.prepare"]):
    from dragoman.config import Limits
    from dragoman.prepare.decode import views
    from dragoman.prepare.fields import split
    from dragoman.prepare.instances import CHUNK, FILE_CHUNK, instances_of
    from dragoman.records import Payload, Where

LIMITS = Limits(fields=64, field_bytes=4096, inflate_bytes=8192)


def examine(data: bytes) -> None:
    for kind in ("http", "value"):
        fields, _ = split(Payload("fuzz", data, kind, Where("fuzz")), LIMITS)
        assert len(fields) <= LIMITS.fields
        for field in fields:
            assert 0 <= field.start <= field.end <= len(data), field
            assert len(field.value) <= LIMITS.field_bytes, field
            assert all(len(t) <= max(CHUNK, FILE_CHUNK) for t in instances_of(field, LIMITS))
            assert len(views(field.value, field.start, field.end, LIMITS)) <= LIMITS.decode_views


if __name__ == "__main__":
    atheris.Setup(sys.argv, examine)
    atheris.Fuzz()
