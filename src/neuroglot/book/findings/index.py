"""What the first page says in words."""

from collections.abc import Mapping

import pandas as pd

from ...base.uncertainty import MORE
from ...effects.matrix import ALL, LOG_PERPLEXITY, MIDDLE, OTHERS
from ...effects.removals import BOTH
from ...neurons.identification import NeuronTypes
from ..markup import language, myst
from ..pages import model_name
from . import detectors as every_detector
from . import layers, rewritten, stability
from .words import counted, interval, number

Tables = Mapping[str, pd.DataFrame]


def opening(
    found: NeuronTypes,
    depth: Tables,
    stability_tables: Tables,
    effects: Tables,
    written: Tables,
    detectors: Tables,
    full: Tables,
) -> str:
    """How many neurons are of each type, and the findings, each with its verdict, from what chapters wrote.

    Args:
        found: the types.
        depth: the tables of chapter 03.
        stability_tables: of chapter 09; like the next three without a table where that was not run.
        effects: of chapter 05.
        written: of chapter 04.
        detectors: of chapter 10.
        full: of chapter 10 in the reference; without a table where there is none of this model and text.
    """
    n = found.sizes()
    return (
        f"**Of {myst(model_name(str(found.provenance.get('model'))))}'s {found.n_neurons:,} neurons "
        f"{n['specific']:,} are specific to one of {len(found.languages)} languages, {n['related']:,} related to "
        f"several and {n['general']:,} general, at a top rate of {found.top_rate:.1%}.**\n\n"
        f"{findings(depth, stability_tables, effects, written, detectors, full)}"
    )


def findings(
    depth: Tables, stability_tables: Tables, effects: Tables, written: Tables, detectors: Tables, full: Tables
) -> str:
    """The findings alone, the last ones where they were looked for; arguments as of :func:`opening`."""
    said = [
        f"**Found again?** {_again(stability_tables)}",
        f"**Needed?** {_needed(effects)}",
        _where(depth) if written.get("contrasts", pd.DataFrame()).empty else _wrote(written),
        rewritten.first_page(detectors),
        _others(detectors, full),
    ]
    return "\n".join(f"{place}. {words}" for place, words in enumerate(filter(None, said), 1))


def _others(tables: Tables, full: Tables) -> str:
    """Whether another detector finds better neurons, and whether the book depends on which; nothing if not asked."""
    pairs, claims = (tables.get(name, pd.DataFrame()) for name in ("pairs", "claims"))
    if pairs.empty and claims.empty:
        return ""
    said = [every_detector.best(pairs), every_detector.in_full(pairs, full.get("pairs", pd.DataFrame()))]
    said = [*filter(None, said), *([every_detector.depends(claims)] if len(claims) else [])]
    return f"**Another detector?** {' '.join(said)} [Chapter 10](10-detectors.html)"


def _again(tables: Tables) -> str:
    if "difference" not in tables.get("overlaps", pd.DataFrame()):
        return _not_run("whether the same neurons are found on other text", "09", "09-stability")
    return f"{stability.text_to_text(tables['overlaps'])}. [Chapter 09](09-stability.html)"


def _not_run(what: str, chapter: str, file: str) -> str:
    return f"Not known here is {what}: [chapter {chapter}]({file}.html) was not run, or found no neuron to ask of."


def _needed(tables: Tables) -> str:
    """What removing a language's neurons does to it, less what removing other languages' does."""
    rows = tables.get("contrasts", pd.DataFrame())
    if rows.empty:
        return _not_run("what removing a language's neurons does to it", "05", "05-deactivation")
    wanted = {"set": BOTH, "measure": LOG_PERPLEXITY, "what": f"own less {OTHERS}"}
    rows = rows[(rows[list(wanted)] == pd.Series(wanted)).all(axis=1)]
    every, each = rows[rows["language"] == ALL], rows[~rows["language"].isin(_MEANS)]
    if every.empty or pd.isna(every["effect"].iloc[0]):
        return _not_run("what removing a language's neurons does to it", "05", "05-deactivation")
    row = every.iloc[0]
    more = int((each["verdict"] == MORE).sum())
    said = row["verdict"] if isinstance(row["verdict"], str) else "not known"
    return (
        f"Removing a language's specific and related neurons raises its own log-perplexity by "
        f"{number(row['effect'], '{:+.2f}')} nats per token against removing other languages' "
        f"({interval(row['low'], row['high'], '{:+.2f}')}: {said}; more in {more} of {counted(len(each), 'language')} "
        "by itself). [Chapter 05](05-deactivation.html)"
    )


_MEANS = (ALL, MIDDLE)


def _wrote(tables: Tables) -> str:
    """In how many languages its neurons write it more than the other languages' neurons do."""
    rows = tables["contrasts"]
    rows = rows[(rows["text"] == rows["text"].iloc[0]) & (rows["against"] == "others")]
    if rows["number"].isna().all():
        return "**Written?** Whether a language's neurons write it cannot be told here. [Chapter 04](04-neurons.html)"
    known = rows[rows["verdict"].notna()]
    said = "how sure that is is not known"
    if len(known):
        more = known["verdict"] == MORE
        but = ", ".join(language(code) for code in known["language"][~more])
        said = f"beyond chance in {more.sum()} of {counted(len(known), 'language')}{f', not in {but}' if but else ''}"
    return (
        "**Written?** What a language's neurons add to the logits favours that language's tokens more than other "
        f"languages' neurons do, by {number(rows['number'].mean(), '{:.2f}')} standard deviations on average: {said}. "
        "[Chapter 04](04-neurons.html)"
    )


def _where(depth: Tables) -> str:
    """In which part of the model language neurons are, and how many parts it shows."""
    sizes = depth["profile"].query("kind in ['specific', 'related']").groupby("layer")["neurons"].sum()
    at = f"are most numerous in layer {sizes.idxmax()} of {len(sizes)}" if sizes.max() else "are not found"
    return (
        f"**Four parts?** Language neurons {at}. {layers.shown(depth.get('segments'))}. [Chapter 03](03-layers.html) "
        "(What they write is not known here: [chapter 04](04-neurons.html) has not said so.)"
    )


def kinship(kin: pd.DataFrame, found: NeuronTypes) -> str:
    """Whether languages of one family or script share more related neurons than others, in a sentence.

    Args:
        kin: from :func:`neuroglot.neurons.sharing.kinship`.
        found: the types.
    """
    known = kin.dropna(subset=["difference"])
    if not found.sizes()["related"] or known.empty:
        return "Whether families or scripts share neurons cannot be told from these languages."
    each = " and ".join(
        f"those of one {row['grouping']} share {row['within']:.2f} of their related neurons "
        f"({counted(row['pairs'], 'pair')}) and others {row['between']:.2f} (p = {row['p']:.2f})"
        for row in known.to_dict("records")
    )
    return f"Of these languages {each}: from so few pairs, absence of evidence is no evidence of absence."
