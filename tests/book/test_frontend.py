"""The front end in headless Chromium, on a bare page from disk: what it computes is what Python computes."""

import base64
import csv
import io
import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import vl_convert

from neuroglot import (
    ActivationStats,
    Corpus,
    Example,
    NeuroglotError,
    NeuronBrowser,
    ThresholdExplorer,
    TopContexts,
    classify,
    detect,
)
from neuroglot.book import widgets
from neuroglot.book.charts.live import front_end
from neuroglot.book.charts.neuron_map import neuron_map
from neuroglot.book.packing import pack
from neuroglot.neurons.identification import Identifier, kind_codes
from neuroglot.neurons.scored import Scored

LANGUAGES = ("en", "de", "ru", "zh", "th", "sw")


def counts(layers=6, width=500, tokens=(3000, 1200, 900, 2000, 700, 1500), seed=0, ties=True):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.5, 2, size=(layers, width, 1)) * rng.beta(2, 1, size=(layers, width, len(tokens)))
    p[:, :8] = 0.97  # general ones
    p[:, 8:30, 1:] = 0  # of one language only
    found = rng.binomial(tokens, p)
    if ties:  # neurons of equal probabilities in other languages, and of none at all
        found[:, 40:50] = found[:, 30:40] * 0
        found[:, 50:60] = found[:, 60:70]
    return ActivationStats(
        found[None].astype(np.int64), np.array([tokens]), LANGUAGES, {"model": "a/tiny", "corpus": "b"}
    )


@pytest.fixture(scope="module")
def page_of(browser, tmp_path_factory):
    """Opens the page that a widget saves, from disk and without a network."""
    contexts = []

    def load(widget, address="", width=1000, **limit):
        path = tmp_path_factory.mktemp("page") / "page.html"
        widget.save(path, **limit)
        context = browser.new_context(viewport={"width": width, "height": 900}, accept_downloads=True, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.wrong = []
        page.on("console", lambda m: m.type == "error" and page.wrong.append(m.text))
        page.on("pageerror", lambda e: page.wrong.append(str(e)))
        page.goto(f"{path.as_uri()}{address}")
        page.wait_for_selector("[data-drawn]", timeout=30_000)
        return page

    yield load
    for context in contexts:
        context.close()


SET = """async (settings) => {
  const place = document.querySelector("[data-neuroglot]").explorer;
  const found = await place.set(settings);
  if (!found) return null;
  let codes = "";
  for (const code of found.codes) codes += code;
  return { codes, lam: found.lam, tau: found.tau, number: found.number };
}"""


# Whatever is still to be drawn is drawn.
SETTLED = "async () => { await document.querySelector('.neuroglot-explorer').explorer.set({}); }"


def random_settings(rng, languages):
    while True:
        k = rng.integers(2, len(languages) + 1)
        chosen = [languages[i] for i in sorted(rng.choice(len(languages), k, replace=False))]
        yield {
            "topRate": round(float(rng.uniform(0.001, 0.2)), 3),
            "lam": None if rng.random() < 0.5 else round(float(rng.uniform(0, 1.5)), 3),
            "quantile": round(float(rng.uniform(0.5, 0.999)), 3),
            "languages": list(languages) if rng.random() < 0.6 else chosen,
        }


def agrees_with_python(page, p, languages, scaled, seed):
    """At 60 random settings, every neuron's type in the page and Python's, from the same probabilities."""
    refused = 0
    for settings, _ in zip(random_settings(np.random.default_rng(seed), languages), range(60), strict=False):
        index = [languages.index(code) for code in settings["languages"]]
        found = page.evaluate(SET, settings)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                lam, tau, _, selected, active = Identifier(p[..., index], scaled=scaled).classify(
                    settings["topRate"], settings["lam"], settings["quantile"]
                )
        except NeuroglotError:
            assert found is None and "No lambda" in page.inner_text(".neuroglot-status")
            refused += 1
            continue
        codes = kind_codes(selected, active.sum(axis=-1), len(index)).ravel()
        assert found["codes"] == "".join(map(str, codes)), settings
        assert found["tau"] == tau and found["lam"] == pytest.approx(lam, abs=1e-9)
        assert found["number"] == selected.sum()
    assert refused < 20


@pytest.mark.parametrize(("limit", "scaled"), [(None, True), (None, False), (24_000, True)])
def test_every_neuron_has_python_s_type(page_of, limit, scaled):
    stats = counts()
    packed, _ = pack(stats, limit or 10**9)
    assert packed.roots == (limit is not None)
    p = packed.probabilities()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05, scaled=scaled), limit=limit or 10**9)
    agrees_with_python(page, p, LANGUAGES, scaled, 7)
    assert page.wrong == []


def mixture(layers=3, experts=8, width=40, tokens=(900, 700, 800, 1000, 300, 600)):
    rng = np.random.default_rng(4)
    routed = np.stack([rng.multinomial(n, rng.dirichlet(np.full(experts, 0.5)), size=layers) for n in tokens], axis=-1)
    p = rng.beta(0.5, 2, size=(layers, experts * width, 1)) * rng.beta(2, 1, size=(layers, experts * width, 6))
    p[:, ::40] = 0.97
    found = rng.binomial(np.repeat(routed, width, axis=1), p)
    return ActivationStats(found[None], np.array([tokens]), LANGUAGES, {}, routed[None])


def ragged(widths=(300, 500, 0, 120, 499), tokens=(3000, 1200, 900, 2000, 700, 1500)):
    """Dense layers of different widths, one of them without a neuron."""
    whole = counts(len(widths), max(widths), tokens)
    found = whole.shard_counts * (np.arange(max(widths)) < np.array(widths)[:, None])[None, ..., None]
    parts = np.array(widths)[:, None]
    routed = np.where(parts[None, ..., None] > 0, whole.shard_tokens[:, None, None], 0)
    return ActivationStats(found, whole.shard_tokens, LANGUAGES, whole.provenance, routed, widths=parts)


