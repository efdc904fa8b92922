"""What chapter 10 says in words."""

import pandas as pd

from ..markup import myst
from .words import holding


def opening(peaks: pd.DataFrame, claims: pd.DataFrame, least: "pd.Series[float] | None") -> str:
    """How many of the paper's comparisons hold in all models, and where language neurons are densest.

    Args:
        peaks: from :func:`neuroglot.book.runs.peaks`, a row per run.
        claims: from :func:`neuroglot.book.runs.claims_table`, of the runs that have any.
        least: from :func:`neuroglot.book.runs.least_replicates`.
    """
    everywhere, nowhere = _everywhere(claims), _nowhere(claims)
    often, hold = "", holding(len(everywhere))
    if least is not None and len(everywhere):
        firm = (least.loc[everywhere] >= 0.95).sum()
        often = f" ({firm} of {len(everywhere)} in at least 95 % of the replicates)"
    lead = (
        f"Only one run is here, so no models are compared: of the {len(claims)} comparisons drawn from the paper "
        f"{hold} in it{often}"
    )
    if len(peaks) > 1:
        lead = (
            f"Of the {len(claims)} comparisons drawn from the paper {hold} in all of these {claims.shape[1] - 1} "
            f"models{often} and {len(nowhere)} in none"
        )
    densest = [
        f"at {row.depth:.2f} in {myst(row.run)}" if row.share else f"nowhere in {myst(row.run)}"
        for row in peaks.itertuples()
    ]
    return f"**{lead}; in relative depth, language neurons are densest {', '.join(densest)}.**"


def _everywhere(claims: pd.DataFrame) -> list[str]:
    return claims["claim"][claims.drop(columns="claim").all(axis=1)].tolist()


def _nowhere(claims: pd.DataFrame) -> list[str]:
    return claims["claim"][~claims.drop(columns="claim").any(axis=1)].tolist()


def summary(peaks: pd.DataFrame, claims: pd.DataFrame, one_text: bool) -> str:
    """What was found, and what does not hold.

    Args:
        peaks, claims: as for :func:`opening`.
        one_text: whether all runs were counted on the same text.
    """
    notes = [
        f"In {myst(row.run)} language neurons are densest at relative depth {row.depth:.2f} ({row.share:.1%} of that "
        f"layer) and general ones at {row.general_depth:.2f} ({row.general_share:.1%})."
        for row in peaks.itertuples()
    ]
    notes += [
        f"{myst(run)} has fewer than four layers, so no comparison is drawn."
        for run in peaks["run"]
        if run not in claims
    ]
    if len(peaks) == 1:
        notes.append("Only one run is here, so nothing is compared; name a second model to set beside it.")
    else:
        nowhere = ", ".join(f"“{myst(claim)}”" for claim in _nowhere(claims))
        notes.append(
            f"Of the {len(claims)} comparisons {holding(len(_everywhere(claims)))} in all of these models"
            f"{f'; what holds in none of them: {nowhere}' if nowhere else ''}."
        )
        if not one_text:
            notes.append(
                "The runs were counted on different text or other amounts of it, so a difference between them is not "
                "the models' alone; the intervals cover the choice of text within a run only."
            )
    notes.append(
        "Tokens are each model's own: where a tokenizer cuts a script into bytes, its neurons are counted on fragments "
        "of characters, and a language then looks different for reasons that lie before the first layer."
    )
    return " ".join(notes)
