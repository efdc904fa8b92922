"""What the chapters say in words: one function a finding, from tables to Markdown."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "activations",
        "alignment",
        "deactivation",
        "detectors",
        "identification",
        "index",
        "introduction",
        "layers",
        "models",
        "neurons",
        "outside",
        "published",
        "reference",
        "rewritten",
        "spontaneous",
        "stability",
        "steering",
        "words",
        "writing",
    ],
)
