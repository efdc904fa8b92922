"""Preference pairs: of two responses to one question, which agrees better with the pivot's response."""

import hashlib
import itertools
import json
import operator
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, is_number, quoted, require_characters
from ..base.files import require_file
from ..base.provenance import record, table
from ..base.records import as_written, read_lines, write_lines
from ..model.sampling import sample
from ..text.corpora import Corpus, Example
from ..text.corruptions import corrupted
from ..text.languages import parse_languages
from ..text.readers import load_corpus
from .scorers import Scorer


@dataclass(frozen=True, slots=True)
class Pair:
    """Two responses to one question.

    Attributes:
        language, document: whose question it is.
        prompt: the question, with whatever separates it from a response.
        chosen, rejected: the better and the worse response.
        chosen_score, rejected_score: what the scorer says of them.
        kinds: what the two are, where it is known: ``"right > wrong number"``.
    """

    language: str
    document: str
    prompt: str
    chosen: str
    rejected: str
    chosen_score: float
    rejected_score: float
    kinds: str = ""


@dataclass(frozen=True)
class Preferences:
    """All pairs better > worse of some responses.

    Attributes:
        languages: those with pairs, in order.
        pivot: the language whose responses the others are to agree with.
        pairs: in the order of languages and questions.
        provenance: of the responses and the scorer.
    """

    languages: tuple[str, ...]
    pivot: str
    pairs: tuple[Pair, ...]
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        codes = parse_languages(self.languages, least=1)
        for pair in self.pairs:
            _require_pair(pair)
        there = {pair.language for pair in self.pairs}
        if not isinstance(self.pivot, str) or self.pivot in codes or there != set(codes):
            raise NeuroglotError(
                f"the languages {' '.join(codes)}, the pivot {quoted(self.pivot)} and the pairs do not fit each other; "
                "make the preferences again."
            )
        if not isinstance(self.provenance, Mapping):
            raise NeuroglotError("the provenance of the preferences is damaged; make them again.")

    @property
    def hash(self) -> str:
        """SHA-256 of the pairs, in order."""
        text = json.dumps([self.languages, self.pivot, [list(asdict(pair).values()) for pair in self.pairs]])
        return hashlib.sha256(text.encode()).hexdigest()

    def shuffled(self, seed: int = 0) -> "Preferences":
        """The same pairs, each turned round or not by the toss of a coin: a control that prefers nothing."""
        seed = operator.index(seed)  # as it is recorded
        coins = np.random.default_rng(seed).integers(2, size=len(self.pairs))
        pairs = tuple(_turned(pair) if coin else pair for pair, coin in zip(self.pairs, coins, strict=True))
        return replace(self, pairs=pairs, provenance={**self.provenance, "shuffled_by_seed": seed})

    def table(self) -> pd.DataFrame:
        """How many pairs of each kind in each language: ``language``, ``kinds``, ``questions``, ``pairs``, ``margin``.

        ``margin`` is the mean difference of the scores.
        """
        rows = pd.DataFrame([asdict(pair) for pair in self.pairs])
        rows["margin"] = rows["chosen_score"] - rows["rejected_score"]
        grouped = rows.groupby(["language", "kinds"], sort=False)
        sizes = {"questions": ("document", "nunique"), "pairs": ("document", "size"), "margin": ("margin", "mean")}
        return grouped.agg(**sizes).reset_index()

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``; hashes by their first digits."""
        rows = {"pairs": f"{len(self.pairs):,}", "aligned on": " ".join(self.languages), "pivot": self.pivot}
        return table(self.provenance, rows)

    def save(self, path: str | Path) -> None:
        """Write as JSON lines, whole or not at all: a header, then a pair a line."""
        head = {"languages": self.languages, "pivot": self.pivot, "provenance": dict(self.provenance)}
        write_lines(path, "preferences", head, map(asdict, self.pairs))

    @classmethod
    def load(cls, path: str | Path) -> "Preferences":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: no such file, or no whole preferences in it.
        """
        require_file(path, "make preferences first, or give another")
        with as_written(path, "Preferences.save"):
            head, rows = read_lines(path, "preferences", "Preferences.save")
            pairs = tuple(Pair(**row) for row in rows)
            return cls(tuple(head["languages"]), head["pivot"], pairs, head["provenance"])


def _require_pair(pair: Pair) -> None:
    for each in fields(Pair):
        value = getattr(pair, each.name)
        fits = is_number(value) if each.name.endswith("_score") else isinstance(value, str)
        if not fits:
            raise NeuroglotError(f"the {each.name} {quoted(value)} of a pair is none; make the preferences again.")
        if isinstance(value, str):
            require_characters(value, f"the {each.name} of a pair")


def _turned(pair: Pair) -> Pair:
    return replace(
        pair,
        chosen=pair.rejected,
        rejected=pair.chosen,
        chosen_score=pair.rejected_score,
        rejected_score=pair.chosen_score,
        kinds=" > ".join(reversed(pair.kinds.split(" > "))),
    )


