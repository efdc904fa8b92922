"""What chapter 01 says in words."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ...counts.activations import ActivationStats
from ...counts.halves import Halves, mean_probabilities
from ...effects import grading
from ...text.corpora import Corpus
from ..markup import language, myst
from .words import counted, number


def this_run(text: Corpus, held_out: Corpus) -> str:
    """How much text there is, in which languages, and how much of it is held out."""
    documents, held_back = (len({example.document for example in part.examples}) for part in (text, held_out))
    return (
        f"**This run** reads {myst(text.name)}: {documents:,} documents in {len(text.languages)} languages "
        f"({myst(', '.join(text.languages))}), {held_back:,} of them held out."
    )


def caveats(responses: Iterable[Mapping[str, Any]]) -> str:
    """What to know beside an accuracy: :func:`neuroglot.effects.grading.caveats`."""
    return f"*{myst(grading.caveats(responses))}*"


#: Said of languages in which neurons are equally active.
ALIKE = "alike in every language"


def opening(counts: ActivationStats, halves: Halves | None) -> str:
    """How often neurons are active, where most and least, and how far that depends on the choice of text.

    Args:
        counts: of all the text.
        halves: from :func:`neuroglot.counts.halves.compare_halves`.
    """
    means = mean_probabilities(counts)
    high, low = int(means.argmax()), int(means.argmin())
    most, least = f"{means[high]:.1%}", f"{means[low]:.1%}"
    told = "how far that depends on the choice of text cannot be told here"
    if halves is not None:
        most, least = (
            f"{means[k]:.1%}; in two halves of the text {' and '.join(f'{own[k]:.1%}' for own in halves.means)}"
            for k in (high, low)
        )
        told = (
            f"the two halves differ in a neuron's probability by {halves.apart:.3f} (root mean square; independent "
            f"tokens would differ by {halves.expected:.3f})"
        )
    where = (
        f"most in {language(counts.languages[high])} ({most}) and least in {language(counts.languages[low])} ({least})"
    )
    return (
        f"**A neuron of this model is active at {means.mean():.1%} of the tokens on average, "
        f"{where if means[high] > means[low] else ALIKE}; {told}.**"
    )


def apart(halves: Halves | None) -> str:
    """How far two halves of the text differ; argument as of :func:`opening`."""
    if halves is None:
        return "A half of the text lacks a language, or there is only one shard, so halves cannot be compared."
    return (
        f"Two halves of the text differ by {halves.apart:.3f} in a probability (root mean square), where independent "
        f"tokens would differ by {halves.expected:.3f}; the correlation of the two estimates is "
        f"{number(halves.correlation, '{:.3f}')}."
    )


def summary(counts: ActivationStats, purity: pd.DataFrame, score: pd.DataFrame) -> str:
    """What was found, and what does not hold.

    Args:
        counts: of all the text.
        purity: from :meth:`neuroglot.Corpus.purity`.
        score: from :func:`neuroglot.effects.asking.solve`.
    """
    means, never = mean_probabilities(counts), (counts.counts.sum(axis=-1) == 0)[counts.real]
    high, low = int(means.argmax()), int(means.argmin())
    where = (
        f"most in {language(counts.languages[high])} ({means[high]:.1%}) and least in "
        f"{language(counts.languages[low])} ({means[low]:.1%})"
    )
    mixed = "No language's purity is below 95 % where it could be checked."
    if (purity["purity"] < 0.95).any():
        mixed = "The purity of some languages is below 95 %, and their counts are mixed accordingly."
    unknown = "".join(f" The detector does not know {myst(c)}." for c in purity["language"][purity["agree"].isna()])
    return (
        f"A token activates {means.mean():.1%} of the {never.size:,} neurons on average, "
        f"{where if means[high] > means[low] else ALIKE}; {never.mean():.2%} of them never fire in this text. "
        f"All this rests on {counts.tokens.sum():,} tokens: other text gives other probabilities, and the "
        f"intervals in this book only cover the choice of documents within it. {_solved(score)}{mixed}{unknown}"
    )


def _solved(score: pd.DataFrame) -> str:
    """In how many languages the model gets half of the easiest questions right; nothing where none was graded."""
    group = min(set(score["group"]) - {"all"}, default="all")
    graded = score[(score["group"] == group) & score["accuracy"].notna()]
    if score["accuracy"].isna().all():
        return ""
    half = graded["language"][graded["accuracy"] >= 0.5]
    number = int(graded["questions"].max())
    width = (graded["high"] - graded["low"]).mean()
    sure = f"a language's interval is {100 * width:.0f} percentage points wide on average"
    return (
        f"Of {counted(number, 'question')}{' of ' + myst(group) if group else ''} in each language, the model gets "
        f"half or more right in {len(half)} of {len(graded)} languages ({myst(', '.join(half) or 'none')}); "
        f"{sure if number > 1 else 'one question has no interval'}. "
    )
