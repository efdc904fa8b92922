"""What chapter 11 says in words."""

import pandas as pd

from ..markup import myst
from ..runs import CONTRARY, HOLDS
from .words import holding


def opening(peaks: pd.DataFrame, claims: pd.DataFrame) -> str:
    """How many of the paper's comparisons hold in all models, and where language neurons are densest.

    Args:
        peaks: from :func:`neuroglot.book.runs.peaks`, a row per run.
        claims: from :func:`neuroglot.book.runs.claims_table`, of the runs that have any.
    """
    everywhere, nowhere = _everywhere(claims, HOLDS), _everywhere(claims, CONTRARY)
    lead = (
        f"Only one run is here, so no models are compared: of the {len(claims)} comparisons drawn from the paper "
        f"{holding(len(everywhere))} in it"
    )
    if len(peaks) > 1:
        lead = (
            f"Of the {len(claims)} comparisons drawn from the paper {holding(len(everywhere))} in all of these "
            f"{claims.shape[1] - 1} models, and the contrary of {len(nowhere)} does"
        )
    densest = [
        f"at {row.depth:.2f} in {myst(row.run)}" if row.share else f"nowhere in {myst(row.run)}"
        for row in peaks.itertuples()
    ]
    return f"**{lead}.**\n\n**In relative depth, language neurons are densest {', '.join(densest)}.**"


def _densest(depth: float, share: float) -> str:
    return f"densest at relative depth {depth:.2f} ({share:.1%} of that layer)" if share else "not found"


def _everywhere(claims: pd.DataFrame, verdict: str) -> list[str]:
    """Claims of which all runs say this."""
    return claims["claim"][(claims.drop(columns="claim") == verdict).all(axis=1)].tolist()


def same_text(one_text: bool) -> str:
    """Whether what is compared was counted on equal text."""
    if one_text:
        return "All of these runs were counted on the same text."
    return (
        "**The runs were not counted on the same text**, or not on as much of it, so a difference between them is not "
        "the models' alone; the intervals cover the choice of text within a run only."
    )


def summary(peaks: pd.DataFrame, claims: pd.DataFrame) -> str:
    """What was found, and what does not hold.

    Args:
        peaks, claims: as for :func:`opening`.
    """
    notes = [
        f"In {myst(row['run'])} language neurons are {_densest(row['depth'], row['share'])} and general ones "
        f"{_densest(row['general_depth'], row['general_share'])}."
        for row in peaks.to_dict("records")
    ]
    notes += [
        f"{myst(run)} has fewer than four layers, so no comparison is drawn."
        for run in peaks["run"]
        if run not in claims
    ]
    if len(peaks) == 1:
        notes.append("Only one run is here, so nothing is compared; name a second model to set beside it.")
    else:
        nowhere = ", ".join(f"“{myst(claim)}”" for claim in _everywhere(claims, CONTRARY))
        notes.append(
            f"Of the {len(claims)} comparisons {holding(len(_everywhere(claims, HOLDS)))} in all of these models"
            f"{f'; the contrary holds in all of them of: {nowhere}' if nowhere else ''}."
        )
    notes.append(
        "Tokens are each model's own: where a tokenizer cuts a script into bytes, its neurons are counted on fragments "
        "of characters, and a language then looks different for reasons that lie before the first layer."
    )
    return " ".join(notes)
