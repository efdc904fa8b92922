"""What does a model compute, say and find likely, and how is it changed?

In come a model and its tokenizer, texts, and neurons to change. Out go the places of its neurons, the values they
take, answers and losses, each with or without the change.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        *("attribution", "batches", "interventions", "likelihood", "loading"),
        *("passes", "processes", "readout", "sampling", "sites", "stores", "windows"),
    ],
)
