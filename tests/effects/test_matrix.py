"""Effects, intervals and summaries against arithmetic by hand."""

from dataclasses import replace

import numpy as np
import pytest

from neuroglot import Corpus, Example, NeuroglotError
from neuroglot.base.uncertainty import (
    MORE,
    change_of_shares,
    dealt_to_languages,
    jackknife,
    leave_one_out,
    paired_p,
    verdicts,
)
from neuroglot.effects import matrix
from neuroglot.effects.matrix import (
    ALL,
    LOG_PERPLEXITY,
    MEASURES,
    MIDDLE,
    of_answers,
    of_doses,
    of_losses,
    require_unseen,
)
from neuroglot.effects.removals import AS_IT_IS, Removal
from neuroglot.model.likelihood import Losses
from neuroglot.model.loading import weights_hash

LANGUAGES = ("en", "de", "zh")
SOME = [np.array([1, 2]), np.array([], dtype=int)]


def removal(language, draw=0, order="score", **options):
    return Removal("specific", language, SOME, "matched" if draw and order == "score" else order, draw, **options)


OWN = [removal(code) for code in LANGUAGES]
DRAWN = [removal(code, draw) for draw in (1, 2, 3) for code in LANGUAGES]
THEIRS = [removal(code, draw, "others") for draw in (1, 2) for code in LANGUAGES]


def made_losses(of, seed=0, units=8, own_only=()):
    """Changes that differ by unit; those of ``own_only`` are measured in their own language alone."""
    rng = np.random.default_rng(seed)
    names = [AS_IT_IS, *(r.name for r in of)]
    tokens = rng.integers(5, 20, size=(3, units))
    base = rng.uniform(1, 2, size=(3, units))
    nll = np.stack(
        [(base + (0 if name == AS_IT_IS else rng.uniform(-0.2, 1, size=(3, units)))) * tokens for name in names]
    )
    for r in own_only:
        nll[names.index(r.name), [k for k, code in enumerate(LANGUAGES) if code != r.language]] = np.nan
    return Losses(tuple(names), LANGUAGES, tuple("abcdefghijkl"[:units]), nll, tokens)


@pytest.fixture
def found():
    return made_losses(OWN + DRAWN + THEIRS, own_only=DRAWN + THEIRS)


def ppl(losses, name, language, weights=None):
    row, k = losses.rows.index(name), LANGUAGES.index(language)
    w = np.ones(len(losses.units)) if weights is None else weights
    return (losses.nll[row, k] @ w) / (losses.tokens[k] @ w)


def change(losses, removal, language, weights=None):
    return ppl(losses, removal.name, language, weights) - ppl(losses, AS_IT_IS, language, weights)


def both(of, units):
    """A number from all units, and without each."""
    return of(np.ones(units)), np.array([of(w) for w in leave_one_out(units)])


def test_cells_by_hand(found):
    table = of_losses(found, OWN + DRAWN + THEIRS).table()
    assert len(table) == 9 * 2 and list(table["measure"].unique()) == list(MEASURES)[:2]
    for _, row in table.iterrows():
        own = next(r for r in OWN if r.language == row["removed"])

        def by_hand(w, own=own, row=row):
            after, before = (ppl(found, name, row["language"], w) for name in (own.name, AS_IT_IS))
            if row["measure"] == LOG_PERPLEXITY:
                return after - before
            delta = np.exp(after) - np.exp(before)
            return np.log(1 + delta) if delta >= 0 else -np.log(1 - delta)

        assert row["before"] == pytest.approx(ppl(found, AS_IT_IS, row["language"]))
        assert row["after"] == pytest.approx(ppl(found, own.name, row["language"]))
        estimate = jackknife(*both(by_hand, 8))
        assert row["effect"] == row["harm"] == pytest.approx(estimate.value)
        assert (row["low"], row["high"]) == pytest.approx(estimate.interval())
        assert row["detectable"] == pytest.approx(estimate.detectable()) and row["p"] == pytest.approx(estimate.p())
        assert (row["neurons"], row["units"]) == (2, 8)
        assert row["size"] == found.tokens[LANGUAGES.index(row["language"])].sum()
    effect = of_losses(found, OWN).blocks[0].estimate()
    assert list(table["verdict"][:9]) == verdicts(effect).ravel().tolist(), "all cells of a set are judged together"


