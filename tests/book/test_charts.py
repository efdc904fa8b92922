"""Every figure is a valid specification of the right numbers, in the one theme."""

import json
import re
from dataclasses import replace

import altair as alt
import numpy as np
import pandas as pd
import pytest
import vl_convert

from neuroglot import ActivationStats, classify, layer_profile
from neuroglot.alignment import answers, comparison, stability
from neuroglot.book import charts
from neuroglot.neurons import layers, published
from neuroglot.neurons.agreement import agreement, agreement_by_layer, by_layer
from neuroglot.neurons.detection import Detection
from neuroglot.neurons.specificity import how_sure, probability_intervals, specificity


@pytest.fixture
def stats():
    rng = np.random.default_rng(5)
    p = rng.beta(0.4, 0.6, size=(5, 60, 4))
    p[:, :5] = 0.99
    return ActivationStats(rng.binomial(30, p, size=(4, 5, 60, 4)), np.full((4, 4), 30), ("en", "de", "ru", "zh"))


@pytest.fixture
def types(stats):
    return classify(stats, top_rate=0.3, quantile=0.7)


@pytest.fixture(autouse=True)
def theme():
    charts.enable()
    yield
    alt.theme.enable("default")
    alt.renderers.enable("default")


def figures(stats, types):
    profile = layer_profile(types)
    tokens = pd.DataFrame({"language": ["en"], "tokens": [3], "characters": [9], "tokens_per_character": [1 / 3]})
    own = specificity(stats, types, splits=2).query("kind == 'specific'")
    bands = profile[["layer", "kind"]].assign(low=profile["neurons"] / 2, high=profile["neurons"] * 2)
    scores = pd.DataFrame([
        {"language": code, "group": group, "questions": 5, "accuracy": 0.4, "low": 0.1, "high": 0.8,
         "right_number": 0.6, "in_language": 0.8}
        for code in ("en", "de") for group in ("level 1", "level 2", "all")
    ])  # fmt: skip
    return {
        "tokens": charts.tokens(tokens),
        "fertility": charts.fertility(tokens),
        "solved": charts.solved(scores),
        "solved, one group": charts.solved(scores[scores["group"] == "level 1"].assign(group="")),
        "active_share": charts.active_share(stats),
        "neuron": charts.neuron(stats, types, 2, 7),
        "first_and_second": charts.first_and_second(
            own, types.tau, {"typical": tuple(own[["layer", "neuron"]].iloc[0])}
        ),
        "how_sure": charts.how_sure(how_sure(own)),
        "layers": charts.layers(profile),
        "layers with parts": charts.layers(profile, bands, layers.four_parts(profile)),
        "effects": charts.effects(effects_table()),
        "doses": charts.doses(doses_table()),
        "contrasts": charts.contrasts(nulls_table()),
        "choices": charts.choices(choices_table()),
        "detectors": charts.detectors(detectors_table()),
        "agreements": charts.agreements(agreement(detections(types), types.score.shape[1]), ["one", "other"]),
        "where_they_agree": charts.where_they_agree(agreement_by_layer(detections(types), types.score.shape[1])),
        "where_they_look": charts.where_they_look(by_layer(detections(types), types.score.shape[1])),
        "rewritten": charts.rewritten(rewritten_table()),
        "steered": charts.steered(contrasts_table()),
        "outcomes": charts.outcomes(outputs_table()),
        "written_tokens": charts.written_tokens(tokens_table()),
        "writing": charts.writing(numbers_table()),
        "writing_by_layer": charts.writing_by_layer(written_layers()),
        "training": charts.training({"one": training_log(), "shuffled": training_log()}),
        "at a glance": charts.alignment_at_a_glance(changes_of(stats, types).query("what == 'all'")),
        "layer_changes": charts.layer_changes(changes_of(stats, types).query("what == 'layer'")),
        "shared_changes": charts.shared_changes(changes_of(stats, types).query("what == 'shared by'")),
        "language_changes": charts.language_changes(changes_of(stats, types).query("what == 'language'")),
        "transitions": charts.transitions(moves(types)),
        "measure_changes": charts.measure_changes(measures_table()),
        "language_sizes": charts.language_sizes(sizes_table(), "en"),
        "by_n": charts.by_n(published.histograms(None, None)),
        "sensitivity, quantile": charts.sensitivity(plane_table("quantile"), "quantile"),
        "sensitivity, lambda": charts.sensitivity(plane_table("lam"), "lam"),
        "overlaps": charts.overlaps(stability.stability({"a": (stats, stats, "other half")}, types, splits=3)),
    }


