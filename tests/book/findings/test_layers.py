"""What chapter 03 says with and without parts, intervals and claims that hold."""

import pandas as pd

from neuroglot.book.findings import layers as findings
from neuroglot.neurons.layers import Depth, four_parts

KINDS = ("specific", "related", "general")
STAGES = (
    "The parts are a description: the cut finds three segments in any profile, whether or not the model works in "
    "stages, and a layer's count says nothing of what its neurons do."
)
FEW = "with fewer than four layers there are no four parts, so none of the paper's comparisons is drawn"


def profile(*layers: tuple[int, int, int]) -> pd.DataFrame:
    rows = [(layer, kind, n) for layer, row in enumerate(layers) for kind, n in zip(KINDS, row, strict=True)]
    return pd.DataFrame(rows, columns=["layer", "kind", "neurons"])


def depth(*layers: tuple[int, int, int], holds: tuple[bool, ...] = (), **others: pd.DataFrame | None) -> Depth:
    mine = profile(*layers)
    claims = pd.DataFrame({"claim": [f"claim {i}" for i in range(len(holds))], "holds": pd.Series(holds, dtype=bool)})
    return Depth(mine, four_parts(mine), others.pop("claims", claims), **others)


FIVE = ((1200, 1, 0), (5, 0, 3), (2, 1, 9), (0, 4, 2), (1, 1, 1))


def test_opening_without_intervals():
    assert findings.opening(depth(*FIVE, holds=(True, False, False))) == (
        "**Language neurons are most numerous in layer 0 (1,201), general ones are most numerous in layer 2 (9); of "
        "the 3 comparisons drawn from the paper 1 holds here.**"
    )
    assert findings.opening(depth(*FIVE, holds=(False,))).endswith(
        "of the 1 comparisons drawn from the paper 0 hold here.**"
    )


def test_opening_with_intervals():
    other = profile((1, 1, 9), *FIVE[1:])
    replicates = pd.concat([profile(*FIVE).assign(draw=0), other.assign(draw=1)])
    claims = pd.DataFrame({"claim": list("abc"), "holds": [True, True, False], "replicates": [1.0, 0.5, 1.0]})
    assert findings.opening(depth(*FIVE, claims=claims, replicates=replicates)) == (
        "**Language neurons are most numerous in layer 0 (1,201; 50% of the bootstrap replicates agree), general ones "
        "are most numerous in layer 2 (9; 50% of the bootstrap replicates agree); of the 3 comparisons drawn from the "
        "paper 2 hold here (1 of 2 in at least 95 % of the replicates).**"
    )
    none = claims.assign(holds=False)
    assert findings.opening(depth(*FIVE, claims=none, replicates=replicates)).endswith("from the paper 0 hold here.**")


def test_opening_of_no_neurons_and_few_layers():
    assert findings.opening(depth((0, 0, 0), (0, 0, 0))) == (
        f"**Language neurons are not found at all, general ones are not found at all; {FEW}.**"
    )


def test_summary():
    start = "Language neurons are most numerous in layer 0 (1,201), general ones are most numerous in layer 2 (9). "
    assert findings.summary(depth(*FIVE, holds=(True, True))) == f"{start}Of the 2 comparisons 2 hold here. {STAGES}"
    assert findings.summary(depth(*FIVE, holds=(True, False))) == (
        f"{start}Of the 2 comparisons 1 holds here; this does **not**: “claim 1”. {STAGES}"
    )
    assert findings.summary(depth(*FIVE, holds=(False, False))) == (
        f"{start}Of the 2 comparisons 0 hold here; these do **not**: “claim 0”, “claim 1”. {STAGES}"
    )
    assert findings.summary(depth((0, 1, 0), (0, 0, 0))) == (
        "Language neurons are most numerous in layer 0 (1), general ones are not found at all. "
        f"{FEW.capitalize()}. {STAGES}"
    )


def test_what_there_is_not():
    assert findings.no_intervals("a *b*") == "*There are no intervals: a&#32;&#42;b&#42;*"
    assert findings.no_parts() == f"*{FEW.capitalize()}.*"