@pytest.mark.parametrize("limit", [None, 12_000])
def test_layers_of_different_width_have_python_s_types(page_of, limit):
    stats = ragged()
    packed, _ = pack(stats, limit or 10**9)
    assert packed.roots == (limit is not None)
    page = page_of(ThresholdExplorer(stats, top_rate=0.05), limit=limit or 10**9)
    agrees_with_python(page, packed.probabilities(), LANGUAGES, True, 5)
    assert "are unclassified" not in page.inner_text(".neuroglot-status")  # what is no neuron is not said to be one
    assert page.wrong == []


def test_the_map_goes_from_neuron_to_neuron(browser, tmp_path):
    stats = ragged()
    types = classify(stats, top_rate=0.05)
    scripts = "".join(f"<script>{front_end(name)}</script>" for name in ("identify.js", "page.js", "map.js"))
    start = "<script>neuroglot.map(document.querySelector('figure'))</script>"
    path = tmp_path / "map.html"
    path.write_text(f"<!DOCTYPE html><body>{neuron_map(types, 'x.html').data}{scripts}{start}", encoding="utf-8")
    page = browser.new_page(viewport={"width": 1000, "height": 900})
    page.goto(path.as_uri())
    page.wait_for_selector("[data-drawn]")
    said = page.locator(".neuroglot-map-said")
    frame = page.locator(".neuroglot-map-frame")
    frame.focus()
    keys = [("End", 0, 299), ("PageDown", 1, 299), ("End", 1, 499), ("ArrowRight", 1, 499), ("PageDown", 3, 119)]
    keys += [("ArrowRight", 3, 119), ("PageDown", 4, 119), ("End", 4, 498), ("PageUp", 3, 119), ("PageUp", 1, 119)]
    for key, layer, neuron in [("Home", 0, 0), *keys]:
        page.keyboard.press(key)
        kind = types.kind[layer, neuron]
        assert said.inner_text().startswith(f"Layer {layer}, neuron {neuron}: {kind}"), key
    columns, rows = (int(page.locator("figure").get_attribute(f"data-{name}")) for name in ("columns", "rows"))
    gap = int(page.locator("figure").get_attribute("data-gap"))
    box, lines = page.locator("figure img").bounding_box(), 5 * (rows + gap) - gap
    for layer, neuron, there in ((3, 100, True), (3, 130, False), (2, 3, False), (4, 400, True)):
        before = said.inner_text()
        x, y = (neuron % columns + 0.5) / columns, (layer * (rows + gap) + neuron // columns + 0.5) / lines
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
        shown = said.inner_text()
        assert shown.startswith(f"Layer {layer}, neuron {neuron}:") if there else shown == before
    page.close()


def test_only_neurons_can_be_gone_to(page_of):
    stats = ragged()
    types = classify(stats, top_rate=0.05)
    page = page_of(NeuronBrowser(stats, types), address="#layer=3&neuron=400")
    assert page.inner_text(".neuroglot-status").startswith("Layer 3, neuron 119 is")
    assert f"of {stats.n_neurons:,};" in page.inner_text(".neuroglot-status")
    for layer, shown in ((2, 3), (4, 4)):
        page.evaluate(
            "(layer) => document.querySelector('[data-neuroglot]').browser.set({ layer, neuron: 9999 })", layer
        )
        own = int(stats.layer_widths[shown]) - 1
        assert page.inner_text(".neuroglot-status").startswith(f"Layer {shown}, neuron {own} is")
    assert page.wrong == []


@pytest.mark.parametrize("scaled", [True, False])
def test_neurons_of_a_mixture_have_python_s_type(page_of, scaled):
    stats = mixture()
    explorer = ThresholdExplorer(stats, top_rate=0.05, scaled=scaled)
    page = page_of(explorer)
    p = pack(stats)[0].probabilities()
    assert 0 < np.isnan(p).any(axis=-1).sum() < p[..., 0].size
    agrees_with_python(page, p, LANGUAGES, scaled, 8)
    page.evaluate(SET, {"languages": ["en", "ru"], "topRate": 0.05, "lam": None, "quantile": 0.9})
    starved = classify(stats.select("en ru"), top_rate=0.05, quantile=0.9).n_starved
    said = f"{starved:,} neurons saw fewer than 20 tokens of a language and are unclassified."
    assert starved and said in page.inner_text(".neuroglot-status")
    assert page.wrong == []


@pytest.mark.parametrize("made", [counts, mixture, ragged])
def test_every_neuron_has_the_type_that_another_detector_gives_it(page_of, made):
    stats = made()
    found = detect(stats, "lape")
    explorer = ThresholdExplorer(stats, top_rate=0.05, detector=found)
    page = page_of(explorer)
    for settings, _ in zip(random_settings(np.random.default_rng(3), LANGUAGES), range(20), strict=False):
        shown = page.evaluate(SET, settings | {"languages": list(LANGUAGES)})
        explorer.top_rate, explorer.quantile = settings["topRate"], settings["quantile"]
        types = explorer.types
        assert shown["codes"] == "".join(map(str, types.codes.ravel())), settings
        assert shown["tau"] == types.tau and shown["lam"] is None and shown["number"] == types.selected.sum()
    # Neither a lambda nor a choice of languages is offered, and an address that asks for some is refused in words.
    assert page.locator(".neuroglot-explorer fieldset").count() == 0
    assert page.get_by_label("lambda", exact=True).count() == 0
    assert page.evaluate(SET, {"languages": ["en", "ru"]}) is None
    assert "scores are of all languages together" in page.inner_text(".neuroglot-status")
    page.evaluate(SET, {"languages": list(LANGUAGES), "topRate": 0.1, "quantile": 0.9})
    assert page.inner_text(".neuroglot-status").startswith("lape, tau 0.")
    explorer.top_rate, explorer.quantile = 0.1, 0.9
    page.get_by_text("Which neurons are they?").click()
    assert "place by lape" in page.inner_text(".neuroglot-list thead")
    with page.expect_download() as saved:
        page.get_by_text("Neurons (CSV)").click()
    assert "-lape-top0.1-quantile0.9-" in saved.value.suggested_filename
    rows = list(csv.reader(io.StringIO(saved.value.path().read_text())))[1:]
    types, places = explorer.types, Scored.read(stats, found, min_tokens=20).places
    assert len(rows) == (types.codes > 0).sum()
    assert [(int(row[0]), int(row[1]), row[5]) for row in rows[:50]] == [
        (layer, neuron, str(places[layer, neuron]))
        for layer, neuron in sorted(np.argwhere(types.codes > 0).tolist(), key=lambda at: places[tuple(at)] or 10**9)[
            :50
        ]
    ]
    assert page.wrong == []


def test_a_neuron_that_saw_too_little_says_so(page_of):
    stats = mixture()
    types = classify(stats, top_rate=0.05)
    layer, neuron = np.argwhere(types.starved)[0].tolist()
    page = page_of(NeuronBrowser(stats, types, layer=layer, neuron=neuron))
    said = page.inner_text(".neuroglot-status")
    assert "is unclassified" in said and "fewer than 20 tokens of a language, so it takes no part" in said
    assert page.locator(".neuroglot-near li").count() == 0 and page.wrong == []


def test_languages_of_any_name_have_python_s_types(page_of):
    odd = ("constructor", "__proto__", "a.b", "x[0]", "toString", "~1")
    stats = replace(counts(layers=3, width=200), languages=odd)
    page = page_of(ThresholdExplorer(stats, top_rate=0.05))
    drawn = bars(page, "languages")
    types = classify(stats, top_rate=0.05)
    expected = types.counts_per_language()
    assert {(place.replace("\u200b", ""), kind): n for (place, kind), n in drawn.items() if n} == {
        (row.language, row.kind): row.neurons for row in expected.itertuples() if row.neurons
    }
    agrees_with_python(page, stats.probabilities(), odd, True, 3)
    said = page.evaluate(
        """([languages, all]) => {
          const said = neuroglot.toAddress({ topRate: 0.1, lam: null, quantile: 0.9, languages }, all);
          return neuroglot.fromAddress(Object.fromEntries(new URLSearchParams(said)), all).languages;
        }""",
        [odd[1:], odd],
    )
    assert said == list(odd[1:]) and page.wrong == []


def bars(page, name):
    """Neurons by place and type, from what the drawn bars say of themselves."""
    labels = page.locator(f".neuroglot-{name} .mark-rect path[aria-label]").evaluate_all(
        "bars => bars.map(bar => bar.getAttribute('aria-label'))"
    )
    found = {}
    for label in labels:
        fields = dict(part.split(": ") for part in label.split("; "))
        if number := int(fields["neurons"].replace(",", "")):
            place = next(value for key, value in fields.items() if key not in ("neurons", "kind"))
            found[place, fields["kind"]] = number
    return found


def rows_of(types):
    """The same from Python."""
    return {
        name: {(str(place), kind): neurons for place, kind, neurons in map(dict.values, rows) if neurons}
        for name, rows in widgets.panel_rows(types).items()
    }


def test_charts_controls_and_address(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05))
    for name, rows in rows_of(classify(stats, top_rate=0.05)).items():
        assert bars(page, name) == rows
    slider = page.get_by_label("top rate (%)", exact=True)
    slider.focus()
    slider.press("End")
    page.wait_for_function("location.hash.includes('top_rate=0.2')")
    page.get_by_label("en", exact=True).uncheck()
    page.wait_for_function("location.hash.includes('languages=de.ru.zh.th.sw')")
    page.get_by_label("quantile, as a number").fill("0.9")
    page.get_by_label("quantile, as a number").press("Enter")
    page.wait_for_function("location.hash.includes('quantile=0.9')")
    wanted = classify(stats.select("de ru zh th sw"), top_rate=0.2, quantile=0.9)
    page.wait_for_function(f"document.querySelector('.neuroglot-status').textContent.includes('{wanted.lam:.6g}')")
    page.evaluate(SETTLED)
    for name, rows in rows_of(wanted).items():
        assert bars(page, name) == rows
    # Somebody else opens that address.
    other = page_of(ThresholdExplorer(stats, top_rate=0.01), address="#" + page.url.partition("#")[2])
    assert other.inner_text(".neuroglot-status") == page.inner_text(".neuroglot-status")
    assert not other.get_by_label("en", exact=True).is_checked()
    other.get_by_label("solve lambda").uncheck()
    other.wait_for_function(f"location.hash.includes('lambda={wanted.lam:.6g}')")
    assert page.wrong == other.wrong == []


