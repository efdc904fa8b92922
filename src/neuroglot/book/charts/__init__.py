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
from .detectors import agreements, detectors, where_they_agree, where_they_look
from .interventions import choices, contrasts, doses, effects
from .kinds import languages_beside
from .live import LiveChart, NeuronMap, every_neuron, selectable
from .neuron_map import neuron_map
from .published import by_n, sensitivity
from .rewritten import rewritten
from .sharing import similarity, upset
from .specificity import first_and_second, how_sure
from .steering import outcomes, steered
from .theme import DONE_COLORS, KIND_COLORS, LANGUAGE_COLORS, enable
from .writing import writing, writing_by_layer, written_tokens

__all__ = [
    "DONE_COLORS",
    "KIND_COLORS",
    "LANGUAGE_COLORS",
    "LiveChart",
    "NeuronMap",
    "active_share",
    "agreements",
    "alignment_at_a_glance",
    "by_n",
    "choices",
    "contrasts",
    "depth",
    "detectors",
    "doses",
    "effects",
    "enable",
    "every_neuron",
    "fertility",
    "first_and_second",
    "how_sure",
    "language_changes",
    "language_sizes",
    "languages_beside",
    "layer_changes",
    "layers",
    "measure_changes",
    "neuron",
    "neuron_map",
    "outcomes",
    "overlaps",
    "rewritten",
    "selectable",
    "sensitivity",
    "shared_changes",
    "similarity",
    "solved",
    "steered",
    "tokens",
    "training",
    "transitions",
    "upset",
    "where_they_agree",
    "where_they_look",
    "writing",
    "writing_by_layer",
    "written_tokens",
]
