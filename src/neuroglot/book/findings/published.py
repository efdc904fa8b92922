"""What chapter 12 says in words."""

import math
from typing import Any

import pandas as pd

from ...neurons.published import (
    BY_N,
    BY_N_AFTER,
    LAM,
    MASKED,
    NEURONS,
    PIVOT,
    SETTINGS,
    TABLE_3,
    Released,
    beside_published,
    bisected,
    by_n,
    fit_each_other,
    from_fig_15,
    from_table_3,
    nearest,
    table_3,
)
from ..markup import language
from .words import counted

#: What a distance is, said once on the page.
DISTANCE = (
    "*Off* is, of figure 15, the sum of all differences without sign as a share of the published sum; of table 3, the "
    "mean of its four differences, each as a share of the published number."
)


def opening(found: Released | None, tried: pd.DataFrame | None) -> str:
    """Which published numbers the counts give at the stated settings, and where they come nearest to the others.

    Args:
        found: the counts; ``None`` where they are not here.
        tried: from :func:`neuroglot.neurons.published.search` of them.
    """
    if found is None or tried is None:
        return f"**{clash()}.**\n\n**The released counts are not here, so nothing is computed from them.**"
    masked = int((found.types.selected & (found.types.n_languages > 0)).sum())
    masks = f"as many neurons as the released masks have ({MASKED:,})" if masked == MASKED else f"{masked:,} neurons"
    instead = "" if masked == MASKED else f" where the released masks have {MASKED:,}"
    at = _nearest(tried)
    return (
        f"**At the settings that the paper states these counts give {masks}{instead}, but are "
        f"{from_table_3(table_3(found.types)):.0%} off its table 3 and "
        f"{from_fig_15(by_n(found.types)):.0%} off its figure 15.**\n\n"
        f"**Of {counted(len(tried), 'combination')} of settings the nearest to table 3 "
        f"{_settings(at['table 3', 'any'])}, the nearest to figure 15 {_settings(at['fig. 15, of a type', 'any'])}.**"
    )


def _nearest(tried: pd.DataFrame) -> dict[tuple[str, str], dict[Any, Any]]:
    return {(row["figure"], row["lambda"]): row for row in nearest(tried).to_dict("records")}


def _settings(row: dict[Any, Any]) -> str:
    how = "solved" if row["rule"] == "solved" else "given"
    text = "" if row["text"] == "responses" else ", prompts counted, too"
    score = "" if row["scaled"] else ", of the unscaled score"
    return (
        f"is {row['distance']:.1%} off (top rate {row['top_rate']:.1%}, quantile {row['quantile']:.1%}, lambda "
        f"{row['lam']:.4f} {how}{score}{text})"
    )


def how_to() -> str:
    """How to get the counts, where they are not here."""
    return (
        "To fill this page, clone the repository `NJUNLP/Language-Neurons-Alignment` from GitHub and name the folder "
        '`activations/mgsm` in it: `neuroglot book --only 12 -p released FOLDER`, or `released = "FOLDER"` in this '
        "notebook's first cell. The page then has the types at the published settings with sliders for every "
        "threshold, each number beside the published one, the settings that come nearest, a map of how much the "
        "settings decide, the layers, and LAPE on the same counts. It takes no model and some three minutes."
    )


def clash() -> str:
    """That figure 15 and table 3 are not of the same neurons, nor of the stated share, by arithmetic alone."""
    specific, related = fit_each_other().to_dict("records")
    return (
        f"The paper's figure 15 has {specific['fig. 15']:,} neurons of one language where its table 3 adds up to "
        f"{specific['table 3']:,}, and neurons of several languages, once for each language, are "
        f"{related['fig. 15']:,} there and {related['table 3']:,} here: the two are not of the same neurons, and both "
        f"have more than the {round(SETTINGS['top_rate'] * NEURONS):,} that {SETTINGS['top_rate']:.0%} of the model's "
        f"{NEURONS:,} neurons are"
    )


