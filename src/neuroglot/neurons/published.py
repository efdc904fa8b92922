"""What the paper prints of its 7B model, and at which settings the counts released with it give that."""

import functools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.errors import NeuroglotError
from ..counts.activations import ActivationStats
from ..counts.reading import read_njunlp
from .agreement import agreement
from .detection import Detection, detect
from .identification import Identifier, NeuronTypes, classify

#: The paper's languages.
LANGUAGES = ("en", "ru", "es", "fr", "de", "zh", "ja", "bn", "th", "sw")

#: The language that its table 3 sets apart.
PIVOT = "en"

#: Its figure 15: neurons shared by exactly 1 to 10 languages, MistralMathOctopus-7B on MGSM, before alignment,
BY_N = (10052, 4631, 2742, 1857, 1346, 945, 690, 678, 883, 16803)

#: and after it.
BY_N_AFTER = (9566, 4395, 2804, 2011, 1555, 1106, 891, 878, 1054, 17774)

#: Its table 3: neurons of English, and of each other language on average.
TABLE_3 = {"English specific": 46, "others specific": 613, "English related": 603, "others related": 2006}

#: The model's neurons: 32 layers of 14,336.
NEURONS = 32 * 14336

#: The lambda in the names of the masks released with the counts, and how many neurons those have.
LAM, MASKED = 0.109375, 3219

#: The settings that the paper and its code state.
SETTINGS: dict[str, Any] = {"top_rate": 0.01, "lam": LAM, "quantile": 0.95, "scaled": True}

#: Whom a histogram of N may count: selected neurons; neurons of a type, whether specific and related ones (selected) or
#: general ones (selected or not); every neuron.
COUNTED = ("selected", "of a type", "all")

#: The settings that :func:`search` tries.
RATES = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15)
QUANTILES = (0.85, 0.87, 0.89, 0.895, 0.9, 0.91, 0.93, 0.95, 0.97, 0.98, 0.99)
LAMS = (0.0, 0.02, 0.03, 0.04, 0.05, 0.07, 0.09, 0.15, 0.2)

#: How lambda was come by: solved, the published one, or another.
RULES = ("solved", "published", "other")

#: The columns of :func:`search` with distances, and what they are from.
DISTANCES = {f"fig. 15, {counted}": f"figure 15, neurons counted: {counted}" for counted in COUNTED}
DISTANCES |= {"table 3": "table 3"}


@dataclass(frozen=True, eq=False)
class Released:
    """The counts of a folder, and what the rule and LAPE make of them.

    Attributes:
        responses: counts at response tokens, as the paper has them.
        whole: at the prompts' tokens, too.
        types: of the responses, at the published :data:`SETTINGS`.
        solved: the same with lambda solved.
        lape: LAPE's choice at its own settings, of the responses.
    """

    responses: ActivationStats
    whole: ActivationStats
    types: NeuronTypes
    solved: NeuronTypes
    lape: Detection

    @property
    def texts(self) -> dict[str, ActivationStats]:
        """Both counts, by what they are called in :func:`search`."""
        return {"responses": self.responses, "with prompts": self.whole}


def read_released(folder: str | Path | None) -> Released | None:
    """The released counts of a folder in the paper's ten languages; ``None`` without a folder.

    Args:
        folder: as for :func:`neuroglot.read_njunlp`.

    Raises:
        NeuroglotError: a language is missing, or the files cannot be read.
    """
    if folder is None:
        return None
    responses, whole = (read_njunlp(folder, LANGUAGES, prompts=prompts) for prompts in (False, True))
    types, solved = (classify(responses, **SETTINGS | own) for own in ({}, {"lam": None}))
    return Released(responses, whole, types, solved, detect(responses, "lape"))


# --- the published numbers, of any types -------------------------------------------------------


