from . import alignment, base, book, counts, effects, model, neurons, text
from .alignment.training import Alignment, align
from .base.errors import NeuroglotError
from .base.versions import __version__
from .book.playground import Playground
from .book.widgets import NeuronBrowser, ThresholdExplorer
from .counts.activations import ActivationStats
from .counts.collecting import collect
from .counts.counting import count_activations
from .counts.reading import read_counts, read_njunlp, write_counts
from .effects.grading import accuracy, grade, language_fidelity
from .effects.writing import Writing, writing
from .model.attribution import Attributions, attributions
from .model.batches import tokens_per_language
from .model.interventions import Intervention, amplify, deactivate, intervene, set_to
from .model.likelihood import Losses, losses, perplexity
from .model.loading import load_model
from .model.sampling import sample
from .neurons.contexts import TopContexts, top_contexts
from .neurons.detection import Detection, detect
from .neurons.identification import KINDS, NeuronTypes, classify, overlap, overlap_of_halves
from .neurons.layers import four_parts, layer_profile
from .neurons.sets import NeuronSet, read_neurons, write_neurons
from .text.corpora import Corpus, Example
from .text.readers import load_corpus

__all__ = [
    "KINDS",
    "ActivationStats",
    "Alignment",
    "Attributions",
    "Corpus",
    "Detection",
    "Example",
    "Intervention",
    "Losses",
    "NeuroglotError",
    "NeuronBrowser",
    "NeuronSet",
    "NeuronTypes",
    "Playground",
    "ThresholdExplorer",
    "TopContexts",
    "Writing",
    "__version__",
    "accuracy",
    "align",
    "alignment",
    "amplify",
    "attributions",
    "base",
    "book",
    "classify",
    "collect",
    "count_activations",
    "counts",
    "deactivate",
    "detect",
    "effects",
    "four_parts",
    "grade",
    "intervene",
    "language_fidelity",
    "layer_profile",
    "load_corpus",
    "load_model",
    "losses",
    "model",
    "neurons",
    "overlap",
    "overlap_of_halves",
    "perplexity",
    "read_counts",
    "read_neurons",
    "read_njunlp",
    "sample",
    "set_to",
    "text",
    "tokens_per_language",
    "top_contexts",
    "write_counts",
    "write_neurons",
    "writing",
]
