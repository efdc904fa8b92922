"""Several detectors' neurons, removed one after the other: what each does beside random neurons, and beside others."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError, quoted, require_whole
from ..base.uncertainty import Estimate, verdicts
from ..counts.activations import ActivationStats
from ..neurons.agreement import Selection
from ..neurons.detection import Detection
from ..neurons.identification import MIN_TOKENS
from .matrix import ALL, AS_MANY, LOG_PERPLEXITY, MATCHED, OWN, Effects
from .removals import Removal, beside, of_the_others

#: What a detector chooses by itself.
ITS_OWN = "its own choice"


def at_budgets(detections: Mapping[str, Selection], budgets: Iterable[int | str]) -> dict[str, dict[str, Selection]]:
    """Each detector's neurons at equal numbers a language, and at its own choice.

    A detector that looks at few neurons looks selective and weak, one that looks at many strong and unselective; so
    they are set side by side at equal numbers.

    Args:
        detections: by name. Of what has no scores, such as neuron types, there is the own choice alone.
        budgets: numbers of neurons a language, and :data:`ITS_OWN`.

    Returns:
        By budget, as a word, and by detector; without those that have no neuron of any language.
    """
    found: dict[str, dict[str, Selection]] = {}
    for budget in dict.fromkeys(budgets):
        if isinstance(budget, str) and budget != ITS_OWN:
            raise NeuroglotError(f"budgets: {quoted(budget)} is no number of neurons; use numbers and {ITS_OWN!r}.")
        if budget == ITS_OWN:
            some = dict(detections)
        else:
            require_whole("budgets", budget, 1)
            assert isinstance(budget, int)
            some = {name: one.take(budget) for name, one in detections.items() if isinstance(one, Detection)}
        word = budget if isinstance(budget, str) else f"{budget:,} a language"
        found[word] = {name: one for name, one in some.items() if any(_size(one, code) for code in one.languages)}
    return found


def _size(one: Selection, code: str) -> int:
    return sum(map(len, one.neurons(code)))


def removals_of(
    sets: Mapping[str, Selection],
    stats: ActivationStats,
    *,
    draws: int = 2,
    other_draws: int = 2,
    width: float | None = None,
    seed: int = 0,
) -> list[Removal]:
    """Each detector's set of each language, and beside it random neurons and as many of its other languages'.

    Args:
        sets: by detector, of the languages of the counts.
        stats: the counts, for firing rates.
        draws: of random neurons of the same layers that are as often active in the language.
        other_draws: of neurons that the detector gives other languages, in each layer as many.
        width: how far firing rates may be apart; default: the nearest there are.
        seed: of the draws.

    Raises:
        NeuroglotError: sets of other languages, or a number of draws that is none.
    """
    for name, number in {"draws": draws, "other_draws": other_draws}.items():
        require_whole(name, number, 0)
    rates = stats.probabilities(MIN_TOKENS)
    found = []
    for name, one in sets.items():
        if one.languages != stats.languages:
            raise NeuroglotError(f"{name} is not of the languages of these counts; detect on the same.")
        own = {code: list(one.neurons(code)) for code in one.languages}
        found += beside(name, own, draws=draws, size=rates.shape[1], rates=rates, width=width, seed=seed)
        found += of_the_others(name, own, draws=other_draws, seed=seed)
    return found


def in_own_language(removals: Iterable[Removal]) -> dict[str, list[str]]:
    """Which languages each is to be measured in, for :func:`neuroglot.losses`: its own alone."""
    return {removal.name: [removal.language] for removal in removals if removal.size}


def compared(effects: Effects) -> pd.DataFrame:
    """What each detector's neurons do on average over the languages, all detectors judged together.

    Args:
        effects: of the removals of one budget, by detector (:func:`neuroglot.effects.matrix.of_losses`).

    Returns:
        One row per detector and ``what`` (own, own less matched, own less as many of theirs): ``detector``, ``what``,
        ``effect`` (nats per token), ``low``, ``high``, ``detectable``, ``p``, ``verdict`` (false discoveries controlled
        over the detectors), ``units`` (wordings).
    """
    rows = effects.contrasts()
    rows = rows[(rows["measure"] == LOG_PERPLEXITY) & (rows["language"] == ALL)]
    wanted = [OWN, *(f"own less {what}" for what in (MATCHED, AS_MANY))]
    found = []
    for what in wanted:
        some = rows[rows["what"] == what].rename(columns={"set": "detector"})
        values = some["effect"].to_numpy(float)
        unsure = Estimate(values, np.full(len(some), np.nan), np.ones(len(some)))
        found.append(some.assign(verdict=verdicts(unsure, p=some["p"].to_numpy(float))))
    columns = ["detector", "what", "effect", "low", "high", "detectable", "p", "verdict", "units"]
    return pd.concat(found)[columns].reset_index(drop=True)
