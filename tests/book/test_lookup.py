"""What each detector says of a neuron: ranks and sets counted by hand, and the page reads what was packed."""

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.display import Markdown

from neuroglot import NeuroglotError, NeuronBrowser, ThresholdExplorer
from neuroglot.book import lookup
from neuroglot.book.chapters import CHAPTERS
from neuroglot.book.lookup import NeuronLookup, Said, look_up
from neuroglot.neurons.detection import Detection

from .test_frontend import MODEL, browsed, live, type_into

LANGUAGES = ("en", "de", "zh")

#: Scores of four neurons in one layer, in another two that have none.
SCORES = [[[3, 0, 1], [5, 0, 2], [3, 9, np.nan], [np.nan, np.nan, np.nan]]]


def made(score, selected=None, languages=LANGUAGES, method="one"):
    score = np.asarray(score, dtype=float)
    own = np.zeros(score.shape, dtype=bool) if selected is None else np.asarray(selected, dtype=bool)
    return Detection(method, languages[: score.shape[-1]], score, own)


def by_hand():
    chosen = np.zeros((1, 4, 3), dtype=bool)
    chosen[0, 2, :2] = True
    return {"one": made(SCORES), "other": made(-np.asarray(SCORES), chosen)}


def test_ranks_are_counted_by_hand():
    said = Said.read(by_hand(), 2)
    # en: 5 of neuron 1, then 3 of neurons 0 and 2; de: 9 of neuron 2, then 0 of 0 and 1; zh: 2 of neuron 1, 1 of 0.
    assert said.rank.tolist() == [[[2, 1, 1, 0]], [[1, 2, 2, 0]]]
    assert said.best.tolist() == [[[0, 0, 1, 0]], [[0, 1, 0, 0]]]
    assert said.scored.tolist() == [[3, 3, 2], [3, 3, 2]]
    row = {"detector": "one", "language": "en", "rank": 2, "scored": 3, "first": "en de zh", "chosen": ""}
    assert said.of(0, 0).to_dict("records")[0] == row
    row = {"detector": "other", "language": "en", "rank": 2, "scored": 3, "first": "en", "chosen": "en de"}
    assert said.of(0, 2).to_dict("records")[1] == row
    none = said.of(0, 3)
    assert none["language"].isna().all() and none["rank"].isna().all() and none["first"].tolist() == ["", ""]


def test_it_is_said_in_words():
    said = Said.read(by_hand(), 2)
    assert said.summary(0, 0) == (
        "Layer 0, neuron 0. Detectors that have it among the first 2 of a language: 2 of 2 (en 2, de 2, zh 2)."
    )
    assert said.summary(0, 2).endswith("language: 2 of 2 (en 1, de 1).")
    assert said.summary(0, 3).endswith("language: 0 of 2.")
    assert cells(said.html(0, 2)) == [
        ["one", "1 of 3 (de)", "de", "makes none"],
        ["other", "2 of 3 (en)", "en", "en de"],
    ]
    assert cells(said.html(0, 3)) == [
        ["one", "no score", "none", "makes none"],
        ["other", "no score", "none", "none"],
    ]


def cells(page):
    rows = BeautifulSoup(page, "html.parser").select("tbody tr")
    return [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in rows]


def several(seed, layers=3, width=40, languages=LANGUAGES, detectors=3):
    """Few values, so that many are tied, and some that are missing; the last detector chooses none."""
    rng = np.random.default_rng(seed)
    shape = (layers, width, len(languages))
    found = {}
    for number in range(detectors):
        score = np.where(rng.random(shape) < 0.1, np.nan, rng.integers(0, 15, size=shape))
        own = rng.random(shape) < 0.05 if number < detectors - 1 else np.zeros(shape, dtype=bool)
        found[f"method {number}"] = made(score, own, languages)
    return found


