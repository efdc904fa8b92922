"""Steer the language of generated text: one language's neurons driven up, another's switched off."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, is_number, quoted
from ..base.files import write_bytes
from ..base.uncertainty import change_of_shares, jackknife, share_interval, together, verdicts
from ..counts.activations import ActivationStats
from ..model.interventions import Intervention
from ..model.likelihood import Losses, losses
from ..neurons.drawing import generator, matched_like
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus, Example
from ..text.languages import is_detectable, language_key, loops, main_language, parse_languages, script
from .asking import ask_under
from .removals import AS_IT_IS, BOTH, SETS, Removal, firing_rates, match_report

#: How a language's neurons are driven up: their values multiplied, or replaced by multiples of their means.
WAYS = ("amplify", "set")

#: What a response can be, one of these: in the language steered to, in that of the prompt, in another, going round in
#: circles, in none that is clear.
OUTPUTS = ("target", "source", "another language", "looping", "no language")


@dataclass(frozen=True)
class Steering:
    """From the language of a prompt towards another one.

    Attributes:
        source: language of the prompt, whose neurons are switched off.
        target: language whose neurons are driven up.
        way: ``"amplify"`` multiplies their values, ``"set"`` replaces them by a multiple of their mean
            on the target's text.
        strength: the factor or multiple; 0 leaves the model as it is.
        draw: number of the random draw that stands in for both languages' neurons; 0 for themselves.
    """

    source: str
    target: str
    way: str
    strength: float
    draw: int = 0

    @property
    def name(self) -> str:
        """What tells it apart from all others of a run; the model as it is has one name."""
        if not self.strength:
            return AS_IT_IS
        own = f"{self.source} to {self.target}, {self.way} {self.strength:g}"
        return f"{own}, random {self.draw}" if self.draw else own


def directions(
    types: NeuronTypes, held_out: Corpus, source: str | None = None, targets: str | Iterable[str] | None = None
) -> tuple[str, tuple[str, ...]]:
    """From which language to steer, and to which.

    Args:
        types, held_out: whose languages are known.
        source: language of the prompts; by default English, or the first that is known.
        targets: as for :func:`neuroglot.text.languages.parse_languages`; by default all others that are known.

    Raises:
        NeuroglotError: a language that the types lack, one named twice, or a text in none of theirs.
    """
    known = [code for code in held_out.languages if code in types.languages]
    if not known:
        raise NeuroglotError(
            f"corpus {held_out.name} has no language of these types; give text in {types.languages[0]}."
        )
    source = source or ("en" if "en" in known else known[0])
    wanted = parse_languages(targets, least=1) or tuple(code for code in known if code != source)
    if unknown := [code for code in (source, *wanted) if code not in types.languages]:
        raise NeuroglotError(f"there is no language {quoted(unknown[0])}; the types have {' '.join(types.languages)}.")
    return source, wanted


def of_different_scripts(targets: Sequence[str], number: int) -> tuple[str, ...]:
    """The first languages of a script each; where there are fewer scripts, the first others after them; in order.

    Args:
        targets: to choose from.
        number: how many.
    """
    first = list({script(code) or code: code for code in reversed(targets)}.values())[::-1]
    ordered = [*(code for code in targets if code in first), *(code for code in targets if code not in first)]
    return tuple(code for code in targets if code in ordered[:number])


def prompts(held_out: Corpus, source: str, number: int) -> Corpus | None:
    """The first questions in one language, the easiest first; ``None`` where it has no question.

    Args:
        held_out: where they are taken from, as :meth:`neuroglot.Corpus.spread` orders it.
        source: their language.
        number: how many.
    """
    first = [e for e in held_out.spread(number).examples if e.language == source and e.prompt.strip()]
    return held_out.keep((e.language, e.document) for e in first) if first else None


def apart_from(held_out: Corpus, questions: Corpus | None) -> Corpus:
    """Other documents than those of the questions, for means; all documents where the others lack a language."""
    asked = {e.document for e in questions.examples} if questions else set()
    rest = [(e.language, e.document) for e in held_out.examples if e.document not in asked]
    return held_out.keep(rest) if {code for code, _ in rest} == set(held_out.languages) else held_out


def steerings(
    source: str,
    targets: Iterable[str],
    strengths: Mapping[str, Sequence[float]],
    *,
    draws: int = 1,
    headline: Mapping[str, float] | None = None,
) -> list[Steering]:
    """Every target at every strength of every way, by its own neurons and by random ones.

    Args:
        source: language of the prompts.
        targets: languages steered to.
        strengths: by way, for instance ``{"amplify": [0, 4], "set": [0, 1, 2]}``.
        draws: random draws beside each.
        headline: by way, the strength fixed beforehand; at all others there is one draw at most. Default: no such.

    Raises:
        NeuroglotError: an unknown way, a strength below 0, or one fixed beforehand that is not among them.
    """
    for way, given in strengths.items():
        if way not in WAYS:
            raise NeuroglotError(f"there is no way {quoted(way)} to steer; use {' or '.join(WAYS)}.")
        if bad := [s for s in given if not is_number(s) or s < 0]:
            raise NeuroglotError(f"strength {quoted(bad[0])} is none; give numbers from 0 (the model as it is) on.")
        if headline and way in headline and headline[way] not in given:
            raise NeuroglotError(f"headline: {way} {headline[way]} is not among the strengths tried; name one that is.")
    return [
        Steering(source, target, way, strength, draw)
        for target in targets
        for way, given in strengths.items()
        for strength in given
        for draw in range(1 + (draws if headline is None or strength == headline.get(way) else min(draws, 1)))
    ]


def idle(types: NeuronTypes, source: str, targets: Iterable[str], set_: str = BOTH) -> list[str]:
    """The targets towards which no neuron would be changed, so that nothing can be measured of them.

    Raises:
        NeuroglotError: an unknown language or set, the same language twice.
    """
    return [target for target in targets if not sum(map(len, itertools.chain(*_pair(types, source, target, set_))))]


def _pair(types: NeuronTypes, source: str, target: str, set_: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The neurons of the target and those of the source, without those of both, one index array per layer each."""
    if set_ not in SETS:
        raise NeuroglotError(f"there is no set {quoted(set_)}; use {', '.join(SETS)}.")
    if source == target:
        raise NeuroglotError(f"there is nothing to steer from {source} to itself; name two languages.")
    up, down = (types.neurons(code, SETS[set_]) for code in (target, source))
    apart = ([np.setdiff1d(a, b) for a, b in zip(*pair, strict=True)] for pair in ((up, down), (down, up)))
    return next(apart), next(apart)