def candidates(
    name: str,
    questions: Corpus,
    languages: Iterable[str],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    path: str | Path,
    *,
    seed: int = 0,
    sampling: Mapping[str, Any],
) -> Corpus:
    """Several responses to each question in some languages, for :func:`prefer` to choose among.

    Args:
        name: ``"corrupted"`` (the questions' right responses and wrong ones made of them), ``"sampled"`` (from the
            model), or what :func:`neuroglot.load_corpus` reads, such as ``"jsonl:FILE"``.
        questions: what is asked; sampled responses and read ones get its bare prompts.
        languages: codes.
        model, tokenizer: that sampled responses are from.
        path: keeps these.
        seed: of the corruption.
        sampling: options of :func:`neuroglot.sample`.

    Raises:
        NeuroglotError: as these functions; read responses of which none is to one of the questions.
    """
    codes = tuple(languages)
    if name == "corrupted":
        return corrupted(questions, codes, seed=seed)
    posed = questions.only(codes)
    if name == "sampled":
        return sample(model, tokenizer, posed, path, **sampling).with_prompts(posed)
    asked = {(example.language, example.document) for example in posed.examples}
    return load_corpus(name, tokenizer=tokenizer).keep(asked).with_prompts(posed)


def prefer(
    responses: Corpus,
    references: Corpus,
    scorer: Scorer,
    *,
    languages: str | Iterable[str] | None = None,
    pivot: str = "en",
) -> Preferences:
    """Score responses and make all pairs better > worse of those to one question.

    Args:
        responses: several to each question, with ids ``ID#1``, ``ID#2`` ..., as from
            :func:`neuroglot.sample` or :func:`neuroglot.text.corruptions.corrupted`.
        references: has the pivot's response to each question, under the same id; the first where there
            are several.
        scorer: from :mod:`neuroglot.alignment.scorers`.
        languages: those to align; default: all of ``responses`` but the pivot.
        pivot: the language to align them to.

    Raises:
        NeuroglotError: no response of the pivot to a question, a language with one response only or
            with identical ones, a scorer that tells none apart or gives what is no number.
    """
    codes = parse_languages(languages, least=1) or tuple(code for code in responses.languages if code != pivot)
    if pivot in codes:
        raise NeuroglotError(
            f"languages {' '.join(codes)}: {quoted(pivot)} is what the others are aligned to; leave it out."
        )
    if foreign := [code for code in codes if code not in responses.languages]:
        raise NeuroglotError(f"corpus {responses.name}: there are no responses in {quoted(foreign[0])} to align.")
    by_document: dict[str, Example] = {}
    for example in references.examples:
        if example.language == pivot and example.response.strip():
            by_document.setdefault(example.document, example)
    asked: dict[tuple[str, str], list[Example]] = {}
    for example in responses.examples:
        if example.language in codes and example.response.strip():
            asked.setdefault((example.language, example.document), []).append(example)
    for code in codes:
        _several(responses, code, [mine for (language, _), mine in asked.items() if language == code])
    flat_ = [example for code in codes for (language, _), mine in asked.items() if language == code for example in mine]
    if alone := next((example for example in flat_ if example.document not in by_document), None):
        raise NeuroglotError(
            f"{alone.place}: there is no response in {quoted(pivot)} to {quoted(alone.document)} to align to; "
            "give references that have one, or another pivot."
        )
    scores = np.asarray(scorer(flat_, [by_document[example.document] for example in flat_]), dtype=float)
    if scores.shape != (len(flat_),):
        raise NeuroglotError(
            f"the scorer gives scores of shape {scores.shape} for {len(flat_)} responses; it must give one for each."
        )
    if not np.isfinite(scores).all():
        raise NeuroglotError(f"{flat_[int(np.argmin(np.isfinite(scores)))].place}: its score is not a number.")
    scored: dict[tuple[str, str], dict[str, tuple[float, Example]]] = {}
    for example, score in zip(flat_, scores.tolist(), strict=True):  # the same text once
        scored.setdefault((example.language, example.document), {}).setdefault(example.response, (score, example))
    pairs = [pair for mine in scored.values() for pair in _pairs(list(mine.values()))]
    if lacking := [code for code in codes if code not in {pair.language for pair in pairs}]:
        raise NeuroglotError(
            f"the scorer finds no response in {quoted(lacking[0])} better than another to the same question; "
            "give more different responses or another scorer."
        )
    provenance = record(
        responses.record("responses"),
        references=references.name,
        references_sha256=references.hash,
        scoring=scorer.provenance,
    )
    return Preferences(codes, pivot, tuple(pairs), provenance)


def _several(responses: Corpus, code: str, questions: list[list[Example]]) -> None:
    if max((len(mine) for mine in questions), default=0) < 2:
        raise NeuroglotError(
            f"corpus {responses.name}: {quoted(code)} has one response only to each question; give two or more (n=4)."
        )
    if not any(len({example.response for example in mine}) > 1 for mine in questions):
        raise NeuroglotError(
            f"corpus {responses.name}: the responses in {quoted(code)} to each question are identical; "
            "sample them at a higher temperature."
        )


def _pairs(scored: list[tuple[float, Example]]) -> list[Pair]:
    found = []
    for (one, a), (other, b) in itertools.combinations(scored, 2):
        if one == other:
            continue
        (high, better), (low, worse) = sorted([(one, a), (other, b)], key=lambda each: -each[0])
        kinds = f"{better.group} > {worse.group}" if better.group != worse.group else ""
        found.append(
            Pair(better.language, better.document, better.prompt, better.response, worse.response, high, low, kinds)
        )
    return found
