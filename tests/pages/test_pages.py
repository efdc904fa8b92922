"""What single pages show, and what their charts do."""

import json
import re

import numpy as np
import pytest

import neuroglot
from neuroglot.book.packing import PAGE_LIMIT, pack

from ..book.test_frontend import GO, agrees_with_python, bars, rows_of
from .conftest import HTML


def test_mathematics_is_typeset(visit):
    page = visit("book/chapters/00-introduction.html").page
    page.wait_for_selector("mjx-container svg")
    assert page.locator("mjx-container").count() >= page.locator("div.math").count() > 1


def artefact(chapter, name):
    """A file that a built page was made from, or made."""
    source = json.loads((HTML.parents[1] / "book" / "chapters" / f"{chapter}.ipynb").read_text())
    return HTML.parents[1] / source["metadata"]["papermill"]["parameters"][name]


def filled(visit, chapter, **options):
    """A page whose explorer, or browser, has begun."""
    page = visit(f"book/chapters/{chapter}.html", **options).page
    page.wait_for_selector("[data-neuroglot][data-drawn]", timeout=30_000)
    return page


@pytest.mark.parametrize("disk", [False, True], ids=["served", "from-disk"])
def test_the_explorer_types_every_neuron_as_python_does(visit, disk):
    """For what the page carries: the run's counts, or where these do not fit, what they are packed in."""
    stats = neuroglot.ActivationStats.load(artefact("02-identification", "stats"))
    languages = neuroglot.NeuronTypes.load(artefact("02-identification", "types")).languages
    p = pack(stats.select(languages), PAGE_LIMIT)[0].probabilities()
    page = filled(visit, "02-identification", disk=disk)
    agrees_with_python(page, p, languages, True, 3)


def test_the_explorer_begins_at_the_chapter_s_thresholds(visit):
    types = neuroglot.NeuronTypes.load(artefact("02-identification", "types"))
    page = filled(visit, "02-identification")
    for name, rows in rows_of(types).items():
        assert bars(page, name) == rows
    before = page.inner_text(".neuroglot-explorer .neuroglot-status")
    page.get_by_label("top rate (%)", exact=True).press("End")
    page.wait_for_function(
        "before => document.querySelector('.neuroglot-explorer .neuroglot-status').textContent !== before", arg=before
    )
    assert "top_rate=0.2" in page.url


def test_from_a_list_of_neurons_to_one(visit):
    page = filled(visit, "02-identification")
    page.get_by_text("Which neurons are they?").click()
    link = page.locator(".neuroglot-list tbody a").first
    neuron = link.inner_text()
    link.click()
    page.wait_for_selector("[data-neuroglot=browser][data-drawn]", timeout=30_000)
    assert f"neuron {neuron} is specific" in page.inner_text(".neuroglot-browser .neuroglot-status")


@pytest.mark.parametrize("chapter", ["02-identification", "04-neurons"])
def test_from_a_neuron_to_what_each_detector_says(visit, chapter):
    page = filled(visit, chapter)
    if chapter == "02-identification":
        page.get_by_text("Which neurons are they?").click()
    link = page.locator("a[href^='10-detectors.html#']").first
    layer, neuron = re.fullmatch(r"10-detectors\.html#layer=(\d+)&neuron=(\d+)", link.get_attribute("href")).groups()
    link.click()
    page.wait_for_selector("[data-neuroglot=lookup][data-drawn]", timeout=30_000)
    assert page.inner_text(".neuroglot-lookup .neuroglot-status").startswith(f"Layer {layer}, neuron {neuron}. ")
    page.get_by_role("link", name="What it fires on").click()
    page.wait_for_selector("[data-neuroglot=browser][data-drawn]", timeout=30_000)
    said = page.inner_text(".neuroglot-browser .neuroglot-status")
    assert said.startswith(f"Layer {layer}, neuron {neuron} is ")


def test_the_lookup_says_what_the_detectors_say(visit):
    """Of the two that read nothing but counts, at neurons of every layer."""
    folder = artefact("10-detectors", "gathered")
    one, other = (neuroglot.ActivationStats.load(folder / name / "counts.safetensors") for name in "01")
    counts = one.joined(other)
    page = filled(visit, "10-detectors")
    names = page.locator(".neuroglot-lookup tbody th").all_inner_texts()
    for name in {"lambda-score", "lape"} & {*names}:
        ranks = neuroglot.detect(counts, name).ranks()
        for layer, neuron in enumerate(np.linspace(0, ranks.shape[1] - 1, len(ranks), dtype=int).tolist()):
            place = {"layer": layer, "neuron": neuron}
            page.evaluate("place => document.querySelector('.neuroglot-lookup').lookup.set(place)", place)
            cells = page.locator(".neuroglot-lookup tbody tr").nth(names.index(name)).locator("td").all_inner_texts()
            own = {code: rank for code, rank in zip(counts.languages, ranks[layer, neuron], strict=True) if rank}
            best = min(own, key=own.get, default="")
            said = re.sub(" of .* ", " ", cells[0])
            assert said == (f"{own[best]:,} ({best})" if own else "no score")


