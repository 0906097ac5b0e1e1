"""The report in a real browser: no payload acts, nothing is fetched, the page is readable."""

import re
from dataclasses import fields

import pytest
from report_samples import FINDINGS, META, counts

from dragoman.records import Counts, Evidence, Excerpt, Finding, Hit, Rejected, Where
from dragoman.report.html import Meta, write_html

pytestmark = pytest.mark.browser

VECTORS = [
    "<script>window.hit=1;alert(1)</script>",
    "</script><script>window.hit=1</script>",
    "<ScRiPt>window.hit=1</sCrIpT>",
    "<img src=x onerror=window.hit=1>",
    "<img src=https://example.net/pixel.png>",
    "<svg onload=window.hit=1>",
    "<svg><script>window.hit=1</script></svg>",
    "<svg><animate onbegin=window.hit=1 attributeName=x dur=1s>",
    "<iframe srcdoc='<script>parent.hit=1</script>'></iframe>",
    "<iframe src=javascript:parent.hit=1></iframe>",
    "<body onload=window.hit=1>",
    "<input autofocus onfocus=window.hit=1>",
    "<details open ontoggle=window.hit=1>",
    "<video><source onerror=window.hit=1></video>",
    "<object data=javascript:window.hit=1></object>",
    "<embed src=https://example.net/x.swf>",
    "<link rel=stylesheet href=https://example.net/x.css>",
    "<style>@import url(https://example.net/x.css);*{display:none}</style>",
    "</style><script>window.hit=1</script>",
    "</title><script>window.hit=1</script>",
    "</textarea><script>window.hit=1</script>",
    "</pre></details></li></ol><script>window.hit=1</script>",
    "--><script>window.hit=1</script><!--",
    "]]><script>window.hit=1</script>",
    "\"><script>window.hit=1</script>",
    "'><script>window.hit=1</script>",
    "\" onmouseover=window.hit=1 x=\"",
    "' autofocus onfocus=window.hit=1 x='",
    "` onclick=window.hit=1 x=`",
    "<meta http-equiv=refresh content='0;url=https://example.net/'>",
    "<base href=https://example.net/>",
    "<form action=https://example.net/><button autofocus>x</button></form>",
    "<a href=javascript:window.hit=1 id=tools>x</a>",
    "<form id=cards><input name=children></form>",
    "<math><mtext><style><img src onerror=window.hit=1></style></mtext></math>",
    "<noscript><p title='</noscript><img src=x onerror=window.hit=1>'>",
    "<template><script>window.hit=1</script></template>",
    "&lt;script&gt;window.hit=1&lt;/script&gt;",
    "&#60;img src=x onerror=window.hit=1&#62;",
    "\u2028<script>window.hit=1</script>\u2029",
    "\x00<scr\x00ipt>window.hit=1</script>",
    "+ADw-script+AD4-window.hit=1+ADw-/script+AD4-",
    "{{constructor.constructor('window.hit=1')()}}",
    "${window.hit=1}",
    "javascript:window.hit=1",
    "data:text/html,<script>window.hit=1</script>",
]  # fmt: skip


def hostile(number, text):
    raw = text.encode()
    hit = Hit(text, text, text, 0.5)
    return Finding(
        family=text, record=text, where=Where(text, line=number), verdict=text, name=text,
        score=0.9, threshold=0.5, severity=text,
        evidence=(Evidence(text, text, (2, 2 + len(raw)), (text, text)), Evidence(text, text)),
        nearest=(hit, hit), runner_ups=(hit,), bundle=text, intel_version=text, time=text,
        host=text, tactics=(text,), excerpt=Excerpt(b"A " + raw + b" Z", 0),
    )  # fmt: skip


class Watch:
    """Everything a page may not do: ask, log, fail, fetch, move, open."""

    def __init__(self, page):
        self.seen = []
        page.on("dialog", lambda it: (self.seen.append(("dialog", it.message)), it.dismiss()))
        page.on("console", lambda it: self.seen.append(("console", it.text)))
        page.on("pageerror", lambda it: self.seen.append(("error", str(it))))
        page.on("request", lambda it: self.seen.append(("request", it.url)))
        page.on("popup", lambda it: self.seen.append(("popup", it.url)))
        page.on("framenavigated", lambda it: self.seen.append(("frame", it.url)))


def opened(chromium, path, *, width=1200, scheme="light"):
    page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    watch = Watch(page)
    page.goto(path.as_uri())
    expected = [("request", path.as_uri()), ("frame", path.as_uri())]
    assert sorted(watch.seen) == sorted(expected)
    watch.seen.clear()
    return page, watch


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_html(FINDINGS, counts(), META, path)
    return path


def shown(page):
    return page.locator(".card:visible .name").all_inner_texts()


