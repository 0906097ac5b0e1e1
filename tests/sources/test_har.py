from __future__ import annotations

import json

from dragoman.config import Limits
from reading import read_bytes


def har(*entries: object) -> bytes:
    log = {"version": "1.2", "creator": {"name": "made by hand"}, "pages": [], "entries": entries}
    return json.dumps({"log": log}, indent=2).encode()


def entry(**request: object) -> dict[str, object]:
    return {"startedDateTime": "2024-05-01T10:00:00.000+02:00", "request": request, "response": {}}


LOGIN = entry(
    method="POST",
    url="https://shop.example.com/login?next=/a%20b#top",
    httpVersion="HTTP/1.1",
    headers=[
        {"name": "Host", "value": "shop.example.com"},
        {"name": "Content-Type", "value": "application/json"},
    ],
    postData={"mimeType": "application/json", "text": '{"user": "é\' or 1=1"}'},
)


def test_a_request_is_put_together_again() -> None:
    found, rejected = read_bytes(har(LOGIN))
    assert rejected == []
    assert found[0].data == (
        b"POST /login?next=/a%20b#top HTTP/1.1\r\nHost: shop.example.com\r\n"
        b"Content-Type: application/json\r\n\r\n" + '{"user": "é\' or 1=1"}'.encode()
    )
    assert (found[0].id, found[0].kind) == ("-#1", "http")
    assert (found[0].time, found[0].host) == ("2024-05-01T08:00:00Z", "shop.example.com")


def test_http2_pseudo_headers_give_way_to_the_url() -> None:
    headers = [
        {"name": ":authority", "value": "other.example.com"},
        {"name": "accept", "value": "*"},
    ]
    sent = entry(method="GET", url="https://a.example.com", httpVersion="h2", headers=headers)
    found, _ = read_bytes(har(sent))
    assert found[0].data == b"GET / HTTP/1.1\r\nHost: a.example.com\r\naccept: *\r\n\r\n"


def test_forms_are_written_again_from_their_parameters() -> None:
    params = [{"name": "a", "value": "1' or"}, {"name": "b&", "value": "x=y"}]
    url = "https://example.com/f"
    plain = entry(method="POST", url=url, headers=[], postData={"params": params})
    kind = [{"name": "Content-Type", "value": "multipart/form-data; boundary=--b"}]
    multi = entry(method="POST", url=url, headers=kind, postData={"params": params[:1]})
    found, _ = read_bytes(har(plain, multi))
    assert found[0].data.endswith(b"\r\n\r\na=1%27+or&b%26=x%3Dy")
    assert found[1].data.endswith(
        b'----b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\' or\r\n----b--\r\n'
    )


def test_a_har_cut_off_keeps_the_entries_before() -> None:
    data = har(LOGIN, LOGIN, LOGIN)
    found, rejected = read_bytes(data[: data.rindex(b"shop.example.com")])
    assert len(found) == 2
    assert len(rejected) == 1
    assert rejected[0].reason.startswith("broken JSON")
    assert data[found[1].where.byte :].startswith(b"{")


def test_odd_entries_are_rejected_alone() -> None:
    found, rejected = read_bytes(har(None, {"request": {}}, LOGIN, {"request": {"url": 7}}))
    assert len(found) == 1
    assert {r.reason for r in rejected} == {"HAR entry without a request and its url"}
    odd = entry(method=None, url="/x", headers={"a": 1}, postData=[1], httpVersion=2)
    assert read_bytes(har(odd))[0][0].data == b"GET /x HTTP/1.1\r\n\r\n"


def test_a_har_without_entries_or_beyond_a_limit_is_rejected() -> None:
    assert "no array of records" in read_bytes(b'{"log": {"version": "1.2"}}')[1][0].reason
    deep = har(entry(url="/", extra=json.loads("[" * 70 + "]" * 70)))
    assert "limits.json_depth = 64" in read_bytes(deep)[1][0].reason
    _, rejected = read_bytes(har(LOGIN), limits=Limits(document_bytes=100))
    assert "limits.document_bytes = 100" in rejected[0].reason
