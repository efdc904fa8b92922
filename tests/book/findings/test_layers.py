"""What chapter 03 says with and without parts, halves of the text and claims that hold."""

import pandas as pd

from neuroglot.book.findings import layers as findings
from neuroglot.neurons.layers import Depth, four_parts

KINDS = ("specific", "related", "general")
STAGES = (
    "A cut finds three segments in any profile, whether or not the model works in stages, and a layer's count says "
    "nothing of what its neurons do."
)
FEW = "with fewer than four layers there are no four parts, so none of the paper's comparisons is drawn"
UNKNOWN = "How many parts the layers show cannot be told from text that cannot be halved"


def profile(*layers: tuple[int, int, int]) -> pd.DataFrame:
    rows = [(layer, kind, n) for layer, row in enumerate(layers) for kind, n in zip(KINDS, row, strict=True)]
    return pd.DataFrame(rows, columns=["layer", "kind", "neurons"])


def depth(*layers: tuple[int, int, int], holds: tuple[bool, ...] = (), **others: pd.DataFrame | None) -> Depth:
    mine = profile(*layers)
    claims = pd.DataFrame({"claim": [f"claim {i}" for i in range(len(holds))], "holds": pd.Series(holds, dtype=bool)})
    return Depth(mine, four_parts(mine), others.pop("claims", claims), **others)


def segments(chosen: int, verdict: str | None = "less", error: tuple[float, ...] = (1.0, 0.5, 0.4, 0.3, 0.2)):
    numbers = range(1, len(error) + 1)
    return pd.DataFrame({"segments": numbers, "error": error, "verdict": verdict}).assign(
        chosen=[n == chosen for n in numbers]
    )


FIVE = ((1200, 1, 0), (5, 0, 3), (2, 1, 9), (0, 4, 2), (1, 1, 1))
WHERE = "Language neurons are most numerous in layer 0 (1,201), general ones are most numerous in layer 2 (9)"


def test_opening():
    assert findings.opening(depth(*FIVE)) == f"**{WHERE}.**\n\n**{UNKNOWN}.**"
    other = profile((1, 1, 9), *FIVE[1:])
    profiles = pd.concat([profile(*FIVE).assign(split=0, half=0), other.assign(split=0, half=1)])
    assert findings.opening(depth(*FIVE, profiles=profiles, segments=segments(4))) == (
        "**Language neurons are most numerous in layer 0 (1,201; 50% of halves of the text agree), general ones are "
        "most numerous in layer 2 (9; 50% of halves of the text agree).**\n\n**Text that was not used to cut is "
        "described by 4 segments (as many as the paper's parts), better than a smooth curve of as many numbers.**"
    )
    assert findings.opening(depth((0, 0, 0), (0, 0, 0))).startswith(
        "**Language neurons are not found at all, general ones are not found at all.**"
    )


def test_how_many_parts_are_shown():
    said = "Text that was not used to cut is described by "
    curve = "a smooth curve of as many numbers"
    for row, words in [
        (segments(1, None), f"1 segment (not the paper's four), not known to be better or worse than {curve}"),
        (segments(3, "more"), f"3 segments (not the paper's four), worse than {curve}"),
        (
            segments(5, "not told apart"),
            f"5 segments (not the paper's four, the most that were tried), not told apart from {curve}",
        ),
    ]:
        assert findings.shown(row) == said + words


def test_by_which_criterion():
    assert findings.criterion(depth(*FIVE)) == ""
    assert findings.criterion(depth(*FIVE, segments=segments(5))) == (
        "The error on held-out text is lowest with 5 segments. It falls with each further cut: no number of segments "
        "stands out, and so four does not."
    )
    once = segments(1, error=(0.2, 0.3))
    assert findings.criterion(depth(*FIVE, segments=once)) == "The error on held-out text is lowest with 1 segment."


def test_summary_of_tested_claims():
    verdicts = ["more", "more", "less", "not told apart", None]
    claims = pd.DataFrame({"claim": list("abcde"), "holds": True, "verdict": verdicts})
    start = f"{WHERE}. {UNKNOWN}. "
    assert findings.summary(depth(*FIVE, claims=claims)) == (
        f"{start}On text that was not used to cut, of the paper's 5 comparisons 2 hold; the contrary of these does: "
        f"“c”; these are not told apart from their contrary: “d”. {STAGES}"
    )
    one = claims[1:2]
    assert findings.summary(depth(*FIVE, claims=one)) == (
        f"{start}On text that was not used to cut, of the paper's 1 comparisons 1 holds. {STAGES}"
    )


def test_summary_without_halves_or_parts():
    start = f"{WHERE}. {UNKNOWN}. Of the 2 comparisons "
    unsure = "how sure that is cannot be told"
    assert findings.summary(depth(*FIVE, holds=(True, True))) == f"{start}2 hold in this text; {unsure}. {STAGES}"
    assert findings.summary(depth(*FIVE, holds=(True, False))) == (
        f"{start}1 holds in this text, and these do **not**: “claim 1”; {unsure}. {STAGES}"
    )
    assert f"{FEW.capitalize()}. {STAGES}" in findings.summary(depth((0, 1, 0), (0, 0, 0)))


def test_what_there_is_not():
    assert findings.no_intervals("a *b*") == "*There are no intervals: a&#32;&#42;b&#42;*"
    assert findings.no_parts() == f"*{FEW.capitalize()}.*"
