"""Effects, intervals and summaries against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from neuroglot import Corpus, Example, NeuroglotError
from neuroglot.base.uncertainty import bootstrap_weights, prediction_interval
from neuroglot.effects import matrix
from neuroglot.effects.matrix import MEASURES, of_answers, of_doses, of_losses, require_unseen
from neuroglot.effects.removals import AS_IT_IS, Removal
from neuroglot.model.likelihood import Losses
from neuroglot.model.loading import weights_hash

LANGUAGES = ("en", "de", "zh")
SOME = [np.array([1, 2]), np.array([], dtype=int)]


def removal(language, draw=0, order="score", **options):
    return Removal("specific", language, SOME, "random" if draw and order == "score" else order, draw, **options)


OWN = [removal(code) for code in LANGUAGES]
DRAWN = [removal(code, draw) for draw in (1, 2, 3) for code in LANGUAGES]


def made_losses(names, seed, units=4):
    rng = np.random.default_rng(seed)
    tokens = rng.integers(5, 20, size=(3, units))
    base = rng.uniform(1, 2, size=(3, units))
    nll = np.stack([(base + (0 if name == AS_IT_IS else rng.uniform(-0.2, 1, size=(3, 1)))) * tokens for name in names])
    return Losses(tuple(names), LANGUAGES, tuple("abcdefgh"[:units]), nll, tokens)


@pytest.fixture
def found():
    return made_losses([AS_IT_IS, *(r.name for r in OWN)], 0)


@pytest.fixture
def random():
    return made_losses([*(r.name for r in DRAWN), AS_IT_IS], 1, units=2)


def ppl(losses, name, language, weights=None):
    row, k = losses.rows.index(name), LANGUAGES.index(language)
    w = np.ones(len(losses.units)) if weights is None else weights
    return (losses.nll[row, k] @ w) / (losses.tokens[k] @ w)


def test_cells_by_hand(found, random):
    table = of_losses(found, OWN + DRAWN, random, resamples=50, level=0.9, seed=3).table()
    assert len(table) == 9 * 2 and list(table["measure"].unique()) == list(MEASURES)[:2]
    weights = bootstrap_weights(4, 50, 3)
    for _, row in table.iterrows():
        own = next(r for r in OWN if r.language == row["removed"])
        before, after = (ppl(found, name, row["language"]) for name in (AS_IT_IS, own.name))
        base = ppl(random, AS_IT_IS, row["language"])
        drawn = [(ppl(random, r.name, row["language"]), base) for r in DRAWN if r.language == row["removed"]]
        names = own.name, AS_IT_IS
        replicates = [[ppl(found, name, row["language"], w) for name in names] for w in weights]

        def change(after, before, log=row["measure"] == "change in log-perplexity"):
            if log:
                return after - before
            delta = np.exp(after) - np.exp(before)
            return np.log(1 + delta) if delta >= 0 else -np.log(1 - delta)

        assert row["before"] == pytest.approx(before) and row["after"] == pytest.approx(after)
        assert row["effect"] == row["harm"] == pytest.approx(change(after, before))
        low, high = np.quantile([change(*pair) for pair in replicates], [0.05, 0.95])
        assert (row["low"], row["high"]) == (pytest.approx(low), pytest.approx(high))
        values = np.array([change(*pair) for pair in drawn])
        ends = prediction_interval(values, 0.9)
        assert row["random"] == pytest.approx(values.mean()) and row["draws"] == 3
        assert (row["random_low"], row["random_high"]) == (pytest.approx(ends[0]), pytest.approx(ends[1]))
        assert np.isnan(row["beside"]) and row["verdict"] is None, "the draws were measured on other text"
        assert row["neurons"] == 2 and row["size"] == found.tokens[LANGUAGES.index(row["language"])].sum()


def test_without_random_draws_there_is_no_verdict(found):
    table = of_losses(found, OWN, resamples=10).table()
    assert table["verdict"].isna().all() and table["random"].isna().all() and (table["draws"] == 0).all()


def cells(matrix, draws=()):
    """Losses whose changes in log-perplexity are this matrix, and those of draws."""
    names = [AS_IT_IS, *(r.name for r in OWN), *(r.name for r in DRAWN[: 3 * len(draws)])]
    changes = np.concatenate([np.zeros((1, 3)), np.array(matrix, dtype=float), *map(np.array, draws)])
    tokens = np.full((3, 1), 10)
    return Losses(tuple(names), LANGUAGES, ("a",), (1 + changes)[..., None] * tokens, tokens)


MATRIX = [[0.5, 0.1, 0.2], [0.3, 2.0, 0.4], [0.6, 3.0, 1.0]]  # en, de, zh removed; en, de, zh measured


def test_a_summary_takes_the_pivot_apart():
    draws = [np.full((3, 3), x) + np.eye(3) * y for x, y in ((0.0, 0.3), (0.1, 0.0), (0.2, 0.3))]
    found = cells(MATRIX, draws)
    summary = of_losses(found, OWN + DRAWN, resamples=20).summary("en")
    log = summary[summary["measure"] == "change in log-perplexity"].set_index("cells")
    means = {"own language": 1.5, "other languages": 1.7, "pivot, own": 0.5, "pivot removed, others": 0.15}
    means["others removed, pivot"] = 0.45
    assert log["effect"].to_dict() == pytest.approx(means)
    assert log["low"].isna().all() and log["high"].isna().all(), "one unit has nothing to resample"
    at_random = dict.fromkeys(means, 0.1) | {"own language": 0.3, "pivot, own": 0.3}
    assert log["random"].to_dict() == pytest.approx(at_random)
    low, high = prediction_interval(np.array([0.3, 0.1, 0.5]))
    own = log.loc["own language"]
    assert (own["random_low"], own["random_high"]) == (pytest.approx(low), pytest.approx(high))
    assert own["verdict"] == "more" and high < 1.5
    # Removing de harms de most; removing zh harms de more than zh. zh suffers most from its own, de does not.
    assert (own["rows"], own["own_largest"], own["own_worst"]) == (2, 1, 1)
    assert (own["random_largest"], own["random_worst"]) == (pytest.approx(4 / 3), pytest.approx(4 / 3))
    without = of_losses(found, OWN, resamples=20).summary(None)
    log = without[without["measure"] == "change in log-perplexity"].set_index("cells")
    assert list(log.index) == ["own language", "other languages"]
    assert log["effect"].tolist() == pytest.approx([3.5 / 3, (0.1 + 0.2 + 0.3 + 0.4 + 0.6 + 3.0) / 6])
    assert (log.loc["own language", "rows"], log.loc["own language", "own_largest"]) == (3, 2)


def test_a_removal_of_nothing_is_not_measured():
    """German has no neuron: its row is missing, not 0, and no mean has it."""
    nothing = [np.array([], dtype=int)] * 2
    own = [replace(r, neurons=nothing) if r.language == "de" else r for r in OWN]
    drawn = [replace(r, neurons=nothing) if r.language == "de" else r for r in DRAWN]
    draws = [np.full((3, 3), x) + np.eye(3) * y for x, y in ((0.0, 0.3), (0.1, 0.0), (0.2, 0.3))]
    found = cells(MATRIX, draws)
    measured = [name for name in found.rows if not name.startswith("de, ")]
    found = replace(found, rows=tuple(measured), nll=found.nll[[found.rows.index(name) for name in measured]])
    made = of_losses(found, own + drawn, resamples=20)
    table = made.table().set_index(["measure", "removed", "language"])
    for measure in list(MEASURES)[:2]:
        row = table.loc[(measure, "de")]
        assert (row["neurons"] == 0).all() and row["verdict"].isna().all() and (row["before"] == 1).all()
        missing = ["after", "effect", "low", "high", "harm", "random", "random_low", "random_high", "beside"]
        assert row[missing].isna().all(axis=None)
    log = made.summary(None)
    log = log[log["measure"] == "change in log-perplexity"].set_index("cells")
    own_row = log.loc["own language"]
    assert own_row["effect"] == pytest.approx((0.5 + 1.0) / 2) and own_row["random"] == pytest.approx(0.3)
    assert (own_row["rows"], own_row["own_largest"], own_row["own_worst"]) == (2, 1, 1)
    assert log.loc["other languages", "effect"] == pytest.approx((0.1 + 0.2 + 0.6 + 3.0) / 4)
    step = replace(own[1], dose=0.5)
    assert np.isnan(of_doses(found, [step])["effect"]).all()


def test_without_any_neuron_there_is_no_effect():
    own = [replace(r, neurons=[]) for r in OWN]
    tokens = np.full((3, 2), 10)
    made = of_losses(Losses((AS_IT_IS,), LANGUAGES, ("a", "b"), tokens[None] * 1.5, tokens), own, resamples=5)
    assert made.table()["effect"].isna().all() and made.table()["verdict"].isna().all()
    summary = made.summary("en")
    assert summary["effect"].isna().all() and summary["verdict"].isna().all() and (summary["rows"].dropna() == 0).all()


def test_what_was_not_measured_is_named(found):
    with pytest.raises(NeuroglotError, match="nothing was measured for 'en, specific, random 1'"):
        of_losses(found, [*OWN, *(removal(code, 1) for code in reversed(LANGUAGES))], resamples=5)


def test_a_verdict_knows_which_way_is_worse():
    draws = [np.full((3, 3), x) for x in (0.78, 0.8, 0.82)]
    table = (
        of_losses(cells(MATRIX, draws), OWN + DRAWN, resamples=5).table().set_index(["measure", "removed", "language"])
    )
    verdict = table["verdict"]["change in log-perplexity"]
    assert verdict["en", "de"] == verdict["en", "en"] == "less" and verdict["de", "de"] == verdict["zh", "zh"] == "more"
    draws = [np.full((3, 3), x) for x in (0.4, 0.6, 0.7)]
    table = (
        of_losses(cells(MATRIX, draws), OWN + DRAWN, resamples=5).table().set_index(["measure", "removed", "language"])
    )
    assert table["verdict"]["change in log-perplexity", "en", "en"] == "within"


def test_a_verdict_compares_on_the_text_of_the_draws():
    """Removal and draws do the same to every document; more documents than the draws saw change nothing."""
    change = np.array([0.1, 1.0, 1.0])
    names = [AS_IT_IS, *(r.name for r in OWN), *(r.name for r in DRAWN)]
    tokens = np.full((3, 3), 10)
    noise = np.array([0, 0, 0, 0, *np.repeat([-0.02, 0, 0.02], 3)])[:, None, None]
    nll = (1 + np.where(np.arange(13)[:, None, None] > 0, change + noise, 0)) * tokens
    whole = Losses(tuple(names), LANGUAGES, ("a", "b", "c"), nll, tokens)
    part = Losses(tuple(names), LANGUAGES, ("a",), nll[..., :1], tokens[:, :1])
    table = of_losses(whole, OWN + DRAWN, part, resamples=5).table()
    log = table[table["measure"] == "change in log-perplexity"]
    assert log["effect"].tolist() == pytest.approx([0.7] * 9) and log["beside"].tolist() == pytest.approx([0.1] * 9)
    assert set(log["verdict"]) == {"within"} and (log["random_high"] < 0.3).all()


def test_the_model_as_it_is(found):
    nothing = replace(OWN[2], neurons=[])
    table = matrix.unchanged(found, [*OWN[:2], nothing, *DRAWN, replace(OWN[0], set="specific + related")])
    assert list(table.index) == list(LANGUAGES) and table["specific"].tolist() == [2, 2, 0]
    assert table["specific + related"].dropna().to_dict() == {"en": 2}
    assert table["tokens scored"].tolist() == found.tokens.sum(axis=1).tolist()
    assert table["perplexity"].tolist() == pytest.approx([np.exp(ppl(found, AS_IT_IS, code)) for code in LANGUAGES])


def test_a_page_shows_changes_in_nats_by_set(found):
    summary = of_losses(found, OWN, resamples=5).summary("en")
    table = matrix.brief(matrix.in_nats(summary), "set")
    assert table.index.tolist()[:2] == [("specific", "own language"), ("specific", "other languages")]
    assert len(table) == 5 and "own worst" in table and "random_low" not in table
    assert set(matrix.in_nats(summary)["measure"]) == {"change in log-perplexity"}


def test_the_pivot_beside_the_others():
    def rows(measure, removed, **effects):
        row = {"measure": measure, "removed": removed, "low": 0.0, "high": 1.0, "random_low": 0.0, "random_high": 0.1}
        return [row | {"set": "specific + related", "language": k, "effect": v} for k, v in effects.items()]

    log, accuracy = "change in log-perplexity", "change in accuracy"
    losses = rows(log, "en", en=9, de=1, zh=2) + rows(log, "de", en=0.5, de=9, zh=3) + rows(log, "zh", en=0.25, de=5)
    losses += rows(log, "zh", fr=np.nan) + rows("log(1 + change in perplexity)", "en", de=7)
    losses += [losses[1] | {"set": "specific"}]
    tables = {"perplexity": pd.DataFrame(losses), "summary": pd.DataFrame([1])}
    others = matrix.on_others(tables)
    assert [tuple(row) for row in others[["removed", "language", "effect"]].to_numpy()] == [
        ("en", "de", 1), ("en", "zh", 2), ("de", "en", 0.5), ("de", "zh", 3), ("zh", "en", 0.25), ("zh", "de", 5)
    ]  # fmt: skip
    table = matrix.of_pivot(others, "en").set_index("language")
    assert table["effect"].to_dict() == {"de": 1, "zh": 2}
    assert table["removing another one"].to_dict() == {"de": 5, "zh": 3}
    assert matrix.of_pivot(others, "fr").empty
    answers = pd.DataFrame(rows(accuracy, "en", de=-0.5))
    both = matrix.of_pivot(matrix.on_others(tables | {"answers": answers}), "en")
    assert both["measure"].tolist() == [log, log, accuracy] and np.isnan(both["removing another one"].iloc[2])


def answer(intervention, language, document, response):
    return {
        "intervention": intervention, "id": document, "language": language, "prompt": "?", "answer": "12",
        "group": "", "cluster": "", "response": response,
    }  # fmt: skip


RIGHT = {"en": "Together they have 12 apples in the basket.", "de": "Zusammen haben sie 12 Äpfel in dem Korb."}
WRONG = {"en": "Together they have 13 apples in the basket.", "de": "Together they have 12 apples in the basket."}


def test_answers_by_hand():
    own = [removal(code) for code in ("en", "de")]
    drawn = [removal("de", 1), removal("en", 2)]
    questions = Corpus(
        "q", ("en", "de"), tuple(Example(i, code, "?", RIGHT[code], "12") for code in ("en", "de") for i in ("a", "b"))
    )
    right = {
        AS_IT_IS: {"en": "ab", "de": "ab"},
        own[0].name: {"en": "a", "de": "ab"},
        own[1].name: {"en": "ab", "de": ""},
        drawn[0].name: {"en": "ab", "de": "b"},
        drawn[1].name: {"en": "", "de": "ab"},
    }
    rows = [
        answer(name, code, document, (RIGHT if document in said[code] else WRONG)[code])
        for name, said in right.items()
        for code in ("en", "de")
        for document in "ab"
    ]
    made = of_answers(rows, questions, own + drawn, resamples=300)
    table = made.table().set_index(["measure", "removed", "language"])
    effect = table["effect"]["change in accuracy"]
    assert effect.to_dict() == {("en", "en"): -0.5, ("en", "de"): 0, ("de", "en"): 0, ("de", "de"): -1}
    assert table["harm"]["change in accuracy", "de", "de"] == 1 and table["size"]["change in accuracy", "en", "en"] == 2
    assert table["before"]["change in accuracy"].tolist() == [1] * 4
    assert (table["low"]["change in accuracy", "en", "en"], table["high"]["change in accuracy", "en", "en"]) == (-1, 0)
    # All random draws stand beside every row.
    assert table["random"]["change in accuracy"].to_dict() == {
        ("en", "en"): -0.5, ("en", "de"): -0.25, ("de", "en"): -0.5, ("de", "de"): -0.25
    }  # fmt: skip
    fidelity = table["effect"]["change in language fidelity"]
    assert fidelity["de", "de"] == -1 and fidelity["en", "en"] == 0 and fidelity["en", "de"] == 0
    assert table["low"]["change in language fidelity"].notna().all()
    summary = made.summary("en").set_index(["measure", "cells"])
    assert summary.loc[("change in accuracy", "own language"), "own_largest"] == 1
    with pytest.raises(NeuroglotError, match="nothing was measured for 'zh, specific'"):
        of_answers(rows, questions, [*own, removal("zh")])


def test_fidelity_is_compared_on_answers_with_letters_on_both_sides():
    """Before, one of two German answers is in English; the removal silences just that one and changes nothing else."""
    own = [removal(code) for code in ("en", "de")]
    empty = removal("de", 1)
    empty = replace(empty, neurons=[np.array([], dtype=int)])
    questions = Corpus(
        "q", ("en", "de"), tuple(Example(i, code, "?", RIGHT[code], "12") for code in ("en", "de") for i in ("a", "b"))
    )
    said = {name: {("en", d): RIGHT["en"] for d in "ab"} for name in (AS_IT_IS, own[0].name, own[1].name)}
    for name in said:
        said[name] |= {("de", "a"): RIGHT["de"], ("de", "b"): WRONG["de"]}
    said[own[1].name]["de", "b"] = "12"
    said[own[0].name]["de", "b"] = WRONG["de"] * 50  # an endless loop is one answer
    rows = [answer(name, *place, text) for name, texts in said.items() for place, text in texts.items()]
    table = (
        of_answers(rows, questions, [*own, empty], resamples=20).table().set_index(["measure", "removed", "language"])
    )
    row = table.loc[("change in language fidelity", "de", "de")]
    assert (row["before"], row["after"], row["effect"], row["left_out"]) == (1, 1, 0, 1)
    other = table.loc[("change in language fidelity", "en", "de")]
    assert other["before"] == 0.5 and (other["effect"], other["left_out"]) == (0, 0)
    assert (table.loc["change in accuracy", "left_out"] == 0).all() and table["random"].isna().all()


def test_doses_are_read_in_their_own_language():
    steps = [removal("de", dose=0.5), removal("zh"), removal("zh", 1, "shuffled", dose=0.5)]
    found = made_losses([AS_IT_IS, *(s.name for s in steps)], 4)
    table = of_doses(found, steps)
    for step, row in zip(steps, table.to_dict("records"), strict=True):
        expected = ppl(found, step.name, step.language) - ppl(found, AS_IT_IS, step.language)
        assert row.pop("effect") == pytest.approx(expected)
        assert row == {
            "language": step.language, "order": step.order, "draw": step.draw, "dose": step.dose, "neurons": 2
        }  # fmt: skip


def test_effects_are_not_measured_on_what_was_counted(llama):
    corpus = Corpus("c", ("en",), tuple(Example(str(i), "en", "", f"Text {i}.") for i in range(9)))
    kept, held = corpus.split(0.3)
    weights = {"weights_sha256": weights_hash(llama)}
    require_unseen(weights | {"corpus_sha256": kept.hash}, held, llama)
    for counted, measured in [(kept, kept), (kept, corpus), (corpus, held)]:
        with pytest.raises(NeuroglotError, match="was not held out of the text"):
            require_unseen(weights | {"corpus_sha256": counted.hash}, measured, llama)
    with pytest.raises(NeuroglotError, match="was not held out of the text"):
        require_unseen(weights, corpus, llama)
    for other in ({}, {"weights_sha256": "0" * 64}):
        with pytest.raises(NeuroglotError, match="whose weights are not those of the model"):
            require_unseen(other | {"corpus_sha256": kept.hash}, held, llama)


def test_every_measure_says_which_way_is_worse():
    assert {name: measure.harm for name, measure in matrix.MEASURES.items()} == {
        "change in log-perplexity": 1,
        "log(1 + change in perplexity)": 1,
        "change in accuracy": -1,
        "change in language fidelity": -1,
    }


def test_accuracy_is_unknown_where_the_language_is():
    own = [removal("en"), removal("npi")]
    questions = Corpus("q", ("en", "npi"), tuple(Example("a", code, "?", RIGHT["en"], "12") for code in ("en", "npi")))
    rows = [answer(name, code, "a", RIGHT["en"]) for name in (AS_IT_IS, own[0].name) for code in ("en", "npi")]
    table = of_answers(rows, questions, own[:1], resamples=20).table().set_index(["measure", "language"])
    for measure in ("change in accuracy", "change in language fidelity"):
        assert table.loc[(measure, "en"), "effect"] == 0
        assert table.loc[(measure, "npi"), ["before", "effect"]].isna().all()


def test_few_answers_promise_nothing():
    """One question has no interval, and draws that are all equal do not say where another would fall."""
    own, drawn = [removal("en"), removal("de")], [removal("de", 1), removal("de", 2)]
    questions = Corpus("q", ("en", "de"), tuple(Example("a", code, "?", RIGHT[code], "12") for code in ("en", "de")))
    said = {AS_IT_IS: RIGHT, own[0].name: WRONG, own[1].name: RIGHT, drawn[0].name: RIGHT, drawn[1].name: RIGHT}
    rows = [answer(name, code, "a", texts[code]) for name, texts in said.items() for code in ("en", "de")]
    made = of_answers(rows, questions, own + drawn, resamples=20)
    table = made.table()
    assert table[["low", "high", "random_low", "random_high"]].isna().all(axis=None) and table["verdict"].isna().all()
    assert table["random"].tolist() == [0] * 8 and table["effect"].tolist()[:2] == [-1, -1]
    assert made.summary("en")["random_largest"].isna().all()


def test_a_harm_is_the_largest_only_where_there_is_another():
    own, nan = np.eye(3, dtype=bool), np.nan
    harm = np.array([[2.0, 1, nan], [nan, 5, nan], [3, nan, nan]])
    assert matrix._own_largest(harm, own) == 1
