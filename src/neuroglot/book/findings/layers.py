"""What chapter 03 says in words."""

import pandas as pd

from ...base.uncertainty import LESS, MORE, SAME
from ...neurons.layers import PARTS, Depth
from ..markup import myst
from .words import counted, holding

#: Said in the place of the four parts.
TOO_FEW = "with fewer than four layers there are no four parts, so none of the paper's comparisons is drawn"


_AS_WELL = {LESS: "better than", MORE: "worse than", SAME: "not told apart from"}


def no_intervals(reason: str) -> str:
    """Why there are none."""
    return f"*There are no intervals: {myst(reason)}*"


def no_parts() -> str:
    """Why there are none, as a sentence of its own."""
    return f"*{TOO_FEW.capitalize()}.*"


def opening(depth: Depth) -> str:
    """Where language neurons are most numerous, and how many parts held-out text shows."""
    return f"**{_where(depth)}.**\n\n**{shown(depth.segments)}.**"


def shown(segments: pd.DataFrame | None) -> str:
    """In a clause: how many segments the model shows, whether a smooth curve does as well, and whether that is four.

    Args:
        segments: from :func:`neuroglot.neurons.layers.segments`; ``None`` where the text cannot be halved.
    """
    if segments is None:
        return "How many parts the layers show cannot be told from text that cannot be halved"
    row = segments[segments["chosen"].astype(bool)].iloc[0]
    n = int(row["segments"])
    as_well = _AS_WELL.get(row["verdict"], "not known to be better or worse than")
    four = "as many as the paper's parts" if n == len(PARTS) else "not the paper's four"
    most = ", the most that were tried" if n == len(segments) else ""
    return (
        f"Text that was not used to cut is described by {counted(n, 'segment')} ({four}{most}), {as_well} a smooth "
        f"curve of as many numbers"
    )


def criterion(depth: Depth) -> str:
    """By which rule so many segments are chosen, and what follows where that are the most that were tried."""
    if depth.segments is None:
        return ""
    held_out = depth.segments["error"]
    falling = bool((held_out.diff().dropna() < 0).all())
    more = " It falls with each further cut: no number of segments stands out, and so four does not." if falling else ""
    return f"The error on held-out text is lowest with {counted(int(held_out.argmin()) + 1, 'segment')}.{more}"


def summary(depth: Depth) -> str:
    """What was found, and which comparisons hold on text that was not used to cut, and which do not."""
    compared = TOO_FEW.capitalize() if depth.parts.empty else _compared(depth.claims)
    return (
        f"{_where(depth)}. {shown(depth.segments)}. {compared}. A cut finds three segments in any profile, whether or "
        "not the model works in stages, and a layer's count says nothing of what its neurons do."
    )


def _compared(claims: pd.DataFrame) -> str:
    if "verdict" not in claims:
        differ = _quoted(claims["claim"][~claims["holds"]])
        held = f"Of the {len(claims)} comparisons {holding(int(claims['holds'].sum()))} in this text"
        return f"{held}{f', and these do **not**: {differ}' if differ else ''}; how sure that is cannot be told"
    n = int((claims["verdict"] == MORE).sum())
    said = f"On text that was not used to cut, of the paper's {len(claims)} comparisons {holding(n)}"
    for verdict, words in (
        (LESS, "the contrary of these does"),
        (SAME, "these are not told apart from their contrary"),
    ):
        if names := _quoted(claims["claim"][claims["verdict"] == verdict]):
            said += f"; {words}: {names}"
    return said


def _quoted(claims: "pd.Series[str]") -> str:
    return ", ".join(f"“{claim}”" for claim in claims)


def _where(depth: Depth) -> str:
    return f"Language neurons {_peak(depth, 'specific', 'related')}, general ones {_peak(depth, 'general')}"


def _peak(depth: Depth, *kinds: str) -> str:
    """Where neurons of these types are most numerous, how many there are, and how many halves of the text agree."""
    of_kinds = depth.profile[depth.profile["kind"].isin(kinds)]
    sizes = of_kinds.groupby("layer")["neurons"].sum()
    if not sizes.max():
        return "are not found at all"
    where, again = f"are most numerous in layer {sizes.idxmax()} ({sizes.max():,}", ""
    if depth.profiles is not None:
        others = depth.profiles[depth.profiles["kind"].isin(kinds)]
        peaks = others.groupby(["split", "half", "layer"])["neurons"].sum().unstack().idxmax(axis=1)
        again = f"; {(peaks == sizes.idxmax()).mean():.0%} of halves of the text agree"
    return f"{where}{again})"
