"""Neuron types that are written down, for what is said of them."""

import numpy as np

from neuroglot import NeuronTypes


def types_of(languages: str, *layers: str, **changes) -> NeuronTypes:
    """Types by layer: the languages that each neuron is active in, a comma between neurons.

    A ``-`` stands for a neuron that is neither selected nor active; all others are selected, but those that are active
    everywhere. Scores ascend.
    """
    codes = languages.split()
    neurons = [[neuron.split() for neuron in layer.split(",")] for layer in layers]
    active = np.array([[[code in neuron for code in codes] for neuron in layer] for layer in neurons])
    selected = np.array([["-" not in neuron for neuron in layer] for layer in neurons]) & ~active.all(axis=-1)
    score = np.arange(selected.size, dtype=float).reshape(selected.shape)
    own = {"top_rate": 0.05, "lam": 0.125, "quantile": 0.95, "scaled": True, "solved": True, "tau": 0.25}
    own |= {"provenance": {"model": "tiny", "corpus": "text:x"}} | changes
    return NeuronTypes(tuple(codes), score=score, selected=selected, active=active, **own)
