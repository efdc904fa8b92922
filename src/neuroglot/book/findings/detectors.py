"""What chapter 10 says in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from ...base.tables import first_rows
from ...base.uncertainty import LESS, MORE, SAME
from ...effects import comparing
from ...effects.comparing import OTHER_WORDINGS
from ...effects.matrix import AS_MANY, MATCHED
from ...neurons.detection import Detection
from ..markup import myst
from .words import counted, interval, number

_LESS_MATCHED, _LESS_OTHERS = (f"own less {what}" for what in (MATCHED, AS_MANY))


def opening(table: pd.DataFrame) -> str:
    """How many detectors' neurons do more harm than random ones and than other languages', at the first budget.

    On the first text alone; :func:`each` says what others give.

    Args:
        table: from :func:`neuroglot.effects.comparing.side_by_side`.
    """
    if table.empty:
        return "**Nothing was compared: no detector whose neurons are removed found one.**"
    budget = table["budget"].iloc[0]
    rows = first_rows(table, "text", "budget")
    total = rows["detector"].nunique()
    at_random, at_others = (rows[rows["what"] == what] for what in (_LESS_MATCHED, _LESS_OTHERS))
    if not pd.concat([at_random, at_others])["verdict"].notna().any():
        return (
            f"**Whether the neurons of {counted(total, 'detector')} ({myst(budget)}) do more harm to a language than "
            "random ones is not known: too few wordings, or draws.**"
        )
    return (
        f"**Of {counted(total, 'detector')} ({myst(budget)}), {_who(at_random, MORE)} more harm to a language than "
        f"random neurons that are as often active; {_who(at_others, MORE)} more than as many of other languages' "
        "neurons.**"
    )


def _who(rows: pd.DataFrame, verdict: str) -> str:
    """The number of detectors of a verdict, and which."""
    found = rows.loc[rows["verdict"] == verdict, "detector"]
    if not rows["verdict"].notna().any():
        return "of none it can be said whether its neurons do"
    names = f" ({', '.join(map(myst, found))})" if len(found) else ""
    return f"the neurons of {len(found) or 'none'}{names} do"


def each(table: pd.DataFrame) -> str:
    """A list: on each text at each budget which detectors do more, less or neither, beside random and others'."""
    lines = []
    for (text, budget), rows in table.groupby(["text", "budget"], sort=False):
        where = f"{_on(text, table)}{myst(str(budget))}"
        for what, said in {_LESS_MATCHED: "random neurons", _LESS_OTHERS: "as many of other languages'"}.items():
            some = rows[rows["what"] == what]
            lines.append(f"- {where}, beside {said}: {'; '.join(_verdicts(some)) or 'not measured'}.")
    return "\n".join(lines)


def _on(text: object, table: pd.DataFrame) -> str:
    """Which text it is, where there are several."""
    return f"On {myst(str(text))}, " if table["text"].nunique() > 1 else ""


def _verdicts(rows: pd.DataFrame) -> list[str]:
    said = []
    for verdict in (MORE, LESS):
        some = rows[rows["verdict"] == verdict].to_dict("records")
        if some:
            said.append(f"{verdict} by {', '.join(map(_difference, some))}")
    if len(same := rows[rows["verdict"] == SAME]):
        most = number(same["detectable"].max(), "{:.2f}")
        said.append(f"{SAME}: {', '.join(map(myst, same['detector']))} ({most} nats would have been found)")
    if len(unknown := rows[rows["verdict"].isna()]):
        said.append(f"not known: {', '.join(map(myst, unknown['detector']))}")
    return said


def _difference(row: Mapping[Any, Any]) -> str:
    return f"{myst(row['detector'])} ({row['effect']:+.2f}, {interval(row['low'], row['high'], '{:+.2f}')})"


def between(pairs: pd.DataFrame) -> str:
    """Which detectors differ from which on each text, each beside its own random neurons.

    Args:
        pairs: from :func:`neuroglot.effects.comparing.side_by_side`.
    """
    if pairs["text"].nunique() < 2:
        return _between(pairs)
    every = ((_on(text, pairs), _between(rows)) for text, rows in pairs.groupby("text", sort=False))
    return "\n\n".join(f"{where}{said[0].lower()}{said[1:]}" for where, said in every)


def _between(pairs: pd.DataFrame) -> str:
    known = pairs[pairs["verdict"].notna()]
    if known.empty:
        return (
            "Whether one detector's neurons do more than another's is not known: too few wordings, draws or detectors."
        )
    apart = known[known["verdict"] != SAME]
    most = number(known["detectable"].median(), "{:.2f}")
    lead = (
        f"Of {counted(len(known), 'pair')} of detectors, {len(apart) or 'none'} {'is' if len(apart) == 1 else 'are'} "
        f"told apart (a difference of {most} nats would have been found in half of them)"
    )
    if apart.empty:
        return f"{lead}."
    rows = [
        (row["one"], row["other"], row) if row["verdict"] == MORE else (row["other"], row["one"], row)
        for row in apart.to_dict("records")
    ]
    said = "; ".join(
        f"{myst(a)} above {myst(b)} ({abs(row['effect']):.2f}, {myst(row['budget'])})" for a, b, row in rows
    )
    return f"{lead}: {said}."


