"""Each detector beside a slow one that is written from its definition."""

import inspect
import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from neuroglot import ActivationStats, NeuroglotError, classify, read_njunlp
from neuroglot.neurons import methods
from neuroglot.neurons.detection import Detection, detect

TOKENS = 12


def made(counts):
    """Of counts ``[layers, width, languages]`` of twelve tokens each."""
    counts = np.asarray(counts)
    languages = ("en", "de", "ru", "zh")[: counts.shape[-1]]
    return ActivationStats(counts[None], np.full((1, counts.shape[-1]), TOKENS), languages)


@st.composite
def some(draw):
    """Few tokens, so that many probabilities are tied, and silent neurons."""
    layers, width, k = draw(st.integers(1, 3)), draw(st.integers(4, 12)), draw(st.integers(2, 4))
    size = layers * width * k
    counts = draw(st.lists(st.one_of(st.just(0), st.integers(0, TOKENS)), min_size=size, max_size=size))
    return made(np.reshape(counts, (layers, width, k)))


def kth(values, rate):
    """The ``round(rate * n)``-th smallest."""
    return sorted(values)[max(round(rate * len(values)), 1) - 1]


def slow_lape(stats, top_rate, filter_rate, bar_rate):
    """Neurons of each language, as a set of places, one neuron after the other."""
    layers, width, k = stats.shape
    p = {(i, j): [stats.counts[i, j, n] / TOKENS for n in range(k)] for i in range(layers) for j in range(width)}
    every = [value for row in p.values() for value in row]
    lowest, bar = kth(every, filter_rate), kth(every, bar_rate)
    entropy = {}
    for place, row in p.items():
        if any(value > lowest for value in row):
            entropy[place] = -sum(v / sum(row) * math.log(v / sum(row)) for v in row if v > 0)
    number = round(top_rate * len(p))
    first = sorted(entropy, key=lambda place: (round(entropy[place], 12), place))[:number]
    return [{place for place in first if p[place][n] > bar} for n in range(k)], entropy, p, bar


@given(some(), st.sampled_from([0.1, 0.3, 1.0]), st.sampled_from([0.0, 0.5, 0.95]), st.sampled_from([0.5, 0.95]))
@settings(max_examples=150, deadline=None)
def test_lape_is_its_definition(stats, top_rate, filter_rate, bar_rate):
    found = detect(stats, "lape", top_rate=top_rate, filter_rate=filter_rate, bar_rate=bar_rate)
    wanted, entropy, p, bar = slow_lape(stats, top_rate, filter_rate, bar_rate)
    for n, code in enumerate(stats.languages):
        assert {(i, int(j)) for i, row in enumerate(found.neurons(code)) for j in row} == wanted[n]
        for place, row in p.items():
            score = found.score[(*place, n)]
            if place in entropy and row[n] > bar:
                assert score == pytest.approx(-entropy[place], abs=1e-12)
            else:
                assert np.isnan(score)


@given(some(), st.sampled_from([0.1, 0.4]), st.booleans())
@settings(max_examples=60, deadline=None)
def test_the_papers_rule_is_classify_s(stats, top_rate, scaled):
    how = {"top_rate": top_rate, "quantile": 0.7, "lam": 0.2, "scaled": scaled}
    found, types = detect(stats, "lambda-score", **how), classify(stats, **how)
    for code in stats.languages:
        wanted = types.neurons(code, ("specific", "related"))
        assert all((a == b).all() for a, b in zip(found.neurons(code), wanted, strict=True))
    np.testing.assert_array_equal(np.isnan(found.score), ~types.active)
    peak = stats.probabilities() == stats.probabilities().max(axis=-1, keepdims=True)
    told = np.where(peak & types.active, -found.score - types.score[..., None], 0.0)
    np.testing.assert_allclose(told, 0.0, atol=1e-12)