def plane_table(axis):
    """Two top rates and the published and another value of the other setting."""
    other = {"quantile": 0.9, "lam": 0.03}
    rows = [
        {"top_rate": rate, axis: value, "language neurons": number, "general selected": number // 2, "table 3": 0.5}
        for rate, value, number in (
            (0.01, published.SETTINGS[axis], 100),
            (0.05, published.SETTINGS[axis], 400),
            (0.01, other[axis], 120),
            (0.05, other[axis], 0),
        )
    ]
    return pd.DataFrame(rows).assign(**{"fig. 15, of a type": 0.25} | ({} if axis == "lam" else {"lam": 0.11}))


@pytest.mark.parametrize("axis", ["quantile", "lam"])
def test_the_published_settings_are_framed_in_the_map(axis):
    data = next(iter(charts.sensitivity(plane_table(axis), axis).to_dict()["datasets"].values()))
    framed = [(row["top_rate"], row[axis], row["neurons"]) for row in data if row["stated"]]
    assert framed == [(0.01, published.SETTINGS[axis], 100)]


def test_every_chart_is_json_that_a_browser_reads(stats, types):
    """What is missing is null: a column of objects is not cleaned on its way, and NaN is no JSON."""
    for name, chart in figures(stats, types).items():
        assert json.dumps(chart.to_dict(), allow_nan=False), name


# Names that JavaScript's objects have of their own, or that would be read as a path into one.
def test_a_token_that_no_picture_may_hold_is_drawn_as_what_shows_it():
    """A control character ended the process that drew the chart."""
    texts = ["a\x00b", "\x0e", "\x1f\x0c", "\uffff", "tab\tline\n", "\\u000e"]
    data = pd.DataFrame({"text": texts, "row": range(len(texts))})
    chart = alt.Chart(data).mark_text(limit=112).encode(y="row:O", text="text:N")
    shown = charts.theme.embed(chart.to_dict())
    (rows,) = shown[next(kind for kind in shown if "vegalite" in kind)]["datasets"].values()
    assert [row["text"] for row in rows] == ["a␀b", "␎", "␟␌", "\ufffd", "tab\tline\n", "\\u000e"]
    assert ">a␀b<" in shown["text/html"] and ">\\u000e<" in shown["text/html"]


ODD = {"en": "constructor", "de": "__proto__", "ru": "a.b", "zh": "x[0]"}


def test_languages_of_any_name_are_drawn(stats, types):
    """Every mark is there, and every name is written out, as for other names of languages."""
    for name, chart in figures(stats, types).items():
        spec = odd = json.dumps(chart.to_dict())
        for code, other in ODD.items():
            odd = odd.replace(f'"{code}"', f'"{other}"')
        if odd == spec:
            continue
        plain, drawn = (
            charts.theme.embed(json.loads(text))["text/html"].partition("<script")[0] for text in (spec, odd)
        )
        marks = [len(re.findall("<(?:path|text) aria-label=", picture)) for picture in (plain, drawn)]
        assert marks[0] == marks[1] > 0, name
        for code, other in ODD.items():
            assert drawn.count(f">{other}") == plain.count(f">{code}<"), name


def test_languages_named_like_a_column_have_their_own_numbers(stats):
    names = ("layer", "language", "probability", "toString")
    means = values(charts.active_share(replace(stats, languages=names))).groupby("language")["probability"].mean()
    assert means.to_dict() == pytest.approx(dict(zip(names, stats.probabilities().mean(axis=(0, 1)), strict=True)))


def detectors_table():
    rows = [
        {"detector": name, "budget": budget, "what": what, "effect": effect, "low": effect - 0.1, "high": effect + 0.1,
         "detectable": 0.2, "p": 0.01, "verdict": verdict, "units": 12, "text": text}
        for text in ("problems", "udhr")
        for budget in ("100 a language", "its own choice")
        for what in ("own", "own less matched", "own less as many of theirs")
        for name, effect, verdict in (("one", 0.5, "more"), ("other", np.nan, None))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def rewritten_table():
    return pd.DataFrame(
        {"rewriting": rewriting, "detector": name, "language": code, "neurons": 100, "unchanged": 0.7, "chance": 0.01,
         "rewritten": share if name == "one" else np.nan}
        for rewriting, share in (("romanized", 0.1), ("shuffled", 0.5))
        for name in ("one", "other")
        for code in ("en", "ru")
    )  # fmt: skip


def detections(types):
    made = np.random.default_rng(0).random((2, *types.active.shape)) < 0.1
    score = np.zeros(types.active.shape)
    return {
        name: Detection(name, types.languages, score, one) for name, one in zip(("one", "other"), made, strict=True)
    }


def effects_table():
    rows = [
        {"set": set_, "measure": measure, "removed": r, "language": c, "neurons": 5, "size": 90, "before": 1.0,
         "after": 1.5, "effect": value, "low": value - 0.1, "high": value + 0.1, "harm": value, "units": 12,
         "detectable": 0.2, "p": 0.01, "verdict": verdict}
        for set_ in ("specific", "specific + related") for measure in ("change in log-perplexity", "change in accuracy")
        for r, c, value, verdict in (("en", "en", 0.5, "more"), ("en", "de", 0.05, "not told apart"),
                                     ("de", "en", np.nan, None), ("de", "de", -2.0, "less"))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def doses_table():
    rows = [
        {"language": code, "order": order, "dose": dose, "neurons": int(40 * dose), "effect": dose, "low": dose - 0.1,
         "high": dose + 0.1, "units": 12}
        for code in ("en", "de", "all languages") for order in ("score", "shuffled", "matched")
        for dose in (0.25, 0.5, 1.0)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def nulls_table():
    rows = [
        {"set": set_, "measure": "change in log-perplexity", "what": what, "language": code, "effect": value,
         "low": value - 0.1, "high": value + 0.1, "detectable": 0.2, "p": 0.01, "verdict": verdict, "units": 12,
         "neurons": 5.0}
        for set_ in ("specific", "specific + related")
        for what in ("own", "matched", "others", "own less matched", "own less others", "own less as many of theirs")
        for code, value, verdict in (("bn", 3.3, "more"), ("en", 0.01, "not told apart"),
                                     ("all languages", 1.7, "more"), ("median of languages", 1.7, None))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def choices_table():
    rows = [
        {"measure": measure, "set": "specific + related", "language": code, "questions": 12, "units": 12, "share": 0.75,
         "share_after": 0.5, "before": 2.0, "own": own, "low": own - 1, "high": own + 1, "matched": -0.5,
         "effect": own + 0.5, "effect_low": own, "effect_high": own + 1, "detectable": 1.0, "verdict": verdict}
        for measure in ("right result", "right language")
        for code, own, verdict in (("en", -2.0, "less"), ("de", np.nan, None))
    ]  # fmt: skip
    return pd.DataFrame(rows)


def outputs_table():
    shares = {"target": 0.5, "source": 0.25, "another language": 0.125, "looping": 0.125, "no language": 0.0}
    rows = [
        {"source": "en", "target": target, "way": way, "strength": strength, "neurons": neurons, "output": output,
         "share": share, "low": 0.0, "high": 1.0, "responses": 8, "prompts": 8}
        for target in ("de", "zh") for way in ("amplify", "set") for strength in (0, 2)
        for neurons in ("language", "random") for output, share in shares.items() if strength or neurons == "language"
    ]  # fmt: skip
    return pd.DataFrame(rows)


def contrasts_table():
    own = {"own": 0.5, "own_low": 0.2, "own_high": 0.8, "random": 0.1, "random_low": 0.0, "random_high": 0.4}
    own |= {"difference": 0.4, "low": 0.1, "high": 0.7, "prompts": 8, "draws": 3}
    ways = (("amplify", 4, "more"), ("set", 1, None))
    return pd.DataFrame(
        [
            {"target": target, "way": way, "strength": strength, "verdict": verdict} | own
            for target in ("de", "zh")
            for way, strength, verdict in ways
        ]
    )


def tokens_table():
    words = {"en": ["the", "<b>bold</b>", "prototype"], "th": ["ที่", "และ"]}
    rows = [(code, rank, word, 1 / rank) for code, own in words.items() for rank, word in enumerate(own, 1)]
    return pd.DataFrame(rows, columns=["language", "rank", "token", "logits"])


def numbers_table():
    return pd.DataFrame([
        {"text": text, "language": code, "of": of, "neurons": 9, "tokens": 80, "units": 5, "number": at + place,
         "low": at + place - 0.2, "high": at + place + 0.2, "logits": None if of == "others" else 1.0}
        for text, at in (("all text", 0.0), ("udhr", 10.0)) for code in ("en", "th")
        for place, of in enumerate(("own", "others", "matched", "all"))
    ])  # fmt: skip


def written_layers():
    own = {"layer": [0, 1, 2], "neurons": [0.0, 2.5, 9.0], "own": [0.0, 0.2, 1.0], "matched": [0.0, 0.2, 0.1]}
    own |= {"number": [0.0, 0.0, 0.9], "low": [None, -0.1, 0.8], "high": [None, 0.1, 1.0]}
    return pd.DataFrame(own | {"detectable": [None, 0.2, 0.2], "verdict": [None, "not told apart", "more"]})


def training_log():
    return pd.DataFrame({"step": [1, 2], "loss": [0.69, 0.5], "accuracy": [0.0, 1.0], "margin": [0.0, 0.4]})


def changes_of(stats, types):
    rng = np.random.default_rng(6)
    counts = np.minimum(stats.shard_counts + rng.integers(0, 4, stats.shard_counts.shape), 30)
    after = ActivationStats(counts, stats.shard_tokens, stats.languages)
    tables = [
        comparison.compare(types, stats, after, null, splits=4).table().assign(thresholds=name)
        for name, null in (("kept", after), ("solved", ()))
    ]
    return pd.concat(tables, ignore_index=True).assign(model="aligned", group="others")


def moves(types):
    one = comparison.transitions(types, types)
    return pd.concat([one.assign(model=name, thresholds="kept") for name in ("aligned", "control")], ignore_index=True)


def measures_table():
    rng = np.random.default_rng(7)
    before, after, other = (
        answers.Measured(("en", "de"), rng.random((2, 5)), np.ones((2, 5)), tuple("abcde")) for _ in range(3)
    )
    found = [answers.measure_changes(before, after, null) for null in ((), other)]
    return pd.concat(
        [t.assign(measure=name, model="m") for t, name in zip(found, "ab", strict=True)], ignore_index=True
    )


def sizes_table():
    rows = [
        (c, kind, 4.0, 2.0, 6.0, when)
        for when in ("before", "after")
        for c in ("en", "de")
        for kind in ("specific", "related")
    ]
    return pd.DataFrame(rows, columns=["place", "kind", "neurons", "low", "high", "when"])


def values(chart):
    return pd.DataFrame([row for rows in chart.to_dict()["datasets"].values() for row in rows])


def leaves(chart):
    if "layer" not in chart:
        return [chart]
    return [leaf for layer in chart["layer"] for leaf in leaves(layer)]


def test_changes_are_filled_only_where_they_are_told_apart(stats, types):
    table = changes_of(stats, types).query("what == 'layer'")
    chart = charts.layer_changes(table).to_dict()
    shown = values(charts.layer_changes(table))
    assert len(shown) == len(table) and shown["change"].tolist() == table["change"].tolist()
    assert set(shown["verdict"]) == set(table["verdict"].fillna("not known"))
    points = next(layer for layer in leaves(chart["spec"]) if layer["mark"]["type"] == "point")
    condition = points["encoding"]["fillOpacity"]["condition"]
    assert condition["test"] == "datum.verdict == 'more' || datum.verdict == 'less'" and condition["value"] == 1
    assert points["encoding"]["fillOpacity"]["value"] == 0


def test_trainings_stand_beside_each_other_at_a_glance():
    row = {"what": "all", "place": "", "before": 200.0, "change": -4.0, "low": -6.0, "high": -2.0}
    row |= {"null": 2.0, "null_low": 0.0, "null_high": 4.0, "verdict": "less", "thresholds": "kept", "kind": "specific"}
    names = ("aligned on zh", "zh, step 8", "aligned on zh, less chosen only", "zh, chosen only")
    rows = [row | {"model": name, "change": -4.0 - place} for place, name in enumerate(names)]
    rows += [rows[0] | {"thresholds": "solved"}, rows[0] | {"kind": "related", "before": 0.0}]
    shown = values(charts.alignment_at_a_glance(pd.DataFrame(rows))).dropna(subset="who").set_index("who")
    assert shown["change"].to_dict() == {
        "preferences": -2,
        "chosen answers only": -3.5,
        "shuffled (control)": 1,
    }
    assert shown.loc["shuffled (control)", ["low", "high"]].tolist() == [0, 2] and set(shown["of"]) == {"specific"}
    means = [rows[0] | {"what": "mean", "place": "mean of others", "null": float("nan")}]
    shown = values(charts.alignment_at_a_glance(pd.DataFrame(means))).dropna(subset="who")
    assert shown["of"].tolist() == ["specific, others"] and shown["who"].tolist() == ["preferences"]


def test_the_flow_moves_every_neuron_that_has_a_type(types):
    after = classify_other(types)
    table = comparison.transitions(types, after).assign(model="m", thresholds="kept")
    every = values(charts.transitions(table))
    bands = every[every["at"].notna()]
    typed = table[(table["before"] != "unclassified") | (table["after"] != "unclassified")]
    for end in (0, 1):
        edge = bands[bands["at"] == end].sort_values("low")
        assert edge["low"].tolist() == pytest.approx([0, *edge["high"].tolist()[:-1]]), "bands touch and do not overlap"
        assert edge["high"].iloc[-1] == typed["neurons"].sum()
        assert ((edge["high"] - edge["low"]).round(6) == edge["neurons"]).all()


def classify_other(types):
    """Types of which some have moved on by one neuron."""
    from dataclasses import replace

    return replace(types, selected=np.roll(types.selected, 1, axis=1), active=np.roll(types.active, 2, axis=1))


def test_the_matrix_shows_one_set_and_measure_and_frames_what_is_told_apart():
    spec = charts.effects(effects_table()).to_dict()
    bound = {p["name"]: p for p in spec["params"] if "bind" in p}
    assert bound["set_"]["bind"]["options"] == ["specific", "specific + related"]
    assert bound["set_"]["value"] == "specific + related"
    assert bound["measure_"]["bind"]["options"] == ["change in log-perplexity", "change in accuracy"]
    rows = next(iter(spec["datasets"].values()))
    assert len(rows) == 16 and {row["verdict"] for row in rows} == {"more", "not told apart", "less", "not known"}
    assert next(row["effect"] for row in rows if (row["removed"], row["language"]) == ("de", "en")) is None
    frame = spec["layer"][0]["encoding"]["stroke"]["condition"]
    assert frame["test"] == "datum.verdict == 'more' || datum.verdict == 'less'"


def test_contrasts_show_every_language_and_their_mean():
    """No language is drowned: each has its own points, and what is not told apart is not filled."""
    spec = charts.contrasts(nulls_table()).to_dict()
    left, right = spec["hconcat"]
    rows = values(charts.contrasts(nulls_table())).dropna(subset="language")
    assert set(rows["language"]) == {"bn", "en", "all languages"}
    assert set(rows["what"]) == {
        *("its own neurons", "random, as often active", "the other languages' neurons"),
        *("own less random", "own less the others'"),
    }
    for panel in (left, right):
        hollow, filled = panel["layer"][2:]
        assert hollow["encoding"]["y"]["sort"] == filled["encoding"]["y"]["sort"] == ["bn", "en", "all languages"]
        apart = "datum.verdict == 'more' || datum.verdict == 'less'"
        assert apart in filled["encoding"]["opacity"]["condition"]["test"] and filled["mark"]["filled"]
    assert [p["value"] for p in spec["params"] if "bind" in p] == ["specific + related"]
    none = nulls_table().assign(low=np.nan, high=np.nan, verdict=None)
    assert "NaN" not in drawn(charts.contrasts(none).to_dict())


def drawn(spec, measure=None):
    """The picture, as SVG, with a measure chosen."""
    params = [p | ({"value": measure} if measure and p["name"] == "measure_" else {}) for p in spec["params"]]
    return vl_convert.vegalite_to_svg(spec | {"params": params, "width": 600})


def test_the_chosen_measure_has_its_unit():
    table = measures_table().replace({"measure": {"a": "change in log-perplexity", "b": "change in accuracy"}})
    units = {"change in log-perplexity": "nats per token", "change in accuracy": "share of questions"}
    for spec in (charts.effects(effects_table()).to_dict(), charts.measure_changes(table).to_dict()):
        for measure, unit in units.items():
            shown = drawn(spec, measure)
            assert f">{measure} ({unit})</text>" in shown
            assert not any(other in shown for other in units.values() if other != unit)
    assert "a share" not in drawn(spec)


def grey_bars(shown):
    """Paths in the colour of random neurons that are filled and framed, by their opacity."""
    found = re.findall(r'<path [^>]*fill="#8a8a8a"[^>]*stroke="#8a8a8a" stroke-width="4"[^>]*>', shown)
    opacity = [re.search(r' opacity="([\d.]+)"', bar) for bar in found]
    return [float(one[1]) if one else 1.0 for one in opacity]


def test_equal_draws_are_seen_and_missing_ones_are_not():
    changed = measures_table()
    twice = drawn(charts.measure_changes(changed.assign(null_low=0.1, null_high=0.1)).to_dict())
    assert grey_bars(twice) == [0.3] * 3
    assert set(grey_bars(drawn(charts.measure_changes(changed).to_dict()))) <= {0.0}


def test_no_scale_rests_on_numbers_that_are_all_missing(stats, types):
    """Such a scale has no end, and the browser says so."""
    missing = {"random_low", "random_high", "null_low", "null_high", "null", "low", "high", "effect", "change"}
    shown = figures(stats, types)
    for name in ("effects", "layer_changes", "shared_changes", "language_changes", "measure_changes"):
        spec = shown[name].to_dict()
        parts = [leaf for part in spec.get("vconcat", [spec.get("spec", spec)]) for leaf in leaves(part)]
        fields = {e.get("field") for p in parts for c in ("x", "x2", "y", "y2") if (e := p["encoding"].get(c, {}))}
        assert not fields & missing, name


def test_doses_show_all_languages_first_with_intervals():
    spec = charts.doses(doses_table()).to_dict()
    (pick,) = [p for p in spec["params"] if "bind" in p]
    assert pick["bind"]["options"] == ["all languages", "en", "de"] and pick["value"] == "all languages"
    rows = next(iter(spec["datasets"].values()))
    assert {row["order"] for row in rows} == {"lowest score first", "the same set, shuffled", "random, as often active"}


def test_what_was_not_measured_is_not_drawn():
    table = doses_table()
    empty = table["language"] == "de"
    table = table.assign(effect=table["effect"].mask(empty), neurons=table["neurons"].mask(empty, 0))
    spec = charts.doses(table).to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert {row["language"] for row in rows} == {"all languages", "en"} and all(row["neurons"] for row in rows)
    ground = charts.effects(effects_table()).to_dict()["layer"][0]["encoding"]["color"]
    assert ground["value"] == "#ffffff" and ground["condition"]["test"] == "isValid(datum.effect)"


def test_outcomes_show_every_share_and_their_mean():
    spec = charts.outcomes(outputs_table()).to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert len(rows) == (2 + 1) * 2 * 2 * 2 * 5, "the model as it is stands at 0 beside both"
    means = [r for r in rows if r["target"] == "mean of all" and r["output"] == "target"]
    assert {r["share"] for r in means} == {0.5}


def test_what_was_steered_stands_beside_random_neurons():
    spec = charts.steered(contrasts_table()).to_dict()
    rows = next(iter(spec["datasets"].values()))
    assert len(rows) == 2 * 2 * 2 and {r["verdict"] for r in rows} == {"more", "not known"}
    assert {(r["neurons"], r["share"]) for r in rows} == {
        ("its own neurons", 0.5),
        ("matched random neurons", 0.1),
    }
    none = contrasts_table().assign(random=float("nan"), random_low=float("nan"), random_high=float("nan"))
    assert charts.steered(none).to_dict()


def test_every_figure_is_valid_described_and_titled(stats, types):
    for name, chart in figures(stats, types).items():
        spec = chart.to_dict()  # validates against the schema
        assert spec["description"], name
        assert spec["title"]["text"], name
        assert spec["config"]["background"] == "transparent", name


def test_accuracy_shows_one_level_at_a_time_and_never_the_sum(stats, types):
    spec = figures(stats, types)["solved"].to_dict()
    (pick,) = [p for p in spec["params"] if "bind" in p]
    assert pick["bind"]["options"] == ["level 1", "level 2"] and pick["value"]
    rows = next(iter(spec["datasets"].values()))
    assert {row["group"] for row in rows} == {"level 1", "level 2"}
    assert "params" not in figures(stats, types)["solved, one group"].to_dict()


def test_colours_are_told_apart_without_colour_vision():
    """Simulated by the matrices of Machado et al. (2009) at full severity, in linear RGB."""
    matrices = {
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
    }

    def linear(color):
        value = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)

    def lab(rgb):
        xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
        f = np.cbrt(xyz / [0.9505, 1, 1.089])
        return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])

    kinds = {kind: linear(color) for kind, color in charts.KIND_COLORS.items()}
    languages = {code: linear(color) for code, color in charts.LANGUAGE_COLORS.items()}
    typed = [rgb for kind, rgb in kinds.items() if kind != "unclassified"]
    for matrix in [np.eye(3), *map(np.array, matrices.values())]:
        for colours, least in ((typed, 30), (languages.values(), 20)):  # ten cannot be as far apart as three
            seen = [lab(matrix @ rgb) for rgb in colours]
            assert min(np.linalg.norm(a - b) for i, a in enumerate(seen) for b in seen[:i]) > least
    for rgb in [*kinds.values(), *languages.values()]:  # visible on white and on near-black: contrast of 3 at least
        luminance = np.array([0.2126, 0.7152, 0.0722]) @ rgb
        assert 1.05 / (luminance + 0.05) > 3 and (luminance + 0.05) / (0.006 + 0.05) > 3


def test_neuron_chart_has_the_counts(stats, types):
    data = next(iter(charts.neuron(stats, types, 2, 7).to_dict()["datasets"].values()))
    rows = data if "active" in data[0] else list(charts.neuron(stats, types, 2, 7).to_dict()["datasets"].values())[1]
    assert [row["active"] for row in rows] == stats.counts[2, 7].tolist()
    low, high = probability_intervals(stats, 2, 7)
    assert [row["low"] for row in rows] == low.tolist() and [row["high"] for row in rows] == high.tolist()


def test_a_click_on_a_neuron_s_bars_opens_the_browser(stats, types):
    chart = charts.neuron(stats, types, 2, 7, browser="there.html").to_dict()
    rows = next(rows for rows in chart["datasets"].values() if "address" in rows[0])
    assert {row["address"] for row in rows} == {"there.html#layer=2&neuron=7"}
    assert [layer["encoding"].get("href", {}).get("field") for layer in chart["layer"]].count("address") == 1
    plain = charts.neuron(stats, types, 2, 7).to_dict()
    assert not any("href" in layer["encoding"] for layer in plain["layer"])


def test_page_and_notebook_get_the_same_chart(types):
    bundle = charts.theme.embed(charts.layers(layer_profile(types)).to_dict())
    assert set(bundle) == {"application/vnd.vegalite.v6+json", "text/html"}
    inside = bundle["text/html"].split('<script type="application/json">')[1].removesuffix("</script>")
    assert json.loads(inside) == bundle["application/vnd.vegalite.v6+json"]
    rest = bundle["text/html"].replace("https://vega.github.io/schema", "").replace("http://www.w3.org/", "")
    assert "http" not in rest
    assert "<svg" in bundle["text/html"] and "neurons per layer" in bundle["text/html"].split("</svg>")[0]
    evil = alt.Chart(pd.DataFrame({"x": [1]}), title="</script><script>alert(1)</script>").mark_point().to_dict()
    assert charts.theme.embed(evil)["text/html"].count("</script>") == 1


def test_languages_keep_their_colours():
    some = charts.theme.language_scale(["vi", "zh", "ar"]).to_dict()
    assert some["domain"] == ["vi", "zh", "ar"]
    assert some["range"][1] == charts.LANGUAGE_COLORS["zh"] and len(set(some["range"])) == 3
    many = charts.theme.language_scale([f"x{i}" for i in range(25)]).to_dict()
    assert len(many["range"]) == 25 and set(many["range"]) == set(charts.LANGUAGE_COLORS.values())


def test_every_specific_neuron_is_a_point_and_some_have_crosses(stats, types):
    table = specificity(stats, types, splits=2)
    own = table[table["kind"] == "specific"]
    place = tuple(own.iloc[0, :2])
    spec = charts.first_and_second(table, types.tau, {"typical": place}, browser="there.html").to_dict()
    rows = max(spec["datasets"].values(), key=len)
    assert len(rows) == len(own) and {row["second_p"] <= round(types.tau, 4) for row in rows} == {True}
    assert rows[0]["address"] == f"there.html#layer={place[0]}&neuron={place[1]}"
    named = [row for part in spec["datasets"].values() for row in part if "name" in row]
    assert [(row["layer"], row["neuron"], row["name"]) for row in named] == [(*place, "typical")]
