"""Classification against a slow, independent implementation, and the published counts."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import neuroglot
from neuroglot import KINDS, ActivationStats, NeuroglotError, NeuronTypes, classify
from neuroglot.base.artifacts import save_artifact
from neuroglot.neurons.identification import Identifier, keep_thresholds

from ..counts.test_activations import rewrite


def stats_of(counts, tokens) -> ActivationStats:
    counts = np.asarray(counts, dtype=np.int64)
    names = tuple(f"l{k}" for k in range(counts.shape[-1]))
    return ActivationStats(counts[None], np.broadcast_to(tokens, (1, len(names))).astype(np.int64), names)


def slow_scores(p, lam, scaled):
    """Equation 5 written out neuron by neuron with Python numbers."""
    k = len(p[0][0])
    scores = []
    for layer in p:
        for neuron in layer:
            total = sum(neuron)
            shares = [value / total if total else 1 / k for value in neuron]
            entropy = -sum(max(share, 1e-12) * math.log(max(share, 1e-12)) for share in shares)
            peak = max(neuron)
            if scaled:
                entropy /= math.log(k)
                peak /= sum(1 / n for n in range(1, k + 1)) / k
            scores.append(entropy - lam * peak)
    return scores


def slow_classify(p, top_rate, lam, quantile, scaled):
    """tau, scores, and each neuron's type, without any array arithmetic."""
    k = len(p[0][0])
    values = sorted(value for layer in p for neuron in layer for value in neuron)
    tau = values[min(max(round(quantile * len(values)), 1), len(values)) - 1]
    scores = slow_scores(p, lam, scaled)
    chosen = set(sorted(range(len(scores)), key=lambda i: (scores[i], i))[: round(top_rate * len(scores))])
    kinds, neurons = [], [neuron for layer in p for neuron in layer]
    for i, neuron in enumerate(neurons):
        n = sum(value > tau for value in neuron)
        if n == k:
            kinds.append("general")
        elif i in chosen and n >= 1:
            kinds.append("specific" if n == 1 else "related")
        else:
            kinds.append("unclassified")
    return tau, scores, chosen, kinds


# Few distinct counts make ties common; zeros make neurons that never fire common.
counts_and_tokens = st.sampled_from([2, 3, 12]).flatmap(
    lambda k: st.tuples(
        arrays.arrays(
            np.int64, st.tuples(st.integers(1, 3), st.integers(1, 12), st.just(k)), elements=st.integers(0, 6)
        ),
        arrays.arrays(np.int64, k, elements=st.integers(6, 9)),
    )
)


@given(counts_and_tokens, st.floats(0.01, 1), st.floats(0, 2), st.floats(0.05, 0.99), st.booleans())
@settings(max_examples=300, deadline=None)
def test_equals_the_slow_implementation(drawn, top_rate, lam, quantile, scaled):
    counts, tokens = drawn
    stats = stats_of(counts, tokens)
    p = (counts / tokens).tolist()
    tau, scores, chosen, kinds = slow_classify(p, top_rate, lam, quantile, scaled)
    # Scores equal but for rounding are in the order of that rounding; only then may ranks differ.
    ordered = sorted(scores)
    cut = round(top_rate * len(scores))
    assume(not 0 < cut < len(scores) or ordered[cut] - ordered[cut - 1] > 1e-9 or ordered[cut] == ordered[cut - 1])
    types = classify(stats, top_rate=top_rate, lam=lam, quantile=quantile, scaled=scaled)
    assert types.tau == tau and types.lam == lam and not types.solved
    assert np.allclose(types.score.ravel(), scores, rtol=0, atol=1e-12)
    assert types.selected.sum() == len(chosen)
    if 0 < cut < len(scores) and ordered[cut] == ordered[cut - 1]:
        return  # which of the equal ones is taken is tested below, on exact scores
    assert np.flatnonzero(types.selected).tolist() == sorted(chosen)
    assert types.kind.ravel().tolist() == kinds
    assert np.array_equal(types.n_languages, (counts / tokens > tau).sum(-1))


def test_ties_are_broken_by_layer_then_index():
    types = classify(stats_of(np.full((2, 5, 3), 2), 4), top_rate=0.7, lam=0.3)
    assert np.flatnonzero(types.selected).tolist() == list(range(7))


