"""Which models, halves and languages the chapters compare."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neuroglot import Example
from neuroglot.alignment import comparison, overview, variants
from neuroglot.model.likelihood import Losses

from .conftest import counts


@pytest.fixture
def models(before, types, changed):
    """Two choices, each with two seeds, a checkpoint and a control."""
    plan = variants.trained("m", ["zh", "sw,de"], [0, 1], "x", steps=[8])
    found = {one.name: before if one.control else changed for one in plan}
    return overview.Models(types, before, tuple(plan), found)


def test_which_models_there_are(models, before, changed):
    assert [one.name for one in models.leads.values()] == ["aligned on sw de, seed 0", "aligned on zh, seed 0"]
    assert [one.name for one in models.controls.values()] == ["zh, shuffled", "sw de, shuffled"]
    assert models.seeds == 2 and models.modes == comparison.fitting(models.types, before, changed)
    alone = replace(models, plan=models.plan[:1])
    assert alone.seeds == 1 and alone.controls == {} and list(alone.leads) == [("zh",)]


def test_a_finished_model_has_its_seeds_and_its_control(models, before, types, changed):
    lead = models.leads[("zh",)]
    ours = models.change(lead, "kept", 3, 0).table()
    wanted = comparison.compare(types, before, [changed, changed], before, thresholds="kept", draws=3, splits=3).table()
    pd.testing.assert_frame_equal(ours, wanted)
    step = models.change(next(one for one in models.plan if one.step), "kept", 3, 0)
    assert step.null is None and len(step.seeds) == 1


def test_counts_of_a_plan_are_read(types, before, changed, tmp_path):
    (one,) = variants.given("m", str(tmp_path), after="a")
    (tmp_path / "a").mkdir()
    changed.save(one.file("stats"))
    found = overview.Models.load(types, before, [one])
    assert list(found.counts) == ["a"] and (found.counts["a"].counts == changed.counts).all()


def test_languages_change(models):
    table = overview.language_changes(models, "en", draws=3)
    assert set(table["model"]) == {"aligned on zh", "aligned on sw de"} and set(table["thresholds"]) == set(
        models.modes
    )
    first = table[(table["model"] == "aligned on zh") & (table["thresholds"] == "kept")]
    assert list(first["place"][:4]) == ["mean of trained"] * 2 + ["mean of others"] * 2
    groups = first.drop_duplicates("place").set_index("place")["group"].to_dict()
    assert groups == {
        **{"mean of trained": "trained on", "mean of others": "others", "en": "pivot"},
        **{"zh": "trained on", "de": "others", "sw": "others"},
    }
    after = first.set_index(["place", "kind"])["after"]
    assert after["mean of others", "specific"] == (after["de", "specific"] + after["sw", "specific"]) / 2
    assert after["mean of trained", "related"] == after["zh", "related"]
    shown = overview.readable_means(table)
    assert list(shown)[:3] == ["model", "thresholds", "languages"] and set(shown["languages"]) == {"trained", "others"}


def test_of_a_model_aligned_elsewhere_all_languages_are_looked_at(types, before, changed):
    plan = variants.given("m", "x", after="a", checkpoints=["b"])
    models = overview.Models(types, before, tuple(plan), {"a": changed, "b": before})
    table = overview.language_changes(models, "en", draws=2)
    means = table[table["what"] == "mean"]
    assert set(means["place"]) == {"mean of all"} and set(table["model"]) == {"a"}


def answers(column, values, codes=("en", "de", "zh", "sw")):
    rows = [(code, str(i), value) for code in codes for i, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["language", "document", column])


def test_answers_change(models):
    graded = {one.name: answers("correct", [1.0, 1.0]) for one in models.plan if one.step is None}
    graded = {"before": answers("correct", [1.0, 0.0])} | graded
    scores = {name: answers("score", [-1.0, -2.0], ("de", "zh", "sw")) for name in graded}
    table = overview.answer_changes(models, graded, scores, "en")
    assert set(table["measure"]) == {"change in accuracy", "change in alignment score"}
    rows = table.set_index(["model", "measure", "language"])
    of = "aligned on sw de, seed 0", "change in accuracy"
    assert rows.loc[(*of, "mean of others"), "change"] == 0.5 and rows.loc[(*of, "mean of trained"), "null"] == 0.5
    assert rows.loc[(*of, "en"), "before"] == 0.5
    scored = table[table["measure"] == "change in alignment score"]
    assert "en" not in set(scored["language"]) and (scored["change"] == 0).all()
    assert set(overview.answer_changes(models, graded, {}, "en")["measure"]) == {"change in accuracy"}
    silent = scores | {"before": scores["before"][:0]}
    assert set(overview.answer_changes(models, graded, silent, "en")["measure"]) == {"change in accuracy"}


def test_without_other_answers_nothing_changes(models):
    assert overview.answer_changes(models, {"before": answers("correct", [1.0])}, {}, "en") is None
    assert overview.answer_changes(models, {}, {}, "en") is None


def test_accuracies_beside_the_papers():
    paper = overview.beside_paper_accuracies(None)
    assert list(paper.index) == ["paper, base", "paper, zh, de => en", "paper, sw, th => en"]
    assert round(paper.loc["paper, base", "mean"], 2) == 57.8 and paper.loc["paper, sw, th => en", "sw"] == 59.2
    rows = [{"language": "de", "before": 0.25, "after": 0.5}, {"language": "xx", "before": 1.0, "after": 1.0}]
    done = pd.DataFrame(rows).assign(measure="change in accuracy", model="m")
    both = overview.beside_paper_accuracies(done)
    assert list(both.index[3:]) == ["here, before", "here, m"]
    assert both.loc["here, m", "de"] == 50 and both.loc["here, before", "de"] == 25
    assert np.isnan(both.loc["here, m", "mean"]) and "xx" not in both


def test_neurons_change_in_finished_models_and_checkpoints(models):
    table = overview.neuron_changes(models, draws=2)
    assert list(dict.fromkeys(table["model"])) == ["aligned on zh", "zh, step 8", "aligned on sw de", "sw de, step 8"]
    assert list(dict.fromkeys(table["thresholds"])) == models.modes
    mine = table[(table["model"] == "zh, step 8") & (table["thresholds"] == "kept")]
    step = next(one for one in models.plan if one.step)
    wanted = models.change(step, "kept", 2, 0).table()
    pd.testing.assert_frame_equal(mine[list(wanted)].reset_index(drop=True), wanted)
    shown = overview.readable_totals(table)
    assert list(shown)[:3] == ["model", "thresholds", "kind"] and len(shown) == 3 * 4 * len(models.modes)


def test_shared_neurons_beside_the_papers(models):
    table = overview.neuron_changes(models, draws=2)
    four = overview.shared_beside_paper(table, 4)
    assert list(four) == [f"{when} ({mode})" for mode in models.modes for when in ("before", "after")]
    assert list(four.index) == [1, 2, 3, 4]
    first = table[(table["what"] == "shared by") & (table["kind"] == "all") & (table["model"] == "aligned on zh")]
    assert list(four["after (kept)"]) == list(first.loc[first["thresholds"] == "kept", "after"])
    rows = [
        {
            "what": "shared by",
            "kind": "all",
            "place": n,
            "before": 1.0,
            "after": 2.0,
            "model": "m",
            "thresholds": "kept",
        }
        for n in range(1, 11)
    ]
    ten = overview.shared_beside_paper(pd.DataFrame(rows), 10)
    assert list(ten) == ["before (kept)", "after (kept)", "paper, before", "paper, after"]
    assert ten.loc[10, "paper, after"] == 17774 and ten.index.name == "N"


def test_types_move_in_every_model_but_checkpoints(models, types, before, changed):
    table = overview.moves(models)
    names = [one.name for one in models.plan if one.step is None]
    assert list(dict.fromkeys(table["model"])) == [*names, "unchanged, other half"]
    mine = table[(table["model"] == names[0]) & (table["thresholds"] == "kept")]
    wanted = comparison.transitions(
        comparison.classified(types, before, "kept"), comparison.classified(types, changed, "kept")
    )
    assert list(mine["neurons"]) == list(wanted["neurons"])
    control = table[(table["model"] == "zh, shuffled") & (table["thresholds"] == "kept")]
    assert (control.loc[control["before"] != control["after"], "neurons"] == 0).all(), "it has the same counts"
    alone = replace(models, before=counts(before.probabilities(), shards=1))
    assert "unchanged, other half" not in set(overview.moves(alone)["model"])


def losses(path, nll, text="x"):
    """Of two languages and three documents of ten tokens each."""
    path.parent.mkdir(exist_ok=True)
    tokens = np.full((2, 3), 10)
    nll = np.broadcast_to(np.array(nll, dtype=float), (1, 2, 3)).copy()
    Losses(("as it is",), ("en", "zh"), ("a", "b", "c"), nll, tokens, {"input_sha256": text}).save(path)
    return str(path)


def said(right):
    """An answer in English to each of three questions, right or not."""
    return [
        Example(i, "en", "?", f"The answer is surely {7 if ok else 8}.", "7")
        for i, ok in zip("abc", right, strict=True)
    ]


@pytest.fixture
def measured(tmp_path):
    """Ten nats less for a document after training, five in the control."""
    plan = variants.trained("m", ["zh"], [0], str(tmp_path), steps=[8])
    for one in plan:
        if one.step is None:
            losses(tmp_path / one.file("losses"), [[25, 26, 24]] if one.control else [[20, 19, 21]])
    return plan, losses(tmp_path / "before.safetensors", 30)


def test_what_models_do_changes(measured):
    plan, before = measured
    table, left_out = overview.model_changes(plan, before, {})
    assert left_out == [] and set(table["measure"]) == {"change in log-perplexity"}
    assert set(table["model"]) == {"aligned on zh"}
    row = table.set_index("language").loc["mean of trained"]
    assert row["change"] == pytest.approx(-1) and row["null"] == pytest.approx(-0.5)
    assert row["verdict"] == "beyond noise"
    shown = overview.readable_measures(table)
    assert list(shown)[:3] == ["model", "measure", "languages"] and set(shown["measure"]) == {"log-perplexity"}
    assert list(shown["languages"]) == ["mean of all", "mean of trained"]


def test_answers_are_compared_where_there_are_any(measured):
    plan, before = measured
    answered = {"before": said([0, 0, 1]), "aligned on zh": said([1, 0, 1]), "zh, shuffled": said([0, 0, 1])}
    table, _ = overview.model_changes(plan, before, answered)
    rows = table.set_index(["measure", "language"])
    assert rows.loc[("change in accuracy", "mean of all"), "change"] == pytest.approx(1 / 3)
    assert rows.loc[("change in accuracy", "mean of all"), "null"] == 0
    assert ("change in accuracy", "mean of trained") not in rows.index, "no language trained on was asked"


def test_losses_of_other_tokens_are_left_out(measured, tmp_path):
    plan, _ = measured
    before = losses(tmp_path / "other.safetensors", 30, text="y")
    answered = {one.name: said([0, 0, 1]) for one in plan} | {"before": said([0, 0, 1])}
    table, left_out = overview.model_changes(plan, before, answered)
    assert left_out == [("aligned on zh", "change in log-perplexity")]
    assert set(table["measure"]) == {"change in accuracy", "change in language fidelity"}
