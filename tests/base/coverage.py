"""How often intervals hold what they are of, on data that nothing of the estimators is taken from.

Each simulation draws whole experiments of ``n`` units and counts in how many of them the interval holds the truth,
which is known since it was put in. ``benchmarks/coverage.py`` prints them, a test holds them above 93 %.
"""

from collections.abc import Callable

import numpy as np

from neuroglot.base import uncertainty

#: Experiments drawn of each kind and size; a coverage of 95 % then has a standard error of 0.3 points.
EXPERIMENTS = 4000

#: Sizes at which intervals are shown, from the smallest on: wordings, prompts, questions, shards.
SIZES = (4, 6, 8, 12, 20, 30)


def share(low: np.ndarray, high: np.ndarray, truth: np.ndarray | float) -> float:
    """Of the experiments with an interval, in how many it holds the truth."""
    known = ~np.isnan(low)
    return float(((low <= truth) & (truth <= high))[known].mean())


def _lengths(rng: np.random.Generator, n: int) -> np.ndarray:
    """Tokens of wordings: three languages apart by a factor of up to five from the shortest to the longest."""
    return rng.integers(20, 101, size=(n, EXPERIMENTS)).astype(float)


def _jackknifed(sums: np.ndarray, sizes: np.ndarray) -> uncertainty.Estimate:
    """Of ratios ``[units, experiments]``."""
    without = (sums.sum(axis=0) - sums) / (sizes.sum(axis=0) - sizes)
    return uncertainty.jackknife(sums.sum(axis=0) / sizes.sum(axis=0), without)


def nats(n: int, rng: np.random.Generator) -> float:
    """A change in log-perplexity: skewed effects of wordings (skewness 1, as removals have), of unequal length."""
    sizes = _lengths(rng, n)
    return share(*_jackknifed(sizes * rng.gamma(4, 0.25, size=sizes.shape), sizes).interval(), 1.0)


def contrast(n: int, rng: np.random.Generator) -> float:
    """Own less others: two ratios on the same wordings, whose effects go together."""
    sizes, shared = _lengths(rng, n), rng.gamma(4, 0.25, size=(n, EXPERIMENTS))
    own, other = (sizes * (shared * size + rng.normal(0, 0.3, size=sizes.shape)) for size in (2.0, 0.5))
    return share(*_jackknifed(own - other, sizes).interval(), 1.5)


def mean(n: int, rng: np.random.Generator) -> float:
    """A mean of units that weigh alike, heavy-tailed (t with five degrees of freedom) and shifted."""
    return share(*uncertainty.mean_of(0.7 + rng.standard_t(5, size=(n, EXPERIMENTS))).interval(), 0.7)


def beside_draws(n: int, rng: np.random.Generator) -> float:
    """Own less *another* random draw, beside three: the truth is what a fourth one would have given."""
    own = rng.normal(1.0, 0.5, size=(n, EXPERIMENTS))
    of_draws = rng.normal(0.2, 0.3, size=(4, 1, EXPERIMENTS)) + rng.normal(0, 0.1, size=(4, n, EXPERIMENTS))
    three = of_draws[:3].mean(axis=0)
    found = uncertainty.mean_of(own - three).scattered(of_draws[:3].mean(axis=1))
    return share(*found.interval(), 1.0 - of_draws[3].mean(axis=0))


def right_answers(n: int, rng: np.random.Generator, right: float = 0.8) -> float:
    """An accuracy of questions of different wordings."""
    return share(*uncertainty.share_interval((rng.random((n, EXPERIMENTS)) < right).mean(axis=0), n), right)


def rare_answers(n: int, rng: np.random.Generator) -> float:
    """The same, where one in twenty is right."""
    return right_answers(n, rng, 0.05)


def fidelity(n: int, rng: np.random.Generator) -> float:
    """A share of letters: mostly all of a response, sometimes none or a part of it."""
    parts = np.where(rng.random((n, EXPERIMENTS)) < 0.2, rng.random((n, EXPERIMENTS)), 1.0)
    return share(*uncertainty.share_interval(parts.mean(axis=0), n), 0.9)


def change_in_accuracy(n: int, rng: np.random.Generator) -> float:
    """Questions that were right (as they are chosen), three in ten of which go wrong; two of a wording are alike."""
    hard = rng.random((EXPERIMENTS, n))
    sizes = rng.integers(1, 3, size=(EXPERIMENTS, n))
    after = np.where(hard < 0.3, 0, sizes)
    found = uncertainty.change_of_shares(after, sizes, sizes)
    return share(*found.interval(), -0.3)


