"""What a reader finds on every page: served and from disk, light and dark, on a phone and on a wide screen."""

import base64
import functools
import itertools
import re
from urllib.parse import unquote, urlsplit

import pytest
import yaml

from neuroglot.base.npm import npm_package

from .conftest import HTML, ROOT, pages

EVERY = pages() or ["index.html"]
CHAPTERS = [name for name in EVERY if "/chapters/" in name and not name.endswith("/api.html")]
SCREENSHOTS = HTML.parent / "screenshots"
# A phone reads the book from disk, a wide screen from a server; each also turns or grows once.
SCREENS = {"phone": {"width": 390, "disk": True}, "wide": {"width": 1280}}
TURNED = {"phone": 844, "wide": 1920}
# Pixels of a page from its top that are kept as a picture.
LONGEST = 40_000

AXE = (
    "axe-core",
    "4.14.1",
    "sha512-FHfa+lmNjQZfJz1q8wKqIDwC6DExcHt/pkjNQb09a3NPjCKg2rhu5qb2S4r76ASyFNNtuFooJpZe37OgudVGtQ==",
)
# What the theme does and nothing here can mend: rule and the beginning of the selector.
OF_THE_THEME: set[tuple[str, str]] = set()

DRAWN = "div.neuroglot-chart:has(+ script[type='application/json'])"
MARKS = (
    ", ".join(f".mark-{kind} path" for kind in ("rect", "line", "symbol", "area", "arc"))
    + ", .mark-rule line, .mark-text.role-mark text"
)
ALL_DRAWN = f"""[...document.querySelectorAll("{DRAWN}")].every(chart => chart.dataset.drawn)"""
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Share of pixels that are not the most frequent colour, and the number of colours, coarsely.
PIXELS = """async data => {
  const picture = new Image();
  picture.src = `data:image/png;base64,${data}`;
  await picture.decode();
  const canvas = new OffscreenCanvas(picture.width, picture.height);
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0);
  const { data: pixels } = context.getImageData(0, 0, canvas.width, canvas.height);
  const counts = new Map();
  for (let i = 0; i < pixels.length; i += 4) {
    const colour = ((pixels[i] >> 5) << 6) | ((pixels[i + 1] >> 5) << 3) | (pixels[i + 2] >> 5);
    counts.set(colour, (counts.get(colour) ?? 0) + 1);
  }
  const total = pixels.length / 4;
  return { ink: 1 - Math.max(...counts.values()) / total, colours: [...counts.values()].filter((n) => n > 20).length };
}"""


@functools.cache
def axe() -> str:
    return (npm_package(*AXE) / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("screen", SCREENS)
@pytest.mark.parametrize("name", EVERY)
def test_page(visit, name, screen):
    seen = visit(name, **SCREENS[screen])
    page, width = seen.page, SCREENS[screen]["width"]
    SCREENSHOTS.mkdir(exist_ok=True)
    problems = []
    always_light = page.evaluate("document.documentElement.dataset.mode") == "light"  # the page to print
    for scheme in ("light",) if always_light else ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme)
        shot = f"{name.removesuffix('.html').replace('/', '-')}-{width}-{scheme}.png"
        # Of all names and of the page to print a picture would be of hundreds of millions of points.
        height = min(LONGEST, page.evaluate("document.documentElement.scrollHeight"))
        whole = {"x": 0, "y": 0, "width": width, "height": height}
        page.screenshot(path=SCREENSHOTS / shot, full_page=True, clip=whole)
        problems += [f"{scheme}: {problem}" for problem in blank_charts(page)]
        problems += [f"{scheme}: {problem}" for problem in inaccessible(page, colours=scheme == "dark")]
        if (wide := page.evaluate(OVERFLOW)) > 0:
            problems.append(f"{scheme}: {wide} px too wide")
    page.set_viewport_size({"width": TURNED[screen], "height": 700})
    page.wait_for_timeout(250)  # the charts wait for the last of several resizes
    page.wait_for_function(ALL_DRAWN)
    if (wide := page.evaluate(OVERFLOW)) > 0:
        problems.append(f"turned: {wide} px too wide")
    problems += [f"turned: {problem}" for problem in wide_charts(page)]
    if name in CHAPTERS and not page.locator("article :is(svg.marks, figure)").count():
        problems.append("no figure")
    if "Traceback" in page.inner_text("body"):
        problems.append("a traceback")
    assert (seen.refused, seen.errors, problems) == ([], [], [])