def test_back_to_the_paper_s_settings_and_to_the_page_s(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05, lam=0.1))
    page.get_by_label("quantile, as a number").fill("0.8")
    page.get_by_label("quantile, as a number").press("Enter")
    page.get_by_label("en", exact=True).uncheck()
    page.wait_for_function("location.hash.includes('languages=de')")
    page.get_by_role("button", name="The paper's settings").click()
    page.wait_for_function("location.hash.includes('top_rate=0.01&lambda=solve&quantile=0.95')")
    page.evaluate(SETTLED)
    for name, rows in rows_of(classify(stats, top_rate=0.01)).items():
        assert bars(page, name) == rows
    assert page.get_by_label("en", exact=True).is_checked() and page.get_by_label("solve lambda").is_checked()
    page.get_by_role("button", name="Reset").click()
    page.wait_for_function("location.hash.includes('top_rate=0.05&lambda=0.1&quantile=0.95')")
    page.evaluate(SETTLED)
    for name, rows in rows_of(classify(stats, top_rate=0.05, lam=0.1)).items():
        assert bars(page, name) == rows
    assert page.get_by_label("top rate (%), as a number").input_value() == "5" and page.wrong == []


@pytest.mark.parametrize("asked", ["#top_rate=5", "#top_rate=0.9&lambda=solve&quantile=0.6", "#lambda=&quantile=7"])
def test_an_address_that_cannot_be_had_gives_the_page_s_own_view(page_of, asked):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05), address=asked)
    types = classify(stats, top_rate=0.05)
    assert bars(page, "layers") == rows_of(types)["layers"]
    said = page.inner_text(".neuroglot-status")
    assert "the page's own settings" in said and f"lambda {types.lam:.6g} (solved)" in said
    assert page.wrong == []