def test_scores_that_differ_by_rounding_are_ties():
    """The same shares in another order sum to another last digit; which neuron is taken does not follow from that."""
    rng = np.random.default_rng(0)
    counts = np.array([rng.permutation(row) for row in rng.integers(1, 30, size=(200, 1, 7)).repeat(2, axis=1)[:, 0]])
    pairs = np.stack([counts, np.array([rng.permutation(row) for row in counts])], axis=1).reshape(1, -1, 7)
    prepared = Identifier(pairs / 40)
    score = prepared.score(0.3).ravel()
    first, second = score[::2], score[1::2]
    assert (first != second).any() and np.allclose(first, second, atol=1e-13, rtol=0)
    for n in range(1, 400, 7):  # of two that are equal, the one that comes first is never left out for the other
        selected = prepared.select(n / 400, 0.3)[1].ravel()
        assert selected.sum() == n and (selected[::2] >= selected[1::2]).all()


def test_a_neuron_that_never_fires_counts_as_uniform():
    types = classify(stats_of([[[0, 0, 0], [4, 4, 4], [9, 0, 0]]], 10), top_rate=1 / 3, lam=0.0)
    assert types.score[0, 0] == pytest.approx(types.score[0, 1]) == pytest.approx(1)
    assert types.selected.tolist() == [[False, False, True]]


def test_by_hand():
    # K = 2: entropy of (1/4, 3/4) is 0.5623 nats, H_2 / 2 = 0.75.
    types = classify(stats_of([[[1, 3], [4, 0], [2, 2], [4, 4]]], 4), top_rate=0.5, lam=0.1, quantile=0.5)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) / math.log(2)
    assert types.score[0].tolist() == pytest.approx(
        [entropy - 0.1 * 0.75 / 0.75, -0.1 / 0.75, 1 - 0.1 * 0.5 / 0.75, 1 - 0.1 / 0.75], abs=1e-9
    )
    assert types.tau == 0.5  # sorted: 0 .25 .5 .5 .75 1 1 1, the 4th
    assert types.n_languages.tolist() == [[1, 1, 0, 2]]
    assert types.kind.tolist() == [["specific", "specific", "unclassified", "general"]]
    assert [a.tolist() for a in types.neurons("l1")] == [[0]]
    assert [a.tolist() for a in types.neurons("l0")] == [[1]]
    assert [a.tolist() for a in types.neurons("l0", "general")] == [[3]]
    assert [a.tolist() for a in types.neurons("l0", ["specific", "general"])] == [[1, 3]]
    assert types.neurons("l0", "related")[0].tolist() == []


def grid_lam(identifier, top_rate, general, step=1e-4, end=3.0):
    """The largest grid point at which no general neuron is selected; the slow way."""
    fitting = [lam for lam in np.arange(0, end, step) if not (identifier.select(top_rate, lam)[1] & general).any()]
    return fitting[-1] if fitting else None


@given(st.integers(0, 10_000), st.sampled_from([2, 5, 12]), st.floats(0.05, 0.5))
@settings(max_examples=25, deadline=None)
def test_solved_lambda_is_the_largest_that_fits(seed, k, top_rate):
    rng = np.random.default_rng(seed)
    p = rng.beta(0.3, 0.5, size=(2, 40, k)) ** rng.uniform(0.2, 2)
    p[:, ::7] = 1 - rng.random((2, 6, k)) * 0.05  # general neurons
    identifier = Identifier(p)
    general = (identifier.p > identifier.tau(0.6)).all(0)
    assume(general.any())
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            lam = identifier.solve_lam(top_rate, general)
        except NeuroglotError:
            assert grid_lam(identifier, top_rate, general) is None
            return
    assert not (identifier.select(top_rate, lam)[1] & general).any()
    if caught:  # unbounded: every larger lambda fits
        assert all(not (identifier.select(top_rate, lam * x)[1] & general).any() for x in (1.5, 10, 1e6))
        return
    for beyond in np.linspace(lam + 1e-4, lam + 2, 200):
        assert (identifier.select(top_rate, beyond)[1] & general).any()


def test_no_general_neuron_leaves_lambda_without_a_limit():
    with pytest.warns(UserWarning, match="no largest value"):
        types = classify(stats_of([[[5, 0], [0, 5], [3, 1]]], 10), top_rate=0.4)
    assert types.lam == 0.2 and types.solved