def blank_charts(page) -> list[str]:
    """Charts of the page that are missing, tiny, without marks or description, or of one colour."""
    problems = []
    charts = page.locator("div.neuroglot-chart")
    for i in range(charts.count()):
        chart = charts.nth(i)
        if not chart.is_visible():
            continue
        picture = chart.locator("svg.marks")
        box = picture.bounding_box()
        said = f"chart {i}"
        if box["width"] < 150 or box["height"] < 80:
            problems.append(f"{said} is {box['width']:.0f} x {box['height']:.0f} px")
        if not picture.locator(MARKS).count():
            problems.append(f"{said} has no marks")
        described = chart.locator("[role=img][aria-label], [role=graphics-document][aria-label]")
        if not described.count() or not (described.first.get_attribute("aria-label") or "").strip():
            problems.append(f"{said} has no description")
        found = page.evaluate(PIXELS, base64.b64encode(chart.screenshot()).decode())
        if found["ink"] < 0.01 or found["colours"] < 3:
            problems.append(f"{said} is blank: {found}")
    without = page.eval_on_selector_all("img:not([alt])", "images => images.map(image => image.src)")
    broken = page.evaluate("[...document.images].filter(i => i.complete && !i.naturalWidth).map(i => i.src)")
    return (
        problems + [f"no alternative text: {source}" for source in without] + [f"no picture: {one}" for one in broken]
    )


def wide_charts(page) -> list[str]:
    """Drawn charts that need more room than they have."""
    return page.eval_on_selector_all(
        DRAWN,
        "charts => charts.map((chart, i) => [i, chart.scrollWidth - chart.clientWidth])"
        ".filter(([, over]) => over > 1).map(([i, over]) => `chart ${i} is ${over} px too wide`)",
    )


def inaccessible(page, *, colours: bool) -> list[str]:
    """What axe finds to be serious or critical: of the colours only, or of everything."""
    page.evaluate("source => { globalThis.axe || (0, eval)(source); }", axe())
    # Style sheets from disk may not be read by a script, and no rule used here needs them.
    options: dict[str, object] = {"resultTypes": ["violations"], "preload": False}
    if colours:
        options["runOnly"] = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
    found = page.evaluate("async options => (await axe.run(document, options)).violations", options)
    return [
        f"{violation['id']}: {target} ({node['html'][:100]})"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
        for target in [" ".join(map(str, node["target"]))]
        if not any(violation["id"] == rule and target.startswith(start) for rule, start in OF_THE_THEME)
    ]


# What has the focus: a number that stays its own, and what it is.
FOCUSED = """() => {
  const own = document.activeElement;
  if (own === document.body) return null;
  globalThis.numbered ??= new Map();
  if (!numbered.has(own)) numbered.set(own, numbered.size);
  const tag = own.tagName.toLowerCase();
  const type = tag === "input" ? own.type : tag;
  const here = Boolean(own.closest("article"));
  const [number, options, said] = [numbered.get(own), own.options?.length, own.outerHTML.slice(0, 120)];
  return { number, type, value: own.value, here, options, said };
}"""
# Of a number box, a value of its own that is not the one it has.
OTHER = """() => {
  const { value, min, max } = document.activeElement;
  return [min, max].find((end) => Number(end) !== Number(value));
}"""
# What can be used but was not reached by Tab; of a group of radio buttons one is enough.
LEFT_OUT = """() => {
  const radios = new Set([...numbered.keys()].map((one) => one.name).filter(Boolean));
  const usable = (one) =>
    one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.tabIndex >= 0 && !numbered.has(one);
  const controls = "article :is(input, select, button, summary, textarea, a[href]:not(.headerlink))";
  const all = document.querySelectorAll(controls);
  const left = [...all].filter((one) => usable(one) && !(one.type === "radio" && radios.has(one.name)));
  return left.map((one) => one.outerHTML.slice(0, 120));
}"""


def used(page, now):
    """Use the control that has the focus with keys alone; what is wrong about it."""
    press, value = page.keyboard.press, "document.activeElement.value"
    if now["type"] == "number":
        wanted = page.evaluate(OTHER)
        press("Control+A")
        page.keyboard.type(wanted)
        if page.evaluate(value) != wanted:
            return "is not typed into"
        press("Enter")
        return None if page.evaluate(value) == wanted else "does not keep what was typed"
    if now["type"] == "range" or (now["type"] == "select" and now["options"] > 1):
        press("ArrowRight" if now["type"] == "range" else "ArrowDown")
        if page.evaluate(value) == now["value"]:  # it was at its end
            press("ArrowLeft" if now["type"] == "range" else "ArrowUp")
        return None if page.evaluate(value) != now["value"] else "is not moved by arrows"
    if now["type"] == "checkbox":
        ticked = []
        for _ in range(2):
            press("Space")
            ticked.append(page.evaluate("document.activeElement.checked"))
        return None if len(set(ticked)) == 2 else "is not ticked"
    if now["type"] == "summary":
        opened = "document.activeElement.parentElement.open"
        before = page.evaluate(opened)
        press("Enter")
        changed = page.evaluate(opened) != before
        press("Enter")
        return None if changed and page.evaluate(opened) == before else "does not open"
    return None