def test_languages_too_few_are_refused(page_of):
    page = page_of(ThresholdExplorer(counts(), top_rate=0.05))
    before = bars(page, "layers")
    for left, code in enumerate(reversed(LANGUAGES)):
        page.get_by_label(code, exact=True).uncheck()
        if left < len(LANGUAGES) - 2:
            page.evaluate(SETTLED)
            lam = page.get_by_label("lambda, as a number").input_value()
            continue
        page.wait_for_function("document.querySelector('.neuroglot-status').textContent.includes('at least two')")
        page.evaluate(SETTLED)
        # Nothing is left to see, to save or to hand on.
        assert not any(bars(page, name) for name in ("layers", "shared", "languages"))
        for name in ("Counts (CSV)", "Neurons (CSV)", "Copy the address of this view"):
            assert page.get_by_role("button", name=name).is_disabled()
    page.get_by_label("solve lambda").uncheck()
    assert page.get_by_label("lambda, as a number").input_value() == lam
    page.get_by_label("solve lambda").check()
    page.get_by_label("en", exact=True).check()
    page.get_by_label("de", exact=True).check()
    page.wait_for_function("document.querySelector('.neuroglot-status').textContent.includes('tau')")
    page.evaluate(SETTLED)
    assert bars(page, "layers") not in ({}, before)
    assert "languages=en.de" in page.url
    assert page.get_by_role("button", name="Copy the address of this view").is_enabled()


@pytest.mark.parametrize("asked", ["en", "", "en.xx.de"])
def test_an_address_of_languages_that_are_not_there_is_refused(page_of, asked):
    page = page_of(ThresholdExplorer(counts(), top_rate=0.05), address=f"#top_rate=0.1&languages={asked}")
    said = page.inner_text(".neuroglot-status")
    assert "These are the page's own settings" in said and ("at least two" in said or "all of the languages" in said)
    assert bars(page, "layers") == rows_of(classify(counts(), top_rate=0.05))["layers"]
    assert page.wrong == []


def opened(page, kind):
    """The place is in front of the reader, framed and in focus."""
    return page.evaluate(
        """kind => {
          const place = document.querySelector(`.neuroglot-${kind}`);
          const { top } = place.getBoundingClientRect();
          const seen = top > -5 && top < 200 && scrollY > 1000;
          const framed = getComputedStyle(place).outlineStyle === "solid";
          return seen && framed && document.activeElement === place;
        }""",
        kind,
    )


@pytest.mark.parametrize("width", [1000, 390])
def test_an_address_leads_to_what_it_opens(page_of, contexts, width, monkeypatch):
    kept, corpus = contexts
    stats, types = browsed()
    widget = NeuronBrowser(stats, types, kept, corpus)
    html = widget.html
    text = "<div style='height:3000px'></div>"
    monkeypatch.setattr(widget, "html", lambda limit: f"{text}{html(limit)}{text}")
    plain = page_of(widget, width=width)
    assert plain.evaluate("scrollY") == 0 and plain.evaluate("document.activeElement === document.body")
    page = page_of(widget, width=width, address="#layer=1&neuron=7&top_rate=0.25&lambda=0.125&quantile=0.8")
    assert opened(page, "browser")
    said = page.inner_text(".neuroglot-status")
    assert "Layer 1, neuron 7" in said and "top rate 25 %, lambda 0.125 (given), quantile 0.8" in said
    # Another address of the same page: its own thresholds again, where it names none.
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("location.hash = '#layer=2&neuron=3'")
    page.wait_for_function("document.querySelector('.neuroglot-status').textContent.startsWith('Layer 2, neuron 3')")
    page.wait_for_function("scrollY > 1000")
    assert opened(page, "browser") and "top rate 30 %, lambda 0.1 (given), quantile 0.7" in page.inner_text("body")
    # A reader's own step moves nothing, and a heading's address is none of a neuron.
    page.keyboard.press("Tab")
    page.evaluate("scrollTo(0, 0)")
    page.evaluate("location.hash = '#a-heading'")
    page.evaluate("async () => { await document.querySelector('[data-neuroglot]').browser.set({}); }")
    assert page.evaluate("scrollY") == 0 and "Layer 2, neuron 3" in page.inner_text(".neuroglot-status")
    assert page.evaluate("document.querySelector('[data-opened]')") is None
    assert plain.wrong == page.wrong == []


def test_keys_in_the_browser_s_boxes(page_of, contexts):
    stats, types = browsed()
    page = page_of(NeuronBrowser(stats, types, *contexts), address="#layer=1&neuron=0")
    type_into(page, "layer", "2")
    page.keyboard.press("Control+A")  # the next box
    page.keyboard.type("31")
    page.keyboard.press("Tab")
    page.wait_for_function("location.hash === '#layer=2&neuron=31'")
    assert page.evaluate("document.activeElement.tagName") == "SELECT"
    for _ in range(2):  # back to the layer; an empty box asks for nothing
        page.keyboard.press("Shift+Tab")
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    assert page.get_by_label("layer", exact=True).input_value() == "2" and page.url.endswith("#layer=2&neuron=31")
    assert page.wrong == []


def type_into(page, label, text):
    """With keys only: what was in the box is replaced, and Tab leaves it."""
    box = page.get_by_label(label, exact=True)
    box.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type(text)
    assert box.input_value() == text
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('input, button, select, summary, [tabindex]')")
    assert not box.evaluate("box => box === document.activeElement")
    return box


