"""How does a reader see it?

In come the files of a run. Out go executed chapters, charts, widgets, sentences and pages.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        "building",
        "chapters",
        "charts",
        "describing",
        "markup",
        "lab",
        "lookup",
        "packing",
        "pages",
        "playground",
        "printing",
        "reference",
        "runs",
        "sessions",
        "widgets",
    ],
)
