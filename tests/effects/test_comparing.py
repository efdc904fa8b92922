"""Detectors beside one another: their sets, contrasts of them by hand, and how often chance is called a difference."""

import numpy as np
import pytest

from neuroglot import ActivationStats, NeuroglotError, NeuronSet, classify, collect, detect, load_corpus, losses
from neuroglot.base.uncertainty import MORE, SAME, jackknife, leave_one_out, together, verdicts
from neuroglot.effects import comparing
from neuroglot.effects.comparing import ITS_OWN, at_budgets, compared, removals_of
from neuroglot.effects.matrix import LOG_PERPLEXITY, of_losses
from neuroglot.effects.measuring import only_in_their_own
from neuroglot.effects.removals import AS_IT_IS, zeroing
from neuroglot.model.likelihood import Losses
from neuroglot.neurons.agreement import agreement
from neuroglot.neurons.methods import METHODS, NEEDS

from ..conftest import tiny_model

CODES = ("en", "de", "ru")


@pytest.fixture
def stats():
    rng = np.random.default_rng(4)
    rates = np.clip(rng.beta(0.4, 1.5, size=(3, 60, 3)) + rng.beta(0.5, 3, size=(3, 60, 1)), 0, 1)
    return ActivationStats(rng.binomial(400, rates)[None], np.full((1, 3), 400), CODES)


@pytest.fixture
def detections(stats):
    return {
        "lape": detect(stats, "lape", top_rate=0.1, filter_rate=0.7, bar_rate=0.7),
        "lambda-score": detect(stats, "lambda-score", top_rate=0.2, quantile=0.8, lam=0.05),
    }


def test_equal_numbers_and_own_choices(stats, detections):
    types = classify(stats, top_rate=0.2, quantile=0.8, lam=0.05)
    found = at_budgets({**detections, "types": types}, [4, ITS_OWN, 4])
    assert list(found) == ["4 a language", ITS_OWN] and list(found["4 a language"]) == ["lape", "lambda-score"]
    assert list(found[ITS_OWN]) == ["lape", "lambda-score", "types"]
    assert all(set(one.sizes().values()) == {4} for one in found["4 a language"].values())
    assert found[ITS_OWN]["lape"].sizes() == detections["lape"].sizes()
    none = detect(stats, "lape", top_rate=0.0)
    assert list(at_budgets({"none": none, **detections}, [ITS_OWN])[ITS_OWN]) == ["lape", "lambda-score"]
    with pytest.raises(NeuroglotError, match="'many' is no number"):
        at_budgets(detections, ["many"])
    with pytest.raises(NeuroglotError, match="budgets=0"):
        at_budgets(detections, [0])


def test_beside_each_are_its_draws(stats, detections):
    sets = at_budgets(detections, [6])["6 a language"]
    found = removals_of(sets, stats, draws=2, other_draws=1, seed=3)
    assert len({r.name for r in found}) == len(found) == 2 * 3 * (1 + 2 + 1)
    own = {(r.set, r.language): r for r in found if r.order == "score"}
    p = stats.probabilities()
    for r in found:
        mine, k = own[r.set, r.language], CODES.index(r.language)
        if r.order == "score":
            wanted = sets[r.set].neurons(r.language)
            assert all((a == b).all() for a, b in zip(r.neurons, wanted, strict=True))
            continue
        assert r.size <= mine.size and not any(set(a) & set(b) for a, b in zip(r.neurons, mine.neurons, strict=True))
        if r.order == "matched":
            rate, drawn = (np.mean([p[i, j, k] for i, row in enumerate(x.neurons) for j in row]) for x in (mine, r))
            assert r.size == mine.size and abs(rate - drawn) < 0.1
        else:
            others = [set(sets[r.set].neurons(code)[i]) for code in CODES if code != r.language for i in range(3)]
            assert all(any(j in some for some in others) for row in r.neurons for j in row)
    assert only_in_their_own(found)["de, lape"] == ["de"]
    with pytest.raises(NeuroglotError, match="not of the languages"):
        removals_of(sets, stats.select("en de"))
    with pytest.raises(NeuroglotError, match="draws=-1"):
        removals_of(sets, stats, draws=-1)


