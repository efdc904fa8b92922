"""What chapter 02 says in words."""

from collections.abc import Mapping, Sequence

import pandas as pd

from ...base.errors import NeuroglotError
from ...counts.activations import ActivationStats
from ...neurons.identification import NeuronTypes
from ..markup import language, myst
from ..packing import PAGE_LIMIT, classify_packed, pack
from ..pages import model_name
from .words import counted


def opening(found: NeuronTypes, halves: pd.DataFrame) -> str:
    """How many neurons are of each type, which language has most, and how many another half of the text gives again.

    Args:
        found: the types.
        halves: from :func:`neuroglot.neurons.thresholds.halves`.
    """
    n, totals = found.sizes(), _totals(found)
    most, least = _most_and_least(totals)
    said = f"each language has {counted(totals[most], 'language neuron')}"
    if totals[most] > totals[least]:
        said = (
            f"{language(most)} has the most language neurons ({totals[most]:,}), {language(least)} the fewest "
            f"({totals[least]:,})"
        )
    return (
        f"**At a top rate of {found.top_rate:.1%}, {n['specific']:,} of this model's {found.score.size:,} neurons are "
        f"specific to one language, {n['related']:,} related to several and {n['general']:,} general; {said}; "
        f"{_found_again(halves)}.**"
    )


def _totals(found: NeuronTypes) -> dict[str, int]:
    """Specific and related neurons of each language, in the order of the codes."""
    totals = found.counts_per_language().groupby("language")["neurons"].sum()
    return {str(code): int(neurons) for code, neurons in totals.items()}


def _most_and_least(totals: Mapping[str, int]) -> tuple[str, str]:
    return max(totals, key=totals.__getitem__), min(totals, key=totals.__getitem__)


def _found_again(halves: pd.DataFrame) -> str:
    unsure = "whether another half of the text gives the same ones cannot be told"
    if halves.empty:
        return unsure
    rows = halves[halves["kind"].isin(["specific", "related"]) & (halves["one"] + halves["other"] > 0)]
    if rows.empty:
        return f"{unsure}, with none"
    each = " and ".join(f"{row.jaccard:.0%} of the {row.kind} ones" for row in rows.itertuples())
    chance = " and ".join(f"{row.chance:.1%}" for row in rows.itertuples())
    return f"two halves of the text have {each} in common (random sets: {chance})"


def this_run(found: NeuronTypes, paper: NeuronTypes | None, released: NeuronTypes | None) -> str:
    """Model, text and thresholds, the neurons of each type, and what the paper's top rate gives.

    Args:
        found: the types.
        paper: those at the paper's top rate; ``None`` where no lambda fits.
        released: and with the lambda at which the authors' search ends.
    """
    n = found.sizes()
    nowhere = (found.selected & (found.n_languages == 0)).sum()
    starved = (
        f"{found.n_starved:,} neurons belong to experts that saw fewer than {found.min_tokens} tokens of a language: "
        "they are unclassified and take no part. "
    )
    return (
        f"**This run**: {myst(model_name(str(found.provenance.get('model'))))} on "
        f"{myst(found.provenance.get('corpus'))}, {found.score.size:,} neurons, {len(found.languages)} languages. At "
        f"a top rate of {found.top_rate:.1%}, with lambda {'solved' if found.solved else 'given'} as {found.lam:.4f} "
        f"and tau {found.tau:.4f}: {n['specific']:,} specific, {n['related']:,} related, {n['general']:,} general and "
        f"{n['unclassified']:,} unclassified neurons. ({nowhere:,} selected neurons have N = 0, above tau in no "
        f"language.) {starved if found.n_starved else ''}At the paper's top rate of 1.0%, {_given(paper)}"
        + (f"; where the authors' search ends, {_given(released)}." if found.scaled else ".")
    )


def _given(types: NeuronTypes | None) -> str:
    if types is None:
        return "no lambda fits"
    n = types.sizes()
    return f"lambda {types.lam:.4f} gives {n['specific']:,} specific and {n['related']:,} related neurons"


def no_lambda(rates: Sequence[float]) -> str:
    """At which top rates no lambda fits; nothing where one always does."""
    if not rates:
        return ""
    each = ", ".join(f"{rate:.1%}" for rate in rates)
    return f"*No lambda keeps general neurons out at a top rate of {each}: left out.*"


def no_halves(reason: str) -> str:
    """Why halves of the text are not compared."""
    return f"*The halves cannot be compared: {myst(reason)}*"


def carried(found: NeuronTypes, stats: ActivationStats, limit: int = PAGE_LIMIT) -> str:
    """How exactly a page carries the probabilities, and how many types differ by that.

    Args:
        found: the types.
        stats: the counts that they came from.
        limit: of the page, in characters.
    """
    try:
        packed, _ = pack(stats, limit, found.min_tokens)
        again = classify_packed(
            packed, **{name: value for name, value in found.arguments().items() if name != "min_tokens"}
        )
    except NeuroglotError as error:
        return myst(error)
    if not packed.roots:
        return "The page carries the exact counts."
    return (
        f"The page carries each probability in {packed.scales[0]} steps of its root, at most "
        f"{packed.error(stats):.4f} from the exact one; at this chapter's thresholds {(again != found.codes).sum():,} "
        f"of {found.codes.size:,} neurons have another type."
    )


def summary(found: NeuronTypes, halves: pd.DataFrame) -> str:
    """What was found, and what does not hold; arguments as of :func:`opening`."""
    totals, notes = _totals(found), []
    most, least = _most_and_least(totals)
    if totals[most] > totals[least]:
        notes.append(
            f"{language(most)} has the most language neurons ({totals[most]:,}) and {language(least)} the fewest "
            f"({totals[least]:,})."
        )
    if "en" in totals:
        others = (sum(totals.values()) - totals["en"]) / (len(totals) - 1)
        notes.append(
            f"English has {totals['en']:,}, {'fewer' if totals['en'] < others else 'not fewer'} than the {others:,.0f} "
            "that the other languages have on average (the paper's table 3, with the same caveat as its figure 15: "
            "649 against 2,619)."
        )
    again = halves.set_index("kind")["jaccard"].dropna()
    if each := [f"{kind} {jaccard:.2f}" for kind, jaccard in again.items()]:
        notes.append(
            f"The Jaccard overlaps of the types found in half of the text with those in the other are: "
            f"{', '.join(each)}; a list of single neurons from this much text is not to be taken to the letter where "
            "that is low."
        )
    if found.solved and found.scaled and found.lam > 0.2:
        notes.append(
            f"The solved lambda, {found.lam:.3f}, lies beyond 0.2, where the authors' search ends; their code would "
            "have taken 0.2 here."
        )
    notes.append("The rule always selects its share of neurons: finding them is no evidence that the model needs them.")
    return " ".join(notes)
