"""What the first page says in words."""

import pandas as pd

from ...neurons.identification import NeuronTypes
from ..markup import myst
from ..pages import model_name
from .words import counted, holding, interval


def opening(found: NeuronTypes, halves: pd.DataFrame) -> str:
    """How many neurons are of each type, and how many specific ones another half of the text gives again.

    Args:
        found: the types.
        halves: from :func:`neuroglot.neurons.thresholds.halves`.
    """
    n, sure = found.sizes(), ""
    for row in halves[(halves["kind"] == "specific") & halves["jaccard"].notna()].itertuples():
        sure = (
            f" Of the specific ones, two halves of the text have {row.jaccard:.0%} in common (random sets of that "
            f"size: {row.chance:.1%})."
        )
    return (
        f"**Of {myst(model_name(str(found.provenance.get('model'))))}'s {found.score.size:,} neurons, "
        f"{n['specific']:,} are specific to one of {len(found.languages)} languages, {n['related']:,} are related to "
        f"several, {n['general']:,} are general, and {n['unclassified']:,} are none of these**, at a top rate of "
        f"{found.top_rate:.1%}.{sure} Here they all are; a click on one opens it in the "
        "[neuron browser](04-neurons.html)."
    )


def kinship(kin: pd.DataFrame, found: NeuronTypes) -> str:
    """Whether languages of one family or script share more related neurons than others.

    Args:
        kin: from :func:`neuroglot.neurons.sharing.kinship_and_intervals`.
        found: the types.
    """
    each = "No neuron is related."
    if found.sizes()["related"]:
        each = " ".join(
            _grouping(str(name), row, len(found.languages)) for name, row in kin.set_index("grouping").iterrows()
        )
    return (
        f"Do families and scripts appear? {each} The intervals cover the text and not the choice of languages; "
        "languages of one branch mostly share a script, too."
    )


def _grouping(name: str, row: "pd.Series[float]", languages: int) -> str:
    word = "branch (such as Germanic or Romance)" if name == "family" else name
    if pd.isna(row["difference"]):
        return f"No two of these languages are of one {word}, or all are, so nothing can be said of it."
    ends = f" ({interval(row['low'], row['high'], '{:+.2f}')} over choices of text)" if pd.notna(row["low"]) else ""
    verdict = "more than chance" if row["p"] < 0.05 else "no more than chance may give"
    return (
        f"Languages of one {word} share {row['within']:.2f} of their related neurons, others {row['between']:.2f}: "
        f"{row['difference']:+.2f}{ends}. With the labels dealt to the languages at random, {row['p']:.0%} of the "
        f"deals give at least as much, so this is {verdict} among these {languages} languages "
        f"({counted(int(row['pairs']), 'pair')})."
    )


def summary(claims: pd.DataFrame | None) -> str:
    """Which of the paper's comparisons hold, and what no type says.

    Args:
        claims: from :func:`neuroglot.neurons.layers.part_claims`; ``None`` where there are no parts.
    """
    return (
        f"{_compared(claims)} How many neurons are specific or related is decided by the top rate as much as by the "
        "model, and a type says how often a neuron fires, not what for: the chapters on deactivation and steering test "
        "that, and each ends with what does not hold."
    )


def _compared(claims: pd.DataFrame | None) -> str:
    if claims is None or claims.empty:
        return "The model has fewer than four layers, so there are no four parts to compare."
    holds, firm = claims["holds"].astype(bool), ""
    if "replicates" in claims:
        firm = (
            f", {(holds & (claims['replicates'] >= 0.95)).sum()} of them in at least 95 % of the bootstrap replicates"
        )
    differ = ", ".join(f"“{myst(claim)}”" for claim in claims["claim"][~holds])
    return (
        f"Of the {len(claims)} comparisons that this book draws from the paper's figures, "
        f"{holding(int(holds.sum()))} for this model and text{firm}"
        f"{f'; these do **not**: {differ}' if differ else ''}."
    )