def test_of_a_single_draw_nothing_is_known(found):
    table = of_losses(found, OWN + DRAWN[:3]).contrasts()
    beside = table[table["what"].isin(["matched", "own less matched"]) & (table["language"] != MIDDLE)]
    assert len(beside) == 2 * 4 and beside["effect"].notna().all()
    assert beside[["low", "high", "p", "verdict"]].isna().all(axis=None)
    assert table.loc[table["what"] == "own", "low"].notna().sum() == 4


def test_contrasts_by_hand(found):
    table = of_losses(found, OWN + DRAWN + THEIRS).contrasts()
    rows = {(row["what"], row["language"]): row for row in table.to_dict("records")}
    assert set(table["measure"]) == {LOG_PERPLEXITY} and len(table) == 7 * 5

    def own(code, w=None):
        return change(found, OWN[LANGUAGES.index(code)], code, w)

    def others(code, w=None):
        return np.mean([change(found, r, code, w) for r in OWN if r.language != code])

    def drawn(of):
        return lambda code, w=None: np.array([change(found, r, code, w) for r in of if r.language == code])

    draws = {"matched": drawn(DRAWN), "as many of theirs": drawn(THEIRS)}
    values = {"own": own, "others": others}
    values |= {what: (lambda code, w=None, f=f: f(code, w).mean()) for what, f in draws.items()}
    values |= {
        f"own less {what}": (lambda code, w=None, f=f: own(code, w) - f(code, w))
        for what, f in values.items()
        if what != "own"
    }
    for what, value in values.items():
        each = {code: jackknife(*both(lambda w, code=code, value=value: value(code, w), 8)) for code in LANGUAGES}
        every = jackknife(*both(lambda w, value=value: np.mean([value(code, w) for code in LANGUAGES]), 8))
        if of := draws.get(what.removeprefix("own less ")):  # another draw might have been drawn
            each = {code: estimate.scattered(of(code)) for code, estimate in each.items()}
            every = every.scattered(np.mean([of(code) for code in LANGUAGES], axis=0))
        for code, estimate in (each | {ALL: every}).items():
            row = rows[what, code]
            assert row["effect"] == pytest.approx(estimate.value) and row["units"] == 8
            assert (row["low"], row["high"]) == pytest.approx(estimate.interval())
            assert row["detectable"] == pytest.approx(estimate.detectable())
            if (what, code) != ("own less others", ALL):
                assert row["p"] == pytest.approx(estimate.p())
        middle = rows[what, MIDDLE]
        assert middle["effect"] == pytest.approx(np.median([value(code) for code in LANGUAGES])) and np.isnan(
            middle["p"]
        )
    matrix_ = np.array([[change(found, r, code) for code in LANGUAGES] for r in OWN])
    contrast, p = dealt_to_languages(matrix_)
    assert rows["own less others", ALL]["p"] == p and rows["own less others", ALL]["effect"] == pytest.approx(contrast)


def cells(matrix, draws=()):
    """Losses whose changes in log-perplexity are this matrix in every unit, and those of draws."""
    names = [AS_IT_IS, *(r.name for r in OWN), *(r.name for r in DRAWN[: 3 * len(draws)])]
    changes = np.concatenate([np.zeros((1, 3)), np.array(matrix, dtype=float), *map(np.array, draws)])
    tokens = np.full((3, 1), 10)
    return Losses(tuple(names), LANGUAGES, ("a",), (1 + changes)[..., None] * tokens, tokens)


MATRIX = [[0.5, 0.1, 0.2], [0.3, 2.0, 0.4], [0.6, 3.0, 1.0]]  # en, de, zh removed; en, de, zh measured


def test_a_summary_takes_the_pivot_apart():
    found = cells(MATRIX)
    summary = of_losses(found, OWN).summary("en")
    log = summary[summary["measure"] == LOG_PERPLEXITY].set_index("cells")
    means = {"own language": 1.5, "other languages": 1.7, "pivot, own": 0.5, "pivot removed, others": 0.15}
    means["others removed, pivot"] = 0.45
    assert log["effect"].to_dict() == pytest.approx(means)
    assert log[["low", "high", "p", "verdict"]].isna().all(axis=None), "one unit has no interval"
    own = log.loc["own language"]
    # Removing de harms de most; removing zh harms de more than zh. zh suffers most from its own, de does not.
    assert (own["rows"], own["own_largest"], own["own_worst"]) == (2, 1, 1)
    without = of_losses(found, OWN).summary(None)
    log = without[without["measure"] == LOG_PERPLEXITY].set_index("cells")
    assert list(log.index) == ["own language", "other languages"]
    assert log["effect"].tolist() == pytest.approx([3.5 / 3, (0.1 + 0.2 + 0.3 + 0.4 + 0.6 + 3.0) / 6])
    assert (log.loc["own language", "rows"], log.loc["own language", "own_largest"]) == (3, 2)