def test_no_lambda_fits():
    with pytest.raises(NeuroglotError, match="lower top_rate"):
        classify(stats_of([[[9, 9], [8, 8], [0, 1]]], 10), top_rate=1.0, quantile=0.3)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"top_rate": 0}, "top_rate=0"),
        ({"top_rate": 1.5}, "top_rate"),
        ({"quantile": 1}, "quantile=1"),
        ({"lam": float("nan")}, "lam=nan"),
        ({"lam": 10**400}, "lam=1000"),
        ({"top_rate": np.float32(0.5)}, "top_rate=np.float32"),  # no file holds it as it is
    ],
)
def test_thresholds_out_of_range(wrong, message):
    with pytest.raises(NeuroglotError, match=message):
        classify(stats_of([[[5, 0], [0, 5]]], 10), **wrong)


# --- mixtures of experts ------------------------------------------------------------------------


def mixture(seed=0, layers=3, experts=12, width=20, k=4, tokens=400):
    """Uneven experts, each of which sees the languages alike, and neurons that do not tell them apart."""
    rng = np.random.default_rng(seed)
    load = rng.dirichlet(np.full(experts, 0.3), size=layers)
    routed = np.stack([rng.multinomial(tokens, load) for _ in range(k)], axis=-1)
    p = rng.beta(0.6, 3, size=(layers, experts, width, 1))
    counts = rng.binomial(routed[:, :, None], p).reshape(1, layers, experts * width, k)
    return ActivationStats(counts, np.full((1, k), tokens), tuple("abcd"[:k]), {}, routed[None])


@pytest.mark.parametrize("scaled", [True, False])
@pytest.mark.parametrize("lam", [None, 0.2])
def test_neurons_that_saw_too_few_tokens_take_no_part(lam, scaled):
    stats, settings = mixture(), {"top_rate": 0.1, "quantile": 0.8, "lam": lam, "scaled": scaled}
    types = classify(stats, **settings, min_tokens=15)
    few = (stats.seen < 15).any(axis=-1)
    assert (types.starved == few).all() and types.n_starved == few.sum() > 100
    assert types.min_tokens == types.settings()["min_tokens"] == types.arguments()["min_tokens"] == 15
    assert set(types.kind[few]) == {"unclassified"} and not types.active[few].any() and not types.selected[few].any()
    # The others have the types that they have where there are no such neurons.
    rest = Identifier(stats.probabilities()[~few][None], scaled=scaled).types(stats.languages, 0.1, lam, 0.8)
    assert (types.codes[~few] == rest.codes[0]).all() and (types.lam, types.tau) == (rest.lam, rest.tau)
    assert (types.selected[~few] == rest.selected[0]).all() and (types.score[~few] == rest.score[0]).all()
    kept = keep_thresholds(types, stats)
    assert (kept.codes == types.codes).all() and kept.n_starved == types.n_starved
    assert classify(stats, **settings, min_tokens=1).n_starved < types.n_starved


def test_the_usual_least_number_leaves_no_chance_finds():
    stats = mixture(layers=4, experts=64, width=32, k=4, tokens=3000)
    types, without = classify(stats), classify(stats, min_tokens=1)
    seen = stats.seen.min(axis=-1)
    assert types.min_tokens == 20 and (seen[types.kind == "specific"] >= 20).all()
    assert (seen[without.kind == "specific"] < 20).sum() > 10  # which there would be


def test_a_dense_model_s_neurons_all_take_part():
    stats = stats_of([[[5, 0, 1], [0, 5, 2], [3, 1, 1], [9, 9, 9]]], 10)
    types = classify(stats, top_rate=0.5, lam=0.1, quantile=0.4, min_tokens=1000)
    assert types.starved is None and types.n_starved == 0 and (types.kind != "unclassified").any()
    with pytest.raises(NeuroglotError, match="min_tokens=0: give a whole number from 1"):
        classify(stats, min_tokens=0)
    # So do those of a mixture that saw all there was.
    routed = np.full((1, 1, 1, 3), 10)
    same = ActivationStats(stats.shard_counts, stats.shard_tokens, stats.languages, {}, routed)
    assert (classify(same, top_rate=0.5, lam=0.1, quantile=0.4).codes == types.codes).all()


def test_no_expert_with_enough_tokens_is_refused():
    routed = np.array([[[[9, 1], [1, 9]]]])
    stats = ActivationStats(np.zeros((1, 1, 4, 2), int), np.full((1, 2), 10), ("a", "b"), {}, routed)
    with pytest.raises(NeuroglotError, match="min_tokens"):
        classify(stats)


