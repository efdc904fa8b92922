"""What chapter 06 says in words."""

from collections.abc import Iterable

import pandas as pd

from ...effects.matrix import in_nats
from ..markup import language, myst
from .words import counted


def not_tried(idle: Iterable[str]) -> str:
    """Towards which languages no neuron would be changed, as of :func:`neuroglot.effects.steering.idle`; or nothing."""
    names = ", ".join(map(language, idle))
    return f"*No neuron to change, so not tried: {names}.*" if names else ""


def opening(outputs: pd.DataFrame, source: str, prompts: int) -> str:
    """How much of the responses is in the language steered to, at the greatest strength.

    Args:
        outputs: from :func:`neuroglot.effects.steering.outputs`; no row where nothing was generated.
        source: language of the prompts.
        prompts: how many.
    """
    if not prompts:
        lead = f"Nothing could be tried: the text has no question in {language(source)}"
    elif outputs.empty:
        lead = "Nothing could be tried: no neuron would be changed"
    else:
        several = "on average " if outputs["target"].nunique() > 1 else ""
        ways = (f"{_at_most(part)} of the letters by *{way}*{_beside(part)}" for way, part in _reached(outputs))
        lead = (
            f"Steering from {language(source)} by another language's neurons, at the greatest strength and on "
            f"{counted(prompts, 'prompt')}, brings into that language {several}{', '.join(ways)}"
        )
    return f"**{lead}.**"


def by_way(outputs: pd.DataFrame) -> str:
    """How much each way of steering brings into the language steered to, and in how many languages half or more."""
    return " ".join(_way(str(way), part) for way, part in _reached(outputs))


def in_neither(outputs: pd.DataFrame, prompts: int) -> str:
    """How much of the responses is in neither language; arguments as of :func:`opening`; nothing without responses."""
    if outputs.empty:
        return ""
    lost = outputs[outputs["output"].isin(["another language", "no language"]) & (outputs["strength"] > 0)]
    both = lost.groupby(["way", "neurons", "strength", "target"])["share"].sum(min_count=2)
    shares = both.groupby("neurons").mean()
    at_random = ""
    if _has_random(outputs):
        at_random = f" (with random neurons {_share(shares.get('random'))})"
    return (
        f"Where the model is steered, {_share(shares.get('language'))} of the letters are in neither language"
        f"{at_random}. Being in a language is not the same as making sense in it: read the responses above before "
        f"calling it a success. {counted(prompts, 'prompt')} show{'s' * (prompts == 1)} what can happen, not how often."
    )


def no_pivot(pivot: str) -> str:
    """That nothing is known of the pivot's removal."""
    return f"*No other language's change by the removal of {myst(pivot)} is known here.*"


def place(others: pd.DataFrame, pivot: str) -> str:
    """Whether removing the pivot harms the others most; nothing without two other removals that are known.

    Args:
        others: from :func:`neuroglot.effects.matrix.on_others`.
        pivot: the language.
    """
    removed = in_nats(others).groupby("removed")
    harm, sizes = removed["effect"].mean(), removed["neurons"].first()
    if pivot not in harm or len(harm) < 3:
        return ""
    rank = int((harm > harm[pivot]).sum()) + 1
    return (
        f"Removing {language(pivot)}'s neurons changes the other languages' log-perplexity by {harm[pivot]:+.2f} on "
        f"average, place {rank} of {len(harm)} in harm done to others (the mean of all is {harm.mean():+.2f}). A pivot "
        f"would come first if all removals were of one size; they take {sizes[pivot]:,} neurons of {language(pivot)} "
        f"and {sizes.drop(pivot).mean():,.0f} of another language on average, and a smaller removal tends to do less "
        "harm whatever it removes. A pivot may still sit in neurons that are general, or not in the MLPs at all."
    )


def _share(value: float | None) -> str:
    """A share, or that there is none."""
    return "an unknown share" if pd.isna(value) else f"{value:.0%}"


def _has_random(outputs: pd.DataFrame) -> bool:
    return bool((outputs["neurons"] == "random").any())


def _reached(outputs: pd.DataFrame) -> Iterable[tuple[object, pd.DataFrame]]:
    """By way, the shares in the language steered to."""
    return outputs[outputs["output"] == "target"].groupby("way", sort=False) if len(outputs) else ()


def _greatest(part: pd.DataFrame, neurons: str) -> pd.Series:
    """Shares at the greatest strength, by the language steered to."""
    chosen = part[(part["strength"] == part["strength"].max()) & (part["neurons"] == neurons)]
    shares: pd.Series = chosen.set_index("target")["share"].sort_index()
    return shares


def _at_most(part: pd.DataFrame, neurons: str = "language") -> str:
    return _share(_greatest(part, neurons).mean())


def _beside(part: pd.DataFrame) -> str:
    """The languages with the least and the most, and random neurons."""
    own, beside = _greatest(part, "language"), []
    if own.min() < own.max():
        ends = (("least", str(own.idxmin())), ("most", str(own.idxmax())))
        beside += [f"{which} in {language(target)}, {_share(own[target])}" for which, target in ends]
    if _has_random(part):
        beside.append(f"random neurons {_at_most(part, 'random')}")
    return f" ({'; '.join(beside)})" if beside else ""


def _way(way: str, part: pd.DataFrame) -> str:
    most = part[part["neurons"] == "language"].groupby("target")["share"].max()
    switched = ", ".join(most.index[most >= 0.5]) or "none"
    at_random = ""
    if _has_random(part):
        at_random = f", with random neurons {_at_most(part, 'random')}"
    return (
        f"*{way}*: at the greatest strength, {part['strength'].max():g}, {_at_most(part)} of the letters are on "
        f"average in the language steered to{at_random}; at some strength half or more in {(most >= 0.5).sum()} of "
        f"{counted(len(most), 'language')} ({myst(switched)})."
    )