def test_means_are_compared_with_the_others():
    rng = np.random.default_rng(0)
    sums = rng.normal(size=(1, 2, 10, 3)) * TOKENS
    counts = np.ones((1, 2, 10, 3), dtype=np.int64)
    stats = ActivationStats(counts, np.full((1, 3), TOKENS), ("en", "de", "ru"), sums=sums[0], squares=sums[0] ** 2)
    found = detect(stats, "mean-difference", top_rate=0.15)
    for k in range(3):
        others = [n for n in range(3) if n != k]
        wanted = sums[0, ..., k] / TOKENS - sum(sums[0, ..., n] / TOKENS for n in others) / 2
        np.testing.assert_allclose(found.score[..., k], wanted)
        best = sorted(np.ndindex(2, 10), key=lambda place: -wanted[place])[:3]
        assert {(int(i), int(j)) for i, j in zip(*np.nonzero(found.selected[..., k]), strict=True)} == set(best)


@pytest.mark.parametrize("matched", ["firing rate", None])
def test_random_neurons_stand_in_for_another_detection(matched):
    rng = np.random.default_rng(1)
    stats = made(rng.integers(0, TOKENS + 1, size=(3, 200, 3)))
    like = detect(stats, "lape", top_rate=0.1, filter_rate=0.5, bar_rate=0.5)
    assert min(like.sizes().values()) > 5
    found = detect(stats, "random", like=like, matched=matched)
    assert found.settings == {"like": "lape", "matched": matched}
    p = stats.probabilities()
    for k, code in enumerate(stats.languages):
        for layer, (own, drawn) in enumerate(zip(like.neurons(code), found.neurons(code), strict=True)):
            assert len(own) == len(drawn) and not set(own) & set(drawn)
            if matched and len(own):
                assert abs(p[layer, own, k].mean() - p[layer, drawn, k].mean()) < 0.1
    again = detect(stats, "random", like=like, matched=matched)
    assert (again.selected == found.selected).all()
    other = detect(stats, "random", like=like, matched=matched, seed=1)
    assert (other.selected != found.selected).any()


def test_as_many_are_taken_of_every_language():
    score = np.array([[[3.0, 1.0], [2.0, np.nan], [3.0, 5.0]], [[9.0, np.nan], [np.nan, np.nan], [1.0, 2.0]]])
    found = Detection("x", ("en", "de"), score, np.zeros(score.shape, dtype=bool))
    assert found.sizes() == {"en": 0, "de": 0}
    two = found.take(2)
    assert [a.tolist() for a in two.neurons("en")] == [[0], [0]] and [a.tolist() for a in two.neurons("de")] == [
        [2],
        [2],
    ]
    assert found.take(3).sizes() == {"en": 3, "de": 3} and found.take(9).sizes() == {"en": 5, "de": 3}
    each = found.take([1, 2])
    assert [a.tolist() for a in each.neurons("en")] == [[0], [0, 2]], "of equal scores the first"
    assert [a.tolist() for a in each.neurons("de")] == [[2], [2]]
    rows = two.table().to_dict("records")
    assert [(r["language"], r["layer"], r["neuron"], r["score"]) for r in rows] == [
        ("en", 1, 0, 9.0), ("en", 0, 0, 3.0), ("de", 0, 2, 5.0), ("de", 1, 2, 2.0),
    ]  # fmt: skip
    for wrong in (-1, [1], [1, -1], [1, 2, 3]):
        with pytest.raises(NeuroglotError, match=r"^n"):
            found.take(wrong)


def test_a_detection_is_kept(tmp_path):
    found = detect(
        made(np.random.default_rng(2).integers(0, 13, size=(2, 30, 3))),
        "lape",
        top_rate=0.2,
        bar_rate=0.6,
        filter_rate=0.6,
    )
    found.save(tmp_path / "lape.safetensors")
    again = Detection.load(tmp_path / "lape.safetensors")
    assert (again.method, again.languages, again.settings) == ("lape", found.languages, found.settings)
    np.testing.assert_array_equal(again.score, found.score)
    assert (again.selected == found.selected).all() and again.selected.any()
    again.save(tmp_path / "again.safetensors")
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "lape.safetensors").read_bytes()


