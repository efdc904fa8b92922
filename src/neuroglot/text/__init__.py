"""What is read, and in which language?

In come packaged problems, files of many formats and data sets of a hub. Out goes a corpus: examples by language, each
a prompt and a response.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        *("corpora", "corruptions", "delimited", "languages", "numbers", "problems", "readers", "rewriting"),
        *("streaming", "turns"),
    ],
)
