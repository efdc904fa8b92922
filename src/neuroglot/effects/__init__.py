"""What does a language's set of neurons do?

In come a model, neuron types and held-out text. Out go what removing, steering or keeping the neurons changes in
losses and in answers, beside random neurons.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "asking",
        "choices",
        "claims",
        "comparing",
        "grading",
        "matrix",
        "measuring",
        "playing",
        "removals",
        "rewritten",
        "steering",
        "writing",
    ],
)
