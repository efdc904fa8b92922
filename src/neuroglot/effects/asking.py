"""Which questions a model is asked to see whether it can solve them, and what it gets right."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.files import write_bytes
from ..model.interventions import Intervention
from ..model.sampling import as_examples, read_answers, read_settings, sample_rows
from ..text import problems
from ..text.corpora import Corpus
from ..text.readers import load_corpus
from .grading import accuracy, grade

#: Room for an answer where there are no solutions to tell by, in tokens.
ROOM = 200


def easiest(questions: Corpus, held_out: Corpus, number: int) -> Corpus | None:
    """The first questions of the text that is held out, in every language, of different wordings.

    Args:
        questions: with their solutions, where there are any.
        held_out: a part of them, or of the responses to them.
        number: how many of each language; 0 for none.

    Returns:
        The questions; ``None`` where none are wanted, or some question has no answer.
    """
    if not number or not all(example.answer for example in questions.examples):
        return None
    return questions.take(sorted({example.document for example in held_out.spread(number).examples}))


def room_for(tokenizer: PreTrainedTokenizerBase, questions: Corpus) -> int:
    """Tokens for an answer a quarter longer than any solution of these questions; without solutions, :data:`ROOM`."""
    solutions = [example.response for example in questions.examples if example.response]
    return round(1.25 * max(map(len, tokenizer(solutions)["input_ids"]))) if solutions else ROOM


def solve(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    posed: Corpus | None,
    asked: str | Path,
    solved: str | Path,
    *,
    overwrite: bool = False,
    **sampling: Any,
) -> pd.DataFrame:
    """Ask a model, greedily and once.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        posed: the questions; ``None`` for none.
        asked: file that keeps the questions; without any an empty one.
        solved: file that keeps the answers; without any an empty one.
        overwrite: replace files there that hold something else.
        **sampling: as for :func:`neuroglot.sample`; by default, room as of :func:`room_for`.

    Returns:
        As :func:`neuroglot.accuracy` has it; no row without a question.
    """
    if posed is None:
        if overwrite or not Path(solved).exists():
            write_bytes(solved, b"")
            write_bytes(asked, b"")
        return pd.DataFrame(columns=["language", "group", "questions", "accuracy", "low", "high"])
    posed.save(asked)
    greedy = {"max_new_tokens": room_for(tokenizer, posed)} | sampling | {"n": 1, "temperature": 0}
    return accuracy(model, tokenizer, posed, solved, overwrite=overwrite, **greedy)


def by_group(score: pd.DataFrame, languages: Iterable[str]) -> pd.DataFrame:
    """Accuracies from :func:`solve`, a row for each of these languages and a column for each group."""
    return score.pivot(index="language", columns="group", values="accuracy").reindex(list(languages))


def further(
    source: str, options: Mapping[str, Any] | None, held_out: Corpus, solved: str | Path, number: int
) -> Corpus | None:
    """More questions of the wordings that are held out, where the model can do some but was asked too few.

    A language can be done where half or more of the first group's questions (the easiest's) were answered rightly.

    Args:
        source: the text's name, as for :func:`neuroglot.load_corpus`.
        options: of it, to draw other questions with; ``None`` for none.
        held_out: the text that nothing was identified on.
        solved: file of the answers, as :func:`solve` writes it.
        number: how many right answers of each language are wanted.

    Returns:
        Questions that are not in the text yet, under names of their own; ``None`` where none is wanted, or left.

    Raises:
        NeuroglotError: no such file, or another one; no such text or option.
    """
    if not options or not number:
        return None
    graded = grade(read_answers(solved))
    right = graded["correct"].fillna(False)
    first = graded["group"] == graded["group"].min()
    can = right[first].groupby(graded["language"]).mean() >= 0.5
    lacking = right.groupby(graded["language"]).sum() < number
    languages = [code for code in held_out.languages if can.get(code, False) and lacking.get(code, False)]
    if not languages:
        return None
    there, units = {e.prompt.strip() for e in held_out.examples}, {e.unit for e in held_out.examples}
    drawn = load_corpus(source, held_out.languages, **options).only(languages)
    new = tuple(
        replace(example, id=f"more-{example.id}")
        for example in drawn.examples
        if example.unit in units and example.prompt.strip() not in there
    )
    having = {example.language for example in new}
    return replace(drawn, languages=tuple(c for c in languages if c in having), examples=new) if new else None


def solved_questions(
    held_out: Corpus,
    solved: str | Path,
    number: int,
    more: Corpus | None = None,
    more_answers: Iterable[Mapping[str, Any]] = (),
) -> Corpus | None:
    """Questions that the model answered rightly: of different wordings as far as they go, the easiest first.

    Args:
        held_out: where they are taken from.
        solved: file of the answers, as :func:`solve` writes it.
        number: how many of each language; 0 for none.
        more: further questions, from :func:`further`, taken after those of the same wording.
        more_answers: answers to them, from :func:`ask_under`.

    Returns:
        The questions; ``None`` where none was answered rightly, or none is wanted.

    Raises:
        NeuroglotError: no such file, or another one; another text's answers.
    """
    graded = grade([*read_answers(solved), *as_examples(more_answers)])
    right = graded[graded["correct"].fillna(False)]
    ranked = right.assign(nth=right.groupby(["language", "unit"]).cumcount())
    chosen = ranked.sort_values(["nth", "group"], kind="stable").groupby("language").head(number)
    if not len(chosen):
        return None
    questions = replace(held_out, examples=(*held_out.examples, *more.examples)) if more is not None else held_out
    return questions.keep(zip(chosen["language"], chosen["document"], strict=True))


def shots_for(text: Corpus, languages: Iterable[str], shots: int) -> int:
    """How many worked examples can stand before questions of this text: ``shots``, or none.

    Prompts of sampled text, turns of a chat and token ids are as the model gets them; other languages than the packaged
    have no worked examples.
    """
    as_read = text.name.startswith("responses:") or text.prompts_as_read
    bare = as_read or not set(languages) <= set(problems.LANGUAGES)
    return 0 if bare else shots


def as_in(solved: str | Path) -> dict[str, Any]:
    """The conditions under which questions were asked: options for :func:`ask_under`, so that they are the very same.

    Args:
        solved: file of the answers, as :func:`solve` writes it.
    """
    return read_settings(solved)


def ask_under(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    questions: Corpus | None,
    interventions: Mapping[str, Intervention | None],
    path: str | Path,
    *,
    overwrite: bool = False,
    batch_size: int = 40,
    **sampling: Any,
) -> list[dict[str, Any]]:
    """Ask the same questions under every intervention.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        questions: what is asked; ``None`` for nothing, which writes no file.
        interventions: by name, ``None`` for the model as it is.
        path: file that keeps the answers.
        overwrite: replace a file there that holds something else.
        batch_size: as for :func:`neuroglot.sample`.
        **sampling: as for :func:`neuroglot.model.sampling.sample_rows`, for instance :func:`as_in`.

    Returns:
        One row per intervention and question, as of :func:`neuroglot.model.sampling.sample_rows`.
    """
    if questions is None:
        return []
    rows, _ = sample_rows(
        model,
        tokenizer,
        questions,
        path,
        interventions=interventions,
        batch_size=batch_size,
        overwrite=overwrite,
        **sampling,
    )
    return rows
