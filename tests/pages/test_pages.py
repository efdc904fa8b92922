"""What a reader without a network sees on every page."""

import json
from urllib.parse import unquote, urlsplit

import pytest

from .conftest import HTML, pages

EVERY = pages() or ["index.html"]
CHAPTERS = [name for name in EVERY if "/chapters/" in name]
SCREENSHOTS = HTML.parent / "screenshots"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", EVERY)
def test_page_is_whole_offline(visit, name, scheme):
    seen = visit(name, scheme=scheme)
    page = seen.page
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name.replace('/', '-')}-{scheme}.png", full_page=True)
    assert seen.refused == []
    assert seen.errors == []
    assert "Traceback" not in page.inner_text("body")
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize("name", CHAPTERS)
@pytest.mark.parametrize("disk", [False, True], ids=["served", "from-disk"])
def test_charts_are_drawn(visit, name, disk):
    page = visit(name, disk=disk).page
    charts = page.locator("div.neuroglot-chart:has(+ script[type='application/json'])")
    assert charts.count() > 0
    for i in range(charts.count()):
        chart = charts.nth(i)
        assert chart.get_attribute("data-drawn") == "true"
        marks = chart.locator("svg .mark-rect path, svg .mark-line path, svg .mark-symbol path, svg .mark-area path")
        assert marks.count() > 0
        box = chart.locator("svg.marks").bounding_box()
        assert box["width"] > 200 and box["height"] > 80
        assert chart.locator("[aria-label]").count() > 0


def test_mathematics_is_typeset(visit):
    page = visit("book/chapters/00-introduction.html").page
    page.wait_for_selector("mjx-container svg")
    assert page.locator("mjx-container").count() >= page.locator("div.math").count() > 1


def test_widget_shows_its_state(visit):
    page = visit("book/chapters/02-identification.html").page
    page.wait_for_selector(".widget-slider")
    assert page.locator(".widget-slider").count() == 3
    assert "neurons selected" in page.inner_text("body")
    page.wait_for_selector(".jupyter-widgets svg.marks .mark-rect path", state="attached")


def explorer(page):
    return page.locator("div.neuroglot-chart:has(.vega-bindings input)")


def typed(page) -> dict[str, dict[str, int]]:
    """Neurons of each type in the three panels, read off the drawn bars' descriptions."""
    labels = (
        explorer(page)
        .locator(".mark-rect path[aria-label]")
        .evaluate_all("bars => bars.map(bar => bar.getAttribute('aria-label'))")
    )
    panels: dict[str, dict[str, int]] = {}
    for label in labels:
        fields = dict(part.split(": ") for part in label.split("; "))
        panel = panels.setdefault(next(iter(fields)), {})
        key = f"{next(iter(fields.values()))} {fields['kind']}"
        panel[key] = panel.get(key, 0) + int(fields["neurons"].replace(",", ""))
    return panels


def expected(types) -> dict[str, dict[str, int]]:
    """The same from Python, without empty bars."""
    rows = types.table()
    rows = rows[rows["kind"] != "unclassified"]
    by_language = types.counts_per_language()
    by_language = by_language[by_language["neurons"] > 0]
    return {
        "layer": {f"{i} {k}": n for (i, k), n in rows.groupby(["layer", "kind"], observed=True).size().items()},
        "number of languages N": {
            f"{i} {k}": n for (i, k), n in rows.groupby(["n_languages", "kind"], observed=True).size().items()
        },
        "language": {f"{r.language} {r.kind}": r.neurons for r in by_language.itertuples()},
    }


def artefact(chapter, name):
    """A file that a built page was made from, or made."""
    source = json.loads((HTML.parents[1] / "book" / "chapters" / f"{chapter}.ipynb").read_text())
    return HTML.parents[1] / source["metadata"]["papermill"]["parameters"][name]


def run_of_the_book():
    """The counts the built pages were made from."""
    from neuroglot import ActivationStats

    return ActivationStats.load(artefact("02-identification", "stats"))


def test_sliders_give_what_python_gives(visit):
    import neuroglot

    stats = run_of_the_book()
    page = visit("book/chapters/02-identification.html").page
    quantiles = explorer(page).evaluate("place => place.view.signal('quantile')")
    for rate, lam, step in [(0.01, 0.1, 0), (0.05, 0.5, 5), (0.2, 0.0, -10), (0.1, 0.9, -3)]:
        explorer(page).evaluate(
            "(place, [rate, lam, q]) => place.view.signal('rate', rate).signal('lam', lam).signal('quantile', q)"
            ".runAsync().then(() => null)",
            [rate, lam, quantiles + step],
        )
        quantile = explorer(page).evaluate("place => place.view.signal('quantile_shown')")
        types = neuroglot.classify(stats, top_rate=rate, lam=lam, quantile=quantile)
        assert typed(page) == expected(types)


def test_moving_a_slider_redraws(visit):
    page = visit("book/chapters/02-identification.html").page
    before = typed(page)
    slider = explorer(page).locator(".vega-bindings input[type=range]").first
    slider.focus()
    slider.press("End")
    assert typed(page) != before


def test_the_matrix_shows_every_set_and_measure(visit):
    """The numbers written into the cells are those of the run, for every choice of the two selectors."""
    table = json.loads(artefact("04-deactivation", "effects").read_text())["perplexity"]
    page = visit("book/chapters/04-deactivation.html").page
    matrix = page.locator("div.neuroglot-chart:has(.vega-bindings select)").first
    chosen = {(row["set"], row["measure"]) for row in table}
    assert len(chosen) == 6
    for set_, measure in sorted(chosen):
        matrix.evaluate(
            "(place, [set_, measure]) => place.view.signal('set_', set_).signal('measure_', measure)"
            ".runAsync().then(() => null)",
            [set_, measure],
        )
        written = matrix.locator("svg.marks .mark-text.role-mark text").all_text_contents()
        expected = [f"{row['effect']:.2f}" for row in table if (row["set"], row["measure"]) == (set_, measure)]
        assert len(written) == len(expected)
        for one, other in zip(sorted(map(as_number, written)), sorted(map(float, expected)), strict=True):
            assert one == pytest.approx(other, abs=0.011)


def as_number(text):
    return float(text.replace("\u2212", "-"))


def test_steering_is_shown_for_one_language_at_a_time(visit):
    page = visit("book/chapters/05-steering.html").page
    chart = page.locator("div.neuroglot-chart:has(.vega-bindings select)")
    select = chart.locator(".vega-bindings select").first
    options = select.locator("option").all_inner_texts()
    assert options[0] == "mean of all" and len(options) > 2
    for option in (options[0], options[-1]):
        select.select_option(option)
        page.wait_for_function(
            "([chart, said]) => { const bars = [...chart.querySelectorAll('svg.marks .mark-rect path')];"
            " return bars.length && bars.every(bar => bar.getAttribute('aria-label').includes(said)); }",
            arg=[chart.element_handle(), f"; steered to: {option};"],
        )


def test_internal_links_resolve(visit, site):
    for name in EVERY:
        page = visit(name).page
        for href in page.eval_on_selector_all("a[href]", "links => links.map(link => link.href)"):
            if href.startswith(site):
                target = HTML / unquote(urlsplit(href).path).lstrip("/")
                assert target.exists(), f"{name} links to {href}"
