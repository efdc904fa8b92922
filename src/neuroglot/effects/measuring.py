"""What chapter 05 measures of its removals, and on which text: no more than its contrasts need."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..model.likelihood import losses
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from ..text.readers import load_corpus
from .choices import language_choices, number_choices, of_choices, translated
from .removals import BOTH, SETS, Removal, zeroing

#: The sets without general neurons, which random neurons stand beside.
NARROW = {name: kinds for name, kinds in SETS.items() if "general" not in kinds}

#: The set with them.
WITH_GENERAL = next(name for name in SETS if name not in NARROW)


def own(of: Iterable[Removal], *sets: str) -> list[Removal]:
    """The whole sets among some removals, without draws and doses; of some sets, or of all."""
    whole = (removal for removal in of if removal.order == "score" and removal.dose == 1)
    return [removal for removal in whole if not sets or removal.set in sets]


def beside(of: Iterable[Removal], draws: int, set_: str = BOTH) -> list[Removal]:
    """The removals of one set, and its first draws of random neurons of the same firing rates."""
    mine = [removal for removal in of if removal.set == set_ and removal.dose == 1]
    return own(mine) + [removal for removal in mine if removal.order == "matched" and removal.draw <= draws]


def only_in_their_own(of: Iterable[Removal], everywhere: str | None = None) -> dict[str, list[str]]:
    """The languages to measure each removal on, by its name: its own; all where it is one of the set ``everywhere``."""
    some = [removal for removal in of if removal.size]
    kept = {removal.name for removal in own(some, everywhere)} if everywhere else set()
    return {removal.name: [removal.language] for removal in some if removal.name not in kept}


def shortest(corpus: Corpus, number: int) -> Corpus:
    """One document each of the wordings with the shortest responses, taken over all languages together."""
    length: dict[str, int] = {}
    for example in corpus.examples:
        length[example.document] = length.get(example.document, 0) + len(example.response)
    units: dict[str, str] = {}
    by_length = sorted(corpus.examples, key=lambda example: (length[example.document], example.document))
    for example in by_length:
        units.setdefault(example.unit, example.document)
    return corpus.take(list(units.values())[:number])


def other_text(
    source: str | None,
    options: Mapping[str, Any],
    found: NeuronTypes,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> Corpus | None:
    """Other text to measure on, in the languages of the types; ``None`` for none, or if the types were found on it."""
    if source is None or found.provenance.get("corpus") == source:
        return None
    return load_corpus(source, found.languages, tokenizer=tokenizer, **options)


def forced_choices(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    held_out: Corpus,
    removals: Sequence[Removal],
    paths: Sequence[str | Path],
    *,
    questions: int,
    solutions: int,
    pivot: str,
    **options: Any,
) -> pd.DataFrame:
    """Choices of the right number and of the right language, under each removal in its own language.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        held_out: questions with solutions in parallel languages; of other text nothing is measured.
        removals: from :func:`beside`.
        paths: three files: choices of numbers, losses of solutions, losses of their translations.
        questions: of each language, to choose a number in; 0 for none.
        solutions: the shortest ones, to choose a language for; 0 for none.
        pivot: the language of the translations.
        **options: ``batch_tokens`` and ``overwrite``, as for :func:`neuroglot.losses`.

    Returns:
        As :func:`neuroglot.effects.choices.of_choices` has it; empty where nothing was measured.
    """
    solved = not held_out.questions_only and not held_out.name.startswith("responses:")
    if not solved or not all(example.answer for example in held_out.examples):
        return pd.DataFrame()
    changes, only = zeroing(removals), only_in_their_own(removals)
    found = []
    if questions:
        asked = held_out.spread(questions)
        found.append(number_choices(model, tokenizer, asked, changes, paths[0], only=only, **options))
    if solutions and pivot in held_out.languages:
        few = shortest(held_out, solutions)
        both = [
            losses(model, tokenizer, text, changes, path, only=only, **options)
            for text, path in zip((few, translated(few, pivot)), paths[1:], strict=True)
        ]
        found.append(language_choices(*both))
    return of_choices(found, removals)
