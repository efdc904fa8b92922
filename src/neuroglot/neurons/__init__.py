"""What kind of neuron is it, where, with whom and on what text?

In come activation counts. Out go neuron types, their layers and parts, the languages that share them, and the
passages that excite them.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        *("agreement", "contexts", "detection", "detectors", "drawing", "examples"),
        *("identification", "layers", "methods", "published", "robustness", "scored", "sets"),
        *("sharing", "specificity", "thresholds"),
    ],
)