def above_tau() -> str:
    """Whether figure 15 can be of all neurons."""
    above, share = sum(n * neurons for n, neurons in enumerate(BY_N, 1)), 1 - SETTINGS["quantile"]
    every = NEURONS * len(BY_N)
    return (
        f"Were figure 15 of all neurons, {above:,} probabilities would be above tau, {above / every:.2%} of them all; "
        f"above their {SETTINGS['quantile']:.0%} quantile are at most {round(share * every):,}. So it is not of all "
        "neurons at the stated quantile, whatever the counts."
    )


def reproduced(found: Released) -> str:
    """Which published numbers are found exactly at the stated settings, and how far the others are."""
    table = beside_published(found)
    same = table[table["difference"].abs() < 1e-9]
    others = table.drop(same.index)
    verb = "is" if len(same) == 1 else "are"
    said = f"Of {counted(len(table), 'published number')} {len(same):,} {verb} found to the last digit"
    if len(same):
        said += f" ({', '.join(same['what'])})"
    if len(others):
        ratio = others["found"] / others["published"]
        said += f"; the others are {ratio.min():.1%} to {ratio.max():.1%} of what was published"
    exact = found.solved.lam or 0
    return (
        f"{said}. Solved exactly, lambda is {exact:.6f}; halving the authors' interval ends at "
        f"{bisected(exact):.6f}, and {(found.types.codes != found.solved.codes).sum():,} neurons have another type "
        "by that."
    )


def misses(tried: pd.DataFrame) -> str:
    """Where the search comes nearest, by whom figure 15 may count, and what that says."""
    at = _nearest(tried)
    apart = from_fig_15(BY_N_AFTER)
    whom = [
        f"{at[f'fig. 15, {counted_}', 'any']['distance']:.1%} as {words}"
        for counted_, words in (
            ("of a type", "specific and related neurons that are selected and all general ones"),
            ("selected", "selected neurons alone"),
            ("all", "all neurons"),
        )
    ]
    both = "One of the settings gives both figures exactly."
    if not _both(tried):
        both = "No one setting gives both figures exactly."
    return (
        f"Figure 15 comes nearest {', '.join(whom[:-1])} and {whom[-1]}. Its histograms before and after alignment are "
        f"{apart:.1%} apart. With lambda as in the paper (solved, or the published one) the nearest to figure 15, "
        f"counted in the first way, {_settings(at['fig. 15, of a type', 'as in the paper'])}, and to table 3 "
        f"{_settings(at['table 3', 'as in the paper'])}. Settings that were chosen to come near are no proof that they "
        f"were used: three or four are turned for ten numbers, and for four. {both}"
    )


def _both(tried: pd.DataFrame) -> bool:
    figures = tried[[column for column in tried if str(column).startswith("fig. 15")]].min(axis="columns")
    return bool(((figures + tried["table 3"]) == 0).any())


def tokens(found: Released) -> str:
    """How many tokens were counted, and what the number of the prompts' suggests."""
    responses = found.responses.tokens
    prompts = [int(n) for n in found.whole.tokens - responses]
    most = math.gcd(*prompts)
    again = f" Each language's number at prompts is a multiple of {most}, as where every question is answered so often."
    return (
        f"Counted are {responses.sum():,} tokens of responses and {sum(prompts):,} of prompts, all languages together."
        f"{again if most > 1 else ''}"
    )


def same_lambda(tried: pd.DataFrame) -> str:
    """Whether the scale of the score matters where lambda is solved."""
    solved = tried[tried["rule"] == "solved"]
    keys = ["text", "top_rate", "quantile"]
    pair = solved.pivot(index=keys, columns="scaled", values=["language neurons", "table 3"])
    scaled, unscaled = (pair.xs(which, axis=1, level=1).to_numpy() for which in (True, False))
    same = int((scaled == unscaled).all(axis=1).sum())
    return (
        f"Where lambda is solved, the scaled and the unscaled score have the same numbers at {same:,} of {len(pair):,} "
        "settings: scaling both terms is another unit of lambda. It matters only where a lambda is given."
    )


