"""What chapter 02 says in words."""

from collections.abc import Sequence

import pandas as pd

from ...base.errors import NeuroglotError
from ...counts.activations import ActivationStats
from ...neurons.identification import NeuronTypes
from ...neurons.specificity import NEAR
from ..markup import language, myst
from ..packing import PAGE_LIMIT, classify_packed, pack
from ..pages import model_name
from .words import counted


def opening(found: NeuronTypes, table: pd.DataFrame) -> str:
    """How many neurons are of each type, and how specific specific ones are.

    Args:
        found: the types.
        table: from :func:`neuroglot.neurons.specificity.specificity`.
    """
    n, own = found.sizes(), table[table["kind"] == "specific"]
    said = "There is no specific neuron whose languages could be compared"
    if len(own):
        said = (
            f"The median specific neuron fires at {own['first_p'].median():.0%} of the tokens of its language and at "
            f"{own['second_p'].median():.0%} of those of the next one"
        )
    return (
        f"**Of this model's {found.n_neurons:,} neurons {n['specific']:,} are specific to one language, "
        f"{n['related']:,} related to several and {n['general']:,} general.**\n\n**{said}.**"
    )


def specific(table: pd.DataFrame) -> str:
    """How near the second language of specific neurons comes to being their own; argument as of :func:`opening`."""
    own = table[table["kind"] == "specific"]
    if own.empty:
        return "This run has no specific neuron."
    known = own.dropna(subset=["first_low", "second_high"])
    overlap = int((known["second_high"] >= known["first_low"]).sum())
    ends = "with fewer than four shards no probability has an interval"
    if len(known):
        ends = f"of {overlap:,} the 95 % intervals of the first and the second probability overlap"
    return (
        f"Of {counted(len(own), 'specific neuron')} {own['near'].sum():,} ({own['near'].mean():.0%}) have a second "
        f"language within {NEAR} of tau: a little more or less text could make them related; {ends}. *Specific* says "
        "that a neuron fires *most* often for one language, and hardly ever that it is silent for the others."
    )


def sure(table: pd.DataFrame) -> str:
    """In how many halves of the text neurons have the type they have; argument as of :func:`opening`."""
    each = []
    for kind in ("specific", "related"):
        agree = table["sure"][table["kind"] == kind].dropna()
        if len(agree):
            firm = int((agree >= 0.9).sum())
            each.append(
                f"The median {kind} neuron has its type in {agree.median():.0%} of the halves, and {firm:,} of "
                f"{len(agree):,} ({firm / len(agree):.0%}) have it in nine of ten."
            )
    return " ".join(each) or "How sure types are cannot be told: halves of the text could not be classified."


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
        f"Unclassified, and taking no part, for their experts saw fewer than {found.min_tokens} tokens of a language: "
        f"{counted(found.n_starved, 'neuron')}. "
    )
    return (
        f"**This run**: {myst(model_name(str(found.provenance.get('model'))))} on "
        f"{myst(found.provenance.get('corpus'))}, {found.n_neurons:,} neurons, {len(found.languages)} languages. At "
        f"{_thresholds(found)}: {n['specific']:,} specific, {n['related']:,} related, {n['general']:,} general and "
        f"{n['unclassified']:,} unclassified. (N = 0, above tau in no language: {nowhere:,} of the selected neurons.) "
        f"{starved if found.n_starved else ''}At the paper's top rate of 1.0%, {_given(paper)}"
        + (f"; where the authors' search ends, {_given(released)}." if found.scaled and found.lam is not None else ".")
    )


def _thresholds(found: NeuronTypes) -> str:
    if found.lam is not None:
        how = f"with lambda {'solved' if found.solved else 'given'} as {found.lam:.4f} and"
    elif found.activity == "tau":
        how = f"by the scores of {myst(found.detector)}, with"
    else:
        return f"the choice of {myst(found.detector)}"
    return f"a top rate of {found.top_rate:.1%}, {how} tau {found.tau:.4f}"


def _given(types: NeuronTypes | None) -> str:
    if types is None:
        return "no lambda fits"
    n, who = types.sizes(), myst(types.detector) if types.lam is None else f"lambda {types.lam:.4f}"
    return f"{who} gives {n['specific']:,} specific and {n['related']:,} related"


def not_turned(found: NeuronTypes) -> str:
    """Why a page has no sliders: in which languages a neuron is active follows from no threshold."""
    return (
        f"*These types are those of {myst(found.detector)}, by its own choice, which goes by no threshold: the sliders "
        "are left out.*"
    )


def not_browsed(found: NeuronTypes) -> str:
    """Why a page has no neuron browser."""
    return (
        f"*These types are those of {myst(found.detector)}. The neuron browser shows those of lambda-score alone: it "
        "is left out.*"
    )


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
    if found.activity != "tau":
        return ""  # the page carries none
    try:
        packed, _ = pack(stats, limit, found.min_tokens)
        if found.lam is None:
            return f"The page carries {'roots of the probabilities' if packed.roots else 'the exact counts'}."
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
        f"of {found.n_neurons:,} neurons have another type."
    )


def summary(found: NeuronTypes, halves: pd.DataFrame, pivot: str = "en") -> str:
    """What was found, and what does not hold.

    Args:
        found: the types.
        halves: from :func:`neuroglot.neurons.thresholds.halves`.
        pivot: the language of which the paper says that it has fewest.
    """
    notes = [_pivot(found, pivot)] if pivot in found.languages else []
    again = halves.set_index("kind")["jaccard"].dropna()
    if each := [f"{kind} {jaccard:.2f}" for kind, jaccard in again.items()]:
        notes.append(
            f"The Jaccard overlaps of the types found in half of the text with those in the other are: "
            f"{', '.join(each)}; a list of single neurons from this much text is not to be taken to the letter where "
            "that is low."
        )
    if found.lam is not None and found.solved and found.scaled and found.lam > 0.2:
        notes.append(
            f"The solved lambda, {found.lam:.3f}, lies beyond 0.2, where the authors' search ends; their code would "
            "have taken 0.2 here."
        )
    notes.append("The rule always selects its share of neurons: finding them is no evidence that the model needs them.")
    return " ".join(notes)


def _pivot(found: NeuronTypes, pivot: str) -> str:
    """Whether the pivot has fewest, of each type by itself."""
    each, table = [], found.counts_per_language().pivot(index="language", columns="kind", values="neurons")
    for kind in ("specific", "related"):
        own, others = table[kind][pivot], table[kind].drop(pivot)
        least = language(str(others.idxmin()))
        place = f"not the fewest ({least} has {others.min():,})" if own > others.min() else f"as few as {least}"
        place = "the fewest" if own < others.min() else place
        each.append(f"{counted(own, f'{kind} neuron')}, {place}; the others have {others.mean():,.0f} on average")
    return (
        f"{language(pivot)} has {'; and '.join(each)} (the paper's table 3: English 46 specific and 603 related, the "
        "others 613 and 2,006)."
    )