def agree(table: pd.DataFrame, again: pd.DataFrame) -> str:
    """How far detectors agree with each other, and each with itself on other text.

    Args:
        table: from :func:`neuroglot.neurons.agreement.agreement`.
        again: from :func:`neuroglot.effects.comparing.again`.
    """
    if again.empty:
        return ""
    said = " ".join(f"{_again(text, rows)}." for text, rows in again.groupby("text", sort=False))
    if table.empty:
        return said
    means = table.groupby(["one", "other"], sort=False, as_index=False)[["jaccard", "chance"]].mean()
    ordered = means.sort_values("jaccard", kind="stable").to_dict("records")
    return (
        f"Two detectors share {_share(means['jaccard'].median())} of their neurons in the middle of all pairs (random "
        f"sets {_share(means['chance'].median())}), most {_pair(ordered[-1])}, least {_pair(ordered[0])}. {said}"
    )


def _again(text: object, rows: pd.DataFrame) -> str:
    each = ", ".join(f"{myst(row['detector'])} {_share(row['jaccard'])}" for row in rows.to_dict("records"))
    where = "two texts of different wordings" if text == OTHER_WORDINGS else f"{myst(str(text))} beside this text"
    return f"On {where} a detector finds the same neurons in these shares: {each}"


def _pair(row: Mapping[Any, Any]) -> str:
    return f"{myst(row['one'])} and {myst(row['other'])} ({_share(row['jaccard'])})"


def _share(value: float) -> str:
    return "an unknown share" if pd.isna(value) else f"{value:.0%}"


def left_out(reasons: Mapping[str, str]) -> str:
    """Which detectors are left out, and why, by name; or nothing."""
    return "\n\n".join(f"*{myst(name)} is left out: {myst(why)}*" for name, why in reasons.items())


def rests_on(detectors: Sequence[str], removed: Sequence[str], tokens: int, wordings: int, draws: int) -> str:
    """What it all rests on, and what was left out: attributions, and removals of some detectors' neurons."""
    left = "" if "attribution" in detectors else " Attribution, which takes a pass forward and one back, is left out."
    measured = (
        f"Removals are measured on {counted(wordings, 'wording')} that none of them saw, beside "
        f"{counted(draws, 'draw')} of random neurons."
    )
    if others := [name for name in detectors if name not in removed]:
        left = f" The neurons of {', '.join(map(myst, others))} are not removed here (`removed`).{left}"
    return (
        f"All detectors read the same {tokens:,} tokens.{f' {measured}' if removed else ''}{left} Few neurons look "
        "selective and weak, many strong and unselective: detectors are compared at equal numbers. A neuron set to "
        "zero also gives the layers above values they never see otherwise, so harm is not proof of a function."
    )


def depends(claims: pd.DataFrame) -> str:
    """Whether what the book says depends on the detector: how many claims hold under all, some and none.

    Args:
        claims: from :func:`neuroglot.neurons.robustness.summed`.
    """
    known = claims[claims["known"] > 1]
    if known.empty:
        return (
            "Whether the book's claims depend on the detector is not known: of none there are two that say something."
        )
    every, none = known["holds"] == known["known"], known["holds"] == 0
    turned = known[(known["holds"] > 0) & (known["contrary"] > 0)]
    names = f": {'; '.join(map(myst, turned['claim']))}" if len(turned) else ""
    return (
        f"Of {counted(len(known), 'claim')} of this book, {every.sum() or 'none'} {_hold(every.sum())} under every "
        f"detector, {(~every & ~none).sum() or 'none'} under some, {none.sum() or 'none'} under none. Under some the "
        f"contrary of what others say holds for {len(turned) or 'none'} of them{names}."
    )


def _hold(n: int) -> str:
    return "holds" if n == 1 else "hold"


def best(pairs: pd.DataFrame) -> str:
    """Whether one detector's neurons are needed more than all others', on held-out text, at the first budget.

    Args:
        pairs: from :func:`neuroglot.effects.comparing.side_by_side`.
    """
    if pairs.empty or not pairs["verdict"].notna().any():  # a table without a row has no columns either
        return "Whether one detector is better than the others is not known."
    if (found := comparing.best(pairs)) is not None:
        low, high = found.interval
        return (
            f"The neurons of {myst(found.detector)} are needed more than those of every other detector, by at least "
            f"{found.margin:.2f} nats per token ({interval(low, high, '{:.2f}')})."
        )
    first = first_rows(pairs, "text", "budget")
    apart = int(first["verdict"].isin([MORE, LESS]).sum())
    most = number(first["detectable"].median(), "{:.2f}")
    return (
        f"No detector's neurons are needed more than those of every other one ({apart or 'none'} of "
        f"{counted(len(first), 'pair')} told apart; {most} nats per token would have been found in half of them)."
    )


def in_full(pairs: pd.DataFrame, full: pd.DataFrame) -> str:
    """What the full run in the reference says of :func:`best`, where it compared more detectors; else nothing.

    Args:
        pairs: of this run, as of :func:`best`.
        full: of the reference.
    """
    mine, theirs = (set() if some.empty else {*some["one"], *some["other"]} for some in (pairs, full))
    if not theirs - mine:
        return ""
    return f"In the full run of this model and text, which compared {counted(len(theirs), 'detector')}: {best(full)}"


def turned(pairs: pd.DataFrame, better: Detection | None) -> str:
    """Whose types the explorer below turns, or that there is none.

    Args:
        pairs: as of :func:`best`.
        better: from :func:`neuroglot.effects.comparing.better`.
    """
    if better is None:
        return f"{best(pairs)} The thresholds of lambda-score are turned in [chapter 02](02-identification.html)."
    return (
        f"{best(pairs)} Its types are turned here, at the top rate and the quantile of chapter 02: a neuron is "
        "selected by its highest score of any language, and active where it is above tau."
    )