def test_no_payload_acts(chromium, tmp_path):
    path = tmp_path / "hostile.html"
    findings = [hostile(n, text) for n, text in enumerate(VECTORS, 1)]
    rejects = [Rejected(Where(text, byte=0), text, text.encode()) for text in VECTORS]
    of = Counts(parsed=99, found=len(findings), rejected=len(rejects), rejects=rejects)
    for text in VECTORS[:1] + VECTORS[19:21]:
        write_html(findings, of, Meta(**{f.name: text for f in fields(Meta)}), path)
        page, watch = opened(chromium, path)
        page.get_by_role("button", name="Open all").click()
        for number in (0, 20, len(VECTORS) - 1):
            page.locator(".card summary").nth(number).hover()
            page.locator(".card pre").nth(number * 3).click()
        page.get_by_label("Search").fill("script")
        page.get_by_label("Class", exact=True).select_option(index=3)
        page.get_by_label("Class", exact=True).select_option(index=0)
        page.get_by_label("Search").fill("")
        page.get_by_label("Sort by").select_option("class")
        page.wait_for_timeout(300)
        assert watch.seen == []
        assert page.evaluate("window.hit === undefined")
        assert page.locator(".card").count() == len(VECTORS)
        assert page.locator("script").count() == 1
        assert page.locator("img, iframe, object, embed, link, base, form, a, video").count() == 0
        assert page.get_by_text(VECTORS[0]).count() > 3
        page.close()


def test_policy_stops_code_that_is_not_the_pages_own(chromium, report):
    """Were the escaping ever to fail, the policy still holds."""
    html = report.read_text("utf-8").replace(
        "</main>", "<script>window.hit=1</script><img src=x onerror=window.hit=1></main>"
    )
    broken = report.with_name("broken.html")
    broken.write_text(html, encoding="utf-8")
    page = chromium.new_page()
    watch = Watch(page)
    page.goto(broken.as_uri())
    assert page.evaluate("window.hit === undefined")
    blocked = [text for kind, text in watch.seen if kind == "console"]
    assert sum("Content Security Policy" in text for text in blocked) >= 2
    page.close()


def test_filter_sort_and_open_by_keyboard(chromium, report):
    page, watch = opened(chromium, report)
    everything = [finding.name for finding in FINDINGS]
    assert shown(page) == everything
    page.get_by_label("Search").focus()
    page.keyboard.type("ldap status")
    assert shown(page) == ["Code injection"]
    assert page.get_by_role("status").inner_text() == "1 of 8 shown"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    page.keyboard.type("SQL")
    assert shown(page) == ["SQL injection"] * 2
    page.keyboard.press("Home")
    page.keyboard.press("Tab")
    page.keyboard.type("score")
    assert shown(page)[:3] == ["Code injection", "SQL injection", "Cross-site scripting"]
    page.get_by_label("Sort by").select_option("rank")
    assert shown(page)[0] == "Code injection"
    page.get_by_label("Sort by").select_option("n")
    assert shown(page) == everything
    page.get_by_role("button").focus()
    page.keyboard.press("Tab")
    assert page.locator("pre:visible").count() == 0
    page.keyboard.press("Enter")
    assert page.locator("pre:visible").first.inner_text().startswith("GET /catalogue/list?id=7%25")
    assert watch.seen == []
    page.close()


@pytest.mark.parametrize("width", [400, 320])
def test_narrow_screen_does_not_scroll_sideways(chromium, report, width):
    page, _ = opened(chromium, report, width=width)
    page.get_by_role("button", name="Open all").click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    wide = page.evaluate(
        "[...document.querySelectorAll('main *')].filter(e => !e.closest('svg, pre, code, caption')"
        f" && e.getBoundingClientRect().right > {width}).map(e => e.outerHTML.slice(0, 90))"
    )
    assert wide == []
    page.close()


def luminance(colour):
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one, other):
    """WCAG 2.2 contrast ratio of two opaque colours."""
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


COLOURS = """() => {
  const clear = 'rgba(0, 0, 0, 0)', found = {};
  for (const e of document.querySelectorAll('main *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own && e.tagName !== 'INPUT' || e.closest('svg')) continue;
    let at = e;
    while (at && getComputedStyle(at).backgroundColor === clear) at = at.parentElement;
    const back = getComputedStyle(at || document.body).backgroundColor;
    for (const pseudo of [null, '::placeholder']) {
      if (pseudo && e.tagName !== 'INPUT') continue;
      found[[getComputedStyle(e, pseudo).color, back].join('|')] = e.outerHTML.slice(0, 80);
    }
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_aa_contrast(chromium, report, scheme):
    page, _ = opened(chromium, report, scheme=scheme)
    page.get_by_role("button", name="Open all").click()
    found = page.evaluate(COLOURS)
    assert len(found) > 8
    page_colour = luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (page_colour > 0.5) == (scheme == "light")
    weak = {where: pair for pair, where in found.items() if contrast(*pair.split("|")) < 4.5}
    assert weak == {}
    page.close()


def test_print_shows_every_finding_whole_and_no_tools(chromium, report):
    page, _ = opened(chromium, report, scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.locator("#tools").is_hidden()
    heights = page.eval_on_selector_all("pre", "all => all.map(e => e.clientHeight)")
    assert len(heights) > len(FINDINGS)
    assert min(heights) > 10
    assert luminance(page.evaluate("getComputedStyle(document.body).backgroundColor")) == 1
    page.close()
