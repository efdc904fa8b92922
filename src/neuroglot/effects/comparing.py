"""Several detectors' neurons, removed one after the other: what each does beside random neurons, and beside others."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, quoted, require_names, require_whole
from ..base.tables import first_rows
from ..base.uncertainty import LESS, MORE, Estimate, verdicts
from ..counts.activations import ActivationStats
from ..counts.collecting import collect
from ..counts.gathering import KINDS
from ..model.attribution import Attributions, attributions
from ..model.layers import parted
from ..model.likelihood import Losses
from ..model.loading import itself
from ..model.sites import neuron_layers
from ..neurons.agreement import Selection, agreement
from ..neurons.detection import Detection, detect, methods
from ..neurons.identification import LAMBDA, MIN_TOKENS
from ..neurons.methods import NEEDS
from ..neurons.sets import read_fitting
from ..text.corpora import Corpus
from .matrix import ALL, AS_MANY, LOG_PERPLEXITY, MATCHED, OWN, Effects, of_losses
from .removals import Removal, beside, of_the_others

#: What a detector chooses by itself.
ITS_OWN = "its own choice"


def named(detectors: str | Iterable[str]) -> list[str]:
    """The detectors that are named, each once.

    Raises:
        NeuroglotError: one that there is not, or random neurons, which every detector stands beside.
    """
    return require_names("detectors", detectors, [name for name in methods() if name != "random"], " to compare")


def able(detectors: Iterable[str], model: PreTrainedModel) -> tuple[list[str], dict[str, str]]:
    """The detectors that can read a model, and why the others cannot, by name: attribution is of dense models."""
    layers = neuron_layers(itself(model))
    if not parted(layers) and not any(layer.routed for layer in layers):
        return list(detectors), {}
    where = "a mixture of experts" if any(layer.routed for layer in layers) else "layers of different kinds"
    why = f"it reads what single neurons do to the loss, which is not estimated in {where}"
    left = {name: why for name in detectors if "attributions" in NEEDS.get(name, ())}
    return [name for name in detectors if name not in left], left


def among(detectors: Sequence[str], some: str | Iterable[str] | None) -> list[str]:
    """Those of the detectors that are also named among some others, in their order; ``None`` names all."""
    wanted = list(detectors) if some is None else named(some)
    return [name for name in detectors if name in wanted]


def two_texts(corpus: Corpus, documents: int) -> tuple[Corpus, Corpus]:
    """Two texts of different wordings, to find neurons on both and on each.

    Args:
        corpus: of which some documents are taken.
        documents: of each language, in each of the two, as far as they go.

    Raises:
        NeuroglotError: a number that is none, or a text of a single wording.
    """
    some = corpus.spread(2 * documents)
    units = list(dict.fromkeys(example.unit for example in some.examples))
    if len(units) < 2:
        raise NeuroglotError(f"corpus {corpus.name} has one wording; to compare detectors give it two or more.")
    parts = (set(units[::2]), set(units[1::2]))
    one, other = (replace(some, examples=tuple(e for e in some.examples if e.unit in part)) for part in parts)
    return one, other


#: What detectors read of a text: counts with what was gathered, and attributions where one needs them.
Read = tuple[ActivationStats, Attributions | None]


def read(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    folder: str | Path,
    detectors: Iterable[str],
    *,
    settings: Mapping[str, Any] | None = None,
    batch_tokens: int = 1024,
    overwrite: bool = False,
) -> Read:
    """Read a text as some detectors need it: one pass, and one back where attributions are asked for.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: the text.
        folder: where to keep it, ``counts.safetensors`` and ``attributions.safetensors``.
        detectors: what is read depends on them (:data:`neuroglot.neurons.methods.NEEDS`).
        settings: of other counts, whose ``quantity``, ``above`` and ``max_tokens`` are taken.
        batch_tokens, overwrite: as for :func:`neuroglot.collect`.
    """
    needed = {what for name in detectors for what in NEEDS.get(name, ())}
    said = settings or {}
    same = {name: said[name] for name in ("quantity", "above", "max_tokens") if name in said}
    how: dict[str, Any] = {"batch_tokens": batch_tokens, "overwrite": overwrite}
    gather, moments = [kind for kind in KINDS if kind in needed], "moments" in needed
    place = Path(folder)
    counts = collect(
        model, tokenizer, corpus, place / "counts.safetensors", gather=gather, moments=moments, **same, **how
    )
    assert counts is not None  # in a chapter there is one process
    if "attributions" not in needed:
        return counts, None
    longest = {"max_tokens": same["max_tokens"]} if "max_tokens" in same else {}
    return counts, attributions(model, tokenizer, corpus, place / "attributions.safetensors", **longest, **how)


def joined(read: Sequence[Read]) -> Read:
    """Two texts as one."""
    (one, slopes), (other, others) = read
    return one.joined(other), None if slopes is None or others is None else slopes.joined(others)


def detected(
    detectors: Iterable[str], stats: ActivationStats, attributions: Attributions | None = None
) -> tuple[dict[str, Detection], dict[str, str], dict[str, float]]:
    """What each detector finds in the same statistics, at its own defaults.

    Returns:
        The detections, why others find nothing, and the seconds that each took to score all neurons; by name.
    """
    own = {"attribution": {"attributions": attributions}} if attributions is not None else {}
    found, left, seconds = {}, {}, {}
    for name in detectors:
        start = time.perf_counter()
        try:
            found[name] = detect(stats, name, **own.get(name, {}))
            seconds[name] = time.perf_counter() - start
        except NeuroglotError as error:
            left[name] = str(error)
    return found, left, seconds


def first_number(budgets: Iterable[int | str]) -> int:
    """The first budget that is a number; 100 where there is none."""
    return next((budget for budget in budgets if not isinstance(budget, str)), 100)


def costs(
    seconds: Mapping[str, float], stats: ActivationStats, attributions: Attributions | None = None
) -> pd.DataFrame:
    """What each detector reads, how large that is, and how long it takes: ``detector``, ``reads``, ``MB``, ``seconds``.

    Args:
        seconds: by detector, of :func:`detected`; without the pass over the text, which all share.
        stats, attributions: what they read.
    """
    moments = sum(part.nbytes for part in (stats.sums, stats.squares) if part is not None)
    sizes = {"moments": moments} | {"attributions": 0 if attributions is None else attributions.values.nbytes}
    sizes |= {} if stats.gathered is None else {name: array.nbytes for name, array in stats.gathered.arrays().items()}
    words = {
        "moments": "means of values",
        "maxima": "each text's largest values",
        "absolute": "each text's absolute values",
        "histograms": "histograms of values",
        "attributions": "a pass forward and one back",
    }
    rows = [
        {
            "detector": name,
            "reads": ", ".join(words[what] for what in NEEDS.get(name, ())) or "counts",
            "MB": sum(sizes.get(what, 0) for what in NEEDS.get(name, ())) / 1e6 or stats.counts.nbytes / 1e6,
            "seconds": took,
        }
        for name, took in seconds.items()
    ]
    return pd.DataFrame(rows, columns=["detector", "reads", "MB", "seconds"])


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
        found[word] = {
            name: one for name, one in some.items() if any(any(map(len, one.neurons(c))) for c in one.languages)
        }
    return found


def with_outside(
    sets: Mapping[str, Mapping[str, Selection]], neurons: str | Path | None, stats: ActivationStats
) -> dict[str, dict[str, Selection]]:
    """The sets of :func:`at_budgets`, and at :data:`ITS_OWN` what a file holds, called as the file is.

    Args:
        sets: by budget and detector.
        neurons: a file of neurons that were found elsewhere (:func:`neuroglot.read_neurons`); ``None`` for none.
        stats: of the run, whose languages and model they must be of.

    Raises:
        NeuroglotError: an unreadable file, or neurons of other languages or of another model.
    """
    found = {budget: dict(some) for budget, some in sets.items()}
    if neurons is not None:
        outside = read_fitting(neurons, stats.languages, stats.room[0], stats.layer_widths)
        name = Path(neurons).stem
        name = f"{name} (file)" if name in methods() else name
        found.setdefault(ITS_OWN, {})[name] = outside
    return found


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
        found += beside(name, own, draws=draws, size=stats.layer_widths, rates=rates, width=width, seed=seed)
        found += of_the_others(name, own, draws=other_draws, seed=seed)
    return found


def every_set(sets: Mapping[str, Mapping[str, Selection]]) -> dict[str, Selection]:
    """All of :func:`at_budgets`, by ``"detector, budget"``."""
    return {f"{name}, {budget}": one for budget, some in sets.items() for name, one in some.items()}


def side_by_side(
    found: Mapping[str, Losses], removals: Sequence[Removal], sets: Mapping[str, Iterable[str]]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What the detectors do on each text at each budget, and how they differ from each other.

    Args:
        found: by the text's name, losses of :data:`neuroglot.effects.removals.AS_IT_IS` and of the removals.
        removals: of :func:`removals_of`, of the sets of :func:`every_set`.
        sets: the detectors at each budget.

    Returns:
        :func:`compared` and :meth:`neuroglot.effects.matrix.Effects.between`, each with columns ``text``, ``budget``.
    """
    tables, pairs = [], []
    for text, losses in found.items():
        for budget, detectors in sets.items():
            names_ = {f"{name}, {budget}": name for name in detectors}
            effects = of_losses(losses, [removal for removal in removals if removal.set in names_])
            table, apart = compared(effects), effects.between()
            tables.append(table.assign(detector=table["detector"].map(names_), text=text, budget=budget))
            ends = {end: apart[end].map(names_) for end in ("one", "other")}
            pairs.append(apart.assign(**ends, text=text, budget=budget))
    return pd.concat(tables, ignore_index=True), pd.concat(pairs, ignore_index=True)


