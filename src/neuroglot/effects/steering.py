"""Steer the language of generated text: one language's neurons driven up, another's switched off."""

import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, is_number, quoted
from ..base.files import write_bytes
from ..base.uncertainty import bootstrap_weights, percentiles, ratios
from ..model.interventions import Intervention
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from ..text.languages import is_detectable, language_key, letters_by_language, parse_languages
from .asking import ask_under
from .removals import AS_IT_IS, BOTH, SETS, generator

#: How a language's neurons are driven up: their values multiplied, or replaced by multiples of their means.
WAYS = ("amplify", "set")

#: What generated text can be: in the language steered to, in that of the prompt, in another, in none.
OUTPUTS = ("target", "source", "another language", "no language")


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
        NeuroglotError: what ``targets`` are not, or no language of the text that the types are of.
    """
    known = [code for code in held_out.languages if code in types.languages]
    if not known:
        raise NeuroglotError(f"corpus {held_out.name}: these neurons are of none of its languages; give their text.")
    source = source or ("en" if "en" in known else known[0])
    return source, parse_languages(targets, least=1) or tuple(code for code in known if code != source)


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
    source: str, targets: Iterable[str], strengths: Mapping[str, Sequence[float]], *, draws: int = 1
) -> list[Steering]:
    """Every target at every strength of every way, by its own neurons and by random ones.

    Args:
        source: language of the prompts.
        targets: languages steered to.
        strengths: by way, for instance ``{"amplify": [0, 4], "set": [0, 1, 2]}``.
        draws: random draws beside each.

    Raises:
        NeuroglotError: an unknown way, or a strength below 0.
    """
    for way, given in strengths.items():
        if way not in WAYS:
            raise NeuroglotError(f"there is no way {quoted(way)} to steer; use {' or '.join(WAYS)}.")
        if bad := [s for s in given if not is_number(s) or s < 0]:
            raise NeuroglotError(f"strength {quoted(bad[0])} is none; give numbers from 0 (the model as it is) on.")
    return [
        Steering(source, target, way, strength, draw)
        for target in targets
        for way, given in strengths.items()
        for strength in given
        for draw in range(1 + draws)
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
    seed: int = 0,
) -> dict[str, Intervention | None]:
    """What each steering does, by its name; and the model as it is.

    Neurons of both languages are left alone: they are no way from one to the other. A random draw
    takes as many neurons per layer for each of the two, no neuron for both, and sets those that stand
    in for the target's to the same multiple of their own means on the target's text.

    Args:
        types: whose languages' neurons.
        of: from :func:`steerings`.
        means: ``[layers, neurons, languages]``, as :meth:`neuroglot.ActivationStats.means` has them of counts
            with ``quantity="product"`` and moments, in the languages of ``types``; for the way ``"set"``.
        set_: one of :data:`neuroglot.effects.removals.SETS`.
        seed: of the random draws.

    Raises:
        NeuroglotError: an unknown language or set, the same language twice, no means or others'.
    """
    shape = types.score.shape
    if means is not None and means.shape != (*shape, len(types.languages)):
        raise NeuroglotError(f"means of shape {means.shape}: give [layers, neurons, languages] of the same model.")
    found: dict[str, Intervention | None] = {AS_IT_IS: None}
    for steering in of:
        up, down = _pair(types, steering.source, steering.target, set_)
        if steering.draw:
            # The same neurons at every strength.
            key = seed, set_, steering.source, steering.target, steering.draw
            up, down = _random_pair(up, down, shape[1], key)
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


def _random_pair(
    up: Sequence[np.ndarray], down: Sequence[np.ndarray], width: int, key: tuple[str | int, ...]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Random neurons for both, in each layer as many, none in both."""
    rng = generator("steering", *key)
    mixed = [rng.permutation(width) for _ in up]
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