def test_numbers_are_typed_and_kept_whole(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05))
    page.get_by_label("solve lambda").uncheck()
    page.wait_for_function("location.hash.includes('lambda=0')")
    for label, text, said in (
        ("top rate (%), as a number", "7.123456789", "top_rate=0.07123456789"),
        ("lambda, as a number", "0.1094812345", "lambda=0.1094812345"),
        ("quantile, as a number", "0.91234567", "quantile=0.91234567"),
    ):
        box = type_into(page, label, text)
        page.wait_for_function("said => location.hash.includes(said)", arg=said)
        page.evaluate(SETTLED)
        assert box.input_value() == text
        assert box.evaluate("box => box.scrollWidth <= box.clientWidth"), f"{label} is cut"
    # Arrows, Backspace and Escape are the box's, and an empty box is no number.
    box = page.get_by_label("lambda, as a number")
    box.focus()
    for key in ("End", "Backspace", "5"):
        page.keyboard.press(key)
    assert box.input_value() == "0.1094812345"
    page.keyboard.press("Control+A")
    page.keyboard.press("Delete")
    page.keyboard.press("Tab")
    assert box.input_value() == "0.1094812345"
    assert page.evaluate("document.querySelector('.neuroglot-explorer').explorer.result().lam") == 0.1094812345
    assert page.wrong == []


def test_what_is_being_typed_is_not_overwritten(page_of):
    page = page_of(ThresholdExplorer(counts(), top_rate=0.05))
    box = page.get_by_label("quantile, as a number")
    box.focus()
    page.keyboard.press("Control+A")
    page.keyboard.type("0.9")
    page.evaluate(SET, {"topRate": 0.1})  # what was changed before is shown only now
    assert box.input_value() == "0.9"
    page.keyboard.type("1")
    page.keyboard.press("Tab")
    page.wait_for_function("location.hash.includes('quantile=0.91')")


def read_csv(download):
    with open(download.path(), encoding="utf-8", newline="") as file:  # noqa: PTH123
        return list(csv.reader(io.StringIO(file.read())))


def test_downloads_are_what_is_on_the_screen(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05))
    page.evaluate(SET, {"topRate": 0.08, "quantile": 0.9})
    types = classify(stats, top_rate=0.08, quantile=0.9)
    with page.expect_download() as got:
        page.get_by_role("button", name="Neurons (CSV)").click()
    assert got.value.suggested_filename == f"tiny-b-top0.08-lambda{types.lam:.6g}-quantile0.9-neurons.csv"
    head, *rows = read_csv(got.value)
    assert head == ["layer", "neuron", "type", "N", "languages", "score"]
    table = types.table()
    table = table[table["kind"] != "unclassified"]
    wanted = {(r.layer, r.neuron): (r.kind, r.n_languages, r.languages, r.score) for r in table.itertuples()}
    assert len(rows) == len(wanted)
    for layer, neuron, kind, n, languages, score in rows:
        own = wanted[int(layer), int(neuron)]
        assert (kind, int(n), languages) == own[:3] and float(score) == pytest.approx(own[3], abs=1e-12)
    with page.expect_download() as got:
        page.get_by_role("button", name="Counts (CSV)").click()
    _, *rows = read_csv(got.value)
    found = {(by, place, kind): int(neurons) for by, place, kind, neurons in rows if int(neurons)}
    assert found == {(by, *key): n for by, own in rows_of(types).items() for key, n in own.items()}
    page.locator(".neuroglot-layers summary").click()
    for kind in ("SVG", "PNG"):
        with page.expect_download() as got:
            page.locator(".neuroglot-layers").get_by_role("link", name=f"Save as {kind}").click()
        assert got.value.suggested_filename == f"tiny-b-layers.{kind.lower()}"
    page.wait_for_selector(".neuroglot-layers svg.marks")


def test_after_a_refusal_the_table_is_still_that_on_the_screen(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05))
    shown = bars(page, "languages")
    assert page.evaluate(SET, {"lam": None, "topRate": 0.9, "quantile": 0.6, "languages": ["en", "de"]}) is None
    assert "No lambda" in page.inner_text(".neuroglot-status") and bars(page, "languages") == shown
    with page.expect_download() as got:
        page.get_by_role("button", name="Neurons (CSV)").click()
    types = classify(stats, top_rate=0.05)
    table = types.table()
    wanted = {(r.layer, r.neuron, r.languages) for r in table[table["kind"] != "unclassified"].itertuples()}
    assert {(int(row[0]), int(row[1]), row[4]) for row in read_csv(got.value)[1:]} == wanted


def test_settings_at_once_are_drawn_one_after_the_other(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05))
    page.evaluate(
        """async () => {
          const { set } = document.querySelector("[data-neuroglot]").explorer;
          const three = [{ topRate: 0.2 }, { quantile: 0.5, topRate: 7 }, { topRate: 0.1, quantile: 0.9 }];
          await Promise.all(three.map(set));
        }"""
    )
    for name, rows in rows_of(classify(stats, top_rate=0.1, quantile=0.9)).items():
        assert bars(page, name) == rows
    # An address that names no languages is of all of them.
    page.evaluate(SET, {"languages": ["en", "de"]})
    page.evaluate("location.hash = '#top_rate=0.1&lambda=solve&quantile=0.9'")
    page.wait_for_function("[...document.querySelectorAll('fieldset input')].every((box) => box.checked)")


def test_a_bar_lists_its_neurons(page_of):
    stats = counts()
    page = page_of(ThresholdExplorer(stats, top_rate=0.05, browser="there.html"))
    page.locator(".neuroglot-languages .mark-rect path[aria-label*='specific']").first.click(force=True)
    page.wait_for_selector(".neuroglot-list tbody tr")
    types = classify(stats, top_rate=0.05)
    rows = page.locator(".neuroglot-list tbody tr").all_inner_texts()
    assert page.get_by_label("type", exact=True).input_value() == "specific"
    code = page.get_by_label("language", exact=True).input_value()
    own = [(layer, int(n)) for layer, each in enumerate(types.neurons(code, "specific")) for n in each]
    own.sort(key=lambda place: (types.score[place], place))
    assert [tuple(map(int, row.split()[:2])) for row in rows] == own[:40]
    href = page.locator(".neuroglot-list tbody a").first.get_attribute("href")
    assert href.startswith("there.html#") and f"layer={own[0][0]}&neuron={own[0][1]}" in href