def driving(
    types: NeuronTypes,
    of: Iterable[Steering],
    means: np.ndarray | None = None,
    set_: str = BOTH,
    *,
    stats: ActivationStats | None = None,
    seed: int = 0,
) -> dict[str, Intervention | None]:
    """What each steering does, by its name; and the model as it is.

    Neurons of both languages are left alone: they are no way from one to the other. A random draw
    takes as many neurons per layer for each of the two, no neuron for both, and sets those that stand
    in for the target's to the same multiple of their own means on the target's text. With counts they are of neither
    language's set, and each is active as often as the one it stands in for: those driven up in the target's text,
    those switched off in the source's.

    Args:
        types: whose languages' neurons.
        of: from :func:`steerings`.
        means: ``[layers, neurons, languages]``, as :meth:`neuroglot.ActivationStats.means` has them of counts
            with ``quantity="product"`` and moments, in the languages of ``types``; for the way ``"set"``.
        set_: one of :data:`neuroglot.effects.removals.SETS`.
        stats: the counts that the types were identified on; without them random neurons are matched by layer alone.
        seed: of the random draws.

    Raises:
        NeuroglotError: an unknown language or set, the same language twice, no means or others', others' counts.
    """
    shape = types.score.shape
    if means is not None and means.shape != (*shape, len(types.languages)):
        raise NeuroglotError(f"means of shape {means.shape}: give [layers, neurons, languages] of the same model.")
    found: dict[str, Intervention | None] = {AS_IT_IS: None}
    pairs: dict[tuple[str, str, int], _Pair] = {}  # the same neurons at every strength
    for steering in of:
        key = steering.source, steering.target, steering.draw
        if key not in pairs:
            pairs[key] = _pair_of(types, steering, set_, stats, seed)
        up, down = pairs[key]
        chosen = [np.union1d(a, b).astype(np.int64) for a, b in zip(up, down, strict=True)]
        done = np.full(shape, float(steering.strength))
        if steering.way == "set":
            if means is None:
                raise NeuroglotError("there are no means to set neurons to; give them, or steer by 'amplify' alone.")
            done = steering.strength * means[..., types.languages.index(steering.target)]
        for layer, silenced in enumerate(down):
            done[layer, silenced] = 0
        what = {"values": done} if steering.way == "set" else {"factor": done}
        if steering.strength:
            found[steering.name] = Intervention(chosen, **what)
    return found