def test_a_mean_of_cells_is_composed_without_each_unit(found):
    row = of_losses(found, OWN).summary("en").iloc[0]
    estimate = jackknife(*both(lambda w: np.mean([change(found, r, r.language, w) for r in OWN[1:]]), 8))
    assert row["cells"] == "own language" and row["effect"] == pytest.approx(estimate.value)
    assert (row["low"], row["high"]) == pytest.approx(estimate.interval()) and row["units"] == 8


def test_a_removal_of_nothing_is_not_measured(found):
    """German has no neuron: its row is missing, not 0, and no mean has it."""
    nothing = [np.array([], dtype=int)] * 2
    own, drawn = ([replace(r, neurons=nothing) if r.language == "de" else r for r in of] for of in (OWN, DRAWN))
    measured = [name for name in found.rows if not name.startswith("de, ")]
    less = replace(found, rows=tuple(measured), nll=found.nll[[found.rows.index(name) for name in measured]])
    made = of_losses(less, own + drawn)
    table = made.table().set_index(["measure", "removed", "language"])
    for measure in list(MEASURES)[:2]:
        row = table.loc[(measure, "de")]
        assert (row["neurons"] == 0).all() and row["verdict"].isna().all() and row["before"].notna().all()
        assert row[["after", "effect", "low", "high", "harm", "p", "detectable"]].isna().all(axis=None)
    contrasts = made.contrasts().set_index(["what", "language"])["effect"]
    two = [OWN[0], OWN[2]]
    assert set(contrasts["own"].index) == {"en", "zh", ALL, MIDDLE}
    assert contrasts["own", ALL] == pytest.approx(np.mean([change(found, r, r.language) for r in two]))
    assert contrasts["others", "en"] == pytest.approx(change(found, OWN[2], "en"))
    assert contrasts["matched", ALL] == pytest.approx(
        np.mean([change(found, r, r.language) for r in DRAWN if r.language != "de"])
    )
    log = made.summary(None).set_index(["measure", "cells"])["effect"][LOG_PERPLEXITY]
    cells_ = [(r, code) for r in two for code in LANGUAGES if r.language != code]
    assert log["other languages"] == pytest.approx(np.mean([change(found, *cell) for cell in cells_]))
    step = replace(own[1], dose=0.5)
    assert np.isnan(of_doses(less, [step])["effect"]).all()


def test_without_any_neuron_there_is_no_effect():
    own = [replace(r, neurons=[]) for r in OWN]
    tokens = np.full((3, 2), 10)
    made = of_losses(Losses((AS_IT_IS,), LANGUAGES, ("a", "b"), tokens[None] * 1.5, tokens), own)
    assert made.table()["effect"].isna().all() and made.table()["verdict"].isna().all()
    summary = made.summary("en")
    assert summary["effect"].isna().all() and summary["verdict"].isna().all() and (summary["rows"].dropna() == 0).all()
    assert made.contrasts().empty


def test_a_set_is_taken_from_every_text_that_has_it(found):
    """The diagonal and the draws on much text, the rest of the matrix on little."""
    much = made_losses(OWN + DRAWN, own_only=OWN + DRAWN)
    little = made_losses(OWN, seed=1, units=5)
    made = of_losses([much, little], OWN + DRAWN)
    table = made.table().set_index(["measure", "removed", "language"])
    assert len(table) == 18 and (table["effect"].notna()).all()
    assert table.loc[(LOG_PERPLEXITY, "en", "en"), "effect"] == pytest.approx(change(much, OWN[0], "en"))
    assert table.loc[(LOG_PERPLEXITY, "en", "de"), "effect"] == pytest.approx(change(little, OWN[0], "de"))
    assert table["units"][LOG_PERPLEXITY]["en"].to_dict() == {"en": 8, "de": 5, "zh": 5}
    contrasts = made.contrasts().set_index(["what", "language"])
    assert contrasts.loc[("own", "en"), "units"] == contrasts.loc[("own less matched", "en"), "units"] == 8
    # What is contrasted is of one text.
    row = contrasts.loc[("own less others", "en")]
    others = np.mean([change(little, r, "en") for r in OWN[1:]])
    assert row["units"] == 5 and row["effect"] == pytest.approx(change(little, OWN[0], "en") - others)
    summary = made.summary(None).set_index(["measure", "cells"])
    assert summary.loc[(LOG_PERPLEXITY, "own language"), "units"] == 5


