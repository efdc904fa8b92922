"""How a multilingual language model divides its neurons among languages.

Data flows one way: a model and a corpus give activation counts (:func:`collect`), counts give
neuron types (:func:`classify`), types give layer profiles and charts. Method: arXiv 2505.21505.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import (
        alignment,
        answers,
        book,
        charts,
        comparison,
        contexts,
        corruptions,
        deactivation,
        effects,
        files,
        grading,
        languages,
        layers,
        markup,
        packing,
        pages,
        preferences,
        problems,
        runs,
        sampling,
        scorers,
        sharing,
        sites,
        steering,
        variants,
        widgets,
    )
    from .activations import ActivationStats, read_njunlp
    from .alignment import Alignment, align
    from .batches import tokens_per_language
    from .contexts import TopContexts, top_contexts
    from .corpora import Corpus, Example
    from .counting import collect, count_activations
    from .errors import NeuroglotError
    from .grading import accuracy, grade, language_fidelity
    from .identification import KINDS, NeuronTypes, classify, overlap, overlap_of_halves
    from .interventions import Intervention, amplify, deactivate, intervene, set_to
    from .layers import four_parts, layer_profile
    from .likelihood import Losses, losses, perplexity
    from .models import load_model
    from .readers import load_corpus
    from .sampling import sample
    from .widgets import NeuronBrowser, ThresholdExplorer

__all__ = [
    "KINDS",
    "ActivationStats",
    "Alignment",
    "Corpus",
    "Example",
    "Intervention",
    "Losses",
    "NeuroglotError",
    "NeuronBrowser",
    "NeuronTypes",
    "ThresholdExplorer",
    "TopContexts",
    "accuracy",
    "align",
    "alignment",
    "amplify",
    "answers",
    "book",
    "charts",
    "classify",
    "collect",
    "comparison",
    "contexts",
    "corruptions",
    "count_activations",
    "deactivate",
    "deactivation",
    "effects",
    "files",
    "four_parts",
    "grade",
    "grading",
    "intervene",
    "language_fidelity",
    "languages",
    "layer_profile",
    "layers",
    "load_corpus",
    "load_model",
    "losses",
    "markup",
    "overlap",
    "overlap_of_halves",
    "packing",
    "pages",
    "perplexity",
    "preferences",
    "problems",
    "read_njunlp",
    "runs",
    "sample",
    "sampling",
    "scorers",
    "set_to",
    "sharing",
    "sites",
    "steering",
    "tokens_per_language",
    "top_contexts",
    "variants",
    "widgets",
]

_HOMES = {
    "activations": ("ActivationStats", "read_njunlp"),
    "alignment": ("Alignment", "align"),
    "batches": ("tokens_per_language",),
    "contexts": ("TopContexts", "top_contexts"),
    "corpora": ("Corpus", "Example"),
    "counting": ("collect", "count_activations"),
    "errors": ("NeuroglotError",),
    "grading": ("accuracy", "grade", "language_fidelity"),
    "identification": ("KINDS", "NeuronTypes", "classify", "overlap", "overlap_of_halves"),
    "interventions": ("Intervention", "amplify", "deactivate", "intervene", "set_to"),
    "layers": ("four_parts", "layer_profile"),
    "likelihood": ("Losses", "losses", "perplexity"),
    "models": ("load_model",),
    "readers": ("load_corpus",),
    "sampling": ("sample",),
    "widgets": ("NeuronBrowser", "ThresholdExplorer"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Load on first use, so that ``import neuroglot`` and ``neuroglot --help`` answer at once."""
    if name in _HOME_OF:
        value = getattr(importlib.import_module(f".{_HOME_OF[name]}", __name__), name)
    elif name in __all__:
        value = importlib.import_module(f".{name}", __name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