def by_n(types: NeuronTypes, counted: str = "of a type") -> tuple[int, ...]:
    """Neurons active in exactly 1 to K languages.

    Args:
        types: of any model.
        counted: one of :data:`COUNTED`.
    """
    table = types.counts_per_n()
    column = "neurons" if counted == "all" else "selected"
    numbers = [int(n) for n in table[column]]
    return (*numbers[:-1], int(table["neurons"].iloc[-1]) if counted == "of a type" else numbers[-1])


def table_3(types: NeuronTypes, pivot: str = PIVOT) -> dict[str, float]:
    """The numbers of :data:`TABLE_3` for these types."""
    table = types.counts_per_language()
    found: dict[str, float] = {}
    for kind in ("specific", "related"):
        sizes = table[table["kind"] == kind].set_index("language")["neurons"].astype(float)
        found |= {f"English {kind}": float(sizes[pivot]), f"others {kind}": float(sizes.drop(pivot).mean())}
    return found


def bisected(lam: float) -> float:
    """Where the authors' search ends (halving 0 to 0.2 until it is known to 0.001), if every lambda up to this fits."""
    step = 0.2 / 2**8  # the first one below 0.001
    return math.floor(min(lam, 0.2) / step) * step


def from_fig_15(numbers: Sequence[float], published: Sequence[float] = BY_N) -> float:
    """How far a histogram of N is from the published one: differences without sign, of the published sum."""
    return float(np.abs(np.subtract(numbers, published)).sum() / np.sum(published))


def from_table_3(numbers: Mapping[str, float]) -> float:
    """How far four numbers are from the published ones: differences without sign, each of the published one; mean."""
    return float(np.mean([abs(numbers[name] - published) / published for name, published in TABLE_3.items()]))


def fit_each_other() -> pd.DataFrame:
    """Whether figure 15 and table 3 can be of the same neurons: what both say in other words.

    Returns:
        Two rows: ``neurons`` (specific; related, once for each language), ``fig. 15``, ``table 3`` (all languages).
    """
    others = len(LANGUAGES) - 1
    memberships = sum(n * neurons for n, neurons in enumerate(BY_N[1:-1], 2))
    rows = [("specific", BY_N[0]), ("related, once for each language", memberships)]
    return pd.DataFrame(
        [
            {
                "neurons": what,
                "fig. 15": number,
                "table 3": TABLE_3[f"English {kind}"] + others * TABLE_3[f"others {kind}"],
            }
            for (what, number), kind in zip(rows, ("specific", "related"), strict=True)
        ]
    )


def beside_published(found: Released) -> pd.DataFrame:
    """Every published number that follows from these counts, at the published settings.

    Returns:
        ``what``, ``where`` (in the paper or its release), ``published``, ``found``, ``difference``.
    """
    at_n = {f"neurons with N = {n}": numbers for n, numbers in enumerate(zip(BY_N, by_n(found.types), strict=True), 1)}
    masked = int((found.types.selected & (found.types.n_languages > 0)).sum())
    numbers: dict[str, tuple[str, float, float]] = {
        "lambda where the authors' search ends": ("masks", LAM, bisected(found.solved.lam or 0)),
        "neurons of any language": ("masks", MASKED, masked),
    }
    own = table_3(found.types)
    numbers |= {name.replace("others", "others, mean"): ("table 3", n, own[name]) for name, n in TABLE_3.items()}
    numbers |= {what: ("fig. 15", *both) for what, both in at_n.items()}
    rows = [(what, *row, row[2] - row[1]) for what, row in numbers.items()]
    return pd.DataFrame(rows, columns=["what", "where", "published", "found", "difference"])


def beside_lape(found: Released) -> pd.DataFrame:
    """Neurons of each language by the rule and by LAPE, at the settings of each.

    Returns:
        ``language``, ``specific``, ``related``, ``LAPE`` (neurons), ``both``, ``jaccard``, ``chance``
        (:func:`neuroglot.neurons.agreement.jaccard`).
    """
    kinds = found.types.counts_per_language().pivot(index="language", columns="kind", values="neurons")
    both = agreement({"rule": found.types, "LAPE": found.lape}, found.types.layer_widths).set_index("language")
    table = both.join(kinds).rename(columns={"other_size": "LAPE"}).reset_index()
    return table[["language", "specific", "related", "LAPE", "both", "jaccard", "chance"]]


