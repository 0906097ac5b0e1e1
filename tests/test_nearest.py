"""Which known vulnerabilities a payload resembles: by its kind, and by the words of the place."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

from dragoman import BundleError, Config, Engine, Payload
from dragoman.config import Scan
from dragoman.places import WORDS, Places, asked, build, words
from dragoman.prepare.fields import split
from dragoman.records import Text, Where

SHOPS = ("Acorn", "Birch", "Cedar", "Dogwood", "Elder", "Fir", "Ginkgo", "Hazel")


def cve(number, body):
    return Text(f"CVE-2031-{number:04d}", f"CVE-2031-{number:04d}", body, "cve", "cve")


def filler(n=400):
    """Texts that make the usual words of such texts common."""
    return [
        cve(5000 + i, f"SQL injection in item{i}.php of Widget{i} allows remote attackers to run")
        for i in range(n)
    ]


CART = cve(1, "SQL injection in list-items.php of the Zebrafish Cart plugin via catkey")
POLL = cve(2, "SQL injection in vote.php of the Quokka Poll plugin via the pollkey parameter")
ATTACK = "1%27+UNION+SELECT+1,2,3--+-"


def request(target, host="www.example.com", head=""):
    data = f"GET {target} HTTP/1.1\r\nHost: {host}\r\n{head}\r\n".encode()
    return Payload("r", data, "http", Where("test"))


def score(places, target, **more):
    return places.scores(asked(split(request(target, **more)).fields))


# -- words -------------------------------------------------------------------------------------


def test_words_are_parts_and_wholes():
    found = list(words("The my-shop plugin's Admin-Ajax.php takes cat_id (2031)"))
    assert {"shop", "my-shop", "admin", "ajax", "admin-ajax.php", "cat_id", "plugin"} <= set(found)
    assert "2031" not in found


@given(st.text(max_size=300))
def test_words_of_anything(text):
    assert all(word == word.lower() and len(word) > 1 for word in words(text))


def test_asked_reads_places_and_not_the_host_or_the_attack():
    sent = request(
        f"/wp-content/plugins/zebrafish-cart/list.php?catkey={ATTACK}&page=zebra_tools",
        host="quokka.example.com",
        head="X-Cart-Token: dingo-secret\r\nCookie: wombat=1\r\n",
    )
    found = set(asked(split(sent).fields))
    assert {"zebrafish-cart", "list.php", "catkey", "zebra_tools", "x-cart-token"} <= found
    assert {"wombat"} <= found
    assert not found & {"quokka", "dingo", "dingo-secret", "union", "select"}


def test_asked_is_bounded():
    target = "/" + "/".join(f"part{i}x" for i in range(3000))
    assert len(asked(split(request(target)).fields)) <= 256


# -- the table ---------------------------------------------------------------------------------


def test_the_text_that_shares_rare_words_scores_highest():
    places = Places(build([*filler(), CART, POLL]))
    got = score(places, f"/shop/list-items.php?catkey={ATTACK}")
    assert got.argmax() == 400
    assert 0.5 < got[400] <= 1
    assert got[401] == 0
    assert score(places, "/").max() == 0


def test_common_words_say_nothing():
    places = Places(build([*filler(), CART, POLL]))
    assert score(places, "/plugin/sql/injection/remote/attackers.php").max() < 0.2


def test_the_table_is_small_and_holds_no_words():
    texts = [*filler(), CART, POLL]
    arrays = build(texts)
    assert len(arrays["offsets"]) == len(texts) + 1
    assert np.diff(arrays["offsets"].astype(int)).max() <= WORDS
    assert sum(a.nbytes for a in arrays.values()) / len(texts) < 60
    assert all(a.dtype.kind == "u" for a in arrays.values())


@pytest.mark.parametrize("texts", [[], [cve(1, "")], [CART], [CART, CART]])
def test_small_tables(texts):
    places = Places(build(texts))
    assert places.scores(["catkey"]).shape == (len(texts),)
    assert places.scores([]).shape == (len(texts),)


def test_own_texts_are_rare_by_the_shipped_ones():
    shipped = Places(build(filler()))
    own = Places(build([CART, POLL], shipped))
    assert score(own, f"/a/list-items.php?catkey={ATTACK}").argmax() == 0
    assert score(own, "/sql/injection/remote").max() == 0


@given(st.lists(st.text(max_size=60), max_size=20), st.lists(st.text(max_size=20), max_size=20))
def test_scores_are_shares(bodies, query):
    places = Places(build([cve(i, body) for i, body in enumerate(bodies)]))
    got = places.scores(query)
    assert got.shape == (len(bodies),)
    assert ((got >= 0) & (got <= 1)).all()


# -- in the engine -----------------------------------------------------------------------------

LINE = '{{"cve": "CVE-2031-{:04d}", "description": "{}"}}\n'


@pytest.fixture
def own(bundle_path, tmp_path):
    """An engine that finds something in everything, and knows eight shops."""
    engine = Engine.load(
        bundle_path, intel=tmp_path / "intel", config=Config(scan=Scan(threshold=0.0))
    )
    body = "SQL injection in {0}view.php of the {0} Nutshop script through the {0}nut parameter"
    path = tmp_path / "shops.jsonl"
    path.write_text("".join(LINE.format(i, body.format(s)) for i, s in enumerate(SHOPS)), "utf-8")
    engine.add_intel(path)
    return engine


@pytest.mark.parametrize("number", [0, 3, 7])
def test_the_place_tells_one_from_another(own, number):
    shop = SHOPS[number].lower()
    (one,) = own.scan([request(f"/{shop}/{shop}view.php?{shop}nut={ATTACK}")])
    assert one.nearest[0].id == f"CVE-2031-{number:04d}"
    assert one.nearest[0].score > one.nearest[1].score
    said = own.explain(request(f"/{shop}/{shop}view.php?{shop}nut={ATTACK}").data)
    assert said.nearest[:3] == one.nearest


def test_the_place_never_decides(own):
    """Where a request goes changes neither score nor verdict, only what is listed as nearest."""
    said = [
        own.explain(request(f"/{shop}/{shop}view.php?{shop}nut={ATTACK}").data)
        for shop in ("hazel", "cedar")
    ]
    assert said[0].nearest[0].id != said[1].nearest[0].id
    assert said[0].score == said[1].score
    assert [h.to_dict() for h in said[0].classes] == [h.to_dict() for h in said[1].classes]


def test_removed_texts_are_no_longer_near(own):
    asked_for = request(f"/cedar/cedarview.php?cedarnut={ATTACK}").data
    assert own.explain(asked_for).nearest[0].id == "CVE-2031-0002"
    own.remove_intel(["CVE-2031-0002"])
    assert "CVE-2031-0002" not in {hit.id for hit in own.explain(asked_for).nearest}


def test_a_text_that_replaces_a_shipped_one_is_found_by_its_own_words(own, bundle_path, tmp_path):
    known = next(i for i in own._knowledge.index.ids if i.startswith("CVE-20"))
    path = tmp_path / "new.jsonl"
    path.write_text(f'{{"cve": "{known}", "description": "Flaw in platypusgate.php"}}\n', "utf-8")
    own.add_intel(path)
    assert own.explain(request(f"/platypusgate.php?a={ATTACK}").data).nearest[0].id == known


def test_evaluation_ranks_as_findings_do(own, tmp_path):
    shop = SHOPS[5].lower()
    data = request(f"/{shop}/{shop}view.php?{shop}nut={ATTACK}").data.decode()
    row = {"id": "a", "payload": data, "kind": "http", "label": "sql-injection"}
    path = tmp_path / "rows.jsonl"
    path.write_text(_line({**row, "cve": ["CVE-2031-0005"]}), "utf-8")
    assert own.evaluate([path])["retrieval"] == {"n": 1, "hit@1": 1.0, "hit@10": 1.0, "mrr": 1.0}
    path.write_text(_line({**row, "cve": ["CVE-2031-0001"]}), "utf-8")
    assert own.evaluate([path])["retrieval"]["hit@1"] == 0.0


def _line(row):
    return json.dumps(row) + "\n"


def test_place_words_of_another_index_are_refused(bundle_path, tmp_path):
    copy = tmp_path / "bundle"
    shutil.copytree(bundle_path, copy)
    part = copy / "index" / "places.safetensors"
    save_file(build([CART]), part)
    manifest = json.loads((copy / "bundle.json").read_text("utf-8"))
    manifest["files"]["index/places.safetensors"] = hashlib.sha256(part.read_bytes()).hexdigest()
    (copy / "bundle.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(BundleError, match="place words"):
        Engine.load(copy).explain("1' or 1=1-- -")