def side_by_side(rows: Sequence[Mapping[str, str]], of: Iterable[Steering]) -> pd.DataFrame:
    """What the first prompt brings about: as the model is, and under every steering at its greatest strength.

    Args:
        rows: as for :func:`outputs`; none for an empty table.
        of: the steerings; of random ones the first draw is shown.

    Returns:
        Columns ``to``, ``how``, ``neurons`` (``"language"`` or ``"random"``) and ``response``, as text.
    """
    first = {row["intervention"]: row["response"] for row in rows if row["id"] == rows[0]["id"]}
    found = [("", "as it is", "", first[AS_IT_IS])] if first else []
    of = list(of) if first else []
    greatest = {steering.way: max(s.strength for s in of if s.way == steering.way) for steering in of}
    for s in (s for s in of if s.strength == greatest[s.way] and s.draw <= 1):
        neurons = "random" if s.draw else "language"
        found.append((s.target, f"{s.way} {s.strength:g}", neurons, first[s.name]))
    return pd.DataFrame(found, columns=["to", "how", "neurons", "response"])


def outputs(
    rows: Iterable[Mapping[str, str]], of: Sequence[Steering], *, resamples: int = 1000, level: float = 0.95
) -> pd.DataFrame:
    """What the generated text is: shares of a response's letters, in the mean over responses, with bootstrap intervals.

    Every response counts as one, however long it goes on; one without a letter has no shares and is left
    out. The bootstrap draws prompts.

    Args:
        rows: responses under each steering, as :func:`neuroglot.model.sampling.sample_rows` gives them.
        of: the steerings.
        resamples, level: of the bootstrap.

    Returns:
        One row per steering and output (:data:`OUTPUTS`): ``source``, ``target``, ``way``, ``strength``,
        ``neurons`` (``"language"`` or ``"random"``), ``output``, ``share``, ``low``, ``high``,
        ``letters`` (in all), ``responses`` (with letters), ``prompts``. Random draws of one steering are
        put together. A share is missing where the detector does not know both languages apart, or there
        is no letter.
    """
    by_name: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        by_name.setdefault(row["intervention"], []).append(row)
    table = []
    grouped: dict[tuple[str, str, str, float, str], list[Steering]] = {}
    for steering in of:
        key = steering.source, steering.target, steering.way, steering.strength
        grouped.setdefault((*key, "random" if steering.draw else "language"), []).append(steering)
    for (source, target, way, strength, neurons), same in grouped.items():
        names = dict.fromkeys(steering.name for steering in same)
        mine = [row for name in names for row in by_name.get(name, ()) if row["language"] == source]
        if not mine:
            raise NeuroglotError(f"nothing was generated for {quoted(same[0].name)}; generate under every steering.")
        prompts = list(dict.fromkeys(row["id"] for row in mine))
        shares, letters, responses = np.zeros((len(OUTPUTS), 1, len(prompts))), 0, 0
        for row in mine:
            found = _outputs(row["response"], source, target)
            letters, responses = letters + found.total(), responses + bool(found.total())
            for output, number in found.items():
                shares[OUTPUTS.index(output), 0, prompts.index(row["id"])] += number / found.total()
        if not _told_apart(source, target):
            shares[:] = np.nan
        sizes = np.broadcast_to(shares.sum(axis=0), shares.shape)  # each response's add up to one
        weights = bootstrap_weights(len(prompts), resamples)
        low, high = percentiles(ratios(shares, sizes, weights)[..., 0], level)
        for output, share, lower, upper in zip(OUTPUTS, ratios(shares, sizes)[:, 0], low, high, strict=True):
            cell: dict[str, Any] = {
                "source": source,
                "target": target,
                "way": way,
                "strength": strength,
                "neurons": neurons,
                "output": output,
            }
            cell |= {"share": share, "low": lower, "high": upper}
            table.append(cell | {"letters": letters, "responses": responses, "prompts": len(prompts)})
    return pd.DataFrame(table)


def _told_apart(source: str, target: str) -> bool:
    return is_detectable(source) and is_detectable(target) and language_key(source) != language_key(target)


def _outputs(text: str, source: str, target: str) -> Counter[str]:
    keys = {language_key(code): name for code, name in ((target, "target"), (source, "source")) if is_detectable(code)}
    found: Counter[str] = Counter()
    for code, number in letters_by_language(text).items():
        found[keys.get(code, "no language" if code == "?" else "another language")] += number
    return found