# --- the search --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Active:
    """What a quantile decides: of each neuron N, and whether the pivot is among its languages.

    Attributes:
        cells: int64 ``[neurons]``: N, and K + 1 more where the pivot is active.
        k: number of languages.
        general: bool ``[layers, neurons]``: N = K.
    """

    cells: np.ndarray
    k: int
    general: np.ndarray

    @functools.cached_property
    def every(self) -> np.ndarray:
        """All neurons, as :meth:`sizes`."""
        return np.bincount(self.cells, minlength=2 * (self.k + 1)).reshape(2, -1)

    def sizes(self, selected: np.ndarray) -> np.ndarray:
        """Selected neurons by whether the pivot is active and by N, int64 ``[2, K + 1]``."""
        return np.bincount(self.cells[selected.ravel()], minlength=2 * (self.k + 1)).reshape(2, -1)

    def found(self, selected: np.ndarray) -> dict[str, float]:
        """The numbers of a row of :func:`search`."""
        sizes, n, k = self.sizes(selected), np.arange(self.k + 1), self.k
        chosen, every = sizes.sum(axis=0), self.every.sum(axis=0)
        histograms = (chosen[1:], [*chosen[1:k], every[k]], every[1:])
        several = float((n * chosen)[2:k].sum())
        own = {"English specific": float(sizes[1, 1]), "English related": float(sizes[1, 2:k].sum())}
        own |= {
            "others specific": (float(chosen[1]) - own["English specific"]) / (k - 1),
            "others related": (several - own["English related"]) / (k - 1),
        }
        language_neurons = {"language neurons": int(chosen[1:k].sum()), "general selected": int(chosen[k])}
        distances = [*map(from_fig_15, histograms), from_table_3(own)]
        return language_neurons | dict(zip(DISTANCES, distances, strict=True))


def search(
    texts: Mapping[str, ActivationStats],
    rates: Sequence[float] = RATES,
    quantiles: Sequence[float] = QUANTILES,
    lams: Sequence[float] = LAMS,
) -> pd.DataFrame:
    """How far the published figures are at every combination of settings.

    Lambda is solved, and the published one, under both scores; others are tried under the scaled one alone, since a
    lambda of the other differs by its unit only.

    Args:
        texts: counts in ten languages, by name.
        rates: top rates.
        quantiles: that give tau.
        lams: other lambdas.

    Returns:
        One row for each: ``text``, ``scaled``, ``top_rate``, ``quantile``, ``rule`` (one of :data:`RULES`), ``lam``;
        ``language neurons`` (specific and related), ``general selected``; and the distances, from
        :func:`from_fig_15` by whom the histogram counts, and from :func:`from_table_3`. None where no lambda fits.

    Raises:
        NeuroglotError: other languages than the paper's ten.
    """
    rows = []
    for text, stats in texts.items():
        if set(stats.languages) != set(LANGUAGES):
            raise NeuroglotError(f"texts: the paper's figures are of {' '.join(LANGUAGES)}; give counts in these.")
        own = stats.languages.index(PIVOT)
        for scaled in (True, False):
            prepared = Identifier.of(stats, scaled=scaled)
            at = {quantile: _active(prepared, quantile, own) for quantile in quantiles}
            for rate in rates:
                given = {lam: prepared.select(rate, lam)[1] for lam in (LAM, *(lams if scaled else ()))}
                for quantile, active in at.items():
                    setting: dict[str, Any] = {"text": text, "scaled": scaled, "top_rate": rate, "quantile": quantile}
                    for rule, lam, selected in (*_solved(prepared, rate, active), *_named(given)):
                        rows.append(setting | {"rule": rule, "lam": lam} | active.found(selected))
    return pd.DataFrame(rows)


