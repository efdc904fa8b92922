"""What chapter 10 and the first page say of neurons found again when text is rewritten: language, or script?"""

from collections.abc import Mapping, Sequence

import pandas as pd

from ...base.uncertainty import LESS, MORE
from ..markup import language
from .words import counted, number

#: What a rewriting is called in a sentence.
HOW = {"romanized": "once that text is in Latin letters", "shuffled": "once its words are in random order"}


def opening(table: pd.DataFrame, codes: Sequence[str]) -> str:
    """Which share of a language's neurons is found again, unchanged and rewritten; none where nothing was rewritten.

    Args:
        table: from :func:`neuroglot.effects.rewritten.judged`.
        codes: the languages rewritten.
    """
    if table.empty or table["unchanged"].isna().all():
        return "**Nothing was rewritten, or no neuron was found on it.**"
    names = ", ".join(map(language, codes))
    return f"**{shares(table)}.** The languages are {names}."


def shares(table: pd.DataFrame) -> str:
    """In a clause: the mean share over the detectors of each kind of text, and for how many detectors it is less.

    Args:
        table: from :func:`neuroglot.effects.rewritten.judged`, with a row or more.
    """
    first = table[table["rewriting"] == table["rewriting"].iloc[0]]
    said = [_rewritten(rows, str(name)) for name, rows in table.groupby("rewriting", sort=False)]
    return (
        f"On average over {counted(len(first), 'detector')} and {counted(int(first['languages'].max()), 'language')}, "
        f"of a language's neurons {_percent(first['unchanged'].mean())} are found again on text of other wordings "
        f"(of random ones {_percent(first['chance'].mean())}), {', and '.join(said)}"
    )


def _rewritten(rows: pd.DataFrame, name: str) -> str:
    return f"{_percent(rows['rewritten'].mean())} {HOW.get(name, name)} ({_verdicts(rows)})"


def _verdicts(rows: pd.DataFrame) -> str:
    """For how many detectors it is less, or more, than on the unchanged text."""
    known = rows[rows["verdict"].notna()]
    if known.empty:
        return "whether that is less by more than chance is not known"
    counts = {verdict: int((known["verdict"] == verdict).sum()) for verdict in (LESS, MORE)}
    said = [f"{verdict} for {n} of {counted(len(known), 'detector')}" for verdict, n in counts.items() if n]
    return ", ".join(said) or f"told apart for none of {counted(len(known), 'detector')}"


def _percent(value: float) -> str:
    return number(value, "{:.0%}")


def meaning(table: pd.DataFrame) -> str:
    """What that says of the question, whichever way it goes.

    Args:
        table: from :func:`neuroglot.effects.rewritten.judged`.
    """
    said = [sentence for name in HOW if (sentence := _meaning(table[table["rewriting"] == name], name))]
    return " ".join(said)


#: What it says of a rewriting that most of what is found again is lost with it, some of it, none, or not known what.
_MEANINGS: Mapping[str, tuple[str, str, str, str]] = {
    "romanized": (
        "Most of what detectors find goes with the letters: these are neurons of a language as it is written, not of "
        "the language whatever its script",
        "Some of what detectors find goes with the letters, more stays without them",
        "No detector is shown to lose neurons with the letters",
        "Whether neurons go with the letters is not known",
    ),
    "shuffled": (
        "Most of it goes with the order of words, too",
        "Some of it goes with the order of words, more stays without: words alone bring back most of it",
        "No detector is shown to lose neurons with the order of words: words alone bring them back",
        "Whether neurons go with the order of words is not known",
    ),
}


def _meaning(rows: pd.DataFrame, name: str) -> str:
    if rows.empty:
        return ""
    most, some, none, unknown = _MEANINGS[name]
    known = rows[rows["verdict"].notna()]
    less = known[known["verdict"] == LESS]
    if known.empty:
        return f"{unknown}: too few languages."
    if less.empty:
        found = number(known["detectable"].median(), "{:.0%}")
        return f"{none} (a loss of {found} of a language's neurons would have been found in half of them)."
    if rows["rewritten"].mean() < rows["unchanged"].mean() / 2:
        return f"{most}."
    return f"{some}."


def first_page(tables: Mapping[str, pd.DataFrame]) -> str:
    """The finding for the first page; nothing where it was not looked for.

    Args:
        tables: of chapter 10.
    """
    table = tables.get("rewritten", pd.DataFrame())
    if table.empty or table["unchanged"].isna().all():
        return ""
    return f"**Language or script?** {shares(table)}. [Chapter 10](10-detectors.html)"


def shown(table: pd.DataFrame) -> pd.DataFrame:
    """The columns of the table under the chart, shares as they are, named for readers."""
    names = {"unchanged": "unchanged", "rewritten": "rewritten", "chance": "random neurons"}
    names |= {"difference": "difference", "low": "95 % from", "high": "to", "verdict": "verdict"}
    return table.reindex(columns=["rewriting", "detector", *names]).rename(columns=names)
