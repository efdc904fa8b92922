"""Charts as widgets: what is selected in them, and that pages have none."""

import altair as alt
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from IPython.display import HTML

from neuroglot import ActivationStats, NeuroglotError, NeuronBrowser, classify
from neuroglot.book import charts
from neuroglot.book.charts import live
from neuroglot.book.charts.live import LIVE, LiveChart, NeuronMap, Vega

NEURONS = pd.DataFrame({"layer": [0, 1, 2, 3], "p": [0.1, 0.4, 0.6, 0.9], "language": ["de", "en", "de", "zh"]})


def drawn(*selections):
    chart = alt.Chart(NEURONS).mark_point().encode(x="layer", y="p", color="language").add_params(*selections)
    return LiveChart(chart.to_dict())


def test_a_brush_gives_the_rows_under_it():
    chart = drawn(alt.selection_interval(name="brush"))
    assert chart.selections == ["brush"] and chart.selected.empty
    chart.chosen = {"brush": {"layer": [0.5, 3.2], "p": [0.0, 0.7]}}
    assert chart.selected.to_dict("records") == NEURONS.iloc[1:3].to_dict("records")
    chart.chosen = {"brush": {"layer": [3.2, 0.5]}}  # drawn from the right
    assert chart.selected["layer"].tolist() == [1, 2, 3]
    chart.chosen = {"brush": {}}
    assert chart.selected.empty and list(chart.selected) == list(NEURONS)


def test_points_are_chosen_by_their_values_and_several_selections_together():
    chart = drawn(alt.selection_point(name="pick", fields=["language"]), alt.selection_interval(name="brush"))
    chart.chosen = {"pick": {"language": ["de"], "vlPoint": {"or": []}}}
    assert chart.selected["layer"].tolist() == [0, 2]
    chart.chosen = {**chart.chosen, "brush": {"p": [0.5, 1]}}
    assert chart.selected["layer"].tolist() == [2]
    numbers = drawn(alt.selection_point(name="pick", fields=["layer"]))
    numbers.chosen = {"pick": {"layer": [0, 3], "vlPoint": {"or": []}}}
    assert numbers.selected["layer"].tolist() == [0, 3], "two points, not what is between them"


def test_what_is_selected_is_of_the_data_that_has_it():
    other = pd.DataFrame({"tau": [0.5]})
    brush = alt.selection_interval(name="brush")
    points = alt.Chart(NEURONS).mark_point().encode(x="layer", y="p").add_params(brush)
    chart = LiveChart(alt.layer(alt.Chart(other).mark_rule().encode(y="tau"), points).to_dict())
    chart.chosen = {"brush": {"layer": [2, 3]}}
    assert chart.selections == ["brush"] and chart.selected["layer"].tolist() == [2, 3]


def test_charts_are_widgets_in_jupyter_alone():
    charts.enable()
    chart = alt.Chart(NEURONS).mark_point().encode(x="layer", y="p")
    assert charts.selectable(chart) is chart
    try:
        live.enable()
        assert alt.renderers.active == LIVE and isinstance(charts.selectable(chart), LiveChart)
        bundle, *_ = alt.renderers.get()(chart.to_dict())
        assert "application/vnd.jupyter.widget-view+json" in bundle
    finally:
        charts.enable()
    assert "text/html" in alt.renderers.get()(chart.to_dict())


def test_vega_comes_along_once_and_is_sent_where_it_is_asked_for(monkeypatch):
    assert len(Vega().bundle) > 100_000
    chart, sent = drawn(), []
    monkeypatch.setattr(chart, "send", sent.append)
    chart._handle_custom_msg({"need": "bundle"}, [])
    chart._handle_custom_msg({"else": 1}, [])
    assert [list(one) for one in sent] == [["bundle"]]


@pytest.mark.parametrize("name", ["constructor", "__proto__"])
def test_values_that_javascript_has_names_for_are_drawn(name):
    spec = alt.Chart(pd.DataFrame({"x": [name]})).mark_point().encode(x="x").to_dict()
    (rows,) = LiveChart(spec).spec["datasets"].values()
    assert rows[0]["x"] != name and rows[0]["x"].startswith(name)


@pytest.fixture
def types():
    rng = np.random.default_rng(5)
    p = rng.beta(0.4, 0.6, size=(5, 60, 4))
    counts = ActivationStats(rng.binomial(30, p, size=(4, 5, 60, 4)), np.full((4, 4), 30), ("en", "de", "ru", "zh"))
    return classify(counts, top_rate=0.3, quantile=0.7), counts


def test_a_rectangle_of_the_map_gives_its_neurons(types):
    found, _ = types
    shown = NeuronMap(found)
    assert shown.selected.empty and list(shown.selected) == ["layer", "neuron", "kind"]
    figure = BeautifulSoup(shown.figure, "html.parser").figure
    columns, rows, gap = (int(figure[f"data-{name}"]) for name in ("columns", "rows", "gap"))
    shown.chosen = {
        "left": 3,
        "right": 20,
        "top": 0,
        "bottom": (rows + gap) * 2 + rows - 1,
    }  # of the first three layers
    wanted = {(i, j) for i in range(3) for j in range(60) if found.codes[i, j] and 3 <= j % columns <= 20}
    table = shown.selected
    assert {*zip(table["layer"], table["neuron"], strict=True)} == wanted and len(table) == len(wanted) > 3
    assert table["kind"].tolist() == [found.kind[i, j] for i, j in zip(table["layer"], table["neuron"], strict=True)]
    scores = [found.score[i, j] for i, j in zip(table["layer"], table["neuron"], strict=True)]
    assert scores == sorted(scores)


def test_the_browser_takes_what_is_selected(types):
    found, counts = types
    browser, shown = NeuronBrowser(counts, found), NeuronMap(found)
    browser.follow(shown)
    shown.chosen = {"left": 0, "right": 59, "top": 0, "bottom": 0}
    first = shown.selected.iloc[0]
    assert (browser.layer, browser.neuron) == (first["layer"], first["neuron"])
    assert browser.among == (60 * shown.selected["layer"] + shown.selected["neuron"]).tolist()
    shown.chosen = {}
    assert browser.among == [] and browser.layer == first["layer"]
    with pytest.raises(NeuroglotError, match="give a table with the columns layer and neuron"):
        browser.take(pd.DataFrame({"p": [1.0]}))
    with pytest.raises(NeuroglotError, match="there is no neuron 60 in layer 1"):
        browser.take(pd.DataFrame({"layer": [1], "neuron": [60]}))
    assert browser.among == []


def test_the_map_is_a_widget_in_jupyter_alone(types):
    charts.enable()
    assert isinstance(charts.every_neuron(types[0], "x.html"), HTML)
    try:
        live.enable()
        assert isinstance(charts.every_neuron(types[0], "x.html"), NeuronMap)
    finally:
        charts.enable()
