"""Does what is said of what neurons do depend on who found them? The same claims under several detectors."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, require_names
from ..base.tables import first_rows
from ..counts.activations import ActivationStats
from ..counts.collecting import collect
from ..neurons.identification import NeuronTypes
from ..neurons.robustness import COLUMNS, HOLDS, LEVEL, OPEN, said_as
from ..text.corpora import Corpus
from .matrix import AS_MANY, MATCHED
from .writing import ALL_TEXT, writing

#: Claims that take passes of their own to try.
ALSO = ("writing", "alignment")

_REMOVED = {
    MATCHED: "removing a language's neurons harms it more than random ones that are as often active",
    AS_MANY: "removing a language's neurons harms it more than as many of other languages'",
}

_WRITTEN = "a language's neurons favour its own tokens more than other languages' neurons do"


def also(asked: str | Iterable[str] | None) -> list[str]:
    """Which of :data:`ALSO` are asked for, by name.

    Raises:
        NeuroglotError: one that there is not.
    """
    return require_names("claims_also", asked, ALSO)


def removal_claims(table: pd.DataFrame, detectors: Iterable[str]) -> pd.DataFrame:
    """What removing neurons does, on the first text at the first budget, as claims.

    Args:
        table: from :func:`neuroglot.effects.comparing.side_by_side`.
        detectors: all; of those whose neurons were not removed nothing is known.

    Returns:
        ``claim``, ``detector``, ``verdict`` (:mod:`neuroglot.neurons.robustness`).
    """
    said = first_rows(table, "text", "budget").set_index(["detector", "what"])["verdict"].to_dict()
    rows = [
        (claim, name, said_as(said.get((name, f"own less {what}"))))
        for name in detectors
        for what, claim in _REMOVED.items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def writing_claims(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    types: Mapping[str, NeuronTypes],
    stats: ActivationStats,
    corpus: Corpus,
    *,
    means: ActivationStats | None = None,
    batch_tokens: int = 1024,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether each detector's specific and related neurons write their own languages, as :func:`writing` measures it.

    It holds where the sets favour their languages' own tokens more than sets that are dealt to the languages at random
    do (p up to 0.05, over all text), and has no contrary.

    Args:
        types: by detector.
        model, tokenizer, stats, corpus, means, batch_tokens, seed: as of :func:`neuroglot.writing`.

    Returns:
        ``claim``, ``detector``, ``verdict``; none where a language has no neuron, or the model's way to the logits is
        not known.
    """
    if means is None and types:  # once for all
        product: dict[str, Any] = {"quantity": "product", "moments": True, "batch_tokens": batch_tokens}
        means = collect(model, tokenizer, corpus, progress=False, **product)
    how: dict[str, Any] = {"means": means, "draws": 1, "checked": 1, "batch_tokens": batch_tokens, "seed": seed}
    rows = []
    for name, found in types.items():
        verdict = None
        try:
            dealt = writing(model, tokenizer, found, stats, corpus, progress=False, **how).dealt
            p = dealt.loc[dealt["text"] == ALL_TEXT, "p"].iloc[0]
            verdict = None if pd.isna(p) else HOLDS if p <= LEVEL else OPEN
        except NeuroglotError:
            pass
        rows.append((_WRITTEN, name, verdict))
    return pd.DataFrame(rows, columns=COLUMNS)
