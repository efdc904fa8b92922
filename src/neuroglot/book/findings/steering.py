"""What chapter 06 says in words."""

from collections.abc import Iterable, Mapping
from typing import Any

import pandas as pd

from ...base.uncertainty import LESS, MORE, SAME
from ..markup import language, myst
from .words import counted, interval, number


def not_tried(idle: Iterable[str]) -> str:
    """Towards which languages no neuron would be changed, as of :func:`neuroglot.effects.steering.idle`; or nothing."""
    names = ", ".join(map(language, idle))
    return f"*No neuron to change, so not tried: {names}.*" if names else ""


def opening(contrasts: pd.DataFrame, source: str, prompts: int) -> str:
    """How many responses come out in the language steered to, and in how many languages more than by random neurons.

    Args:
        contrasts: from :func:`neuroglot.effects.steering.contrasts`; no row where nothing was generated.
        source: language of the prompts.
        prompts: how many.
    """
    if not prompts:
        lead = f"Nothing could be tried: the text has no question in {language(source)}"
    elif contrasts.empty:
        lead = "Nothing could be tried: no neuron would be changed, or at no strength fixed beforehand"
    else:
        ways = " and ".join(_reached(part) for _, part in contrasts.groupby("way", sort=False))
        lead = (
            f"After {counted(prompts, 'prompt')} in {language(source)}, driving up another language's neurons brings "
            f"that language out in {ways}"
        )
    return f"**{lead}.**"


def _reached(part: pd.DataFrame) -> str:
    """Of one way: the mean shares, and in how many languages they differ."""
    shares = f"{_share(part['own'].mean())} of the responses by *{_how(part)}*"
    if not part["draws"].any():
        return shares
    said = part["verdict"].dropna()
    more = f"more in {(said == MORE).sum()} of {counted(len(said), 'language')}" if len(said) else "no verdict"
    return f"{shares} (random neurons {_share(part['random'].mean())}; {more})"


def _how(part: pd.DataFrame) -> str:
    return f"{part['way'].iloc[0]} {part['strength'].iloc[0]:g}"


def _share(value: float | None) -> str:
    """A share, or that there is none."""
    return "an unknown share" if value is None or pd.isna(value) else f"{value:.0%}"


def by_way(contrasts: pd.DataFrame) -> str:
    """A list: of each way, in which languages own neurons do more or less than random ones, and what could be found."""
    return "\n".join(f"- {_way(part)}" for _, part in contrasts.groupby("way", sort=False))


def _way(part: pd.DataFrame) -> str:
    said, lead = [], f"*{_how(part)}*: "
    if not part["draws"].any():
        return f"{lead}no random neurons were drawn, so there is nothing to compare with."
    for verdict in (MORE, LESS):
        if len(rows := part[part["verdict"] == verdict]):
            said.append(f"{verdict} than random neurons in {', '.join(map(_difference, rows.to_dict('records')))}")
    if len(same := part[part["verdict"] == SAME]):
        names = ", ".join(myst(code) for code in same["target"])
        said.append(f"{SAME} in {names} (found would have been {same['detectable'].max():.0%} or more, one by itself)")
    if len(unknown := part[part["verdict"].isna()]):
        names = ", ".join(myst(code) for code in unknown["target"])
        said.append(f"not known in {names}: too few wordings or draws, all alike, or a language not detected")
    return f"{lead}{'; '.join(said)}."


def _difference(row: Mapping[Any, Any]) -> str:
    ends = interval(row["low"], row["high"], "{:+.0%}")
    return f"{myst(row['target'])} ({number(row['difference'], '{:+.0%}')}, {ends})"


def lost(outputs: pd.DataFrame) -> str:
    """How many responses are in neither language or go round in circles, at some strengths; nothing without them.

    Args:
        outputs: from :func:`neuroglot.effects.steering.outputs`, the rows at the strengths fixed beforehand.
    """
    if outputs.empty:
        return ""
    shares = outputs.groupby(["neurons", "output"])["share"].mean()
    kinds = {"looping": "go round in circles", "another language": "are in a third language", "no language": "in none"}

    def said(neurons: str) -> str:
        return ", ".join(f"{_share(shares.get((neurons, kind)))} {words}" for kind, words in kinds.items())

    at_random = f"; with random neurons {said('random')}" if "random" in shares.index.get_level_values(0) else ""
    return f"At these strengths {said('language')}{at_random}."


def fluency(fluencies: pd.DataFrame) -> str:
    """How likely the unchanged model finds the responses, on average over languages and ways; nothing without them.

    Args:
        fluencies: from :func:`neuroglot.effects.steering.fluencies`.
    """
    if fluencies.empty:
        return ""
    plain, steered = fluencies[fluencies["strength"] == 0], fluencies[fluencies["strength"] > 0]
    means = steered.groupby("neurons")["nats"].mean()
    parts = [f"{number(plain['nats'].mean(), '{:.2f}')} nats per token for its own responses"]
    parts += [f"{number(means.get('language'), '{:.2f}')} for those under steering"]
    if "random" in means.index:
        parts += [f"{number(means['random'], '{:.2f}')} under that by random neurons"]
    inside = number(steered.loc[steered["neurons"] == "language", "target_nats"].mean(), "{:.2f}")
    return (
        f"The unchanged model needs {', '.join(parts)}; for those that are in the language steered to it needs "
        f"{inside}. Text that goes round in circles is likely, so low is not the same as good, and being in a language "
        "is not the same as making sense in it."
    )