def made(removals, gain, units=10, seed=0, noise=0.3):
    """Losses in which every removal adds ``gain(removal)`` and what differs by unit, in its own language alone."""
    rng = np.random.default_rng(seed)
    tokens = rng.integers(8, 20, size=(3, units))
    base = rng.uniform(1, 2, size=(3, units))
    rows = [base * tokens]
    for r in removals:
        added = np.full((3, units), np.nan)
        k = CODES.index(r.language)
        added[k] = base[k] + gain(r) + rng.normal(0, noise, units)
        rows.append(np.maximum(added * tokens, 0))
    names = (AS_IT_IS, *(r.name for r in removals))
    return Losses(names, CODES, tuple(f"u{u}" for u in range(units)), np.stack(rows), tokens)


def per_language(found, r, weights):
    k, row = CODES.index(r.language), found.rows.index(r.name)
    after, before = ((found.nll[at, k] @ weights) / (found.tokens[k] @ weights) for at in (row, 0))
    return after - before


def test_contrasts_and_differences_by_hand(stats, detections):
    removals = removals_of(at_budgets(detections, [5])["5 a language"], stats, draws=3, other_draws=2)
    found = made(removals, lambda r: 0.8 if r.set == "lape" and r.order == "score" else 0.1)
    effects = of_losses(found, removals)
    table = compared(effects)
    assert table["detector"].tolist() == ["lape", "lambda-score"] * 3
    weights = [np.ones(10), *leave_one_out(10)]
    present = np.ones(10, dtype=bool)

    def less(name, order):
        value, drawn = [], []
        for w in weights:
            own = np.array([per_language(found, r, w) for r in removals if r.set == name and r.order == "score"])
            each = {}
            for r in removals:
                if r.set == name and r.order == order:
                    each.setdefault(r.draw, []).append(per_language(found, r, w))
            drawn.append([np.mean(of) for of in each.values()])
            value.append((own - np.mean(list(each.values()), axis=0)).mean())
        return np.array(value), np.array(drawn[0])

    rows = {(row["detector"], row["what"]): row for row in table.to_dict("records")}
    estimates = {}
    for what, order in (("matched", "matched"), ("as many of theirs", "others")):
        for name in detections:
            value, drawn = less(name, order)
            estimate = jackknife(value[0], value[1:], present).scattered(drawn)
            row = rows[name, f"own less {what}"]
            assert row["effect"] == pytest.approx(value[0]) and row["units"] == 10
            assert (row["low"], row["high"]) == pytest.approx(estimate.interval())
            assert row["p"] == pytest.approx(estimate.p())
            estimates[name, what] = estimate
        both = together([estimates[name, what] for name in detections])
        assert [rows[name, f"own less {what}"]["verdict"] for name in detections] == verdicts(both).tolist()
    assert rows["lape", "own less matched"]["verdict"] == MORE
    between = effects.between()
    (one, drawn), (other, others) = (less(name, "matched") for name in detections)
    estimate = jackknife((one - other)[0], (one - other)[1:], present).scattered(drawn).scattered(others)
    (row,) = between.to_dict("records")
    assert (row["one"], row["other"], row["units"]) == ("lape", "lambda-score", 10)
    assert row["effect"] == pytest.approx(estimate.value) and row["p"] == pytest.approx(estimate.p())
    assert (row["low"], row["high"]) == pytest.approx(estimate.interval()) and row["verdict"] == MORE


def test_chance_is_seldom_called_a_difference(stats, detections):
    """No detector differs from random neurons, nor from another: in a share of runs, at most what is allowed."""
    sets = {f"{name} {copy}": one for name, one in detections.items() for copy in range(2)}
    removals = removals_of({name: one.take(5) for name, one in sets.items()}, stats, draws=2, other_draws=2)
    wrong, held, runs = np.zeros(3), [], 200
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        of_draw = {r.name: rng.normal(0.3, 0.1) for r in removals}  # every set its own, whoever chose it
        effects = of_losses(made(removals, lambda r, of=of_draw: of[r.name], units=8, seed=seed), removals)
        table, pairs = compared(effects), effects.between()
        for at, what in enumerate(("own less matched", "own less as many of theirs")):
            wrong[at] += (table.loc[table["what"] == what, "verdict"] != SAME).any()
        wrong[2] += (pairs["verdict"] != SAME).any()
        held += ((pairs["low"] <= 0) & (pairs["high"] >= 0)).tolist()
    assert (wrong / runs < 0.08).all(), wrong / runs
    assert np.mean(held) > 0.93


