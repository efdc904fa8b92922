"""Detectors: the own one against identification's score, and what an installed one may not give."""

import numpy as np
import pytest

from neuroglot import ActivationStats, NeuroglotError
from neuroglot.neurons import detectors
from neuroglot.neurons.identification import Identifier


@pytest.fixture
def stats():
    rng = np.random.default_rng(0)
    return ActivationStats(rng.integers(0, 50, (2, 3, 8, 3)), np.full((2, 3), 50), ("en", "de", "ru"))


def test_the_largest_lambda_score_is_minus_the_papers(stats):
    scores = detectors.score("lambda", stats, lam=0.3)
    assert scores.shape == stats.shape and scores.dtype == np.float64
    np.testing.assert_allclose(scores.max(axis=-1), -Identifier(stats.probabilities()).score(0.3), rtol=1e-12)
    assert np.array_equal(scores.argmax(axis=-1), stats.probabilities().argmax(axis=-1))


def test_a_starved_neuron_has_no_score():
    counts, routed = np.ones((1, 1, 4, 2), dtype=int), np.array([[[[30, 30], [30, 2]]]])
    scores = detectors.score("lambda", ActivationStats(counts, np.array([[60, 60]]), ("en", "de"), {}, routed), lam=0.1)
    assert np.isnan(scores[0, 2:]).all() and np.isfinite(scores[0, :2]).all()


def test_unknown_names_and_settings_are_refused(stats):
    with pytest.raises(NeuroglotError, match="there is no detector 'lapse'; use lambda"):
        detectors.score("lapse", stats)
    for settings in ({}, {"lam": 0.1, "lamb": 1}):
        with pytest.raises(NeuroglotError, match=r"the detector lambda: .*lam"):
            detectors.score("lambda", stats, **settings)
    with pytest.raises(NeuroglotError, match="lam='high'"):
        detectors.score("lambda", stats, lam="high")


def test_what_an_installed_detector_gives_is_checked(stats, install):
    names = ("good", "flat", "whole", "endless", "listed")
    install("stone", {"neuroglot.detectors": {name: f"stone_detectors:{name}" for name in names}})
    (install.folder / "stone_detectors.py").write_text(
        "import numpy as np\n"
        "def good(stats): return np.zeros(stats.shape, dtype=np.float32)\n"
        "def flat(stats): return np.zeros(stats.shape[:2])\n"
        "def whole(stats): return np.zeros(stats.shape, dtype=int)\n"
        "def endless(stats): return np.full(stats.shape, np.inf)\n"
        "def listed(stats): return []\n"
    )
    assert detectors.names() == ("lambda", *sorted(names))
    assert detectors.score("good", stats).dtype == np.float64
    wrong = {"flat": r"shape \(3, 8\)", "whole": "gave int", "endless": "infinite", "listed": "gave list"}
    for name, what in wrong.items():
        with pytest.raises(NeuroglotError, match=rf"{name} = stone_detectors:{name} .* of stone 1\.0, .*{what}"):
            detectors.score(name, stats)
    with pytest.raises(NeuroglotError, match=r"good = .* does not take .*lam"):
        detectors.score("good", stats, lam=1)
