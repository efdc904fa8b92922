"""Which neurons are a language's, by any detector: a score for each neuron and language, and its own choice."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..base.artifacts import load_artifact, save_artifact
from ..base.errors import NeuroglotError, listed, quoted, require_whole
from ..counts.activations import ActivationStats
from ..counts.widths import Layers, each, require_fit
from ..text.languages import languages_of, require_codes
from . import detectors
from .identification import NeuronTypes
from .methods import METHODS, highest, ranks


@dataclass(frozen=True, eq=False)
class Detection(Layers):
    """What a detector says.

    Attributes:
        method: its name.
        languages: codes, in the order of the last axis.
        score: float64 ``[layers, neurons, languages]``: the larger, the more the neuron is that language's; NaN where
            it is out of the question, or not known. Scores of two methods are not on one scale.
        selected: bool of the same shape: the method's own choice, at its settings.
        settings: of the method.
        provenance: of the statistics.
        widths: where layers differ, int64 ``[layers]``: how many neurons each has; after them there is no score.
    """

    method: str
    languages: tuple[str, ...]
    score: np.ndarray
    selected: np.ndarray
    settings: dict[str, Any] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
    widths: np.ndarray | None = None

    KIND = "detection"

    def __post_init__(self) -> None:
        require_codes(self.languages, "languages")
        shape = self.score.shape
        if len(shape) != 3 or shape[-1] != len(self.languages) or self.selected.shape != shape:
            raise NeuroglotError("score and selected do not fit each other or the languages; detect again.")
        if not np.issubdtype(self.score.dtype, np.floating) or np.isinf(self.score).any():
            raise NeuroglotError("a score is infinite or not a number's kind; detect again.")
        if self.selected.dtype != bool:
            raise NeuroglotError("what is selected is not boolean; detect again.")
        require_fit(self.widths, shape[:2])
        if self.ragged is not None and (self.selected[~self.real].any() or (~np.isnan(self.score[~self.real])).any()):
            raise NeuroglotError("a score stands where a layer has no neuron; detect again.")

    @property
    def room(self) -> tuple[int, int]:
        """Layers, and neurons of the widest one."""
        layers, width, _ = self.score.shape
        return layers, width

    @property
    def layer_widths(self) -> np.ndarray:
        """How many neurons each layer has, int64 ``[layers]``."""
        return each(self.room[1] if self.widths is None else self.widths, self.room[0])

    def neurons(self, language: str) -> list[np.ndarray]:
        """The selected neurons of a language, one sorted int64 index array per layer.

        Raises:
            NeuroglotError: unknown language.
        """
        if language not in self.languages:
            known = " ".join(self.languages)
            raise NeuroglotError(f"there is no language {quoted(language)}; the detection has {known}.")
        return [np.flatnonzero(layer) for layer in self.selected[..., self.languages.index(language)]]

    def take(self, n: int | Sequence[int]) -> "Detection":
        """The same scores, and as many neurons selected for every language: those of the highest scores.

        Of equal scores the first neuron is taken. A neuron may be several languages'.

        Args:
            n: of each language; or, one number for each layer, of each language and layer.

        Returns:
            With fewer where fewer have a score.

        Raises:
            NeuroglotError: a number that is none, or not one for each layer.
        """
        layers, width, languages = self.score.shape
        if isinstance(n, int):
            require_whole("n", n, 0)
            blocks, numbers = self.score.reshape(1, layers * width, languages), [n]
        else:
            numbers = [int(one) for one in n]
            for one in numbers:
                require_whole("n", one, 0)
            if len(numbers) != layers:
                raise NeuroglotError(f"n has {len(numbers)} numbers and the model {layers} layers; give one for each.")
            blocks = self.score
        selected = np.stack([highest(block, number) for block, number in zip(blocks, numbers, strict=True)])
        return replace(self, selected=selected.reshape(self.score.shape))

    def ranks(self) -> np.ndarray:
        """Each neuron's place among all of the model, for each language: int64 ``[layers, neurons, languages]``.

        1 has the highest score; of equal scores the first neuron comes first, so that :meth:`take` selects the neurons
        of the first ranks. 0 where there is no score.
        """
        return ranks(self.score.reshape(-1, self.score.shape[-1])).reshape(self.score.shape)

    def sizes(self) -> dict[str, int]:
        """Selected neurons of each language."""
        return dict(zip(self.languages, self.selected.sum(axis=(0, 1)).tolist(), strict=True))

    def table(self) -> pd.DataFrame:
        """One row per selected neuron and language, highest score first: language, layer, neuron, score."""
        layer, neuron, language = np.nonzero(self.selected)
        found = pd.DataFrame(
            {
                "language": np.array(self.languages)[language],
                "layer": layer,
                "neuron": neuron,
                "score": self.score[layer, neuron, language],
            }
        )
        place = found["language"].map(self.languages.index)
        return found.assign(place=place).sort_values(["place", "score"], ascending=[True, False], kind="stable").drop(
            columns="place"
        ).reset_index(drop=True)  # fmt: skip

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same detection gives the same bytes."""
        metadata = {"method": self.method, "languages": list(self.languages), "settings": self.settings}
        arrays = {"score": self.score, "selected": self.selected}
        arrays |= {} if self.widths is None else {"widths": self.widths}
        save_artifact(path, self.KIND, arrays, metadata | {"provenance": self.provenance})

    @classmethod
    def load(cls, path: str | Path) -> "Detection":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("score", "selected"))
        method, settings = header.get("method"), header.get("settings")
        if not isinstance(method, str) or not isinstance(settings, dict):
            raise NeuroglotError(f"{path} lacks its method or settings; make it again.")
        try:
            languages = languages_of(header, path)
            own = arrays["score"], arrays["selected"], settings, header["provenance"], arrays.get("widths")
            return cls(method, languages, *own)
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error