def test_types_of_a_mixture_are_saved_and_older_files_read(tmp_path):
    types = classify(mixture(), top_rate=0.1, lam=0.2)
    types.save(tmp_path / "t.safetensors")
    again = NeuronTypes.load(tmp_path / "t.safetensors")
    assert (again.starved == types.starved).all() and again.settings() == types.settings()
    dense = classify(stats_of([[[5, 0], [0, 5], [3, 1]]], 10), top_rate=0.4, lam=0.1)
    older = {name: value for name, value in dense.settings().items() if name != "min_tokens"}
    arrays = {"score": dense.score, "selected": dense.selected, "active": dense.active}
    save_artifact(tmp_path / "o.safetensors", "types", arrays, {"languages": ["en", "fr"], "settings": older})
    assert NeuronTypes.load(tmp_path / "o.safetensors").min_tokens == 1
    with pytest.raises(NeuroglotError, match="took no part"):
        replace(dense, starved=np.ones(dense.score.shape, dtype=bool))


def test_not_a_number_and_one_language_are_refused():
    with pytest.raises(NeuroglotError, match="not a number"):
        Identifier(np.array([[[0.1, np.nan]]]))
    with pytest.raises(NeuroglotError, match="two languages or more"):
        Identifier(np.ones((2, 3, 1)))


@pytest.fixture
def types():
    rng = np.random.default_rng(0)
    counts = rng.binomial(50, rng.beta(0.4, 0.6, size=(4, 60, 5)))
    counts[:, :4] = 49
    return classify(stats_of(counts, 50), top_rate=0.2, quantile=0.7, lam=0.1)


def test_kinds_follow_their_definition(types):
    n, k = types.n_languages, 5
    assert np.array_equal(types.kind == "specific", types.selected & (n == 1))
    assert np.array_equal(types.kind == "related", types.selected & (n > 1) & (n < k))
    assert np.array_equal(types.kind == "general", n == k)
    assert {"specific", "related", "general", "unclassified"} == set(types.kind.ravel())
    assert not (types.selected & (n == k)).any()


def test_neurons_of_a_language(types):
    for k, code in enumerate(types.languages):
        for kinds in (None, "specific", ("specific", "related"), "general", KINDS):
            chosen = (
                types.selected if kinds is None else np.isin(types.kind, [kinds] if isinstance(kinds, str) else kinds)
            )
            expected = [np.flatnonzero(row) for row in chosen & types.active[..., k]]
            got = types.neurons(code, kinds)
            assert len(got) == 4 and all(np.array_equal(a, b) for a, b in zip(got, expected, strict=True))
    with pytest.raises(NeuroglotError, match="no language 'xx'"):
        types.neurons("xx")
    with pytest.raises(NeuroglotError, match="no neuron type 'agnostic'"):
        types.neurons("l0", "agnostic")


def test_a_language_without_neurons_keeps_its_place():
    types = classify(stats_of([[[9, 0, 0], [9, 0, 1]]], 10), top_rate=1.0, lam=0.1, quantile=0.6)
    assert [len(types.neurons(code)[0]) for code in types.languages] == [2, 0, 0]
    table = types.counts_per_language()
    assert table["language"].tolist() == ["l0", "l0", "l1", "l1", "l2", "l2"]


def test_tables(types):
    table = types.table()
    assert len(table) == 240 and table["kind"].tolist() == types.kind.ravel().tolist()
    row = table[(table["layer"] == 2) & (table["neuron"] == 7)].iloc[0]
    assert row["score"] == types.score[2, 7] and row["n_languages"] == types.n_languages[2, 7]
    assert row["languages"] == " ".join(c for c, on in zip(types.languages, types.active[2, 7], strict=True) if on)
    shared = types.counts_per_n().set_index("n_languages")
    for n in range(1, 6):
        assert shared.loc[n, "neurons"] == (types.n_languages == n).sum()
        assert shared.loc[n, "selected"] == ((types.n_languages == n) & types.selected).sum()
    for row in types.counts_per_language().itertuples():
        assert row.neurons == sum(map(len, types.neurons(row.language, row.kind)))