@dataclass(frozen=True)
class Best:
    """A detector whose neurons are needed more than those of every other one.

    Attributes:
        detector: its name.
        margin: nats per token to the one that it is least above, and
        interval: that difference's.
    """

    detector: str
    margin: float
    interval: tuple[float, float]


def best(pairs: pd.DataFrame) -> Best | None:
    """The detector told apart from, and above, all others on the first text at the first budget; ``None`` without one.

    Args:
        pairs: from :func:`side_by_side`.
    """
    if pairs.empty:
        return None
    first = first_rows(pairs, "text", "budget")
    names = dict.fromkeys([*first["one"], *first["other"]])
    for name in names:
        above = first[
            ((first["one"] == name) & (first["verdict"] == MORE))
            | ((first["other"] == name) & (first["verdict"] == LESS))
        ]
        if len(above) == len(names) - 1:
            least = above.iloc[above["effect"].abs().argmin()]
            low, high = sorted((abs(least["low"]), abs(least["high"])))
            return Best(name, abs(least["effect"]), (low, high))
    return None


def better(pairs: pd.DataFrame, detections: Mapping[str, Detection]) -> Detection | None:
    """What the :func:`best` detector found, where that is another one than lambda-score, and no file."""
    found = best(pairs)
    return None if found is None or found.detector == LAMBDA else detections.get(found.detector)


#: The text beside which detectors are tried again: as the first, of other wordings.
OTHER_WORDINGS = "other wordings"


def again(one: Mapping[str, Detection], others: Mapping[str, Mapping[str, Detection]], number: int) -> pd.DataFrame:
    """How far each detector finds the same neurons on other text, at equal numbers a language.

    Args:
        one: by detector, on one text.
        others: by the other text's name (:data:`OTHER_WORDINGS`), by detector.
        number: neurons of each language.

    Returns:
        One row per other text and detector: ``text``, ``detector``, ``jaccard`` and ``chance`` (means over the
        languages), ``low`` and ``high`` (the least and the most of a language).
    """
    rows = []
    for text, other in others.items():
        for name in one:
            if name not in other:
                continue
            mine, theirs = one[name].take(number), other[name].take(number)
            table = agreement({"one": mine, "other": theirs}, mine.layer_widths)
            row = {"text": text, "detector": name, "jaccard": table["jaccard"].mean(), "chance": table["chance"].mean()}
            rows.append(row | {"low": table["jaccard"].min(), "high": table["jaccard"].max()})
    return pd.DataFrame(rows, columns=["text", "detector", "jaccard", "chance", "low", "high"])


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