def methods() -> tuple[str, ...]:
    """All that :func:`detect` knows: neuroglot's own, then the detectors, those of installed packages among them."""
    return tuple(dict.fromkeys([*METHODS, *detectors.names()]))


def detect(stats: ActivationStats, method: str, **settings: Any) -> Detection:
    """Which neurons are a language's, by one method.

    The methods, what they read beside counts, where they are from, and their settings; of each its function says more:

    - ``"lambda-score"`` (arXiv 2505.21505): ``top_rate``, ``lam``, ``quantile``, ``scaled``, ``min_tokens``;
      :func:`~neuroglot.neurons.methods.lambda_score`
    - ``"lape"`` (arXiv 2402.16438): ``top_rate``, ``filter_rate``, ``bar_rate``, ``min_tokens``;
      :func:`~neuroglot.neurons.methods.lape`
    - ``"average-precision"``, ``maxima`` (arXiv 2404.02431): ``number``;
      :func:`~neuroglot.neurons.methods.average_precision`
    - ``"plnd"``, ``absolute`` (arXiv 2402.18815): ``top_rate``, ``share``; :func:`~neuroglot.neurons.methods.plnd`
    - ``"percentile"``, ``histograms`` (arXiv 2503.17456): ``percentile``, ``top_rate``;
      :func:`~neuroglot.neurons.methods.percentile`
    - ``"overlap"``, ``histograms`` (DLN, EMNLP 2026): ``bottom_rate``; :func:`~neuroglot.neurons.methods.overlap`
    - ``"mean-difference"``, ``moments`` (arXiv 2505.05111): ``top_rate``, ``absolute``;
      :func:`~neuroglot.neurons.methods.mean_difference`
    - ``"attribution"``, ``attributions`` (arXiv 2601.04664): ``attributions``, ``top_rate``;
      :func:`~neuroglot.neurons.methods.attribution`
    - ``"random"``, to compare with: ``like``, ``matched``, ``seed``; :func:`~neuroglot.neurons.methods.random`

    Args:
        stats: activation counts, with what the method reads beside them.
        method: one of these, or the name of a detector, which selects none by itself: :meth:`Detection.take` does.
        **settings: of the method.

    Raises:
        NeuroglotError: no such method or setting, or statistics that lack what it needs.
    """
    if method in METHODS:
        function = METHODS[method]
        try:
            signature(function).bind(stats, **settings)
        except TypeError as error:
            raise NeuroglotError(f"the method {method}: {error}; see neuroglot.neurons.methods.") from error
        score, selected = function(stats, **settings)
    elif method in detectors.names():
        score = np.where(stats.real[..., None], detectors.score(method, stats, **settings), np.nan)
        selected = np.zeros(score.shape, dtype=bool)
    else:
        raise NeuroglotError(f"there is no method {quoted(method)}; use {listed(methods())}.")
    said = {name: _said(value) for name, value in settings.items()}
    return Detection(method, stats.languages, score, selected, said, dict(stats.provenance), stats.ragged)


def selection(path: str | Path) -> "Detection | NeuronTypes":
    """The detection or the neuron types that a file holds.

    Raises:
        NeuroglotError: it holds neither.
    """
    try:
        return Detection.load(path)
    except NeuroglotError as error:
        try:
            return NeuronTypes.load(path)
        except NeuroglotError:
            raise error from None


def _said(value: Any) -> Any:
    """A setting as a file has it: of a detection its method, of attributions and types what they were made of."""
    if isinstance(value, Detection):
        return value.method
    return value.provenance.get("input_sha256") if hasattr(value, "provenance") else value