def test_without_draws_nothing_is_beside(stats, detections):
    removals = removals_of({"lape": detections["lape"].take(5)}, stats, draws=0, other_draws=0)
    effects = of_losses(made(removals, lambda r: 0.5), removals)
    assert compared(effects)["what"].tolist() == ["own"] and len(effects.between()) == 0


def test_a_model_from_end_to_end(llama, tokenizer, texts):
    corpus = load_corpus(f"text:{texts}")
    stats = collect(llama, tokenizer, corpus, progress=False)
    sets = {"a": detect(stats, "lape", top_rate=0.3, filter_rate=0.3, bar_rate=0.3).take(4)}
    removals = removals_of(sets, stats, draws=2, other_draws=2)
    only = only_in_their_own(removals)
    found = losses(llama, tokenizer, corpus, zeroing(removals), only=only, progress=False)
    table = compared(of_losses(found, removals))
    assert table["what"].tolist() == ["own", "own less matched", "own less as many of theirs"]
    assert table["effect"].notna().all() and comparing.LOG_PERPLEXITY == LOG_PERPLEXITY


def test_detectors_are_named_and_what_they_read_is_known():
    assert comparing.named("lape  plnd lape") == ["lape", "plnd"] == comparing.named(["lape", "plnd"])
    with pytest.raises(NeuroglotError, match="detectors: there is no 'random' to compare; use lambda-score, lape"):
        comparing.named("lape random")
    assert comparing.among(["lape", "plnd"], None) == ["lape", "plnd"]
    assert comparing.among(["lape", "plnd"], "overlap plnd") == ["plnd"]
    assert comparing.first_number([ITS_OWN, 30, 20]) == 30 and comparing.first_number([ITS_OWN]) == 100
    assert set(NEEDS) == set(METHODS) - {"lambda-score", "lape", "random"}


def test_a_mixture_is_read_by_those_that_can(llama):
    every = comparing.named(list(METHODS)[:-1])
    assert comparing.able(every, llama) == (every, {})
    names, left = comparing.able(every, tiny_model("mixtral"))
    assert names == [name for name in every if name != "attribution"] and list(left) == ["attribution"]
    assert "mixture of experts" in left["attribution"]


def test_two_texts_of_different_wordings(texts):
    corpus = load_corpus(f"text:{texts}")
    one, other = comparing.two_texts(corpus, 2)
    units = [{example.unit for example in part.examples} for part in (one, other)]
    assert not units[0] & units[1] and all(part.languages == corpus.languages for part in (one, other))
    assert [len(part.examples) for part in (one, other)] == [2 * len(corpus.languages)] * 2
    with pytest.raises(NeuroglotError, match="one wording"):
        comparing.two_texts(corpus.take([corpus.examples[0].document]), 2)