def slow(detection, number, layer, neuron):
    """Of one neuron: lowest rank, its language, how many have a score there, and the languages of the first."""
    layers, width, _ = detection.score.shape
    ranks, sizes = {}, {}
    for j, code in enumerate(detection.languages):
        scores = {(i, n): detection.score[i, n, j] for i in range(layers) for n in range(width)}
        order = sorted((place for place in scores if scores[place] == scores[place]), key=lambda p: (-scores[p], p))
        sizes[code] = len(order)
        if (layer, neuron) in order:
            ranks[code] = order.index((layer, neuron)) + 1
    first = " ".join(code for code, rank in ranks.items() if rank <= number)
    if not ranks:
        return None, None, None, first
    code = min(ranks, key=lambda c: (ranks[c], detection.languages.index(c)))
    return code, ranks[code], sizes[code], first


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60))
def test_every_neuron_has_its_ranks(seed, number):
    found = several(seed, layers=2, width=7)
    said = Said.read(found, number)
    for layer, neuron in np.ndindex(2, 7):
        for row, (name, detection) in zip(said.of(layer, neuron).to_dict("records"), found.items(), strict=True):
            code, rank, size, first = slow(detection, number, layer, neuron)
            assert (row["detector"], row["first"]) == (name, first)
            best = None if pd.isna(row["language"]) else (row["language"], row["rank"], row["scored"])
            assert best == (None if code is None else (code, rank, size))
            own = detection.selected[layer, neuron]
            assert row["chosen"] == " ".join(c for c, there in zip(detection.languages, own, strict=True) if there)
            taken = detection.take(number).selected[layer, neuron]
            assert row["first"] == " ".join(c for c, there in zip(detection.languages, taken, strict=True) if there)


def read_back(head, packed):
    """Best language, rank, first and chosen of every detector and neuron, byte by byte as the docstring says."""
    data = zlib.decompress(base64.b64decode(packed))
    (layers, width), languages = head["shape"], head["languages"]
    size, wide = layers * width, -(-len(languages) // 8)
    for at in range(len(head["detectors"])):
        own = data[at * size * (6 + 2 * wide) :][: size * (6 + 2 * wide)]
        for i in range(size):
            best, rank = own[i] * 256 + own[size + i], int.from_bytes(own[(2 + p) * size + i] for p in range(4))
            sets = []
            for start in (6 * size + i * wide, (6 + wide) * size + i * wide):
                bits = "".join(f"{byte:08b}" for byte in own[start : start + wide])
                sets.append([code for code, bit in zip(languages, bits, strict=False) if bit == "1"])
            yield at, i // width, i % width, best, rank, *sets


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 11))
def test_what_is_packed_comes_back(seed, k):
    languages = tuple("abcdefghijk"[:k])
    said = Said.read(several(seed, layers=2, width=6, languages=languages, detectors=2), 3)
    head, packed = said.packed()
    assert head["kept"] == said.scored.max() and head["number"] == 3
    assert [one["chooses"] for one in head["detectors"]] == said.chosen.any(axis=(1, 2, 3)).tolist()
    assert [one["scored"] for one in head["detectors"]] == said.scored.tolist()
    for at, layer, neuron, best, rank, first, chosen in read_back(head, packed):
        place = at, layer, neuron
        assert (best, rank) == (said.best[place] if said.rank[place] else 0, said.rank[place])
        row = said.of(layer, neuron).iloc[at]
        assert (" ".join(first), " ".join(chosen)) == (row["first"], row["chosen"])


