"""Forced choices: is the right solution likelier than a wrong one, and than one in another language?

Answers that a model has to write are few and mostly wrong in a small one. A choice between two given continuations
needs no writing, every question counts in every language, and its margin in nats is continuous.
"""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base import uncertainty
from ..base.artifacts import finished, load_artifact, save_artifact
from ..base.errors import NeuroglotError, quoted, require_whole
from ..base.locks import one_writer
from ..base.parts import Parts
from ..base.provenance import record
from ..model.batches import Batch, batches_of, tokenize
from ..model.interventions import Intervention, hashes, intervene
from ..model.likelihood import Head, Losses
from ..model.loading import backbone, evaluating, input_device, itself, longest_input, model_record
from ..model.stores import Text
from ..text.corpora import Corpus, Example
from ..text.corruptions import wrong_first_result, wrong_last_number
from ..text.languages import languages_of
from .removals import AS_IT_IS, Removal

#: What is chosen: the result of a solution's first equation (reckoning), its last number (mostly what the step before
#: said: consistency), its language.
RESULT, NUMBER, LANGUAGE = "right result", "right last number", "right language"

_WRONG = {RESULT: wrong_first_result, NUMBER: wrong_last_number}


@dataclass(frozen=True, eq=False)
class Choices:
    """Choices between two continuations, for each intervention.

    Attributes:
        kinds: what is chosen.
        rows: names of the interventions, in order.
        languages: codes, in order.
        units: wordings, which intervals take for a sample.
        margin: float64 ``[kinds, rows, languages, units]``, by how many nats the right one is likelier, summed over a
            unit's questions; not a number where it was not asked for.
        preferred: as ``margin``, how many of the questions prefer the right one.
        questions: int64 ``[kinds, languages, units]``.
        provenance: model, text, interventions, settings, versions.
    """

    kinds: tuple[str, ...]
    rows: tuple[str, ...]
    languages: tuple[str, ...]
    units: tuple[str, ...]
    margin: np.ndarray
    preferred: np.ndarray
    questions: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "choices"

    def __post_init__(self) -> None:
        shape = len(self.kinds), len(self.rows), len(self.languages), len(self.units)
        questions = shape[0], *shape[2:]
        if self.margin.shape != shape or self.preferred.shape != shape or self.questions.shape != questions:
            raise NeuroglotError("kinds, rows, languages and units do not fit the choices; measure again.")

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all."""
        head = {name: getattr(self, name) for name in ("kinds", "rows", "languages", "units", "provenance")}
        arrays = {name: getattr(self, name) for name in ("margin", "preferred", "questions")}
        save_artifact(path, self.KIND, arrays, head)

    @classmethod
    def load(cls, path: str | Path) -> "Choices":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, damaged, or of another kind, version or shape.
        """
        names = ("margin", "preferred", "questions")
        arrays, header = load_artifact(path, cls.KIND, names)
        said = [header.get(name) for name in ("kinds", "rows", "units")]
        if not all(isinstance(each, list) for each in said):
            raise NeuroglotError(f"{path} lacks its names; make it again.")
        kinds, rows, units = (tuple(map(str, each or ())) for each in said)
        measured = arrays["margin"], arrays["preferred"], arrays["questions"]
        return cls(kinds, rows, languages_of(header, path), units, *measured, header["provenance"])


@dataclass(frozen=True)
class _Question:
    """A solution up to the tokens at which right and wrong ones part: by kind, where, and the two tokens."""

    text: Text
    parts: Mapping[str, tuple[int, int, int]]


def _questions(tokenizer: PreTrainedTokenizerBase, corpus: Corpus, longest: int | None) -> list[_Question]:
    """Those whose wrong number differs in just one token, so that what comes before is the same."""
    units = list(dict.fromkeys(example.unit for example in corpus.examples))
    right = tokenize(tokenizer, corpus)
    wrong = {kind: _tokens_of_wrong(tokenizer, corpus, kind) for kind in _WRONG}
    found = []
    for number, (example, (ids, _)) in enumerate(zip(corpus.examples, right, strict=True)):
        parts = {}
        for kind, texts in wrong.items():
            other = texts.get(number, [])
            apart = [at for at, (a, b) in enumerate(zip(ids, other, strict=False)) if a != b]
            if len(other) == len(ids) and len(apart) == 1 and apart[0] > 0 and (longest is None or apart[0] <= longest):
                parts[kind] = (apart[0], ids[apart[0]], other[apart[0]])
        if parts:
            until = max(at for at, *_ in parts.values())
            place = corpus.languages.index(example.language), units.index(example.unit)
            found.append(_Question(Text(ids[:until], [True] * until, *place), parts))
    return found