# --- the neuron browser ------------------------------------------------------------------------

TEXTS = {"en": ("Ask: ", "two\U0001f600 and three"), "th": ("ถาม ", "สองและสาม"), "de": ("", "zwei und drei")}


@pytest.fixture(scope="module")
def contexts():
    """Contexts of three neurons, made by hand: spans that share a character, gaps, and none at all."""
    examples = [Example(language=code, id="a", prompt=p, response=r) for code, (p, r) in TEXTS.items()]
    corpus = Corpus("made", tuple(TEXTS), tuple(examples))
    spans = [[(0, 5), (5, 8), (8, 9), (8, 9), (10, 13)], [(0, 4), (4, 8), (8, 10), (10, 13)], [(0, 4), (5, 8), (9, 13)]]
    starts = np.cumsum([0, *map(len, spans)])
    value = np.array([[[4.0], [2.0], [0.0]], [[0.0], [1.0], [3.0]], [[0.5], [0.0], [0.0]]], dtype=np.float32)
    there = np.where(value[..., 0] > 0, np.arange(3), -1)[..., None].astype(np.int32)
    shade = np.random.default_rng(3).integers(0, 256, size=(3, 3, 1, 4)).astype(np.uint8)
    return TopContexts(
        corpus.languages,
        np.array([[0, 2], [1, 0], [2, 3]]),
        value,
        there,
        np.where(there >= 0, 2, 0).astype(np.int32),
        shade,
        np.arange(3, dtype=np.int32),
        starts.astype(np.int64),
        np.array([span for own in spans for span in own], dtype=np.int32),
        {"corpus_sha256": corpus.hash},
    ), corpus


def browsed(layers=3, width=40):
    stats = counts(layers, width, tokens=(300, 120, 90, 200, 70, 150), ties=False).select("en th de")
    return stats, classify(stats, top_rate=0.3, quantile=0.7, lam=0.1)


GO = """async ([layer, neuron]) => {
  const { identifier, set } = document.querySelector("[data-neuroglot]").browser;
  const found = await set({ layer, neuron });
  return { kind: found.kind, rank: found.rank, active: found.active, texts: found.texts, nearest: found.nearest };
}"""


def test_browser_shows_what_python_knows(page_of, contexts):
    kept, corpus = contexts
    stats, types = browsed()
    page = page_of(NeuronBrowser(stats, types, kept, corpus))
    p = stats.probabilities().reshape(-1, 3)
    order = sorted(range(len(p)), key=lambda i: (types.score.ravel()[i], i))
    for layer, neuron in [(0, 2), (1, 0), (2, 3), (0, 0), (2, 39)]:
        found = page.evaluate(GO, [layer, neuron])
        i = layer * 40 + neuron
        assert found["kind"] == types.kind[layer, neuron]
        assert found["rank"] == order.index(i) + 1
        assert found["active"] == [c for c, a in zip(types.languages, types.active[layer, neuron], strict=True) if a]
        distance = np.linalg.norm(p - p[i], axis=1)
        distance[i] = np.inf
        nearest = sorted(range(len(p)), key=lambda j: (distance[j], j))[:8]
        assert [other["neuron"] for other in found["nearest"]] == nearest
        assert [other["distance"] for other in found["nearest"]] == pytest.approx(distance[nearest])
        labels = page.locator(".neuroglot-chart .mark-rect path[aria-label]").evaluate_all(
            "bars => bars.map(bar => bar.getAttribute('aria-label'))"
        )
        for code, own in zip(types.languages, p[i], strict=True):
            label = next(text for text in labels if f"language: {code};" in f"{text};")
            assert float(label.split("probability: ")[1].split("%")[0]) == pytest.approx(100 * own, abs=0.1)
        if (layer, neuron) in {(0, 2), (1, 0), (2, 3)}:
            python = kept.of(layer, neuron, corpus)
            for own, other in zip(found["texts"], python, strict=True):
                assert own["language"] == other["language"]
                pieces = [[[t, pytest.approx(s), r] for t, s, r in context["pieces"]] for context in other["contexts"]]
                assert own["contexts"] == pieces
        else:
            assert found["texts"] is None and "No text is kept" in page.inner_text(".neuroglot-said")
    assert page.wrong == []


def test_browser_shows_the_tokens_that_a_neuron_raises(page_of, contexts):
    stats, types = browsed()
    raised = pd.DataFrame(
        {"layer": [0, 1], "neuron": [2, 0], "language": ["en", "th"], "value": [-0.1234, 0.5],
         "tokens": [["<b>x</b>", "two"], ["ที่"]]}
    )  # fmt: skip
    page = page_of(NeuronBrowser(stats, types, *contexts, raised=raised, layer=0, neuron=2))
    shown = page.locator(".neuroglot-raised")
    assert shown.inner_text().startswith("At its mean value in en, -0.12: ")
    assert shown.locator(".neuroglot-token").all_inner_texts() == ["<b>x</b>", "two"]
    page.evaluate(GO, [1, 0])
    assert shown.locator(".neuroglot-token").all_inner_texts() == ["ที่"]
    page.evaluate(GO, [2, 3])
    assert shown.inner_text() == "No tokens are kept for this neuron."
    assert page.wrong == []


