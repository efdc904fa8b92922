"""A scorer by length, ``length:CHARACTERS``: the nearer a response is to so many characters, the better."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from neuroglot import Example


class Length:
    """How far each response is from the wanted length, below zero."""

    def __init__(self, rest: str) -> None:
        self.wanted = int(rest)

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides the scores."""
        return {"scorer": "length", "characters": self.wanted}

    def __call__(self, responses: Sequence[Example], references: Sequence[Example]) -> np.ndarray:
        """Float64 ``[responses]``, higher is better."""
        return np.array([-abs(len(response.response) - self.wanted) for response in responses], dtype=float)
