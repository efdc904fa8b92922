"""Which models, halves and languages the chapters compare."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from neuroglot import Example, NeuroglotError
from neuroglot.alignment import comparison, overview, variants
from neuroglot.effects.choices import RESULT, Choices
from neuroglot.model.likelihood import Losses

from .conftest import counts


@pytest.fixture
def models(before, types, changed):
    """Two choices, each with two seeds, and with a checkpoint, controls of both, and chosen answers only."""
    plan = variants.trained("m", ["zh", "sw,de"], [0, 1], "x", chosen_only=True, steps=[8])
    kinds = {"trained": changed, "shuffled": before, "chosen": counts(changed.probabilities(), seed=5)}
    found = {one.name: kinds[one.kind] for one in plan}
    return overview.Models(types, before, tuple(plan), found)


def test_which_models_there_are(models, before, changed):
    assert [one.name for one in models.leads.values()] == ["aligned on sw de, seed 0", "aligned on zh, seed 0"]
    assert models.trainings == 2 and models.modes == comparison.fitting(models.types, before, changed)
    alone = replace(models, plan=models.plan[:1])
    assert alone.trainings == 1 and list(alone.leads) == [("zh",)]
    without = replace(models, plan=tuple(one for one in models.plan if one.kind == "trained"))
    assert without.trainings == 2
    fewer = replace(models, plan=tuple(one for one in models.plan if one.kind == "trained" or one.seed == 0))
    assert fewer.trainings == 1, "of two trainings with one control"


def test_every_model_has_its_seeds_and_controls_beside_it(models, before, types, changed):
    for step, n in ((None, 2), (8, 1)):
        wanted = comparison.compare(types, before, [changed] * n, [before] * n, splits=3).table()
        one = next(each for each in models.plan if each.step == step)
        ours = models.change(one, "kept", "shuffled", splits=3, seed=0).table()
        pd.testing.assert_frame_equal(ours, wanted)


def test_counts_of_a_plan_are_read(types, before, changed, tmp_path):
    (one,) = variants.given("m", str(tmp_path), after="a")
    (tmp_path / "a").mkdir()
    changed.save(one.file("stats"))
    found = overview.Models.load(types, before, [one])
    assert list(found.counts) == ["a"] and (found.counts["a"].counts == changed.counts).all()


def test_languages_change(models):
    table = overview.language_changes(models, "en", splits=3)
    assert set(table["model"]) == {
        *("aligned on zh", "aligned on zh, less chosen only", "zh, chosen only"),
        *("aligned on sw de", "aligned on sw de, less chosen only", "sw de, chosen only"),
    }
    assert set(table["thresholds"]) == set(models.modes)
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
    table = overview.language_changes(models, "en", splits=2)
    means = table[table["what"] == "mean"]
    assert set(means["place"]) == {"mean of all"} and set(table["model"]) == {"a"}


def test_neurons_change_in_all_that_is_compared(models):
    table = overview.neuron_changes(models, splits=2)
    compared = [name for name, *_ in variants.comparisons(models.plan)]
    assert list(dict.fromkeys(table["model"])) == compared and len(compared) == 8
    assert list(dict.fromkeys(table["thresholds"])) == models.modes
    mine = table[(table["model"] == "aligned on zh, less chosen only") & (table["thresholds"] == "kept")]
    wanted = models.change(models.plan[0], "kept", "chosen", splits=2, seed=0).table()
    pd.testing.assert_frame_equal(mine[list(wanted)].reset_index(drop=True), wanted)
    shown = overview.readable_totals(table)
    assert list(shown)[:3] == ["model", "thresholds", "kind"] and len(shown) == 3 * 8 * len(models.modes)


def test_shared_neurons_beside_the_papers(models):
    table = overview.neuron_changes(models, splits=2)
    four = overview.shared_beside_paper(table, 4)
    assert list(four) == ["change", "low", "high", "control"] and list(four.index) == [1, 2, 3, 4]
    first = table[(table["what"] == "shared by") & (table["kind"] == "all") & (table["model"] == "aligned on zh")]
    kept = first[first["thresholds"] == "kept"]
    np.testing.assert_array_equal(four["change"], kept["change"] / kept["before"])
    row = {"what": "shared by", "kind": "all", "before": 100.0, "change": -5.0, "low": -7.0, "high": -3.0, "null": 1.0}
    rows = [row | {"place": n, "model": "m", "thresholds": "kept"} for n in range(1, 11)]
    ten = overview.shared_beside_paper(pd.DataFrame(rows), 10)
    assert ten.loc[1, ["change", "low", "high", "control"]].tolist() == [-0.05, -0.07, -0.03, 0.01]
    assert ten.loc[1, "paper"] == pytest.approx(-0.0483, abs=1e-4) and ten.loc[10, "paper"] == pytest.approx(
        971 / 16803
    )


def test_types_move_in_every_model_but_checkpoints(models, types, before, changed):
    table = overview.moves(models)
    names = [one.name for one in models.plan if one.step is None]
    assert list(dict.fromkeys(table["model"])) == [*names, "unchanged, other half"]
    mine = table[(table["model"] == names[0]) & (table["thresholds"] == "kept")]
    wanted = comparison.transitions(
        comparison.classified(types, before, "kept"), comparison.classified(types, changed, "kept")
    )
    assert list(mine["neurons"]) == list(wanted["neurons"])
    control = table[(table["model"] == "zh, shuffled, seed 0") & (table["thresholds"] == "kept")]
    assert (control.loc[control["before"] != control["after"], "neurons"] == 0).all(), "it has the same counts"
    alone = replace(models, before=counts(before.probabilities(), shards=1))
    assert "unchanged, other half" not in set(overview.moves(alone)["model"])


TEXTS = {"en": "The answer is surely {}.", "de": "Die Antwort ist sicher {}.", "zh": "答案一定是{}。"}


def said(right):
    """An answer in each of three languages to each of four questions of as many wordings, right or not."""
    texts = [(code, str(i), TEXTS[code].format(7 if ok else 8)) for code in TEXTS for i, ok in enumerate(right)]
    return [Example(i, code, "?", text, "7", cluster=f"w{i}") for code, i, text in texts]


def losses(one, nll, artifact="losses", text="x"):
    """Of three languages and four wordings of ten tokens each."""
    Path(one.folder).mkdir(exist_ok=True)
    shape = (1, 3, 4)
    nll = np.broadcast_to(np.array(nll, dtype=float), shape).copy()
    units, tokens = ("a", "b", "c", "d"), np.full(shape[1:], 10)
    Losses(("as it is",), tuple(TEXTS), units, nll, tokens, {"input_sha256": text}).save(one.file(artifact))


def choices(one, margin):
    """Two questions of each wording."""
    shape = (1, 1, 3, 4)
    margin = np.broadcast_to(np.array(margin, dtype=float), shape).copy()
    questions = np.full((1, 3, 4), 2)
    Choices((RESULT,), ("as it is",), tuple(TEXTS), ("a", "b", "c", "d"), margin, margin * 0, questions).save(
        one.file("number_choices")
    )


@pytest.fixture
def measured(tmp_path):
    """Ten nats less for a document after training, five in the control."""
    plan = variants.trained("m", ["zh"], [0], str(tmp_path), steps=[8])
    own = variants.before(plan)
    assert own.folder == str(tmp_path / "before")
    for one in (own, *plan):
        if one.step is None:
            nll = {"before": 30, "zh, shuffled": [[25, 26, 24, 25]]}.get(one.name, [[20, 19, 21, 20]])
            losses(one, nll)
            losses(one, 40, "translation_losses", "translated")
            choices(one, {"before": 4, "zh, shuffled": [5, 4, 4, 4.5]}.get(one.name, [9, 8, 8, 8.5]))
    return plan


def test_what_models_do_changes(measured):
    table, left_out = overview.model_changes(measured, {}, "en")
    assert left_out == [] and list(dict.fromkeys(table["measure"])) == [
        "change in log-perplexity",
        "change in margin of the right result",
        "change in margin of the right language",
    ]
    assert set(table["model"]) == {"aligned on zh"}
    rows = table.set_index(["measure", "language"])
    row = rows.loc[("change in log-perplexity", "mean of trained")]
    assert row["change"] == pytest.approx(-1) and row["null"] == pytest.approx(-0.5)
    assert row["verdict"] == "less" and row["contrast"] == pytest.approx(-0.5) and row["units"] == 4
    row = rows.loc[("change in margin of the right result", "de")]
    assert (row["before"], row["change"], row["null"]) == pytest.approx((2, 33.5 / 8 - 2, 17.5 / 8 - 2))
    assert row["verdict"] is None, "all wordings agree on what is less than the control's"
    row = rows.loc[("change in margin of the right language", "mean of others")]
    assert (row["before"], row["after"], row["null"]) == pytest.approx((10, 20, 5))
    means = ["mean of all", "mean of trained"]
    shown = overview.readable_measures(table, means)
    assert list(shown)[:3] == ["model", "measure", "languages"] and len(shown) == 6
    assert set(shown["languages"]) == {"all", "trained"} and "log-perplexity" in set(shown["measure"])


@pytest.mark.model  # of languages
def test_answers_are_compared_where_there_are_any(measured):
    answered = {"before": said([0, 0, 1, 1]), "aligned on zh": said([1, 0, 1, 1]), "zh, shuffled": said([0, 0, 1, 1])}
    rows = [(code, str(i), f"w{i}", -1.0 - i) for code in ("de", "zh") for i in range(4)]
    score = pd.DataFrame(rows, columns=["language", "document", "unit", "score"])
    scores = dict.fromkeys(answered, score) | {"aligned on zh": score.assign(score=score["score"] + 0.5)}
    table, left_out = overview.model_changes(measured, answered, "en", scores)
    rows = table.set_index(["measure", "language"])
    assert left_out == [] and rows.loc[("change in accuracy", "mean of all"), "change"] == pytest.approx(1 / 4)
    assert rows.loc[("change in accuracy", "mean of others"), "null"] == 0
    told = table[table["measure"] == "change in alignment score"]
    assert list(told["language"]) == ["de", "zh", "mean of all", "mean of trained", "mean of others"]
    assert told["change"].tolist() == pytest.approx([0.5] * 5)
    silent = scores | {"before": score[:0]}
    assert "change in alignment score" not in set(
        overview.model_changes(measured, answered, "en", silent)[0]["measure"]
    )
    some = {name: answered[name] for name in ("before", "zh, shuffled")}
    table, left_out = overview.model_changes(measured, some, "en")
    assert left_out == [("aligned on zh", f"change in {what}") for what in ("accuracy", "language fidelity")]


@pytest.mark.model  # of languages
def test_losses_of_other_tokens_are_left_out(measured):
    losses(variants.before(measured), 30, text="y")
    answered = {one.name: said([0, 0, 1, 1]) for one in measured} | {"before": said([0, 0, 1, 1])}
    table, left_out = overview.model_changes(measured, answered, "en")
    assert set(table["measure"]) == {"change in accuracy", "change in language fidelity"}
    of_losses = ("log-perplexity", "margin of the right result", "margin of the right language")
    assert left_out == [("aligned on zh", f"change in {what}") for what in of_losses]
    with pytest.raises(NeuroglotError, match="their tokenizers differ"):
        overview.model_changes(measured[:2], {}, "en")