def test_of_too_many_neurons_only_the_first_ranks_are_kept():
    said = Said.read(several(1, width=400), 10)
    whole = said.packed()
    head, packed = said.packed(limit=len(whole[1]) // 2)
    assert len(packed) <= len(whole[1]) // 2 and 10 < head["kept"] < whole[0]["kept"]
    read = list(read_back(head, packed))
    assert sum(rank > head["kept"] for *_, rank, _, _ in read) > 100
    for at, layer, neuron, best, rank, first, _ in read:
        own = said.rank[at, layer, neuron]
        assert rank == min(own, head["kept"] + 1)
        assert best == (said.best[at, layer, neuron] if 0 < own <= head["kept"] else 0)
        assert " ".join(first) == said.of(layer, neuron)["first"][at]
    with pytest.raises(NeuroglotError, match=r"3 detectors say of 1,200 neurons .* too much for a page"):
        said.packed(limit=100)


def test_what_a_page_cannot_hold_is_said_there(monkeypatch):
    monkeypatch.setattr(lookup, "_INFLATED", 100)
    said = look_up(several(1), 5)
    assert isinstance(said, Markdown) and "too much for a page" in said.data.replace("&#32;", " ")
    assert "No detector found a neuron" in look_up({}, 5).data


def test_the_widget_begins_where_most_agree():
    score = np.zeros((2, 5, 3))
    score[1, 3, 2] = 1
    found = {name: made(score) for name in "abc"} | {"d": made(-score)}
    widget = NeuronLookup(found, 1)
    assert (widget.layer, widget.neuron) == (0, 0)  # of en and de the first of equal scores, in all four
    score[0, 1:, :] = score[1, :, :2] = 1
    score[1, 3] = 2
    assert Said.read({name: made(score) for name in "abc"}, 1).agreed() == (1, 3)
    assert NeuronLookup(found, 1, layer=1, neuron=4).table.equals(Said.read(found, 1).of(1, 4))


@pytest.mark.parametrize(
    ("found", "number", "place", "said"),
    [
        ({}, 1, (0, 0), "nothing to look up"),
        ({"a": made(SCORES), "b": made(np.zeros((1, 4, 2)))}, 1, (0, 0), "the detection 'b' is of other neurons"),
        ({"a": made(SCORES)}, 0, (0, 0), "number"),
        ({"a": made(SCORES)}, 1, (0, 4), "no neuron 4 in layer 0; the model has 1 x 4"),
        ({"a": made(SCORES)}, 1, (-1, 0), "no neuron 0 in layer -1"),
    ],
)
def test_what_does_not_fit_is_refused(found, number, place, said):
    with pytest.raises(NeuroglotError, match=said):
        NeuronLookup(found, number, layer=place[0], neuron=place[1])


def test_a_page_has_a_table_without_scripts():
    widget = NeuronLookup(several(2), 10, browser="04-neurons.html", layer=1, neuron=7)
    bundle = widget._repr_mimebundle_()
    data = bundle[0] if isinstance(bundle, tuple) else bundle
    page = data["text/html"]
    assert page.startswith('<div data-neuroglot="lookup"') and page.count("<script") == 1
    assert cells(page) == widget.said._cells(1, 7) and widget.said.summary(1, 7) in page
    own = json.loads(page.split('<script type="application/json">')[1].removesuffix("</script></div>"))
    assert own["settings"] == {"layer": 1, "neuron": 7} and own["browser"] == "04-neurons.html"
    assert widget.given.keys() == {"head", "packed"}  # in Jupyter there is no other page


# --- in the page -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page_of(browser, tmp_path_factory):
    """Opens a page of its own with some HTML and the book's scripts, from disk and without a network."""

    def load(html, address="", width=1000, scripts=True):
        names = ("identify.js", "page.js", "lookup.js", "map.js", "start.js") if scripts else ()
        tags = "".join(f"<script>{lookup.front_end(name)}</script>" for name in names)
        path = tmp_path_factory.mktemp("page") / "page.html"
        style = f"<style>{NeuronLookup._css}</style>"
        head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width">{style}'
        path.write_text(f"<!doctype html><html><head>{head}</head><body>{html}{tags}</body></html>", encoding="utf-8")
        context = browser.new_context(viewport={"width": width, "height": 900}, offline=True)
        page = context.new_page()
        page.wrong = []
        page.on("console", lambda m: page.wrong.append(m.text))
        page.on("pageerror", lambda e: page.wrong.append(str(e)))
        page.goto(f"{path.as_uri()}{address}")
        if scripts:
            page.wait_for_selector("[data-drawn]")
        return page

    return load


def shown(page):
    rows = page.locator(".neuroglot-lookup tbody tr")
    return [row.locator("th, td").all_text_contents() for row in rows.all()]


@pytest.mark.parametrize("k", [3, 9])
def test_the_page_says_of_every_neuron_what_python_says(page_of, k):
    languages = tuple("abcdefghi"[:k])
    widget = NeuronLookup(several(3, layers=2, width=12, languages=languages), 5)
    page = page_of(widget.html())
    for layer, neuron in np.ndindex(2, 12):
        page.evaluate(
            "at => document.querySelector('[data-neuroglot]').lookup.set(at)", {"layer": layer, "neuron": neuron}
        )
        assert shown(page) == widget.said._cells(layer, neuron)
        assert page.inner_text(".neuroglot-status") == widget.said.summary(layer, neuron)
    assert page.wrong == []


def test_what_is_not_kept_is_beyond(page_of, monkeypatch):
    monkeypatch.setattr(Said.packed, "__defaults__", (6000,))
    widget = NeuronLookup(several(4, width=1500), 2)
    kept, all_ = widget.given["head"]["kept"], int(widget.said.scored.max())
    assert 2 < kept < all_
    rank = widget.said.rank[0]
    beyond, within = (np.argwhere(some)[0].tolist() for some in (rank > kept, (rank > 0) & (rank <= kept)))
    page = page_of(widget.html(), "#layer={}&neuron={}".format(*beyond))
    assert shown(page)[0][1] == f"beyond {kept:,}"
    page = page_of(widget.html(), "#layer={}&neuron={}".format(*within))
    assert shown(page)[0] == widget.said._cells(*within)[0]
    assert page.wrong == []


@pytest.mark.parametrize("width", [1000, 390])
def test_it_opens_on_the_address_and_follows_it(page_of, width):
    widget = NeuronLookup(several(5), 5, browser="there.html")
    space = "<div style='height:3000px'></div>"
    page = page_of(f"{space}{widget.html()}{space}", "#layer=2&neuron=31", width)
    assert shown(page) == widget.said._cells(2, 31)
    assert page.evaluate("scrollY > 1000 && document.activeElement === document.querySelector('.neuroglot-lookup')")
    assert page.locator(".neuroglot-lookup a").get_attribute("href") == "there.html#layer=2&neuron=31"
    page.evaluate("location.hash = '#layer=1&neuron=4'")
    page.wait_for_function("document.querySelector('.neuroglot-status').textContent.startsWith('Layer 1, neuron 4.')")
    assert shown(page) == widget.said._cells(1, 4)
    page.evaluate("location.hash = '#a-heading'")
    page.evaluate("async () => { await document.querySelector('[data-neuroglot]').lookup.set({}); }")
    assert page.inner_text(".neuroglot-status").startswith("Layer 1, neuron 4.")
    for place in ("html", ".neuroglot-list"):
        assert page.eval_on_selector(place, "place => place.scrollWidth <= place.clientWidth")
    assert page.wrong == []


def test_it_is_used_by_keys(page_of):
    widget = NeuronLookup(several(6), 5)
    page = page_of(widget.html())
    assert shown(page) == widget.said._cells(*widget.said.agreed()) and page.url.endswith("page.html")
    type_into(page, "layer", "2")
    page.keyboard.press("Control+A")
    page.keyboard.type("17")
    page.keyboard.press("Enter")
    page.wait_for_function("location.hash === '#layer=2&neuron=17'")
    assert shown(page) == widget.said._cells(2, 17)
    for typed, wanted in (("999", "39"), ("", "39")):  # beyond the last; nothing
        page.keyboard.press("Control+A")
        page.keyboard.type(typed) if typed else page.keyboard.press("Delete")
        page.keyboard.press("Enter")
        page.wait_for_function(f"location.hash === '#layer=2&neuron={wanted}'")
    assert page.wrong == []


def test_without_scripts_it_is_a_table(page_of):
    widget = NeuronLookup(several(6), 5, layer=1, neuron=2)
    page = page_of(widget.html(), scripts=False)
    assert shown(page) == widget.said._cells(1, 2)
    assert widget.said.summary(1, 2) in page.inner_text("body")


def test_names_from_outside_are_text(page_of):
    evil = "</script><img src=x onerror=__owned=1>"
    languages = (evil, "<b>x</b>", "__proto__")
    found = {f"{name} {evil}": replace(one, method=name) for name, one in several(7, languages=languages).items()}
    widget = NeuronLookup(found, 20)
    for scripts in (True, False):
        page = page_of(widget.html(), scripts=scripts)
        assert page.locator("img, b").count() == 0 and page.evaluate("window.__owned") is None
        assert shown(page) == widget.said._cells(*widget.said.agreed())
        assert page.wrong == []


MODEL_OF = """async ([esm, model, traits]) => {
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  window.model = new (new Function(`${model}; return Model`)())(traits);
  const module = await import(url);
  await module.default.render({ model: window.model, el: document.body });
}"""


def test_live_it_shares_its_neuron(page_of):
    widget = NeuronLookup(several(8), 5, browser="there.html", layer=0, neuron=3)
    page = page_of("", scripts=False)
    traits = {name: getattr(widget, name) for name in ("given", "layer", "neuron")}
    page.evaluate(MODEL_OF, [widget._esm, MODEL, traits])
    assert shown(page) == widget.said._cells(0, 3)
    assert page.locator("a").count() == 0  # there is no other page
    type_into(page, "neuron", "8")
    page.wait_for_function("model.saved.at(-1)?.neuron === 8 && model.saved.at(-1).layer === 0")
    page.evaluate("model.set('layer', 2)")
    page.wait_for_function("document.querySelector('.neuroglot-status').textContent.startsWith('Layer 2, neuron 8.')")
    assert shown(page) == widget.said._cells(2, 8) and page.wrong == []
    assert page.locator("[data-lm-suppress-shortcuts] input").count() == 2


# --- links to it -------------------------------------------------------------------------------


def test_pages_alone_lead_to_it(tmp_path, browser):
    """The explorer's list and the browser's neuron; in Jupyter, and without an address, nothing does."""
    stats, types = browsed()
    options = {"top_rate": 0.3, "lam": 0.1, "quantile": 0.7}
    for address in ("10.html", None):
        explorer = ThresholdExplorer(stats, **options, detectors=address)
        viewer = NeuronBrowser(stats, types, detectors=address, layer=1, neuron=7)
        for number, widget in enumerate((explorer, viewer)):
            path = tmp_path / f"{number}.html"
            widget.save(path)
            page = browser.new_context(offline=True).new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("[data-drawn]")
            if number == 0:
                page.get_by_text("Which neurons are they?").click()
                page.wait_for_selector("tbody tr")
                place = [cell.inner_text() for cell in page.locator("tbody tr").first.locator("td").all()[:2]]
            else:
                place = ["1", "7"]
            links = page.locator("a[href*='10.html']")
            if address is None:
                assert links.count() == 0
                continue
            assert links.first.get_attribute("href") == f"10.html#layer={place[0]}&neuron={place[1]}"
            if number == 0:
                assert links.count() == page.locator("tbody tr").count()
                page.get_by_role(
                    "link", name=f"what each detector says of layer {place[0]}, neuron {place[1]}"
                ).wait_for()
            else:
                page.get_by_label("neuron", exact=True).fill("9")
                page.get_by_label("neuron", exact=True).press("Enter")
                page.wait_for_selector("a[href='10.html#layer=1&neuron=9']")
        assert "detectors" not in explorer.given and "detectors" not in viewer.given
    page = live(browser, NeuronBrowser(stats, types, detectors="10.html"), tmp_path)
    assert page.locator("a[href*='10.html']").count() == 0 and page.wrong == []


ROOT = Path(__file__).parents[2]


def test_addresses_in_notebooks_are_pages_of_the_book():
    """A book is built of all its chapters, so no link to one of them is dead."""
    for name in ("02-identification", "04-neurons"):
        source = (ROOT / f"notebooks/{name}.ipynb").read_text(encoding="utf-8").replace("\\", "")
        pages = re.findall(r'detectors(?:=|": )"(.*?)\.html"', source)
        assert pages == ["10-detectors"] and {*pages} <= {chapter.name for chapter in CHAPTERS}
