"""The Python side of the live explorer and browser."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroglot import ActivationStats, NeuroglotError, NeuronBrowser, NeuronTypes, ThresholdExplorer, classify, detect
from neuroglot.book import pages
from neuroglot.book.packing import base64_size, classify_packed, pack
from neuroglot.book.widgets import panel_rows


@pytest.fixture
def stats():
    rng = np.random.default_rng(5)
    p = rng.beta(0.4, 0.6, size=(5, 60, 4))
    p[:, :5] = 0.99
    return ActivationStats(rng.binomial(30, p, size=(4, 5, 60, 4)), np.full((4, 4), 30), ("en", "de", "ru", "zh"))


def test_types_are_those_of_the_thresholds(stats):
    explorer = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7)
    first = classify(stats, top_rate=0.3, quantile=0.7)
    assert (explorer.types.codes == first.codes).all() and explorer.types.settings() == first.settings()
    explorer.top_rate, explorer.lam, explorer.quantile, explorer.languages = 0.1, 0.05, 0.8, ["ru", "en"]
    fewer = classify(stats.select("en ru"), top_rate=0.1, quantile=0.8, lam=0.05)
    assert (explorer.types.codes == fewer.codes).all() and explorer.types.settings() == fewer.settings()
    assert explorer.types.languages == ("en", "ru")


@pytest.mark.parametrize(
    ("name", "value"),
    [("top_rate", 0), ("top_rate", 1.1), ("quantile", 1), ("lam", float("nan")), ("languages", ["en"]),
     ("languages", ["en", "fr"])],
)  # fmt: skip
def test_bad_thresholds_are_refused(stats, name, value):
    explorer = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7)
    before = explorer.types.settings()
    with pytest.raises(NeuroglotError, match=name):
        setattr(explorer, name, value)
    assert explorer.types.settings() == before


def test_rows_are_the_types(stats):
    types = classify(stats, top_rate=0.3, quantile=0.7)
    rows, kinds = panel_rows(types), ("specific", "related", "general")
    wanted = {
        "layers": [(i, k, int((types.kind[i] == k).sum())) for i in range(5) for k in kinds],
        "shared": [
            (i, k, int(((types.kind == k) & (types.n_languages == i)).sum())) for i in range(1, 5) for k in kinds
        ],
        "languages": [(c, k, sum(map(len, types.neurons(c, k)))) for c in types.languages for k in kinds[:2]],
    }
    for name, own in wanted.items():
        assert sorted(map(str, (tuple(row.values()) for row in rows[name]))) == sorted(map(str, own))


def test_a_page_gets_a_picture_and_the_data(stats):
    explorer = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7)
    bundle, _ = explorer._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    html = bundle["text/html"]
    assert html.count("<svg") == 3 and html.count("<script") == 1
    content = json.loads(html.split('<script type="application/json">')[1].removesuffix("</script></div>"))
    assert content["head"]["scales"] == [120] * 4 and content["settings"]["topRate"] == 0.3
    assert "http" not in html.replace("https://vega.github.io/schema", "").replace("http://www.w3.org/", "")
    assert html.count('role="img" aria-label="Stacked bars') == 3
    with pytest.raises(NeuroglotError, match="too many for a page"):
        explorer.html(limit=10)


def test_what_does_not_fit_a_page_is_said_there(stats, monkeypatch):
    explorer = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7)
    monkeypatch.setattr(ThresholdExplorer.html, "__defaults__", (10,))
    bundle, _ = explorer._repr_mimebundle_()
    assert bundle["text/html"].startswith('<div data-neuroglot="none"><p>300 neurons in 4 languages are too many')
    # Such a page does without the widget's state, which has no limit.
    output = {"output_type": "display_data", "data": bundle, "metadata": {}}
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "# t"},
             {"cell_type": "code", "metadata": {}, "source": "", "outputs": [output]}]  # fmt: skip
    made = pages.page({"cells": cells, "metadata": {"widgets": {}}}, "02", run="r", root=Path("nowhere"))
    assert "widgets" not in made["metadata"]
    assert list(made["cells"][2]["outputs"][0]["data"]) == ["text/html"]


def test_text_cannot_leave_its_script(stats):
    evil = ActivationStats(stats.shard_counts, stats.shard_tokens, stats.languages, {"model": "<!--<script></script>"})
    html = ThresholdExplorer(evil, top_rate=0.3, quantile=0.7).html()
    assert html.count("<script") == 1 and html.count("</script") == 1 and "<!--" not in html


def test_experts_are_typed_as_the_screen_types_them():
    rng = np.random.default_rng(2)
    routed = rng.integers(5, 30, size=(1, 3, 2, 3))
    seen = np.repeat(routed, 20, axis=2)
    experts = ActivationStats(rng.binomial(seen, 0.4), np.full((1, 3), 60), ("en", "de", "zh"), shard_routed=routed)
    explorer = ThresholdExplorer(experts, top_rate=0.3, lam=0.1, quantile=0.7)
    packed, _ = pack(experts)
    assert packed.roots
    wanted = classify_packed(packed, top_rate=0.3, lam=0.1, quantile=0.7, scaled=True)
    assert (explorer.types.codes == wanted).all()


def test_front_end_asks_python_for_vega_where_there_is_none(stats, monkeypatch):
    explorer, sent = ThresholdExplorer(stats, top_rate=0.3), []
    monkeypatch.setattr(explorer, "send", lambda content, buffers=None: sent.append(content))
    explorer._handle_custom_msg({"need": "bundle"}, [])
    assert "vegaEmbed" in sent[0]["bundle"]


def test_browser_refuses_what_does_not_fit(stats):
    types = classify(stats, top_rate=0.3, quantile=0.7)
    assert NeuronBrowser(stats, types).types.settings() == types.settings() | {"solved": False}
    with pytest.raises(NeuroglotError, match="no neuron 60 in layer 0"):
        NeuronBrowser(stats, types, layer=0, neuron=60)
    browser = NeuronBrowser(stats, types)
    browser.languages = ["en", "zh"]
    assert browser.html().count("<svg") == 1 and browser.types.provenance["selected_languages"] == ["en", "zh"]
    with pytest.raises(NeuroglotError, match="layer=5: the model has 5"):
        browser.layer = 5
    with pytest.raises(NeuroglotError, match="give contexts and corpus"):
        NeuronBrowser(stats, types, find=lambda *_: None)
    other = classify(ActivationStats(stats.shard_counts[:, :2], stats.shard_tokens, stats.languages), top_rate=0.3)
    with pytest.raises(NeuroglotError, match="not of the same neurons"):
        NeuronBrowser(stats, other)


def test_tokens_stand_where_no_script_runs(stats):
    types = classify(stats, top_rate=0.3, quantile=0.7)
    row = {"layer": [1], "neuron": [7], "language": ["de"], "value": [-0.25], "tokens": [["<i>und", "die"]]}
    browser = NeuronBrowser(stats, types, raised=pd.DataFrame(row), layer=1, neuron=7)
    said = "The tokens that it raises most, at its mean value in de, -0.25:"
    assert browser._pictures().endswith(f"<p>{said} <span>&lt;i&gt;und</span> <span>die</span></p>")
    browser.neuron = 8
    assert "<span>" not in browser._pictures()
    assert NeuronBrowser(stats, types).given["raised"] is None


def test_pictures_of_languages_named_like_javascripts_own():
    codes = ("constructor", "__proto__", "en")
    counts = np.random.default_rng(0).integers(0, 100, size=(4, 5, 30, 3))
    stats = ActivationStats(counts, np.full((4, 3), 100), codes)
    settings = {"top_rate": 0.2, "lam": 0.1}
    for made in (ThresholdExplorer(stats, **settings), NeuronBrowser(stats, classify(stats, **settings))):
        pictures = re.findall(r"<svg.*?</svg>", made._pictures(), re.S)
        last = pictures[-1]
        assert all(code in last for code in codes) and last.count("<path") > len(codes)


def test_types_are_used_from_the_screen(stats, tmp_path):
    file = tmp_path / "types.safetensors"
    explorer = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7, use=file)
    assert explorer.given["use"] is True and '"use":false' in explorer.html(), "a page has nobody to write for it"
    explorer.languages = ["en", "ru"]
    sent = []
    explorer.send = sent.append
    # What the screen has counts, whether or not it was told apart from this before.
    explorer._handle_custom_msg({"use": {"top_rate": 0.1, "lam": None}}, [])
    assert explorer.top_rate == 0.1
    (said,) = sent
    wanted = classify(stats.select("en ru"), top_rate=0.1, quantile=0.7)
    found = NeuronTypes.load(file)
    assert (found.codes == wanted.codes).all() and found.settings() == wanted.settings()
    chapters = "03, 00, 04, 05, 06, 07, 08, 09, 10, 11, index"
    assert said == {"used": f"Written to {file}. To be run again with these types: chapters {chapters}."}
    explorer.languages, explorer.lam = ["en", "de", "ru", "zh"], None
    bare = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7)
    bare.send = sent.append
    bare._handle_custom_msg({"use": {}}, [])
    assert bare.given["use"] is False and sent[1]["refused"].startswith("Nothing was written: name the file")
    explorer._handle_custom_msg({"use": {"top_rate": 7}}, [])
    assert sent[2]["refused"].startswith("Nothing was written: ") and explorer.top_rate == 0.1
    assert (NeuronTypes.load(file).codes == wanted.codes).all()


def test_types_are_observed(stats):
    explorer, seen = ThresholdExplorer(stats, top_rate=0.3, quantile=0.7), []
    explorer.observe(lambda change: seen.append(change.new), "types")
    explorer.observe(lambda change: seen.append(change.name), "top_rate")
    explorer.quantile = 0.8
    explorer.top_rate = 0.1
    assert [getattr(each, "top_rate", each) for each in seen] == [0.3, 0.1, "top_rate"]
    assert (seen[1].codes == classify(stats, top_rate=0.1, quantile=0.8).codes).all()


def test_another_detector_s_types_are_turned(stats, tmp_path):
    file = tmp_path / "types.safetensors"
    explorer = ThresholdExplorer(stats, top_rate=0.3, lam=0.2, quantile=0.7, detector="lape", use=file)
    wanted = classify(stats, top_rate=0.3, quantile=0.7, detector="lape")
    assert (explorer.types.codes == wanted.codes).all() and explorer.types.settings() == wanted.settings()
    explorer.top_rate, explorer.quantile = 0.1, 0.8
    wanted = classify(stats, top_rate=0.1, quantile=0.8, detector=detect(stats, "lape"))
    assert (explorer.types.codes == wanted.codes).all() and (wanted.codes != 0).any()
    explorer.use()
    assert NeuronTypes.load(file).settings() == wanted.settings()
    with pytest.raises(NeuroglotError, match="the scores of lape are of all languages together"):
        explorer.languages = ["en", "de"]
    for wrong in ({"detector": "random"}, {"detector": "lape", "activity": "detector"}):
        with pytest.raises(NeuroglotError, match=r"detector='random'|activity='detector'"):
            ThresholdExplorer(stats, **wrong)


def test_places_take_their_share_of_a_page(stats):
    explorer = ThresholdExplorer(stats, top_rate=0.3, detector="lape")
    places = explorer.given["places"]
    whole = explorer.html(len(places) + base64_size(explorer.data))
    assert (
        json.loads(whole.split('<script type="application/json">')[1].removesuffix("</script></div>"))["head"]["roots"]
        is False
    )
    fewer = explorer.html(len(places) + base64_size(explorer.data) - 1)
    assert json.loads(fewer.split('<script type="application/json">')[1].removesuffix("</script></div>"))["head"][
        "roots"
    ]