def test_browser_is_used_by_keyboard_and_address(page_of, contexts):
    kept, corpus = contexts
    stats, types = browsed()
    page = page_of(NeuronBrowser(stats, types, kept, corpus), address="#layer=1&neuron=0")
    assert "Layer 1, neuron 0" in page.inner_text(".neuroglot-status")
    assert "สอง" in page.inner_text(".neuroglot-texts [lang=th]")
    page.get_by_label("neuron", exact=True).fill("7")
    page.get_by_label("neuron", exact=True).press("Enter")
    page.wait_for_function("location.hash === '#layer=1&neuron=7'")
    # JupyterLab fires no change at Enter.
    page.evaluate(
        """() => {
          const box = document.querySelector(".neuroglot-browser [data-name=neuron]");
          box.value = 9;
          box.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter" }));
        }"""
    )
    page.wait_for_function("location.hash === '#layer=1&neuron=9'")
    page.get_by_role("button", name="next").press("Enter")
    lowest = min(
        (
            (types.score[i, j], i, j)
            for i, row in enumerate(types.kind)
            for j, kind in enumerate(row)
            if kind == "specific"
        )
    )
    page.wait_for_function(f"location.hash === '#layer={lowest[1]}&neuron={lowest[2]}'")
    page.locator(".neuroglot-near button").first.click()
    page.wait_for_function(f"location.hash !== '#layer={lowest[1]}&neuron={lowest[2]}'")
    # Thresholds of a shared view are kept.
    other = page_of(NeuronBrowser(stats, types, kept, corpus), address="#quantile=0.9&lambda=0.3&layer=0&neuron=2")
    tau = classify(stats, top_rate=0.3, quantile=0.9, lam=0.3).tau
    assert f"tau = {tau:.4f}" in other.inner_text(".neuroglot-status")


# --- live --------------------------------------------------------------------------------------

# What anywidget gives a module: traits, messages and a place; Python's side is played by the test.
MODEL = """
class Model {
  constructor(traits) { this.traits = traits; this.heard = {}; this.sent = []; this.saved = []; }
  get(name) { return this.traits[name]; }
  set(name, value) {
    const same = JSON.stringify(this.traits[name]) === JSON.stringify(value);
    this.traits[name] = value;
    if (!same) this.hear(`change:${name}`); // at once, as Backbone does
  }
  save_changes() { this.saved.push(structuredClone({ ...this.traits, given: null, data: null })); }
  on(name, call) { (this.heard[name] ??= []).push(call); }
  off(name, call) { this.heard[name] = this.heard[name].filter((own) => own !== call); }
  send(message) { this.sent.push(message); }
  hear(name, message) { for (const call of this.heard[name] ?? []) call(message); }
}
"""


# JupyterLab's shortcuts, as its documentation has them: a key is for them unless something around it says it is not.
SHORTCUTS = """() => {
  window.taken = [];
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("[data-lm-suppress-shortcuts]")) return;
    window.taken.push(event.key);
    event.preventDefault();
  });
}"""


def test_keys_of_live_boxes_are_theirs(browser, tmp_path):
    explorer = ThresholdExplorer(counts(), top_rate=0.05)
    page = live(browser, explorer, tmp_path)
    page.evaluate(SHORTCUTS)
    type_into(page, "top rate (%), as a number", "12.5")
    page.wait_for_function("model.saved.at(-1)?.top_rate === 0.125")
    slider = page.get_by_label("quantile", exact=True)
    before = float(slider.input_value())
    slider.press("ArrowLeft")
    page.wait_for_function("before => model.saved.at(-1).quantile < before", arg=before)
    page.get_by_label("en", exact=True).press("Space")
    page.wait_for_function("!model.saved.at(-1).languages.includes('en')")
    assert page.evaluate("window.taken") == []
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("a")
    assert page.evaluate("window.taken") == ["a"]
    assert page.wrong == []


def live(browser, widget, tmp_path):
    page = browser.new_context(offline=True).new_page()
    page.wrong = []
    page.on("pageerror", lambda e: page.wrong.append(str(e)))
    (tmp_path / "live.html").write_text("<!doctype html><meta charset='utf-8'><div id='place'></div>")
    page.goto((tmp_path / "live.html").as_uri())
    names = [n for n in ("top_rate", "lam", "quantile", "languages", "layer", "neuron", "given") if widget.has_trait(n)]
    traits = {name: getattr(widget, name) for name in names}
    page.evaluate(
        """async ([esm, model, traits, data]) => {
          const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
          window.model = new (new Function(`${model}; return Model`)())(traits);
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          model_ = window.model; model_.traits.data = new DataView(bytes.buffer);
          const module = await import(url);
          window.rendered = module.default.render({ model: model_, el: document.getElementById("place") });
        }""",
        [widget._esm, MODEL, traits, base64.b64encode(widget.data).decode()],
    )
    assert page.evaluate("model.sent") == [{"need": "bundle"}]
    page.evaluate("bundle => model.hear('msg:custom', { bundle })", vl_convert.javascript_bundle())
    page.evaluate("async () => { await window.rendered; }")
    return page


def test_live_explorer_shares_its_thresholds(browser, tmp_path):
    stats = counts()
    explorer = ThresholdExplorer(stats, top_rate=0.05)
    page = live(browser, explorer, tmp_path)
    assert bars(page, "layers") == rows_of(explorer.types)["layers"]
    assert (
        page.locator("[data-lm-suppress-shortcuts=true] input[type=range]").count() == 3
    )  # arrows are for the sliders
    # The reader moves a slider, and Python hears of it.
    page.get_by_label("top rate (%)", exact=True).press("End")
    page.wait_for_function("model.saved.length")
    said = page.evaluate("model.saved.at(-1)")
    assert said["top_rate"] == pytest.approx(0.2) and said["lam"] is None
    explorer.set_state({name: said[name] for name in ("top_rate", "lam", "quantile", "languages")})
    page.evaluate(SETTLED)
    assert bars(page, "shared") == rows_of(explorer.types)["shared"]
    # Python sets one, and the reader sees it.
    explorer.languages, explorer.quantile = ["en", "ru", "sw"], 0.9
    page.evaluate(
        "fresh => { for (const [name, value] of Object.entries(fresh)) model.set(name, value); }",
        {"languages": explorer.languages, "quantile": explorer.quantile},
    )
    page.wait_for_function(
        f"document.querySelector('.neuroglot-status').textContent.includes('{explorer.types.tau:.4f}')"
    )
    page.evaluate(SETTLED)
    assert bars(page, "languages") == rows_of(explorer.types)["languages"]
    assert not page.get_by_label("de", exact=True).is_checked()
    # What the reader's change was is not taken for an echo once Python has changed it in between.
    for rate in (0.05, 0.2):
        page.evaluate("rate => model.set('top_rate', rate)", rate)
        page.evaluate(SETTLED)
        assert page.evaluate("document.querySelector('.neuroglot-explorer').explorer.result().topRate") == rate
    assert page.evaluate("model.saved.length") == 1  # what Python sets is not sent back to it
    assert page.wrong == []