def _active(prepared: Identifier, quantile: float, own: int) -> _Active:
    active = prepared.p > prepared.tau(quantile)
    n = active.sum(axis=0, dtype=np.int64)
    return _Active((n + (prepared.k + 1) * active[own]).ravel(), prepared.k, n == prepared.k)


def _solved(prepared: Identifier, rate: float, active: _Active) -> Iterator[tuple[str, float, np.ndarray]]:
    """The solved lambda and whom it selects; nothing where none fits."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that lambda has no largest value does not matter here
            lam = prepared.solve_lam(rate, active.general)
    except NeuroglotError:
        return
    yield "solved", lam, prepared.select(rate, lam)[1]


def _named(given: Mapping[float, np.ndarray]) -> Iterator[tuple[str, float, np.ndarray]]:
    for lam, selected in given.items():
        yield "published" if lam == LAM else "other", lam, selected


def nearest(tried: pd.DataFrame) -> pd.DataFrame:
    """The settings at which each published figure is nearest.

    Args:
        tried: from :func:`search`.

    Returns:
        Two rows for each of :data:`DISTANCES`, with lambda by the paper's rule (solved, or the published one) and with
        any lambda: ``figure``, ``lambda`` (which), the settings, ``distance``. Of equal ones the first.
    """
    rows = []
    for column in DISTANCES:
        for which, some in {"as in the paper": tried[tried["rule"] != "other"], "any": tried}.items():
            if len(some):
                best = some.to_dict("records")[int(some[column].to_numpy().argmin())]
                settings = {name: best[name] for name in ("text", "scaled", "top_rate", "quantile", "rule", "lam")}
                rows.append({"figure": column, "lambda": which, **settings, "distance": best[column]})
    return pd.DataFrame(rows)


def types_at(found: Released, row: Mapping[Any, Any]) -> NeuronTypes:
    """The types at the settings of a row of :func:`search` or :func:`nearest`."""
    names = ("top_rate", "lam", "quantile", "scaled")
    return classify(found.texts[row["text"]], **{name: row[name] for name in names})


def plane(tried: pd.DataFrame, axis: str) -> pd.DataFrame:
    """The rows of a search that differ in the top rate and one setting more, of responses and the scaled score.

    Args:
        tried: from :func:`search`.
        axis: ``"quantile"``, with lambda solved at each, or ``"lam"``, at the published quantile.
    """
    some = tried[(tried["text"] == "responses") & tried["scaled"].astype(bool)]
    solved = some["rule"] == "solved"
    wanted = solved if axis == "quantile" else ~solved & (some["quantile"] == SETTINGS["quantile"])
    return some[wanted].sort_values([axis, "top_rate"]).reset_index(drop=True)


def histograms(found: Released | None, tried: pd.DataFrame | None) -> pd.DataFrame:
    """Figure 15 in rows, beside it what these counts give.

    Args:
        found: the counts, if they are there.
        tried: from :func:`search` of them.

    Returns:
        ``of`` (whose numbers), ``N``, ``neurons``; of the counts neurons of a type, at the published settings and at
        the nearest ones with any lambda.
    """
    rows: dict[str, Sequence[int]] = {"published, before alignment": BY_N, "published, after alignment": BY_N_AFTER}
    if found is not None and tried is not None:
        near = nearest(tried)
        row = near[(near["figure"] == "fig. 15, of a type") & (near["lambda"] == "any")].to_dict("records")[0]
        rows["these counts, published settings"] = by_n(found.types)
        rows["these counts, nearest settings"] = by_n(types_at(found, row))
    return pd.DataFrame(
        [
            {"of": name, "N": n, "neurons": number}
            for name, numbers in rows.items()
            for n, number in enumerate(numbers, 1)
        ]
    )