def test_what_is_read_is_what_detectors_need(llama, tokenizer, texts, tmp_path):
    one, other = comparing.two_texts(load_corpus(f"text:{texts}"), 2)
    counts, slopes = comparing.read(llama, tokenizer, one, tmp_path / "0", ["lape"])
    assert counts.gathered is None and counts.sums is None and slopes is None
    every = list(METHODS)[:-1]
    said = {"quantity": "product", "above": 0.0, "max_tokens": 64, "moments": False}
    parts = [
        comparing.read(llama, tokenizer, t, tmp_path / f"all-{n}", every, settings=said)
        for n, t in enumerate((one, other))
    ]
    counts, slopes = comparing.joined(parts)
    assert counts.gathered.kinds == ("histograms", "maxima", "absolute") and counts.sums is not None
    assert counts.provenance["settings"]["quantity"] == "product"
    weighted = sum(each.values * each.tokens for _, each in parts) / sum(each.tokens for _, each in parts)
    np.testing.assert_allclose(slopes.values, weighted)
    found, left, seconds = comparing.detected(every, counts, slopes)
    assert list(found) + list(left) == every or set(found) | set(left) == set(every)
    assert set(left) <= {"lambda-score"}
    table = comparing.costs(seconds, counts, slopes)
    assert table["detector"].tolist() == list(found) and (table["MB"] > 0).all()
    assert table["seconds"].tolist() == list(seconds.values()) and min(seconds.values()) > 0
    assert table.set_index("detector").loc["overlap", "MB"] == counts.gathered.histograms.nbytes / 1e6
    halves = [comparing.detected(found, *part)[0] for part in parts]
    again = comparing.again(halves[0], {comparing.OTHER_WORDINGS: halves[1], "itself": halves[0]}, 5)
    width = counts.shape[1]
    assert (again.loc[again["text"] == "itself", "jaccard"] == 1).all() and len(again) == 2 * len(halves[0])
    for row in again[again["text"] == comparing.OTHER_WORDINGS].to_dict("records"):
        mine, theirs = (half[row["detector"]].take(5) for half in halves)
        each = agreement({"a": mine, "b": theirs}, width)
        assert row["jaccard"] == each["jaccard"].mean() and row["low"] == each["jaccard"].min()


def test_budgets_are_told_apart(stats, detections):
    sets = at_budgets(detections, [3, 6])
    removals = removals_of(comparing.every_set(sets), stats)
    found = made(removals, lambda r: 0.5 if r.order == "score" else 0.1)
    twice, twice_pairs = comparing.side_by_side({"problems": found, "other": found}, removals, sets)
    assert list(dict.fromkeys(twice["text"])) == ["problems", "other"] and len(twice_pairs) == 4
    table, pairs = (each[each["text"] == "other"] for each in (twice, twice_pairs))
    assert list(dict.fromkeys(table["budget"])) == ["3 a language", "6 a language"]
    assert set(table["detector"]) == set(detections) and len(table) == 2 * 2 * 3 and len(pairs) == 2
    alone = of_losses(found, [r for r in removals if r.set.endswith("6 a language")])
    wanted = compared(alone)
    np.testing.assert_array_equal(table.loc[table["budget"] == "6 a language", "effect"], wanted["effect"])


def test_neurons_of_a_file_are_one_more_at_their_own_choice(stats, detections, tmp_path):
    sets = at_budgets(detections, [4])
    assert comparing.with_outside(sets, None, stats) == sets
    given = NeuronSet(("ru", "en", "de"), ([[1], [2, 3]], [[1], []], [[9], [59]]), width=60)
    for name, called in (("theirs.safetensors", "theirs"), ("lape.safetensors", "lape (file)")):
        given.save(tmp_path / name)
        found = comparing.with_outside(sets, tmp_path / name, stats)
        assert list(found) == ["4 a language", ITS_OWN] and list(found[ITS_OWN]) == [called]
        assert found["4 a language"] == sets["4 a language"] and ITS_OWN not in sets
    whole = comparing.with_outside(at_budgets(detections, [ITS_OWN]), tmp_path / "theirs.safetensors", stats)[ITS_OWN]
    assert list(whole) == ["lape", "lambda-score", "theirs"]
    removals = removals_of(comparing.every_set(found), stats, draws=2, other_draws=1)
    (own,) = [r for r in removals if r.set == f"lape (file), {ITS_OWN}" and r.order == "score" and r.language == "ru"]
    assert [index.tolist() for index in own.neurons] == [[1], [2, 3], []]
    table, _ = comparing.side_by_side({"text": made(removals, lambda r: 0.5)}, removals, found)
    mine = table[table["detector"] == "lape (file)"]
    assert set(mine["budget"]) == {ITS_OWN} and mine["effect"].notna().all() and len(mine) == 3
    given.fitted(4, 60).save(tmp_path / "theirs.safetensors")
    with pytest.raises(NeuroglotError, match=r"a model of 4 layers of 60 neurons, this one has 3 of 60"):
        comparing.with_outside(sets, tmp_path / "theirs.safetensors", stats)