def test_what_was_not_measured_is_named(found):
    with pytest.raises(NeuroglotError, match=r"nothing was measured for 'en, other'"):
        of_losses(found, [replace(r, set="other") for r in OWN[:1]])


def test_a_verdict_says_which_way():
    """Every unit changes by about a half, but one cell that does not change and one that falls."""
    rng = np.random.default_rng(2)
    tokens = np.full((3, 12), 10)
    matrix_ = np.array(MATRIX) * 0 + 0.5
    matrix_[0, 1], matrix_[1, 0] = 0.0, -0.5
    nll = np.concatenate([np.ones((1, 3, 12)), 1 + matrix_[..., None] + rng.normal(0, 0.1, (3, 3, 12))]) * tokens
    found = Losses((AS_IT_IS, *(r.name for r in OWN)), LANGUAGES, tuple("abcdefghijkl"), nll, tokens)
    verdict = of_losses(found, OWN).table().set_index(["measure", "removed", "language"])["verdict"][LOG_PERPLEXITY]
    assert verdict["en", "de"] == "not told apart" and verdict["de", "en"] == "less" and verdict["zh", "zh"] == MORE


def test_the_model_as_it_is(found):
    nothing = replace(OWN[2], neurons=[])
    table = matrix.unchanged(found, [*OWN[:2], nothing, *DRAWN, replace(OWN[0], set="specific + related")])
    assert list(table.index) == list(LANGUAGES) and table["specific"].tolist() == [2, 2, 0]
    assert table["specific + related"].dropna().to_dict() == {"en": 2}
    assert table["tokens scored"].tolist() == found.tokens.sum(axis=1).tolist()
    assert table["perplexity"].tolist() == pytest.approx([np.exp(ppl(found, AS_IT_IS, code)) for code in LANGUAGES])


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
    made = of_answers(rows, questions, own + drawn)
    table = made.table().set_index(["measure", "removed", "language"])
    effect = table["effect"]["change in accuracy"]
    assert effect.to_dict() == {("en", "en"): -0.5, ("en", "de"): 0, ("de", "en"): 0, ("de", "de"): -1}
    assert table["harm"]["change in accuracy", "de", "de"] == 1 and table["size"]["change in accuracy", "en", "en"] == 2
    assert table["before"]["change in accuracy"].tolist() == [1] * 4
    assert table[["low", "high", "verdict"]].isna().all(axis=None), "two questions have no interval"
    # A random draw stands beside its own language; removing and drawing leave one right less in English, two in German.
    contrasts = made.contrasts().set_index(["measure", "what", "language"])["effect"]["change in accuracy"]
    assert contrasts["matched"].to_dict() == {"en": -1, "de": -0.5, ALL: -0.75, MIDDLE: -0.75}
    assert contrasts["own less matched"].to_dict() == {"en": 0.5, "de": -0.5, ALL: 0, MIDDLE: 0}
    fidelity = table["effect"]["change in language fidelity"]
    assert fidelity["de", "de"] == -1 and fidelity["en", "en"] == 0 and fidelity["en", "de"] == 0
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
    table = of_answers(rows, questions, [*own, empty]).table().set_index(["measure", "removed", "language"])
    row = table.loc[("change in language fidelity", "de", "de")]
    assert (row["before"], row["after"], row["effect"], row["left_out"]) == (1, 1, 0, 1)
    other = table.loc[("change in language fidelity", "en", "de")]
    assert other["before"] == 0.5 and (other["effect"], other["left_out"]) == (0, 0)
    assert (table.loc["change in accuracy", "left_out"] == 0).all()


