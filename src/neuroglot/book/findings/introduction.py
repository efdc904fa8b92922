"""What chapter 00 says in words."""

import pandas as pd

from ...counts.activations import ActivationStats
from ...neurons.identification import NeuronTypes
from ..markup import myst
from ..pages import model_name


def this_run(counts: ActivationStats) -> str:
    """Model, text, tokens, languages and neurons."""
    layers, width, k = counts.shape
    return (
        f"**This run**: {myst(model_name(str(counts.provenance.get('model'))))} on "
        f"{myst(counts.provenance.get('corpus'))}, {counts.tokens.sum():,} tokens in {k} languages "
        f"({myst(', '.join(counts.languages))}), {layers} layers of {width:,} neurons."
    )


def opening(found: NeuronTypes, halves: pd.DataFrame) -> str:
    """Which share of neurons is of each type, and how many specific ones another half of the text gives again.

    Args:
        found: the types.
        halves: from :func:`neuroglot.neurons.thresholds.halves`.
    """
    share = _shares(found)
    sure = "How many of the specific ones are found again in another half of the text cannot be told"
    for row in halves[(halves["kind"] == "specific") & halves["jaccard"].notna()].itertuples():
        sure = (
            f"Of the specific ones, two halves of the text have {row.jaccard:.0%} in common (random sets of that size "
            f"would have {row.chance:.1%})"
        )
    if not share["specific"]:
        sure = "There is no specific one whose activity could be shown"
    return (
        f"**Of this model's {found.n_neurons:,} neurons {share['specific']:.2%} are language-specific, "
        f"{share['related']:.2%} language-related and {share['general']:.2%} general, at a top rate of "
        f"{found.top_rate:.1%}.**\n\n**{sure}.**"
    )


def no_neuron(kind: str) -> str:
    """That a run has no neuron of a type."""
    return f"This run has no {kind} neuron."


def summary(found: NeuronTypes) -> str:
    """What was found, and what does not hold."""
    share = _shares(found)
    return (
        f"At a top rate of {found.top_rate:.1%}, {share['specific']:.2%} of this model's neurons are "
        f"language-specific, {share['related']:.2%} language-related and {share['general']:.2%} general; "
        f"{share['unclassified']:.1%} are none of the three. The types are definitions on top of thresholds, not "
        "natural kinds: how many neurons are *specific* is decided by the top rate as much as by the model, which "
        "chapter 02 lets you try. An activation probability says how often a neuron fires, not what it does; nothing "
        "here is causal."
    )


def _shares(found: NeuronTypes) -> dict[str, float]:
    return {kind: neurons / found.n_neurons for kind, neurons in found.sizes().items()}