#: Neurons to drive up and to switch off, one index array per layer each.
_Pair = tuple[list[np.ndarray], list[np.ndarray]]


def _pair_of(types: NeuronTypes, of: Steering, set_: str, stats: ActivationStats | None, seed: int) -> _Pair:
    """The neurons of the two languages, or those of a draw that stand in for them."""
    up, down = _pair(types, of.source, of.target, set_)
    key = seed, set_, of.source, of.target, of.draw
    if not of.draw:
        return up, down
    if stats is None:
        return _random_pair(up, down, types.layer_widths, key)
    rates, every = firing_rates(types, stats), [np.arange(n) for n in types.layer_widths]
    taken = [types.neurons(code, SETS[set_]) for code in (of.source, of.target)]
    found = []
    for neurons, code in ((up, of.target), (down, of.source)):
        free = [
            np.setdiff1d(own, np.concatenate(layer)) for own, layer in zip(every, zip(*taken, strict=True), strict=True)
        ]
        rate = rates[..., types.languages.index(code)]
        found.append(matched_like(neurons, rate, ("steering", *key, code), among=free))
        taken.append(found[-1])
    return found[0], found[1]


def matches(
    types: NeuronTypes, of: Iterable[Steering], stats: ActivationStats, set_: str = BOTH, *, seed: int = 0
) -> pd.DataFrame:
    """How well the neurons of draws match those they stand in for, in how often they are active.

    Args:
        types, of, stats, set_, seed: as for :func:`driving`.

    Returns:
        One row per target and role (``"driven up"``, in the target's text; ``"switched off"``, in the source's), the
        mean over draws: ``target``, ``role``, ``neurons``, ``short`` (how many fewer a draw has), ``rate`` and
        ``drawn_rate`` (mean probability of being active).
    """
    rows = []
    for one in {(s.source, s.target, s.draw): s for s in of if s.draw}.values():
        sides = zip(_pair(types, one.source, one.target, set_), _pair_of(types, one, set_, stats, seed), strict=True)
        roles = ("driven up", one.target), ("switched off", one.source)
        for (role, code), (mine, drawn) in zip(roles, sides, strict=True):
            both = [Removal(set_, code, mine), Removal(set_, code, drawn, "matched", one.draw)]
            said = match_report(both, types, stats).iloc[0]
            columns = ("neurons", "short", "rate", "drawn_rate")
            rows.append({"target": one.target, "role": role} | {name: said[name] for name in columns})
    table = pd.DataFrame(rows, columns=["target", "role", "neurons", "short", "rate", "drawn_rate"])
    return table.groupby(["target", "role"], sort=False, as_index=False).mean()


def _random_pair(
    up: Sequence[np.ndarray], down: Sequence[np.ndarray], widths: Sequence[int] | np.ndarray, key: tuple[str | int, ...]
) -> _Pair:
    """Random neurons for both, in each layer as many, none in both; of layers of so many neurons."""
    rng = generator("steering", *key)
    mixed = [rng.permutation(int(width)) for width in widths]
    return (
        [m[: len(u)] for m, u in zip(mixed, up, strict=True)],
        [m[len(u) : len(u) + len(d)] for m, u, d in zip(mixed, up, down, strict=True)],
    )


