"""Each method beside a slow one that is written from its definition."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from neuroglot import ActivationStats, NeuroglotError
from neuroglot.counts.gathering import BINS, Gathered
from neuroglot.neurons.detection import detect
from neuroglot.neurons.methods import average_precisions

TOKENS = 12
CODES = ("en", "de", "ru", "zh")


def stats_of(layers, width, k, **gathered):
    counts = np.zeros((1, layers, width, k), dtype=np.int64)
    return ActivationStats(counts, np.full((1, k), TOKENS), CODES[:k], gathered=Gathered(**gathered))


@st.composite
def of_texts(draw, name):
    """Few different values, so that many are tied, and silent neurons; every language has a text."""
    layers, width, k = draw(st.integers(1, 2)), draw(st.integers(3, 7)), draw(st.integers(2, 4))
    of = [*range(k), *draw(st.lists(st.integers(0, k - 1), max_size=6))]
    lowest = 0 if name == "absolute" else -2
    size = layers * len(of) * width
    values = draw(st.lists(st.one_of(st.just(0), st.integers(lowest, 3)), min_size=size, max_size=size))
    array = np.array(values, dtype=np.float32).reshape(layers, len(of), width)
    places = {"text_languages": np.array(of), "text_shards": np.zeros(len(of), dtype=int)}
    return stats_of(layers, width, k, **{name: array}, **places)


@st.composite
def of_histograms(draw):
    """Each neuron's values in a few bins, of some languages in the same."""
    layers, width, k = draw(st.integers(1, 2)), draw(st.integers(3, 6)), draw(st.integers(2, 4))
    histograms = np.zeros((layers, width, k, BINS), dtype=np.int64)
    bins = st.sampled_from([0, BINS // 2, BINS // 2 + 1, BINS - 2, BINS - 1])
    for place in np.ndindex(layers, width, k):
        if draw(st.booleans()):
            histograms[*place, BINS // 2] = TOKENS
        else:
            for bin_ in draw(st.lists(bins, min_size=TOKENS // 3, max_size=TOKENS // 3)):
                histograms[*place, bin_] += 3
    return stats_of(layers, width, k, histograms=histograms)


def first(scores, number):
    """Places of the highest scores, of equal ones the first, of NaN none."""
    known = [place for place in np.ndindex(scores.shape) if not np.isnan(scores[place])]
    return set(sorted(known, key=lambda place: (-scores[place], place))[:number])


def chosen(found, code):
    return {(layer, int(neuron)) for layer, row in enumerate(found.neurons(code)) for neuron in row}


def slow_precision(values, hits):
    """The sum over thresholds of the precision times the gain of recall."""
    total, before = 0.0, 0
    for threshold in sorted(set(values), reverse=True):
        above = [hit for value, hit in zip(values, hits, strict=True) if value >= threshold]
        total += sum(above) / len(above) * (sum(above) - before) / sum(hits)
        before = sum(above)
    return total


@given(of_texts("maxima"), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_average_precision_is_its_definition(stats, number):
    found = detect(stats, "average-precision", number=number)
    layers, width, _ = stats.shape
    for k, code in enumerate(stats.languages):
        hits = (stats.gathered.text_languages == k).tolist()
        wanted = np.array(
            [
                [slow_precision(stats.gathered.maxima[i, :, j].tolist(), hits) for j in range(width)]
                for i in range(layers)
            ]
        )
        np.testing.assert_allclose(found.score[..., k], wanted, atol=1e-12)
        scores = found.score[..., k]
        assert chosen(found, code) == first(scores, number) | first(-scores, number)


@given(of_texts("maxima"))
@settings(max_examples=60, deadline=None)
def test_average_precision_is_scikit_learns(stats):
    of, values = stats.gathered.text_languages, stats.gathered.maxima[0]
    found = average_precisions(values, of, len(stats.languages))
    for j in range(values.shape[1]):
        for k in range(len(stats.languages)):
            assert found[j, k] == pytest.approx(average_precision_score(of == k, values[:, j]), abs=1e-12)


@given(of_texts("absolute"), st.sampled_from([0.1, 0.3, 0.6]), st.sampled_from([0.5, 2 / 3, 0.9, 1.0]))
@settings(max_examples=100, deadline=None)
def test_plnd_is_its_definition(stats, top_rate, share):
    found = detect(stats, "plnd", top_rate=top_rate, share=share)
    layers, width, k = stats.shape
    of = stats.gathered.text_languages.tolist()
    strong = [
        first(stats.gathered.absolute[:, text].astype(float), round(top_rate * layers * width))
        for text in range(len(of))
    ]
    shares = {
        place: [np.mean([place in strong[text] for text in range(len(of)) if of[text] == n]) for n in range(k)]
        for place in np.ndindex(layers, width)
    }
    own = [{place for place, row in shares.items() if row[n] >= share - 1e-9} for n in range(k)]
    for n, code in enumerate(stats.languages):
        assert chosen(found, code) == own[n] - set.intersection(*own)
        for place, row in shares.items():
            others = np.mean([row[m] for m in range(k) if m != n])
            assert found.score[(*place, n)] == pytest.approx(row[n] - others, abs=1e-12)


@given(of_histograms(), st.sampled_from([0.5, 0.75, 0.95]), st.sampled_from([0.2, 0.5]))
@settings(max_examples=100, deadline=None)
def test_percentile_is_its_definition(stats, percentile, top_rate):
    found = detect(stats, "percentile", percentile=percentile, top_rate=top_rate)
    layers, width, k = stats.shape
    for i, j in np.ndindex(layers, width):
        values = [np.repeat(np.arange(BINS), stats.gathered.histograms[i, j, n]) for n in range(k)]
        pooled = np.concatenate(values)
        threshold = next(b for b in range(BINS + 1) if (pooled >= b).sum() <= (1 - percentile) * len(pooled) + 1e-9)
        shares = [(own >= threshold).mean() for own in values]
        wanted = np.array(shares) / sum(shares) if sum(shares) else np.full(k, np.nan)
        np.testing.assert_allclose(found.score[i, j], wanted, atol=1e-12)
    for n, code in enumerate(stats.languages):
        assert chosen(found, code) == first(found.score[..., n], round(top_rate * layers * width))


def slow_parting(between, k):
    """The smallest largest overlap across of all partings in two, and which languages are apart."""
    every = range(k)
    partings = [set(some) for size in range(1, k) for some in combinations(every, size)]
    across = min(max(between[a, b] for a in some for b in every if b not in some) for some in partings)
    groups = []
    for start in every:
        group, edge = {start}, [start]
        while edge:
            at = edge.pop()
            new = {n for n in every if n not in group and between[min(at, n), max(at, n)] > across}
            group |= new
            edge += new
        groups.append(group)
    return across, min(groups, key=lambda group: (len(group), min(group)))


@given(of_histograms(), st.sampled_from([0.0, 0.1, 0.4, 1.0]))
@settings(max_examples=100, deadline=None)
def test_overlap_is_its_definition(stats, bottom_rate):
    found = detect(stats, "overlap", bottom_rate=bottom_rate)
    layers, width, k = stats.shape
    partings, every = {}, []
    for i, j in np.ndindex(layers, width):
        share = stats.gathered.histograms[i, j] / TOKENS
        between = {(a, b): round(sum(np.minimum(share[a], share[b])), 12) for a, b in combinations(range(k), 2)}
        between |= {(b, a): value for (a, b), value in between.items()}
        every += [between[pair] for pair in combinations(range(k), 2)]
        partings[i, j] = slow_parting(between, k)
    number = round(bottom_rate * len(every))
    bar = sorted(every)[number - 1] if number else -1
    for n, code in enumerate(stats.languages):
        assert chosen(found, code) == {
            place for place, (across, apart) in partings.items() if n in apart and across <= bar
        }
        for place, (across, apart) in partings.items():
            score = found.score[(*place, n)]
            assert np.isnan(score) if n not in apart else score == pytest.approx(1 - across, abs=1e-12)


@given(of_texts("absolute"))
@settings(max_examples=30, deadline=None)
def test_sizes_are_compared_with_the_others(stats):
    found = detect(stats, "mean-difference", absolute=True, top_rate=0.2)
    layers, width, k = stats.shape
    of = stats.gathered.text_languages
    means = [stats.gathered.absolute[:, of == n].astype(float).sum(axis=1) / TOKENS for n in range(k)]
    for n, code in enumerate(stats.languages):
        wanted = means[n] - sum(means[m] for m in range(k) if m != n) / (k - 1)
        np.testing.assert_allclose(found.score[..., n], wanted, atol=1e-12)
        assert chosen(found, code) == first(found.score[..., n], round(0.2 * layers * width))


@pytest.mark.parametrize(
    ("method", "kind"),
    [
        ("average-precision", "maxima"),
        ("plnd", "absolute"),
        ("percentile", "histograms"),
        ("overlap", "histograms"),
    ],
)
def test_what_was_not_gathered_is_named(method, kind):
    with pytest.raises(NeuroglotError, match=f"hold no {kind}; collect them with gather='{kind}'"):
        detect(ActivationStats(np.zeros((1, 1, 4, 2), dtype=int), np.ones((1, 2), dtype=int), ("en", "de")), method)


@pytest.mark.parametrize("method", ["percentile", "lape", "plnd", "mean-difference"])
@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan"), "much"])
def test_a_rate_is_a_share(method, rate):
    histograms = np.zeros((1, 2, 2, BINS), dtype=int)
    histograms[..., 0] = TOKENS
    places = {"text_languages": np.array([0, 1]), "text_shards": np.array([0, 0])}
    stats = stats_of(1, 2, 2, histograms=histograms, absolute=np.ones((1, 2, 2), dtype=np.float32), **places)
    more = {"absolute": True} if method == "mean-difference" else {}
    with pytest.raises(NeuroglotError, match="give a share from 0 to 1"):
        detect(stats, method, top_rate=rate, **more)