def no_change_in_accuracy(n: int, rng: np.random.Generator) -> float:
    """Answers that are right in six of ten cases before and after, each by itself."""
    before, after = (rng.random((2, EXPERIMENTS, n)) < 0.6).astype(float)
    return share(*uncertainty.change_of_shares(after, before, np.ones_like(before)).interval(), 0.0)


def firing(n: int, rng: np.random.Generator) -> float:
    """A neuron's probability over shards: tokens of a shard go together (twice the variance of independent ones)."""
    sizes = rng.integers(60, 141, size=(EXPERIMENTS, n))
    counts = rng.binomial(sizes, rng.beta(0.1 * 99, 0.9 * 99, size=sizes.shape))
    number = uncertainty.effective_number(counts, sizes)
    return share(*uncertainty.share_interval(counts.sum(axis=1) / sizes.sum(axis=1), number), 0.1)


def neurons_changed(n: int, rng: np.random.Generator) -> float:
    """By how many neurons fewer fire at half of the tokens: of 60, counted before and after on the same shards.

    A shard moves a neuron's probability before and after alike, and 3 % of its firings are lost. The truth is the mean
    over the experiments.
    """
    p = rng.uniform(0.35, 0.65, size=(60, 1, 1)) + rng.normal(0, 0.04, size=(60, EXPERIMENTS, n))
    before = rng.binomial(100, p)
    after = rng.binomial(before, 0.97)

    def change(shards: np.ndarray) -> np.ndarray:
        above = [(counts[..., shards].mean(axis=-1) > 50).sum(axis=0) for counts in (before, after)]
        return above[1] - above[0]

    value = change(np.arange(n)).astype(float)
    halves = np.array([change(half) for pair in uncertainty.halves(n, 25) for half in pair], float)
    return share(*uncertainty.half_sampled(value, halves, n).interval(), value.mean())


def few_neurons(n: int, rng: np.random.Generator) -> float:
    """How many of a layer's 12 neurons near the threshold fire at more than half of the tokens; as above."""
    p = rng.uniform(0.4, 0.6, size=(12, 1, 1)) + rng.normal(0, 0.04, size=(12, EXPERIMENTS, n))
    fired = rng.binomial(100, p)

    def number(shards: np.ndarray) -> np.ndarray:
        return np.asarray((fired[..., shards].mean(axis=-1) > 50).sum(axis=0), float)

    value = number(np.arange(n))
    halves = np.array([number(half) for pair in uncertainty.halves(n, 25) for half in pair])
    return share(*uncertainty.half_sampled(value, halves, n).interval(), value.mean())


def overlap(n: int, rng: np.random.Generator, groups: int = 10) -> float:
    """Jaccard of the neurons that are above a threshold in either half of the shards, groups of shards left out."""
    p = rng.uniform(0.3, 0.7, size=(100, 1, 1)) + rng.normal(0, 0.08, size=(100, EXPERIMENTS // 4, n))
    fired = rng.binomial(100, p.clip(0, 1))
    splits = list(uncertainty.halves(n, 5))

    def jaccard(group: int) -> np.ndarray:
        each = []
        for pair in splits:
            one, other = (fired[..., half[half % groups != group]].mean(axis=-1) > 50 for half in pair)
            each.append((one & other).sum(axis=0) / (one | other).sum(axis=0))
        return np.mean(each, axis=0)

    value, without = jaccard(-1), np.array([jaccard(group) for group in range(min(n, groups))])
    return share(*uncertainty.jackknife(value, without).interval(), value.mean())


#: By the words that the benchmark prints: each simulation, and the smallest number of units it is shown for.
KINDS: dict[str, tuple[Callable[[int, np.random.Generator], float], int]] = {
    "change in log-perplexity (jackknife)": (nats, 4),
    "own less others (jackknife)": (contrast, 4),
    "mean of alike units (t)": (mean, 4),
    "own less another random draw, of three (t)": (beside_draws, 4),
    "accuracy of 0.8 (Clopper-Pearson)": (right_answers, 4),
    "accuracy of 0.05 (Clopper-Pearson)": (rare_answers, 4),
    "language fidelity of 0.9 (Clopper-Pearson)": (fidelity, 4),
    "change in accuracy of -0.3 (Agresti-Min)": (change_in_accuracy, 4),
    "no change in accuracy (Agresti-Min)": (no_change_in_accuracy, 4),
    "probability of a neuron (Korn-Graubard)": (firing, 8),
    "change in a number of neurons (halves)": (neurons_changed, 8),
    "number of neurons, of 12 near the threshold (halves)": (few_neurons, 8),
    "overlap of two halves (jackknife over groups)": (overlap, 8),
}


def of(kind: str, n: int) -> float:
    """The coverage of one kind of interval at ``n`` units, from a seed of its own."""
    return KINDS[kind][0](n, np.random.default_rng([n, list(KINDS).index(kind)]))