def sensitivity(tried: pd.DataFrame) -> str:
    """How much the top rate, the quantile and lambda decide."""
    some = tried[(tried["text"] == "responses") & tried["scaled"].astype(bool)]
    rate, quantile = some["top_rate"] == SETTINGS["top_rate"], some["quantile"] == SETTINGS["quantile"]
    solved = some["rule"] == "solved"
    turned = {
        "the top rate": some[quantile & solved],
        "the quantile": some[rate & solved],
        "lambda": some[rate & quantile & ~solved],
    }
    each = [
        f"{name} alone from {rows['language neurons'].min():,} to {rows['language neurons'].max():,}"
        for name, rows in turned.items()
        if len(rows)
    ]
    return (
        "Of the settings tried, each turned by itself from the published ones, the number of specific and related "
        f"neurons moves with {'; with '.join(each)}."
    )


def english(found: Released) -> str:
    """Whether English has fewest neurons, of each type by itself, beside the published numbers."""
    numbers, table = table_3(found.types), found.types.counts_per_language()
    said = []
    for kind in ("specific", "related"):
        sizes = table[table["kind"] == kind].set_index("language")["neurons"]
        fewest = sizes.idxmin()
        who = "fewest" if fewest == PIVOT else f"not fewest, which {language(str(fewest))} has"
        said.append(
            f"{numbers[f'English {kind}']:,.0f} {kind} neurons, {who}; the others have "
            f"{numbers[f'others {kind}']:,.0f} on average (published: {TABLE_3[f'English {kind}']:,} and "
            f"{TABLE_3[f'others {kind}']:,})"
        )
    ratio = [numbers[f"English {kind}"] / (numbers[f"others {kind}"] or 1) for kind in ("specific", "related")]
    stated = [TABLE_3[f"English {kind}"] / TABLE_3[f"others {kind}"] for kind in ("specific", "related")]
    return (
        f"English has {'; and '.join(said)}. As a share of the others' mean that is {ratio[0]:.0%} and {ratio[1]:.0%}, "
        f"published {stated[0]:.0%} and {stated[1]:.0%}."
    )


def lape(found: Released, table: pd.DataFrame) -> str:
    """How far LAPE agrees with the rule.

    Args:
        found: the counts.
        table: from :func:`neuroglot.neurons.published.beside_lape`.
    """
    rule, other = found.types.selected, found.lape.selected.any(axis=-1)
    rows = table.sort_values("jaccard", kind="stable").to_dict("records")
    least, most = rows[0], rows[-1]
    return (
        f"LAPE selects {other.sum():,} neurons of the same counts and the rule {rule.sum():,}, of which "
        f"{(rule & (found.types.n_languages == 0)).sum():,} are above tau in no language; {(rule & other).sum():,} are "
        f"selected by both. Language by language the Jaccard overlap is {least['jaccard']:.2f} "
        f"({language(str(least['language']))}) to {most['jaccard']:.2f} ({language(str(most['language']))}), by chance "
        f"at most {table['chance'].max():.3f}."
    )


def summary(found: Released | None, tried: pd.DataFrame | None) -> str:
    """What was found, and what does not hold; arguments as of :func:`opening`."""
    if found is None or tried is None:
        return f"{clash()}. Which of the two the released counts give, and at which settings, is not known here."
    at = _nearest(tried)
    return (
        f"{reproduced(found)} {clash()}. The settings nearest to table 3 are others than are stated: the nearest "
        f"{_settings(at['table 3', 'any'])}; figure 15 at yet others: the nearest "
        f"{_settings(at['fig. 15, of a type', 'any'])}. These are counts of one model, so nothing is said of the one "
        "after alignment, nor of the paper's overlaps and changes; and of text in one piece, so no number has an "
        f"interval. The lambda of {LAM} was searched by the authors for these very counts: that it is found again says "
        "that the rule is theirs, not that its settings are right."
    )