def respond(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Corpus | None,
    interventions: Mapping[str, Intervention | None],
    path: str | Path,
    *,
    shots: int,
    max_new_tokens: int,
    overwrite: bool = False,
) -> list[dict[str, Any]]:
    """Responses under every steering; as :func:`neuroglot.effects.asking.ask_under`, but with a file in any case.

    Without questions the file is empty; one that is there stays as it is, unless it may be overwritten.
    """
    if questions is None and (overwrite or not Path(path).exists()):
        write_bytes(path, b"")
    options = {"shots": shots, "max_new_tokens": max_new_tokens}
    return ask_under(model, tokenizer, questions, interventions, path, **options, overwrite=overwrite)


def fluency(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Mapping[str, Any]],
    path: str | Path,
    *,
    overwrite: bool = False,
) -> Losses | None:
    """How likely the model as it is finds each response, after its prompt.

    Equal responses to one prompt are scored once; those without text are not. Text that goes round in circles is
    likely: fluency stands beside the outcome, not for it.

    Args:
        model, tokenizer: the model that was steered.
        rows: from :func:`respond`.
        path: file that keeps the losses, resumable; an empty one without a response.
        overwrite: replace a file there that holds other losses.

    Returns:
        One unit per response, as :func:`responses` reads them; ``None`` without one.
    """
    every = {_said(row): row for row in rows if row["response"].strip()}
    if not every:
        if overwrite or not Path(path).exists():
            write_bytes(path, b"")
        return None
    examples = tuple(
        Example(str(number), row["language"], row["prompt"], row["response"])
        for number, row in enumerate(every.values())
    )
    languages = tuple(dict.fromkeys(example.language for example in examples))
    return losses(model, tokenizer, Corpus("steered responses", languages, examples), path=path, overwrite=overwrite)


def _said(row: Mapping[str, Any]) -> tuple[str, ...]:
    return row["language"], row["id"], row["response"]


def responses(rows: Sequence[Mapping[str, Any]], of: Sequence[Steering], scored: Losses | None = None) -> pd.DataFrame:
    """Every response and what it is.

    Args:
        rows: responses under each steering, as of :func:`respond`.
        of: the steerings.
        scored: from :func:`fluency` of the same rows; without it nothing is known of fluency.

    Returns:
        One row per steering and prompt: ``source``, ``target``, ``way``, ``strength``, ``draw``, ``neurons``
        (``"language"`` or ``"random"``), ``prompt`` (its id), ``unit`` (its wording), ``response``, ``output`` (one of
        :data:`OUTPUTS`; missing where the detector does not know both languages apart), ``nats`` and ``tokens``
        (summed over the response, by the unchanged model; missing and 0 of an empty one). The model as it is stands
        at strength 0 of every target and way, once.

    Raises:
        NeuroglotError: a steering without responses.
    """
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_name.setdefault(row["intervention"], []).append(row)
    cost = _costs(rows, scored)
    table = []
    for s in (s for s in of if s.strength or not s.draw):
        mine = [row for row in by_name.get(s.name, ()) if row["language"] == s.source]
        if not mine:
            raise NeuroglotError(f"nothing was generated for {quoted(s.name)}; generate under every steering.")
        for row in mine:
            cell: dict[str, Any] = {"source": s.source, "target": s.target, "way": s.way, "strength": s.strength}
            cell |= {"draw": s.draw, "neurons": "random" if s.draw else "language", "prompt": row["id"]}
            cell |= {"unit": row.get("cluster") or row["id"], "response": row["response"]}
            nats, tokens = cost.get(_said(row), (np.nan, 0))
            table.append(
                cell | {"output": outcome(row["response"], s.source, s.target), "nats": nats, "tokens": tokens}
            )
    return pd.DataFrame(table, columns=_COLUMNS)


_COLUMNS = ["source", "target", "way", "strength", "draw", "neurons", "prompt", "unit", "response", "output", "nats"]
_COLUMNS += ["tokens"]


def _costs(rows: Sequence[Mapping[str, Any]], scored: Losses | None) -> dict[tuple[str, ...], tuple[float, int]]:
    """Nats and tokens of each response that was scored."""
    if scored is None:
        return {}
    every = {_said(row): row["language"] for row in rows if row["response"].strip()}
    places = {unit: place for place, unit in enumerate(scored.units)}
    found = {}
    for number, (said, language) in enumerate(every.items()):
        if str(number) in places:
            cell = scored.languages.index(language), places[str(number)]
            found[said] = float(scored.nll[0][cell]), int(scored.tokens[cell])
    return found