@pytest.mark.parametrize("name", EVERY)
def test_every_control_works_by_keys_and_none_is_a_trap(visit, name):
    seen = visit(name, width=390)
    page = seen.page
    problems, numbers = [], []
    if (solve := page.get_by_label("solve lambda")).count():
        solve.press("Space")  # which enables lambda's own two
        page.wait_for_function("location.hash.includes('lambda=0')")
        page.evaluate("document.activeElement.blur()")
        page.evaluate("document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute('tabindex')")
    for _ in range(2000):  # more than any page has
        page.keyboard.press("Tab")
        now = page.evaluate(FOCUSED)
        if now is None or (numbers and now["number"] == numbers[0]):
            break  # beyond the page's end
        if numbers and now["number"] <= numbers[-1]:
            problems.append(f"{now['said']} is a trap")
            break
        numbers.append(now["number"])
        if now["here"] and (wrong := used(page, now)):
            problems.append(f"{now['said']} {wrong}")
    assert numbers and page.evaluate(LEFT_OUT) == []
    page.wait_for_function(ALL_DRAWN)
    assert (seen.refused, seen.errors, problems) == ([], [], [])


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("name", EVERY)
def test_every_table_is_whole_or_says_that_it_scrolls(visit, name, width):
    page = visit(name, width=width).page
    for table in page.locator("article table").all():
        cut = table.evaluate(
            """table => {
              let place = table.parentElement;
              const cuts = (one) => one.matches("article") || getComputedStyle(one).overflowX !== "visible";
              while (!cuts(place)) place = place.parentElement;
              if (table.scrollWidth <= place.clientWidth + 1) return null;
              const { maskImage } = getComputedStyle(place);
              return {
                scrolls: /auto|scroll/.test(getComputedStyle(place).overflowX),
                reached: place.tabIndex === 0,
                sign: maskImage.includes("gradient") && getComputedStyle(place, "::before").content.includes("scrolls"),
              };
            }"""
        )
        assert cut in (None, {"scrolls": True, "reached": True, "sign": True}), table.inner_text()[:80]
        assert cut is None or width == 390, f"{table.inner_text()[:80]} is wider than a wide screen"


def test_what_was_chosen_is_kept_when_the_phone_is_turned(visit):
    page = visit("book/chapters/05-deactivation.html", width=390).page
    chart = page.locator(f"{DRAWN}:has(select)").first
    options = chart.locator("select").first.locator("option").all_inner_texts()
    chart.locator("select").first.select_option(options[-1])
    narrow = chart.locator("svg.marks").bounding_box()["width"]
    page.set_viewport_size({"width": 844, "height": 390})
    page.wait_for_function(
        "([chart, narrow]) => chart.dataset.drawn && chart.querySelector('svg.marks').clientWidth > narrow",
        arg=[chart.element_handle(), narrow],
    )
    assert chart.locator("select").first.input_value() == options[-1] != options[0]


def test_what_scrolls_can_be_reached_with_the_keyboard(visit):
    page = visit("book/chapters/07-alignment.html", width=390).page
    tables = page.locator(".neuroglot-table")
    scrolling = [one for one in tables.all() if one.evaluate("one => one.scrollWidth > one.clientWidth + 1")]
    assert scrolling
    for table in scrolling:
        assert table.get_attribute("tabindex") == "0" and table.get_attribute("role") == "region"
        assert table.get_attribute("aria-label").startswith("Table: ")
    scrolling[0].focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function("one => one.scrollLeft > 0", arg=scrolling[0].element_handle())


@functools.cache
def anchors(name: str) -> set[str]:
    return set(re.findall(r'\sid="([^"]+)"', (HTML / name).read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", EVERY)
def test_links_and_their_anchors_resolve(name):
    text = (HTML / name).read_text(encoding="utf-8")
    for href in re.findall(r'<a\b[^>]*?\shref="([^"]*)"', text):
        to = urlsplit(href.replace("&amp;", "&"))
        if to.scheme or to.netloc:
            continue
        target = ((HTML / name).parent / unquote(to.path)).resolve() if to.path else (HTML / name).resolve()
        assert target.is_file(), f"{name} links to {href}"
        if to.fragment and target.suffix == ".html":
            assert unquote(to.fragment) in anchors(target.relative_to(HTML.resolve()).as_posix()), href


def in_order() -> list[str]:
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = [*toc.get("chapters", ()), *(one for part in toc.get("parts", ()) for one in part["chapters"])]
    return [f"{name}.html" for name in (toc["root"], *(one["file"] for one in listed))]


def test_each_page_leads_to_the_next_and_back(visit):
    order = in_order()
    page = visit(order[0]).page
    for before, after in itertools.pairwise(order):
        page.locator("a.right-next").click()
        page.wait_for_url(f"**/{after}")
        assert page.locator("a.left-prev").evaluate("link => link.href").endswith(before)


@pytest.mark.parametrize("disk", [False, True], ids=["served", "from-disk"])
def test_search_finds_pages(visit, disk):
    seen = visit("search.html?q=entropy", disk=disk)
    results = seen.page.locator("#search-results ul.search li a")
    results.first.wait_for()
    found = {urlsplit(link.get_attribute("href")).path for link in results.all()}
    assert "book/chapters/00-introduction.html" in found
    if not disk:
        seen.page.locator("#search-results p.context").first.wait_for()
    results.first.click()
    seen.page.wait_for_selector("article.bd-article h1")
    assert (seen.refused, seen.errors) == ([], [])