def test_a_click_on_the_map_opens_the_neuron(visit):
    types = neuroglot.NeuronTypes.load(artefact("index", "types"))
    page = visit("book/chapters/index.html").page
    picture = page.locator(".neuroglot-map img")
    columns, rows, layers, gap = (int(page.locator(".neuroglot-map").get_attribute(f"data-{name}"))
                                  for name in ("columns", "rows", "layers", "gap"))  # fmt: skip
    layer, neuron = map(int, np.argwhere(types.kind == "specific")[-1])
    box = picture.bounding_box()
    x = (neuron % columns + 0.5) / columns * box["width"]
    y = (layer * (rows + gap) + neuron // columns + 0.5) / (layers * (rows + gap) - gap) * box["height"]
    picture.click(position={"x": x, "y": y})
    page.wait_for_selector("[data-neuroglot=browser][data-drawn]", timeout=30_000)
    said = page.inner_text(".neuroglot-browser .neuroglot-status")
    assert f"Layer {layer}, neuron {neuron} is specific" in said
    assert in_front(page, "browser")


def in_front(page, kind):
    """Whether the reader sees the place, framed, and has the focus there."""
    return page.evaluate(
        """kind => {
          const place = document.querySelector(`.neuroglot-${kind}`);
          const { top } = place.getBoundingClientRect();
          const framed = getComputedStyle(place).outlineStyle === "solid";
          return top >= 0 && top < innerHeight / 2 && framed && document.activeElement === place;
        }""",
        kind,
    )


def in_words(types, layer, neuron):
    """As the map has a neuron in words."""
    kind = str(types.kind[layer, neuron])
    own = " ".join(code for code, one in zip(types.languages, types.active[layer, neuron], strict=True) if one)
    more = {"general": " (all languages)", "unclassified": ""}.get(kind, f" ({own})")
    return f"Layer {layer}, neuron {neuron}: {kind}{more}."


@pytest.mark.parametrize("width", [390, 1280])
def test_the_map_is_read_by_keyboard_and_pointer(visit, width):
    types = neuroglot.NeuronTypes.load(artefact("index", "types"))
    page = visit("book/chapters/index.html", width=width, touch=width == 390).page
    page.wait_for_selector(".neuroglot-map[data-drawn]")
    at = {name: int(page.locator(".neuroglot-map").get_attribute(f"data-{name}"))
          for name in ("columns", "rows", "layers", "width", "gap")}  # fmt: skip
    frame, said = page.locator(".neuroglot-map-frame"), page.locator(".neuroglot-map-said[role=status]")
    assert "arrow keys" in said.inner_text() and "arrow keys" in frame.get_attribute("aria-label")
    for _ in range(200):
        page.keyboard.press("Tab")
        if frame.evaluate("frame => frame === document.activeElement"):
            break
    assert frame.evaluate("frame => getComputedStyle(frame).outlineStyle") == "solid"
    layer, neuron, last = 0, 0, at["width"] - 1
    for key, to in [
        ("ArrowLeft", (0, 0)), ("ArrowUp", (0, 0)), ("ArrowRight", (0, 1)), ("ArrowDown", (0, at["columns"] + 1)),
        ("End", (0, last)), ("ArrowRight", (0, last)), ("ArrowDown", (1, last % at["columns"])), ("Home", (1, 0)),
        ("ArrowUp", (0, at["columns"] * (at["rows"] - 1))), ("PageDown", (1, at["columns"] * (at["rows"] - 1))),
        ("PageUp", (0, at["columns"] * (at["rows"] - 1))), ("PageUp", (0, at["columns"] * (at["rows"] - 1))),
    ]:  # fmt: skip
        page.keyboard.press(key)
        layer, neuron = to
        assert said.inner_text().startswith(in_words(types, layer, neuron)), key
        cursor, box = page.locator(".neuroglot-map-cursor").bounding_box(), frame.bounding_box()
        x = box["x"] + (neuron % at["columns"] + 0.5) / at["columns"] * box["width"]
        height = at["layers"] * (at["rows"] + at["gap"]) - at["gap"]
        y = box["y"] + (layer * (at["rows"] + at["gap"]) + neuron // at["columns"] + 0.5) / height * box["height"]
        assert cursor["x"] + cursor["width"] / 2 == pytest.approx(x, abs=0.6)
        assert cursor["y"] + cursor["height"] / 2 == pytest.approx(y, abs=0.6) and cursor["width"] >= 7
    for kind in ("specific", "related", "general", "unclassified"):
        layer, neuron = map(int, np.argwhere(types.kind == kind)[-1])
        box = frame.bounding_box()
        place = {
            "x": (neuron % at["columns"] + 0.5) / at["columns"] * box["width"],
            "y": (layer * (at["rows"] + at["gap"]) + neuron // at["columns"] + 0.5) / height * box["height"],
        }
        if width == 390:  # a finger chooses
            frame.tap(position=place)
        else:
            frame.hover(position=place)
        assert said.inner_text().startswith(in_words(types, layer, neuron))
        assert page.url.endswith("index.html")
    if width == 390:  # and the link opens
        said.get_by_role("link").tap()
    else:
        page.keyboard.press("Enter")
    page.wait_for_selector("[data-neuroglot=browser][data-drawn]", timeout=30_000)
    assert f"Layer {layer}, neuron {neuron} is unclassified" in page.inner_text(".neuroglot-browser .neuroglot-status")
    assert in_front(page, "browser")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    ("chapter", "kind", "asked", "said"),
    [
        ("02-identification", "explorer", "top_rate=0.07&lambda=0.1094812&quantile=0.9", "lambda 0.109481 (given)"),
        ("04-neurons", "browser", "layer=2&neuron=5&lambda=0.1094812", "Layer 2, neuron 5 is"),
        ("10-detectors", "lookup", "layer=2&neuron=5", "Layer 2, neuron 5. Detectors"),
    ],
)
def test_an_address_is_opened_in_front_of_the_reader(visit, chapter, kind, asked, said, width):
    page = visit(f"book/chapters/{chapter}.html#{asked}", width=width).page
    page.wait_for_selector("[data-neuroglot][data-drawn]", timeout=30_000)
    assert said in page.inner_text(f".neuroglot-{kind} .neuroglot-status")
    page.wait_for_function("scrollY > 200")
    assert in_front(page, kind)


def test_the_browser_shows_the_text(visit):
    types = neuroglot.NeuronTypes.load(artefact("04-neurons", "types"))
    kept = neuroglot.TopContexts.load(artefact("04-neurons", "contexts"))
    corpus = neuroglot.Corpus.load(artefact("04-neurons", "counted")).only(types.languages)
    page = filled(visit, "04-neurons")
    for layer, neuron in kept.neurons[:: max(1, len(kept.neurons) // 20)].tolist():
        found = page.evaluate(GO, [layer, neuron])
        assert found["kind"] == types.kind[layer, neuron]
        for own, other in zip(found["texts"], kept.of(layer, neuron, corpus), strict=True):
            pieces = [[[text, pytest.approx(shade), r] for text, shade, r in c["pieces"]] for c in other["contexts"]]
            assert own == {"language": other["language"], "contexts": pieces}
    shown = page.inner_text(".neuroglot-texts")
    assert all("".join(text for text, _, _ in pieces).strip()[:8] in shown for own in found["texts"]
               for pieces in own["contexts"])  # fmt: skip


def test_the_matrix_shows_every_set_and_measure(visit):
    """The numbers written into the cells are those of the run, for every choice of the two selectors."""
    table = json.loads(artefact("05-deactivation", "effects").read_text())["perplexity"]
    page = visit("book/chapters/05-deactivation.html").page
    matrix = page.locator("div.neuroglot-chart:has(.vega-bindings select)").nth(1)  # after the contrasts
    chosen = {(row["set"], row["measure"]) for row in table}
    assert len(chosen) == 6
    for set_, measure in sorted(chosen):
        matrix.evaluate(
            "(place, [set_, measure]) => place.view.signal('set_', set_).signal('measure_', measure)"
            ".runAsync().then(() => null)",
            [set_, measure],
        )
        texts = matrix.locator("svg.marks .mark-text.role-mark text").all_text_contents()
        written = [text for text in texts if re.fullmatch(r"[-\u2212]?\d+\.\d+", text)]  # and not the legend
        expected = [f"{row['effect']:.2f}" for row in table if (row["set"], row["measure"]) == (set_, measure)]
        assert len(written) == len(expected)
        for one, other in zip(sorted(map(as_number, written)), sorted(map(float, expected)), strict=True):
            assert one == pytest.approx(other, abs=0.011)


def as_number(text):
    return float(text.replace("\u2212", "-"))


def test_steering_is_shown_for_one_language_at_a_time(visit):
    page = visit("book/chapters/06-steering.html").page
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
