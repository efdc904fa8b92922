"""The one error a reader of a traceback is meant to act on."""


class NeuroglotError(ValueError):
    """Bad input: the message is one sentence that names the file or argument and what to do."""