def outcome(response: str, source: str, target: str) -> str | None:
    """What a response is: one of :data:`OUTPUTS`; ``None`` where the detector does not know both languages apart.

    What goes round in circles (:func:`neuroglot.text.languages.loops`) is in no language, whatever it is made of; the
    language of the rest is :func:`neuroglot.text.languages.main_language`.
    """
    if not (is_detectable(source) and is_detectable(target) and language_key(source) != language_key(target)):
        return None
    if loops(response):
        return "looping"
    found = main_language(response)
    named = {language_key(target): "target", language_key(source): "source", None: "no language"}
    return named.get(found, "another language")


def outputs(found: pd.DataFrame, level: float = 0.95) -> pd.DataFrame:
    """Shares of the outcomes, every response counting as one.

    Args:
        found: from :func:`responses`.
        level: of the intervals, exact ones of as many independent answers as prompts have wordings (Clopper and
            Pearson); the draws of random neurons are averaged first.

    Returns:
        One row per steering and output: ``source``, ``target``, ``way``, ``strength``, ``neurons``, ``output``,
        ``share``, ``low``, ``high``, ``responses``, ``prompts`` (wordings of them).
    """
    table = []
    for keys, mine in found.groupby(_STEERED, sort=False):
        units = mine["unit"].nunique()
        for output in OUTPUTS:
            share = (
                (mine["output"] == output).groupby(mine["unit"]).mean().mean()
                if mine["output"].notna().all()
                else np.nan
            )
            low, high = share_interval(share, units, level)
            cell: dict[str, Any] = dict(zip(_STEERED, keys, strict=True)) | {"output": output, "share": share}
            table.append(cell | {"low": float(low), "high": float(high), "responses": len(mine), "prompts": units})
    columns = [*_STEERED, "output", "share", "low", "high", "responses", "prompts"]
    return pd.DataFrame(table, columns=columns)


_STEERED = ["source", "target", "way", "strength", "neurons"]


def at(found: pd.DataFrame, headline: Mapping[str, float]) -> pd.DataFrame:
    """The rows at the strength of each way that was fixed beforehand; none of a way without one."""
    return found[(found["strength"] > 0) & (found["strength"] == found["way"].map(headline))]


def contrasts(found: pd.DataFrame, headline: Mapping[str, float]) -> pd.DataFrame:
    """How many more responses a language's neurons bring into it than random ones do, prompt by prompt.

    The interval is of the difference to one *more* draw: it allows for other prompts and other random neurons. The
    verdicts are those of all targets and ways together (Benjamini and Hochberg).

    Args:
        found: from :func:`responses`.
        headline: by way, the strength fixed beforehand; the others have no contrast.

    Returns:
        One row per target and way: ``target``, ``way``, ``strength``, ``before`` (share in the target as the model
        is), ``own``, ``own_low``, ``own_high``, ``random``, ``random_low``, ``random_high``, ``difference``, ``low``,
        ``high``, ``detectable``, ``verdict``, ``prompts``, ``draws``; no number of what is not known or was not drawn.
    """
    shares, rows, estimates = outputs(found), [], []
    reached = shares[shares["output"] == "target"].set_index(["target", "way", "strength", "neurons"])
    for (target, way, strength), mine in at(found, headline).groupby(["target", "way", "strength"], sort=False):
        row: dict[str, Any] = {"target": target, "way": way, "strength": strength}
        row["before"] = reached["share"].get((target, way, 0, "language"), np.nan)
        for name, neurons in (("own", "language"), ("random", "random")):
            for column, end in (("share", ""), ("low", "_low"), ("high", "_high")):
                row[name + end] = reached[column].get((target, way, strength, neurons), np.nan)
        per = _by_draw(mine)
        own, drawn = per[0], per[1:]
        estimate = change_of_shares(own, drawn.mean(axis=0) if len(drawn) else own * np.nan, np.ones(len(own)))
        estimates.append(estimate.scattered(drawn.mean(axis=1)))
        row |= {"difference": row["own"] - row["random"], "prompts": len(own), "draws": len(drawn)}
        rows.append(row)
    table = pd.DataFrame(rows, columns=_CONTRASTS)
    if rows:
        every = together(estimates)
        table["low"], table["high"] = every.interval()
        table["detectable"], table["verdict"] = every.detectable(), verdicts(every)
    return table


