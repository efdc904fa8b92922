"""What does multilingual alignment change?

In come a model and its answers in many languages. Out go preference pairs, a trained adapter, and the neurons, layers
and answers before and after.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "answers",
        "claims",
        "comparison",
        "contrasts",
        "measuring",
        "overview",
        "preferences",
        "reading",
        "scorers",
        "stability",
        "training",
        "variants",
    ],
)