def test_doses_are_read_in_their_own_language():
    steps = [removal("de", dose=0.5), removal("zh"), *(removal("zh", draw, "shuffled", dose=0.5) for draw in (1, 2))]
    steps += [removal("en", dose=0.5)]
    found = made_losses(steps, 4)
    table = of_doses(found, steps).set_index(["language", "order", "dose"])
    assert len(table) == 4 + 3
    for step in (steps[0], steps[1], steps[4]):
        estimate = jackknife(*both(lambda w, step=step: change(found, step, step.language, w), 8))
        row = table.loc[(step.language, "score", step.dose)]
        assert row["effect"] == pytest.approx(estimate.value) and (row["neurons"], row["units"]) == (2, 8)
        assert (row["low"], row["high"]) == pytest.approx(estimate.interval())
    estimate = jackknife(*both(lambda w: np.mean([change(found, s, "zh", w) for s in steps[2:4]]), 8))
    assert table.loc[("zh", "shuffled", 0.5), "effect"] == pytest.approx(estimate.value)
    estimate = jackknife(*both(lambda w: np.mean([change(found, s, s.language, w) for s in (steps[0], steps[4])]), 8))
    row = table.loc[(ALL, "score", 0.5)]
    assert row["effect"] == pytest.approx(estimate.value) and row["low"] == pytest.approx(estimate.interval()[0])


def test_answers_have_paired_intervals_and_exact_tests():
    """Six English questions, one each of a wording; five are no longer right, in German nothing was right before."""
    own, ids = [removal(code) for code in ("en", "de")], [str(i) for i in range(6)]
    said = {(AS_IT_IS, "en"): ids, (own[0].name, "en"): ids[:1], (own[1].name, "en"): ids}
    questions = Corpus("q", ("en", "de"), tuple(Example(i, c, "?", RIGHT[c], "12") for c in ("en", "de") for i in ids))
    rows = [
        answer(name, code, i, (RIGHT if i in said.get((name, code), []) else WRONG)[code])
        for name in (AS_IT_IS, own[0].name, own[1].name)
        for code in ("en", "de")
        for i in ids
    ]
    table = of_answers(rows, questions, own).table().set_index(["measure", "removed", "language"])
    row = table.loc[("change in accuracy", "en", "en")]
    estimate = change_of_shares(np.array([1.0, 0, 0, 0, 0, 0]), np.ones(6), np.ones(6))
    assert row["effect"] == pytest.approx(-5 / 6) and (row["low"], row["high"]) == pytest.approx(estimate.interval())
    assert row["p"] == paired_p(np.array([0, -1, -1, -1, -1, -1.0])) == 0.0625 and row["units"] == 6
    none = table.loc["change in accuracy"].xs("de", level="language")
    assert none[["before", "effect", "low", "p", "verdict"]].isna().all(axis=None), "what is 0 cannot fall"
    assert table.loc[("change in language fidelity", "de", "en"), "effect"] == 0


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
    table = of_answers(rows, questions, own[:1]).table().set_index(["measure", "language"])
    for measure in ("change in accuracy", "change in language fidelity"):
        assert table.loc[(measure, "en"), "effect"] == 0
        assert table.loc[(measure, "npi"), ["before", "effect"]].isna().all()


def test_few_answers_promise_nothing():
    """One question has no interval and no verdict."""
    own, drawn = [removal("en"), removal("de")], [removal("de", 1), removal("de", 2)]
    questions = Corpus("q", ("en", "de"), tuple(Example("a", code, "?", RIGHT[code], "12") for code in ("en", "de")))
    said = {AS_IT_IS: RIGHT, own[0].name: WRONG, own[1].name: RIGHT, drawn[0].name: RIGHT, drawn[1].name: RIGHT}
    rows = [answer(name, code, "a", texts[code]) for name, texts in said.items() for code in ("en", "de")]
    made = of_answers(rows, questions, own + drawn)
    table = made.table()
    assert table[["low", "high", "verdict"]].isna().all(axis=None) and table["effect"].tolist()[:2] == [-1, -1]
    contrasts = made.contrasts()
    assert contrasts[["low", "high", "verdict"]].isna().all(axis=None)
    matched = contrasts[contrasts["what"] == "matched"].set_index("language")["effect"]
    assert matched[["de", ALL]].eq(0).all(axis=None) and matched["en"].isna().all(), "German draws alone"


def test_a_harm_is_the_largest_only_where_there_is_another():
    own, nan = np.eye(3, dtype=bool), np.nan
    harm = np.array([[2.0, 1, nan], [nan, 5, nan], [3, nan, nan]])
    assert matrix._own_largest(harm, own) == 1
