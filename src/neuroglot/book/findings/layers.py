"""What chapter 03 says in words."""

import pandas as pd

from ...neurons.layers import Depth
from ..markup import myst
from .words import holding

#: Said in the place of the four parts.
TOO_FEW = "with fewer than four layers there are no four parts, so none of the paper's comparisons is drawn"


def no_intervals(reason: str) -> str:
    """Why there are none."""
    return f"*There are no intervals: {myst(reason)}*"


def no_parts() -> str:
    """Why there are none, as a sentence of its own."""
    return f"*{TOO_FEW.capitalize()}.*"


def opening(depth: Depth) -> str:
    """In which layers neurons are most numerous, and how many of the paper's comparisons hold."""
    compared = (
        f"of the {len(depth.claims)} comparisons drawn from the paper {holding(len(_held(depth)))} here{_firm(depth)}"
    )
    return f"**{_where(depth)}; {TOO_FEW if depth.parts.empty else compared}.**"


def summary(depth: Depth) -> str:
    """What was found, and which comparisons do not hold."""
    differ = depth.claims["claim"][~depth.claims["holds"]].tolist()
    not_so = f"; {'this does' if len(differ) == 1 else 'these do'} **not**: " if differ else ""
    compared = f"Of the {len(depth.claims)} comparisons {holding(len(_held(depth)))} here"
    return (
        f"{_where(depth)}. {TOO_FEW.capitalize() if depth.parts.empty else compared}{not_so}"
        f"{', '.join(f'“{claim}”' for claim in differ)}. "
        "The parts are a description: the cut finds three segments in any profile, whether or not the model works in "
        "stages, and a layer's count says nothing of what its neurons do."
    )


def _where(depth: Depth) -> str:
    return f"Language neurons {_peak(depth, 'specific', 'related')}, general ones {_peak(depth, 'general')}"


def _peak(depth: Depth, *kinds: str) -> str:
    """Where neurons of these types are most numerous, how many there are, and how often replicates agree."""
    of_kinds = depth.profile[depth.profile["kind"].isin(kinds)]
    sizes = of_kinds.groupby("layer")["neurons"].sum()
    if not sizes.max():
        return "are not found at all"
    where, again = f"are most numerous in layer {sizes.idxmax()} ({sizes.max():,}", ""
    if depth.replicates is not None:
        others = depth.replicates[depth.replicates["kind"].isin(kinds)]
        peaks = others.groupby(["draw", "layer"])["neurons"].sum().unstack().idxmax(axis=1)
        again = f"; {(peaks == sizes.idxmax()).mean():.0%} of the bootstrap replicates agree"
    return f"{where}{again})"


def _held(depth: Depth) -> pd.DataFrame:
    return depth.claims[depth.claims["holds"]]


def _firm(depth: Depth) -> str:
    """How many of those that hold do so in nearly all replicates; nothing without replicates."""
    agree = _held(depth)
    if "replicates" not in agree or agree.empty:
        return ""
    return f" ({(agree['replicates'] >= 0.95).sum()} of {len(agree)} in at least 95 % of the replicates)"
