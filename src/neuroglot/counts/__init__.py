"""How often is each neuron active in each language?

In come a model and a corpus. Out go activation counts, the artefact that everything after them is computed from.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__, ["activations", "collecting", "counting", "gathering", "halves", "reading"]
)
