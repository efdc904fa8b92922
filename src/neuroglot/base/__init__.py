"""How is anything kept, named and locked, and how sure is a number?

In come arrays, tables and records. Out go files that are whole and known by their hash, one clear sentence for what
is wrong, and intervals.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    [
        *("artifacts", "columns", "digests", "errors", "files", "locks", "npm", "parts"),
        *("provenance", "records", "tables", "tensors", "uncertainty"),
    ],
)
