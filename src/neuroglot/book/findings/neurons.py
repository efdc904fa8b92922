"""What chapter 04 says in words."""

import numpy as np

from ...counts.activations import ActivationStats
from ...neurons import examples
from ...neurons.contexts import TopContexts
from ...neurons.identification import NeuronTypes
from ...text.corpora import Corpus
from ..markup import language
from .words import counted


def passages(kept: TopContexts, text: Corpus) -> str:
    """Of how many neurons how many passages are kept."""
    there = int(np.count_nonzero(kept.passage >= 0))
    texts = counted(len(text.examples), "text")
    return f"Kept of {counted(len(kept.neurons), 'neuron')}: {counted(there, 'passage')} of {texts}."


def opening(found: NeuronTypes, counts: ActivationStats) -> str:
    """How often specific neurons fire in their own language and the next, and which neuron has the lowest score."""
    own, other = examples.own_and_next(found, counts)
    said = "This run has no specific neuron"
    if number := found.sizes()["specific"]:
        said = (
            f"Specific neurons fire at {own:.0%} of their own language's tokens and at {other:.0%} of the next "
            f"language's (medians over {counted(number, 'neuron')})"
        )
    layer, neuron = examples.lowest(found)
    probabilities = counts.probabilities()[layer, neuron]
    most = int(probabilities.argmax())
    return (
        f"**{said}.** The neuron of lowest score is neuron {neuron} of layer {layer}: it fires at "
        f"{probabilities[most]:.0%} of the tokens of {language(counts.languages[most])}."
    )