def test_what_cannot_be_detected_is_said():
    stats = made(np.ones((2, 8, 2), dtype=int))
    with pytest.raises(NeuroglotError, match="there is no method 'lapse'; use lambda-score, lape"):
        detect(stats, "lapse")
    with pytest.raises(NeuroglotError, match=r"the method lape: .*'rate'"):
        detect(stats, "lape", rate=0.1)
    with pytest.raises(NeuroglotError, match="moments"):
        detect(stats, "mean-difference")
    with pytest.raises(NeuroglotError, match="like is not of these"):
        detect(stats, "random", like=detect(made(np.ones((2, 8, 3), dtype=int)), "lape"))
    with pytest.raises(NeuroglotError, match="there is no language 'xx'"):
        detect(stats, "lape").neurons("xx")


def test_lape_of_the_released_counts_is_its_definition(shared):
    """Of 458,752 neurons and ten languages, by torch's ``kthvalue`` and ``topk``."""
    stats = read_njunlp(shared / "njunlp-mistral" / "activations")
    found = detect(stats, "lape")
    p = torch.from_numpy(stats.counts) / torch.from_numpy(stats.tokens).double()
    every = p.flatten()
    bar = every.kthvalue(round(0.95 * len(every))).values
    share = p / p.sum(-1, keepdim=True)
    entropy = -torch.where(share > 0, share * share.log(), 0).sum(-1)
    entropy[~(p > bar).any(-1)] = torch.inf
    number = round(0.01 * entropy.numel())
    chosen = entropy.flatten().topk(number, largest=False).indices
    wanted = torch.zeros(entropy.numel(), dtype=torch.bool)
    wanted[chosen] = True
    wanted = wanted.reshape(entropy.shape)[..., None] & (p > bar)
    assert number == 4588 and int(found.selected.any(-1).sum()) == number
    different = found.selected != wanted.numpy()
    edge = torch.sort(entropy.flatten()).values[number - 1]
    tied = (entropy - edge).abs().numpy() < 1e-11
    assert not different[~tied].any() and tied.sum() < 5
    assert set(found.sizes()) == set(stats.languages) and min(found.sizes().values()) > 10


@given(some(), st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_ranks_are_places_in_the_order_of_scores(stats, n):
    found = detect(stats, "lape", top_rate=0.3, filter_rate=0.5)  # some have no score, and many are tied
    ranks = found.ranks()
    layers, width, languages = stats.shape
    places = [(i, j) for i in range(layers) for j in range(width)]
    for k in range(languages):
        scored = [place for place in places if not math.isnan(found.score[*place, k])]
        order = sorted(scored, key=lambda place: (-found.score[*place, k], place))
        assert [ranks[*place, k] for place in order] == list(range(1, len(order) + 1))
        assert not any(ranks[*place, k] for place in places if place not in scored)
    assert (found.take(n).selected == ((ranks > 0) & (ranks <= n))).all()


def test_every_method_is_a_public_function_and_detect_says_what_it_takes():
    said = dict(re.findall(r'^- ``"(.+?)"``(.*?)(?=^- |^$)', inspect.getdoc(detect), re.M | re.S))
    assert list(said) == list(methods.METHODS)
    for name, function in methods.METHODS.items():
        assert getattr(methods, name.replace("-", "_")) is function and f"methods.{function.__name__}`" in said[name]
        head, settings_ = said[name].split(":", 1)
        assert set(re.findall(r"``(\w+)``", head)) == set(methods.NEEDS.get(name, ())), name
        assert re.findall(r"``(\w+)``", settings_) == list(inspect.signature(function).parameters)[1:], name
        for source in re.findall(r"arXiv (\S+?)\)|EMNLP", head):
            assert source in inspect.getdoc(function), name
