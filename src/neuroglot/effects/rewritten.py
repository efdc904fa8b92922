"""Which of a language's neurons are found again when its text is rewritten: are they the language's, or its script's?

Every comparison is of texts of different wordings. What detectors find on one text is set beside what they find on the
other, first as that is, then rewritten: both times other wordings make a difference, and only the second time the
rewriting does too.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import require_names
from ..base.uncertainty import mean_of, together, verdicts
from ..neurons.agreement import expected_both
from ..neurons.detection import Detection
from ..text.corpora import Corpus
from ..text.rewriting import not_latin, romanized, shuffled
from .comparing import Read, detected, read

#: By name: how a text can be rewritten, in some languages, with a seed.
REWRITINGS: dict[str, Callable[[Corpus, tuple[str, ...], int], Corpus]] = {
    "romanized": lambda corpus, codes, _seed: romanized(corpus, codes),
    "shuffled": lambda corpus, codes, seed: shuffled(corpus, codes, seed=seed),
}

_COLUMNS = ("rewriting", "detector", "language", "neurons", "unchanged", "rewritten", "chance", "difference")


def named(rewritings: str | Iterable[str] | None) -> list[str]:
    """The rewritings that are named, each once; ``None`` names none.

    Raises:
        NeuroglotError: one that there is not.
    """
    return require_names("rewritten", rewritings, REWRITINGS)


def texts(corpus: Corpus, rewritings: str | Iterable[str] | None, *, seed: int = 0) -> dict[str, Corpus]:
    """A text rewritten in each way, by name: those of its languages that are not in Latin letters.

    So all rewritings are of the same languages. Where every language is in Latin letters there is none to romanize, and
    other rewritings are of all.

    Args:
        corpus: the text.
        rewritings: of :data:`REWRITINGS`.
        seed: of the order of words.
    """
    codes = not_latin(corpus)
    found = {name: codes if codes or name == "romanized" else corpus.languages for name in named(rewritings)}
    return {name: REWRITINGS[name](corpus, some, seed).only(some) for name, some in found.items() if some}


def read_each(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rewritten: Mapping[str, Corpus],
    folder: str | Path,
    detectors: Iterable[str],
    **how: Any,
) -> dict[str, Read]:
    """:func:`neuroglot.effects.comparing.read` of each of the texts of :func:`texts`, in a folder of its own."""
    names = list(detectors)
    return {name: read(model, tokenizer, text, Path(folder) / name, names, **how) for name, text in rewritten.items()}


def found_again(
    other: Mapping[str, Detection],
    one: Mapping[str, Detection],
    unchanged: Read,
    rewritten: Mapping[str, Read],
    number: int,
) -> pd.DataFrame:
    """Which share of a language's neurons, found on other wordings, is found again, unchanged and rewritten.

    One language at a time is rewritten; to find neurons on it, those of all others are read as they are.

    Args:
        other: what detectors found on the text of other wordings, by name.
        one: what they found on the text that is rewritten, before it was.
        unchanged: what they read of that.
        rewritten: what they read of it rewritten, by the rewriting's name (:func:`read_each`).
        number: of neurons a language.

    Returns:
        One row per rewriting, detector and language that was rewritten: ``neurons`` (found on the other wordings),
        ``unchanged``, ``rewritten`` (the shares of them found again), ``chance`` (the share that random neurons of the
        same layers would be of the latter), ``difference`` (rewritten less unchanged). A detector that cannot find
        neurons on rewritten text has no number there.
    """
    names, widths = [name for name in one if name in other], unchanged[0].layer_widths
    own, before = ({name: found[name].take(number).selected for name in names} for found in (other, one))
    rows = []
    for rewriting, text in rewritten.items():
        for code in text[0].languages:
            there = detected(names, *with_language(unchanged, code, text))[0]
            at = unchanged[0].languages.index(code)
            for name in names:
                mine, as_it_was = own[name][..., at], before[name][..., at]
                after = there[name].take(number).selected[..., at] if name in there else None
                same, (again, chance) = _share(mine, as_it_was, widths)[0], _share(mine, after, widths)
                row = {"rewriting": rewriting, "detector": name, "language": code, "neurons": int(mine.sum())}
                row |= {"unchanged": same, "rewritten": again, "chance": chance, "difference": again - same}
                rows.append(row)
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def with_language(read: Read, code: str, other: Read) -> Read:
    """What was read of a text, with one language's as it was read of another."""
    (stats, slopes), (theirs, others) = read, other
    if slopes is None or others is None:
        return stats.with_language(code, theirs), None
    return stats.with_language(code, theirs), slopes.with_language(code, others)


def _share(own: np.ndarray, found: np.ndarray | None, widths: np.ndarray) -> tuple[float, float]:
    """Which share of some neurons is among others, and would be among random ones of the same layers, so wide."""
    if found is None or not own.any():
        return np.nan, np.nan
    expected = expected_both(own, found, widths).sum()
    return float((own & found).sum() / own.sum()), float(expected / own.sum())


def judged(table: pd.DataFrame) -> pd.DataFrame:
    """By rewriting and detector, over the languages: what is found again, and whether rewriting makes it less.

    The units are languages, each weighs alike: what is judged is whether the difference holds from language to
    language, on these wordings. All are judged together.

    Args:
        table: from :func:`found_again`.

    Returns:
        One row per rewriting and detector: ``unchanged``, ``rewritten``, ``chance``, ``difference`` (means over the
        languages), ``low``, ``high`` (95 %, of the difference), ``detectable``, ``verdict``, ``languages``.
    """
    rows, estimates = [], []
    for (rewriting, detector), some in table.groupby(["rewriting", "detector"], sort=False):
        estimate = mean_of(some["difference"].to_numpy(float))
        estimates.append(estimate)
        low, high = estimate.interval()
        means = {name: some[name].mean() for name in ("unchanged", "rewritten", "chance")}
        sure = {"difference": float(estimate.value), "low": float(low), "high": float(high)}
        row = {"rewriting": rewriting, "detector": detector, **means, **sure}
        rows.append(row | {"detectable": float(estimate.detectable()), "languages": int(some["difference"].count())})
    columns = [*_COLUMNS[:2], *_COLUMNS[4:], "low", "high", "detectable", "verdict", "languages"]
    if not rows:
        return pd.DataFrame(columns=columns)
    return pd.DataFrame(rows).assign(verdict=verdicts(together(estimates)))[columns]
