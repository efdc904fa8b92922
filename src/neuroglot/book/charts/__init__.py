"""Every figure of the book: one theme, one colour per neuron type, and per language."""

from .activity import active_share, fertility, neuron, solved, tokens
from .by_layer import depth, layers
from .changes import (
    alignment_at_a_glance,
    language_changes,
    language_sizes,
    layer_changes,
    measure_changes,
    overlaps,
    shared_changes,
    training,
    transitions,
)
from .interventions import doses, effects, steering
from .kinds import counts_per_language, counts_per_n, languages_beside, top_rates
from .neuron_map import neuron_map
from .sharing import similarity, upset
from .theme import DONE_COLORS, KIND_COLORS, LANGUAGE_COLORS, enable

__all__ = [
    "DONE_COLORS",
    "KIND_COLORS",
    "LANGUAGE_COLORS",
    "active_share",
    "alignment_at_a_glance",
    "counts_per_language",
    "counts_per_n",
    "depth",
    "doses",
    "effects",
    "enable",
    "fertility",
    "language_changes",
    "language_sizes",
    "languages_beside",
    "layer_changes",
    "layers",
    "measure_changes",
    "neuron",
    "neuron_map",
    "overlaps",
    "shared_changes",
    "similarity",
    "solved",
    "steering",
    "tokens",
    "top_rates",
    "training",
    "transitions",
    "upset",
]
