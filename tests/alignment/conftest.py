"""Counts of a model before and after, with neurons whose type is known."""

import numpy as np
import pytest

from neuroglot import ActivationStats, classify

SETTINGS = {"top_rate": 0.3, "quantile": 0.79}


def counts(p, shards=10, tokens=400, seed=0, noise=0.0, **provenance):
    """Counts drawn with the probabilities ``p`` [layers, neurons, languages], in shards of a language's tokens."""
    rng = np.random.default_rng(seed)
    drawn = np.stack([rng.binomial(tokens, np.clip(p + noise * rng.normal(size=p.shape), 0, 1)) for _ in range(shards)])
    languages = ("en", "de", "zh", "sw")[: p.shape[-1]]
    return ActivationStats(
        drawn, np.full((shards, p.shape[-1]), tokens), languages, {"corpus_sha256": "x"} | provenance
    )


def probabilities(layers=3, neurons=60):
    """Twenty neurons of a layer prefer one language, eight two, three fire in all; the rest seldom."""
    p = np.full((layers, neurons, 4), 0.05)
    for j in range(20):
        p[:, j, j % 4] = 0.6
    for j in range(20, 28):
        p[:, j, [j % 4, (j + 1) % 4]] = 0.6
    p[:, -3:] = 0.6
    return np.clip(p + 0.02 * np.random.default_rng(0).normal(size=p.shape), 0, 1)


@pytest.fixture(scope="session")
def before():
    return counts(probabilities())


@pytest.fixture(scope="session")
def types(before):
    return classify(before, **SETTINGS)


@pytest.fixture(scope="session")
def changed(before):
    """Twelve neurons of layer 0 that preferred one language, and four that preferred two, prefer none any more."""
    p = before.probabilities().copy()
    p[0, :12] = p[0, 20:24] = 0.05
    return counts(p, seed=1)
