"""What other thresholds and another half of the text give, wherever they give anything."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from ..base.errors import NeuroglotError
from ..counts.activations import ActivationStats
from .identification import NeuronTypes, classify, overlap_of_halves
from .layers import SCALINGS, four_parts, layer_profile
from .published import BY_N

#: Top rates beside which a run's own is set.
RATES = (0.01, 0.02, 0.03, 0.05, 0.075, 0.1)


def fitted(stats: ActivationStats, types: NeuronTypes, **changes: Any) -> NeuronTypes | None:
    """The counts classified as these types were, but for some settings; ``None`` where no lambda fits.

    Args:
        stats: the counts that the types came from.
        types: whose settings are taken.
        **changes: of :func:`neuroglot.classify`.
    """
    try:
        return classify(stats, **types.arguments() | changes)
    except NeuroglotError:
        return None


def halves(stats: ActivationStats, types: NeuronTypes) -> tuple[pd.DataFrame, str]:
    """:func:`neuroglot.overlap_of_halves` with the settings of these types.

    Returns:
        The table and ``""``; without a row where halves cannot be compared (one shard, a half without a language,
        no lambda fits), and why that is.
    """
    try:
        return overlap_of_halves(stats, **types.arguments()), ""
    except NeuroglotError as error:
        return pd.DataFrame(columns=["kind", "one", "other", "both", "jaccard", "chance"]), str(error)


def cuts_at_rates(stats: ActivationStats, types: NeuronTypes) -> tuple[pd.DataFrame, list[float]]:
    """Where the four parts are cut at other top rates and from counts scaled otherwise, with lambda solved at each.

    Returns:
        One row per rate: ``top rate`` (in words), and for each of :data:`neuroglot.neurons.layers.SCALINGS` the first
        layers of the parts but the first (in words; none where there are no parts); and the rates for which no lambda
        fits.
    """
    at, without = _at_rates(stats, types, RATES)
    rows = []
    for rate, other in at.items():
        profile = layer_profile(other)
        cuts = {scaling: four_parts(profile, scaling)["first"][1:] for scaling in SCALINGS}
        rows.append({"top rate": f"{rate:.1%}"} | {name: ", ".join(map(str, first)) for name, first in cuts.items()})
    return pd.DataFrame(rows), without


def _at_rates(
    stats: ActivationStats, types: NeuronTypes, rates: Iterable[float]
) -> tuple[dict[float, NeuronTypes], list[float]]:
    at = {rate: fitted(stats, types, top_rate=rate, lam=None) for rate in sorted({*rates, types.top_rate})}
    return {rate: other for rate, other in at.items() if other}, [rate for rate, other in at.items() if not other]


def by_n_beside_paper(types: NeuronTypes) -> pd.DataFrame:
    """Neurons by number of languages, beside the paper's where that has as many languages.

    Returns:
        ``N``, ``all neurons``, ``selected neurons`` and, for ten languages, ``published, Mistral-7B (fig. 15)``.
    """
    names = {"n_languages": "N", "neurons": "all neurons", "selected": "selected neurons"}
    table = types.counts_per_n().rename(columns=names)
    if len(table) == len(BY_N):
        table["published, Mistral-7B (fig. 15)"] = BY_N
    return table