def test_live_browser_asks_python_for_text(browser, tmp_path, contexts):
    kept, corpus = contexts
    stats, types = browsed()
    asked = []

    def find(layer, neuron):
        asked.append((layer, neuron))
        return kept

    widget = NeuronBrowser(stats, types, kept, corpus, find=find, layer=0, neuron=2)
    page = live(browser, widget, tmp_path)
    assert page.evaluate("model.sent.length") == 1  # that text is there
    page.get_by_label("layer", exact=True).fill("2")
    page.get_by_label("layer", exact=True).press("Enter")
    page.wait_for_function("model.sent.length === 2")
    wanted = page.evaluate("model.sent[1]")
    assert wanted == {"want": [2, 2]}
    # While Python reads the text, other neurons are shown at once, and its answer is not taken for theirs.
    page.get_by_label("layer", exact=True).fill("1")
    page.get_by_label("layer", exact=True).press("Enter")
    page.wait_for_function("document.querySelector('.neuroglot-status').textContent.startsWith('Layer 1, neuron 2')")
    page.get_by_label("layer", exact=True).fill("2")
    page.get_by_label("layer", exact=True).press("Enter")
    page.wait_for_function("document.querySelector('.neuroglot-status').textContent.startsWith('Layer 2, neuron 2')")
    sent = []
    widget.send = lambda content, buffers=None: sent.append(content)
    widget._handle_custom_msg(wanted, [])
    assert asked == [(2, 2)] and (sent[0]["layer"], sent[0]["neuron"]) == (2, 2)
    assert sent[0]["contexts"] == kept.for_page(corpus)
    # A move that changes layer and neuron asks for the new place only, not for one of half of it.
    page.get_by_role("button", name="next").click()
    lowest = min(
        (types.score[i, j], i, j)
        for i, row in enumerate(types.kind)
        for j, kind in enumerate(row)
        if kind == "specific"
    )
    to = list(map(int, lowest[1:]))
    assert to not in kept.neurons.tolist()
    page.wait_for_function("to => model.sent.at(-1).want.join() === to.join()", arg=to)
    assert all(message["want"] in ([2, 2], [1, 2], to) for message in page.evaluate("model.sent.slice(1)"))

    def fail(layer, neuron):
        raise RuntimeError("out of memory")

    widget._find = fail
    with pytest.raises(RuntimeError):  # and where it fails, the reader is told
        widget._answer(widget, {"want": to}, [])
    page.evaluate("message => model.hear('msg:custom', message)", sent[-1])
    page.wait_for_function("document.querySelector('.neuroglot-said').textContent.includes('out of memory')")
    assert page.wrong == []


OTHER = """() => [...document.querySelectorAll("img, iframe, [onerror], script")].map(one => one.outerHTML)
  .filter(made => !made.startsWith("<script") || !made.includes("neuroglot") && made.includes("__owned"))"""


def test_names_and_text_are_shown_and_are_nothing_else(page_of):
    language = "<img src=x onerror=__owned=1>"
    text = "</script><script>window.__owned=1</script> if a <b and c> d &lt;"
    languages = ("=1", language, "en")
    stats, types = browsed()
    stats = ActivationStats(
        stats.shard_counts, stats.shard_tokens, languages, {"model": f"x{text.replace('/', '')}", "corpus": "y"}
    )
    types = classify(stats, **types.arguments())
    page = page_of(ThresholdExplorer(stats, top_rate=0.3, lam=0.1, quantile=0.7))
    assert page.wrong == [] and page.evaluate(OTHER) == [] and page.evaluate("window.__owned") is None
    assert language[:20] in page.inner_text(".neuroglot-languages")
    assert page.title().startswith("x<script><script>window")
    with page.expect_download() as got:
        page.get_by_role("button", name="Neurons (CSV)").click()
    named = {row[4] for row in read_csv(got.value)[1:]}
    assert "'=1" in named and not any(name.startswith("=") for name in named)

    examples = tuple(Example("a", code, "p ", text) for code in languages)
    corpus, size = Corpus("y", languages, examples), len("p " + text)
    kept = TopContexts(
        languages,
        np.array([[0, 0]]),
        np.ones((1, 3, 1), dtype=np.float32),
        np.arange(3, dtype=np.int32).reshape(1, 3, 1),
        np.full((1, 3, 1), 4, dtype=np.int32),
        np.full((1, 3, 1, size), 255, dtype=np.uint8),
        np.arange(3, dtype=np.int32),
        np.arange(4, dtype=np.int64) * size,
        np.array([(i, i + 1) for i in range(size)] * 3, dtype=np.int32),
        {"corpus_sha256": corpus.hash},
    )
    page = page_of(NeuronBrowser(stats, types, kept, corpus, layer=0, neuron=0))
    assert page.inner_text(".neuroglot-texts").count(text) == 3 and language in page.inner_text(".neuroglot-texts")
    page.locator(".neuroglot-chart .mark-rect path[aria-label]").nth(1).hover()
    page.wait_for_function(
        "language => document.querySelector('#vg-tooltip-element').innerText.includes(language)", arg=language
    )
    assert page.wrong == [] and page.evaluate(OTHER) == [] and page.evaluate("window.__owned") is None