def _tokens_of_wrong(tokenizer: PreTrainedTokenizerBase, corpus: Corpus, kind: str) -> dict[int, list[int]]:
    """By the place of an example, the tokens of its wrong solution."""
    made: dict[int, Example] = {}
    for number, example in enumerate(corpus.examples):
        text = _WRONG[kind](example.response, f"{kind}/{example.language}/{example.id}")
        if text is not None:
            made[number] = replace(example, response=text)
    if not made:
        return {}
    languages = tuple(code for code in corpus.languages if any(e.language == code for e in made.values()))
    texts = tokenize(tokenizer, replace(corpus, languages=languages, examples=tuple(made.values())))
    return {number: ids for number, (ids, _) in zip(made, texts, strict=True)}


@one_writer()
def number_choices(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    interventions: Mapping[str, Intervention | None] | None = None,
    path: str | Path | None = None,
    *,
    only: Mapping[str, Collection[str]] | None = None,
    batch_tokens: int = 1024,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> Choices:
    """Whether the right number is likelier than one with another digit, where a solution has to give it.

    Twice in every solution: at the result of its first equation (:data:`RESULT`), and at its last number
    (:data:`NUMBER`). The margin is ``log p(right digit) - log p(wrong digit)`` after the same question and the same
    solution so far; what comes later is not looked at. One pass gives both. A solution whose right and wrong tokens
    differ in more than one place (a tokenizer that cuts them otherwise), or without such a number, is left out.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: questions with right solutions.
        interventions: by name; ``None`` is the model as it is, which is also the default.
        path: where to save; a file that already holds just this is returned without running.
        only: the languages that an intervention is measured on, by its name; default: all.
        batch_tokens: tokens per forward pass, padding included.
        overwrite: replace a file at ``path`` that holds other choices.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar.

    Raises:
        NeuroglotError: a corpus without solutions, an unknown language or intervention, other choices at ``path``.
    """
    interventions, only = interventions or {AS_IT_IS: None}, only or {}
    if corpus.questions_only:
        raise NeuroglotError(f"corpus {corpus.name} has no solutions to choose among; give some that has.")
    if unknown := [name for name in only if name not in interventions]:
        raise NeuroglotError(f"only: there is no intervention {quoted(unknown[0])}.")
    require_whole("batch_tokens", batch_tokens, 1)
    model, hashed = itself(model), hashes(interventions)
    asked = _questions(tokenizer, corpus, longest_input(model, None))
    measured = {
        name: [code for code in corpus.languages if code in only.get(name, corpus.languages)] for name in hashed
    }
    provenance = record(
        model_record(model),
        corpus.record(),
        interventions=[[name, change] for name, change in hashed.items()],
        only=measured,
        tokens=[[q.text.ids, q.parts] for q in asked],
        settings={"batch_tokens": batch_tokens},
        libraries=("torch", "transformers"),
    )
    path = Path(path) if path is not None else None
    if path is not None and (done := finished(path, Choices.load, provenance, "choices", overwrite)) is not None:
        Parts(path, provenance).remove_own()
        return done
    units = tuple(dict.fromkeys(example.unit for example in corpus.examples))
    shape = len(_WRONG), len(hashed), len(corpus.languages), len(units)
    margin, preferred, questions = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros((shape[0], *shape[2:]), int)
    parts = Parts(path, provenance)
    with evaluating(model), tqdm(corpus.languages, desc="choosing", file=sys.stderr, disable=not progress) as bar:
        head = Head(model)
        for k, code in enumerate(bar):
            mine = [question for question in asked if question.text.language == k]
            rows = [row for row, name in enumerate(hashed) if code in measured[name]]
            kept = parts.kept(code)
            changes = [list(interventions.values())[row] for row in rows]
            found = kept[0]["margins"] if kept else _margins(model, head, mine, changes, batch_tokens)
            if not kept:
                parts.keep(code, {"margins": found})
            margin[:, rows, k], preferred[:, rows, k] = 0.0, 0.0
            for each, question in zip(np.moveaxis(found, -1, 0), mine, strict=True):  # [kinds, rows]
                there = [kind for kind, name in enumerate(_WRONG) if name in question.parts]
                for kind in there:
                    questions[kind, k, question.text.bin] += 1
                    margin[kind, rows, k, question.text.bin] += each[kind]
                    preferred[kind, rows, k, question.text.bin] += each[kind] > 0
    result = Choices(tuple(_WRONG), tuple(hashed), corpus.languages, units, margin, preferred, questions, provenance)
    if path is not None:
        result.save(path)
        parts.remove()
    return result


def _margins(
    model: PreTrainedModel,
    head: Head,
    questions: Sequence[_Question],
    changes: Sequence[Intervention | None],
    batch_tokens: int,
) -> np.ndarray:
    """``[kinds, interventions, questions]``, no number where a question has no such choice."""
    found = np.full((len(_WRONG), len(changes), len(questions)), np.nan)
    place = {id(question.text): number for number, question in enumerate(questions)}
    if not changes:
        return found
    for batch in batches_of([question.text for question in questions], batch_tokens // len(changes)):
        at_once = max(1, batch_tokens // batch.size)
        for some in np.array_split(np.arange(len(changes)), -(-len(changes) // at_once)):
            states = _states(model, batch, [changes[i] for i in some])
            for row, text in enumerate(batch.texts):
                number = place[id(text)]
                for kind, (at, *words) in questions[number].parts.items():
                    logits = head.logits(states[:, row, at - 1], torch.tensor([words] * len(some))).double().cpu()
                    found[list(_WRONG).index(kind), some, number] = (logits[:, 0] - logits[:, 1]).numpy()
    if not np.isfinite(found[~np.isnan(found)]).all():
        raise NeuroglotError(f"some logits in {model.dtype} are not finite; load the model in float32.")
    return found


def _states(model: PreTrainedModel, batch: Batch, changes: Sequence[Intervention | None]) -> torch.Tensor:
    """Last hidden states, ``[interventions, texts, width, size]``."""
    ids = batch.tensors(1).ids.to(input_device(model))
    of_texts = [change for change in changes for _ in batch.texts]
    with torch.inference_mode(), intervene(model, of_texts):
        states = backbone(model)(input_ids=ids.repeat(len(changes), 1), use_cache=False).last_hidden_state
    return torch.Tensor(states.unflatten(0, (len(changes), len(batch.texts))))


# --- the right language ------------------------------------------------------------------------


def translated(corpus: Corpus, pivot: str) -> Corpus:
    """The same questions with the solutions of the pivot; those of the pivot with another language's.

    Args:
        corpus: parallel, with solutions.
        pivot: a language of it.

    Raises:
        NeuroglotError: no such language, fewer than two, or questions without a translation.
    """
    if pivot not in corpus.languages or len(corpus.languages) < 2:
        raise NeuroglotError(f"corpus {corpus.name}: {pivot} and another language are needed to choose between.")
    other = next(code for code in corpus.languages if code != pivot)
    solutions = {(e.language, e.id): e.response for e in corpus.examples}
    made = []
    for example in corpus.examples:
        wanted = other if example.language == pivot else pivot
        if (wanted, example.id) not in solutions:
            raise NeuroglotError(f"{example.place}: there is no solution of it in {wanted}; give parallel text.")
        made.append(replace(example, response=solutions[wanted, example.id]))
    options = {**corpus.options, "solutions_in": pivot, "of_the_pivot_in": other}
    return replace(corpus, examples=tuple(made), options=options)


def language_choices(own: Losses, other: Losses) -> Choices:
    """Whether a solution in the question's language is likelier than the same one in another language.

    Both say the same, so the margin is of their whole likelihoods, in nats, summed over a wording, which counts as one
    choice.

    Args:
        own: losses of the text as it is.
        other: of :func:`translated`, under the same interventions.

    Raises:
        NeuroglotError: losses of different interventions, languages or units.
    """
    if (own.languages, own.units) != (other.languages, other.units) or set(other.rows) - set(own.rows):
        raise NeuroglotError("the two losses are not of the same interventions and text; measure them again.")
    margin = other.nll - own.nll[[own.rows.index(name) for name in other.rows]]
    there = (own.tokens > 0) & (other.tokens > 0)
    margin = np.where(there | np.isnan(margin), margin, 0.0)
    preferred = np.where(np.isnan(margin), np.nan, margin > 0)
    questions = there.astype(int)[None]
    return Choices((LANGUAGE,), other.rows, own.languages, own.units, margin[None], preferred[None], questions)


# --- what a removal changes --------------------------------------------------------------------


def of_choices(found: Sequence[Choices], removals: Sequence[Removal]) -> pd.DataFrame:
    """What removing a language's neurons changes in the choices made in that language.

    Args:
        found: choices under :data:`neuroglot.effects.removals.AS_IT_IS` and the removals by name.
        removals: sets and, beside them, random draws; one that was not measured is left out.

    Returns:
        One row per kind of choice, set and language: ``measure``, ``set``, ``language``, ``questions``, ``units``,
        ``share`` (of questions that prefer the right one, the model as it is; a unit counts by its questions) with
        ``share_low`` and ``share_high``, ``share_after``, ``before`` (mean margin, nats), ``own`` (its change),
        ``low``, ``high``, ``matched`` (mean change under the random draws), ``effect`` (own less matched; own alone
        where there are no draws) with ``effect_low``, ``effect_high``, ``detectable`` and ``verdict``
        (:func:`neuroglot.base.uncertainty.verdicts` over the languages of a kind and set).
    """
    rows: list[dict[str, Any]] = []
    said = []
    for each in found:
        for kind, name in enumerate(each.kinds):
            for set_ in dict.fromkeys(removal.set for removal in removals):
                table = [
                    _row(each, kind, [r for r in removals if r.set == set_ and r.language == code], code)
                    for code in each.languages
                ]
                some = [(row, effect) for row, effect in table if row]
                if not some:
                    continue
                together = uncertainty.together([effect for _, effect in some])
                for (row, effect), verdict in zip(some, uncertainty.verdicts(together), strict=True):
                    low, high = effect.interval()
                    ends = {"effect": effect.value, "effect_low": low, "effect_high": high}
                    numbers = {key: float(value) for key, value in (ends | {"detectable": effect.detectable()}).items()}
                    rows.append({"measure": name, "set": set_} | row | numbers)
                    said.append(verdict)
    return pd.DataFrame(rows).assign(verdict=said) if rows else pd.DataFrame()


def _row(
    found: Choices, kind: int, removals: Sequence[Removal], code: str
) -> tuple[dict[str, Any], uncertainty.Estimate]:
    """One language's numbers, and own less matched; nothing where its set was not measured."""
    k = found.languages.index(code)
    own = next((r for r in removals if r.order == "score" and r.size and r.name in found.rows), None)
    sizes = found.questions[kind, k]
    at = sizes > 0
    none = uncertainty.Estimate(np.asarray(np.nan), np.asarray(np.nan), np.asarray(1.0))
    if own is None or not at.any():
        return {}, none
    base, mine = found.rows.index(AS_IT_IS), found.rows.index(own.name)
    drawn = [found.rows.index(r.name) for r in removals if r.draw and r.size and r.name in found.rows]
    margins, number = found.margin[kind, :, k][:, at], sizes[at]
    weights = np.vstack([np.ones(len(number)), uncertainty.leave_one_out(len(number))])
    with np.errstate(divide="ignore", invalid="ignore"):
        means = (margins @ weights.T) / (weights @ number)  # [rows, 1 + units]
    change = means - means[base]
    effect = change[mine] - change[drawn].mean(axis=0) if drawn else change[mine]
    alone, estimate = (uncertainty.jackknife(each[0], each[1:]) for each in (change[mine], effect))
    if drawn:
        estimate = estimate.scattered(change[drawn, 0])
    low, high = alone.interval()
    share, after = (found.preferred[kind, row, k].sum() / sizes.sum() for row in (base, mine))
    share_low, share_high = uncertainty.share_interval(share, int(at.sum()))
    row = {"language": code, "questions": int(sizes.sum()), "units": int(at.sum())}
    row |= {"share": share, "share_low": float(share_low), "share_high": float(share_high), "share_after": after}
    row |= {"before": means[base, 0], "own": change[mine, 0], "low": float(low), "high": float(high)}
    return row | {"matched": change[drawn, 0].mean() if drawn else np.nan}, estimate
