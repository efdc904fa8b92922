"""How a multilingual language model divides its neurons among languages.

Data flows one way: a model and a corpus give activation counts (:func:`collect`), counts give
neuron types (:func:`classify`), types give layer profiles and charts. Method: arXiv 2505.21505.

What a user needs is here, the rest in eight rooms, each on the shoulders of those before it: ``base``, ``text``,
``model``, ``counts``, ``neurons``, ``effects``, ``alignment``, ``book``.
"""

import lazy_loader

# Loaded on first use, so that `import neuroglot` and `neuroglot --help` answer at once; the names: `__init__.pyi`.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