_CONTRASTS = ["target", "way", "strength", "before", "own", "own_low", "own_high", "random", "random_low"]
_CONTRASTS += ["random_high", "difference", "low", "high", "detectable", "verdict", "prompts", "draws"]


def _by_draw(mine: pd.DataFrame) -> np.ndarray:
    """Share of each wording's responses in the target, ``[1 + draws, units]``, the language's own neurons first."""
    hit = (mine["output"] == "target").where(mine["output"].notna()).astype(float)
    table = hit.groupby([mine["draw"], mine["unit"]]).mean().unstack()
    return table.sort_index().to_numpy()


def fluencies(found: pd.DataFrame, headline: Mapping[str, float]) -> pd.DataFrame:
    """Log-perplexity of the responses by the unchanged model, of all and of those in the target.

    Args:
        found: from :func:`responses`, with what :func:`fluency` gives.
        headline: as for :func:`contrasts`.

    Returns:
        One row per target, way and kind of neurons, after one for the model as it is: ``target``, ``way``,
        ``strength``, ``neurons``, ``nats`` (per token), ``low``, ``high``, ``target_nats``, ``target_low``,
        ``target_high`` (of the responses in the target), ``in_target`` (their number), ``responses``.
    """
    table = []
    plain = found[found["strength"] == 0].drop_duplicates("prompt").assign(target="", way=AS_IT_IS, output="source")
    every = pd.concat([plain, at(found, headline)])
    for keys, mine in every.groupby(["target", "way", "strength", "neurons"], sort=False):
        row: dict[str, Any] = dict(zip(["target", "way", "strength", "neurons"], keys, strict=True))
        inside = mine[mine["output"] == "target"]
        for prefix, some in (("", mine), ("target_", inside)):
            row |= dict(zip((f"{prefix}nats", f"{prefix}low", f"{prefix}high"), _per_token(some), strict=True))
        table.append(row | {"in_target": len(inside), "responses": len(mine)})
    columns = [
        "target",
        "way",
        "strength",
        "neurons",
        "nats",
        "low",
        "high",
        "target_nats",
        "target_low",
        "target_high",
    ]
    return pd.DataFrame(table, columns=[*columns, "in_target", "responses"])


def _per_token(some: pd.DataFrame) -> tuple[float, float, float]:
    """Nats over tokens, and the interval over wordings."""
    sums = some[some["tokens"] > 0].groupby("unit")[["nats", "tokens"]].sum().to_numpy().T
    if not sums.size:
        return np.nan, np.nan, np.nan
    total = sums.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = total[:, None] - sums
        low, high = jackknife(total[0] / total[1], rest[0] / rest[1]).interval()
    return float(total[0] / total[1]), float(low), float(high)


def side_by_side(found: pd.DataFrame, headline: Mapping[str, float]) -> pd.DataFrame:
    """What the first prompt brings about: as the model is, and at the strengths fixed beforehand.

    Args:
        found: from :func:`responses`; none for an empty table.
        headline: as for :func:`contrasts`.

    Returns:
        Columns ``to``, ``how``, ``neurons`` (``"language"`` or ``"random"``, the first draw), ``response``, ``output``.
    """
    first = found[found["prompt"] == found["prompt"].iloc[0]] if len(found) else found
    plain = first[first["strength"] == 0].head(1).assign(target="", how=AS_IT_IS, neurons="", output="")
    steered = at(first, headline)
    steered = steered[steered["draw"] <= 1]
    how = [f"{way} {strength:g}" for way, strength in zip(steered["way"], steered["strength"], strict=True)]
    shown: pd.DataFrame = pd.concat([plain, steered.assign(how=how)]).rename(columns={"target": "to"})
    return shown.reset_index(drop=True)[["to", "how", "neurons", "response", "output"]]