def test_saved_and_loaded(types, tmp_path):
    types.save(tmp_path / "t.safetensors")
    again = NeuronTypes.load(tmp_path / "t.safetensors")
    again.save(tmp_path / "u.safetensors")
    assert (tmp_path / "t.safetensors").read_bytes() == (tmp_path / "u.safetensors").read_bytes()
    assert np.array_equal(again.kind, types.kind) and again.settings() == types.settings()
    assert np.array_equal(again.score, types.score) and again.languages == types.languages
    (tmp_path / "t.safetensors").write_bytes((tmp_path / "u.safetensors").read_bytes()[:-9])
    with pytest.raises(NeuroglotError, match="truncated"):
        NeuronTypes.load(tmp_path / "t.safetensors")
    with pytest.raises(NeuroglotError, match="holds types, not activations"):
        ActivationStats.load(tmp_path / "u.safetensors")


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("score", lambda a: np.where(a == a.min(), np.nan, a), "not a number"),
        ("score", lambda a: a[:-1], "do not fit"),
        ("active", lambda a: a[..., :-1], "do not fit"),
        ("active", lambda a: a.astype(np.int64), "not boolean"),
        ("settings", lambda _: None, "lacks its settings"),
        ("settings", lambda settings: settings | {"more": 1}, "lacks its settings"),
        ("languages", lambda _: "l0", "list of different languages"),
        ("languages", lambda names: [*names[:-1], names[0]], "list of different languages"),
        ("provenance", lambda _: [], "damaged provenance"),
    ],
)
def test_wrong_file_is_refused_by_name(types, tmp_path, name, change, message):
    path = tmp_path / "t.safetensors"
    types.save(path)
    rewrite(path, **{name: change})
    with pytest.raises(NeuroglotError, match=message) as caught:
        NeuronTypes.load(path)
    assert "t.safetensors" in str(caught.value)


def test_overlap(types):
    same = neuroglot.overlap(types, types)
    assert (same["jaccard"] == 1).all() and (same["one"] == same["both"]).all()
    other = classify(stats_of(np.random.default_rng(9).integers(0, 50, (4, 60, 5)), 50), top_rate=0.2, lam=0.1)
    row = neuroglot.overlap(types, other).set_index("kind").loc["specific"]
    a, b = types.kind == "specific", other.kind == "specific"
    assert (row["one"], row["other"], row["both"]) == (a.sum(), b.sum(), (a & b).sum())
    expected = sum(x.sum() * y.sum() / 60 for x, y in zip(a, b, strict=True))
    assert row["chance"] == pytest.approx(expected / (a.sum() + b.sum() - expected))


# --- the counts released with the paper --------------------------------------------------------


def test_types_are_made_again_from_what_they_were_asked_for():
    counts = np.random.default_rng(1).integers(0, 40, size=(4, 3, 30, 4))
    stats = ActivationStats(counts, np.full((4, 4), 40), ("a", "b", "c", "d"))
    for asked in ({"top_rate": 0.2, "quantile": 0.6}, {"top_rate": 0.1, "lam": 0.3, "quantile": 0.7, "scaled": False}):
        types = classify(stats, **asked)
        assert types.arguments() == {"lam": None, "scaled": True, "min_tokens": 20} | asked
        again = classify(stats, **types.arguments())
        assert (again.codes == types.codes).all() and again.settings() == types.settings()
    halves = [classify(stats.take(shards), **asked) for shards in ([0, 2], [1, 3])]
    assert neuroglot.overlap_of_halves(stats, **asked).equals(neuroglot.overlap(*halves))
    with pytest.raises(NeuroglotError, match="give some of the 1"):
        neuroglot.overlap_of_halves(stats.take([0]), **asked)


@pytest.fixture
def mistral(shared):
    folder = shared / "njunlp-mistral" / "activations"
    return neuroglot.read_njunlp(folder, "en ru es fr de zh ja bn th sw")


def test_published_counts_give_the_published_masks_size(mistral):
    assert mistral.shape == (32, 14336, 10)
    types = classify(mistral, lam=0.109375, top_rate=0.01, quantile=0.95)
    assert types.selected.sum() == 4588
    assert (types.selected & (types.n_languages >= 1)).sum() == 3219
    assert not (types.selected & (types.n_languages == 10)).any()


@pytest.mark.parametrize("scaled", [True, False])
def test_published_counts_lambda_equals_a_bisection(mistral, scaled):
    types = classify(mistral, scaled=scaled)
    identifier = Identifier(mistral.probabilities(), scaled=scaled)
    general = (identifier.p > types.tau).all(0)
    low, high = 0.0, 4.0
    while high - low > 1e-5:
        middle = (low + high) / 2
        if (identifier.select(0.01, middle)[1] & general).any():
            high = middle
        else:
            low = middle
    assert low - 1e-5 <= types.lam <= high
    assert types.solved
