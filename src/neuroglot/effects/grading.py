"""What a model gets right, and in which language: accuracy and language fidelity, with intervals."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError
from ..base.uncertainty import LEVEL, share_interval
from ..model.sampling import as_examples, sample_rows
from ..text.corpora import Corpus, Example
from ..text.languages import is_detectable, is_language, own_letters
from ..text.numbers import as_number, last_number

_SHARES = ["correct", "right_number", "in_language", "cut_off"]
_GRADED = ["language", "document", "unit", "id", "group", "answer", "found", *_SHARES[1:], "correct"]


def grade(responses: Corpus | Iterable[Example], questions: Corpus | None = None) -> pd.DataFrame:
    """Compare responses with answers, one by one.

    Args:
        responses: with the answers of their questions, as from :func:`neuroglot.sample`.
        questions: what was asked; a question without a response is graded as wrong.

    Returns:
        One row per response: ``language``, ``document``, ``unit`` (its wording), ``id``, ``group``, ``answer``,
        ``found`` (the last number of the response, as text, or ``""``), ``right_number``, ``in_language`` (the
        detected language is the asked one), ``cut_off`` (at the limit of tokens; missing where that
        was not recorded) and ``correct``: right number and language, as in the paper. ``in_language``
        and ``correct`` are missing where the detector does not know the language.

    Raises:
        NeuroglotError: an example without an answer.

    Example:
        >>> answer = ng.Example("1", "en", "How much is 2 + 2?", "We add the two, and it is 4.", answer="4")
        >>> ng.grade([answer])[["language", "correct", "in_language"]]
          language  correct  in_language
        0       en     True         True
    """
    examples = list(responses.examples if isinstance(responses, Corpus) else responses)
    if questions is not None:
        # What was asked and not answered: the empty responses, which a corpus leaves out.
        n = max((int(e.id.rpartition("#")[2]) for e in examples if e.id != e.document), default=1)
        answered = {(example.language, example.id) for example in examples}
        for question in {(e.language, e.document): e for e in questions.examples}.values():
            ids = [question.document] if n == 1 else [f"{question.document}#{i}" for i in range(1, n + 1)]
            silent = (id_ for id_ in ids if (question.language, id_) not in answered)
            examples += [replace(question, id=id_, response="", cut_off=None) for id_ in silent]
    rows = []
    for example in examples:
        answer = as_number(example.answer)
        if answer is None:
            raise NeuroglotError(f"{example.place}: there is no answer to compare with; use a corpus with answers.")
        found = last_number(example.response)
        in_language = is_language(example.response, example.language)
        rows.append(
            {
                "language": example.language,
                "document": example.document,
                "unit": example.unit,
                "id": example.id,
                "group": example.group,
                "answer": example.answer,
                "found": "" if found is None else str(found),
                "right_number": found == answer,
                "in_language": in_language,
                "cut_off": example.cut_off,
                "correct": None if in_language is None else found == answer and in_language,
            }
        )
    return pd.DataFrame(rows, columns=_GRADED).astype(dict.fromkeys(("in_language", "cut_off", "correct"), "boolean"))


def caveats(responses: pd.DataFrame | Iterable[Mapping[str, Any]]) -> str:
    """What to know beside an accuracy, in sentences: answers cut off, and languages that the detector does not know.

    Args:
        responses: one row each with ``language`` and, where it is known, ``cut_off``: from :func:`grade` or
            :func:`neuroglot.model.sampling.sample_rows`.
    """
    rows = pd.DataFrame(cast(Any, responses)).reindex(columns=["language", "cut_off"])
    cut = rows["cut_off"].astype(float).mean()
    said = "How many answers were cut off at the limit of tokens was not recorded."
    if cut == cut:
        said = f"{cut:.0%} of the answers were cut off at the limit of tokens." if cut else "No answer was cut off."
    if unknown := [code for code in dict.fromkeys(rows["language"]) if not is_detectable(code)]:
        said += f" The detector does not know the language of {', '.join(unknown)}, so accuracy there is unknown."
    return said


def accuracy(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    level: float = LEVEL,
    **sampling: Any,
) -> pd.DataFrame:
    """Share of questions answered with the right number *and* in the language asked.

    The definition of arXiv 2505.21505: the last number of the response is compared, and its
    detected language must be the question's.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: questions with numeric answers.
        path: file that keeps the responses (and lets an interrupted run go on).
        level: coverage of the interval.
        **sampling: as for :func:`neuroglot.sample`; greedy, four worked examples by default.

    Returns:
        As :func:`summarize` has it.
    """
    rows, _ = sample_rows(model, tokenizer, corpus, path, **sampling)
    return summarize(grade(as_examples(rows)), level=level)


def summarize(graded: pd.DataFrame, *, level: float = LEVEL) -> pd.DataFrame:
    """Accuracy per language and group, with intervals over wordings.

    Several responses to one question count as their mean, and questions of one wording as one thing that could have
    come out otherwise (:func:`neuroglot.base.uncertainty.share_interval`); fewer than four give no interval.

    Returns:
        One row per language and group, and one per language for ``"all"`` where there are
        several groups: ``language``, ``group``, ``questions``, ``accuracy`` (share), ``low``, ``high``,
        ``right_number``, ``in_language`` and ``cut_off`` (shares). A language that the detector does
        not know has no ``accuracy`` and no ``in_language``.
    """
    if not 0 < level < 1:
        raise NeuroglotError(f"level={level}: give a share between 0 and 1.")
    rows = []
    for language, mine in graded.groupby("language", sort=False):
        groups = list(mine.groupby("group"))
        if len(groups) > 1:
            groups.append(("all", mine))
        for group, these in groups:
            by_question = these.reindex(columns=_SHARES).astype(float).groupby([these["unit"], these["document"]])
            means = by_question.mean()
            low, high = _interval(means["correct"], level)
            rows.append(
                {
                    "language": language,
                    "group": group,
                    "questions": len(means),
                    "accuracy": means["correct"].mean(skipna=False),
                    "low": low,
                    "high": high,
                    **means[_SHARES[1:]].mean(),
                }
            )
    return pd.DataFrame(rows)


def _interval(shares: pd.Series, level: float) -> tuple[float, float]:
    """Of the mean of shares by ``unit`` and document; no numbers where one of them is none."""
    low, high = share_interval(shares.mean(skipna=False), shares.index.get_level_values("unit").nunique(), level)
    return float(low), float(high)


def own_shares(responses: Iterable[Example]) -> pd.DataFrame:
    """In which part each response is in its language; one without a letter says nothing of that and is left out.

    Returns:
        One row per response: ``language``, ``document``, ``unit``, ``share`` (of its letters, those in sentences of its
        language; missing where the detector does not know it), ``letters``.
    """
    rows = [(e.language, e.document, e.unit, *own_letters(e.response, e.language)) for e in responses]
    table = pd.DataFrame(rows, columns=["language", "document", "unit", "own", "letters"])
    table = table[table["letters"] > 0].reset_index(drop=True)
    return table.assign(share=table["own"] / table["letters"]).drop(columns="own")


def language_fidelity(responses: Corpus | Iterable[Example], *, level: float = LEVEL) -> pd.DataFrame:
    """Share of the letters of a response that is in the language asked for, in the mean over questions.

    Every sentence is detected by itself. Several responses to one question count as their mean, and each as one,
    however long it goes on; an empty one adds nothing. Languages outside the detector have no fidelity.

    Args:
        responses: as from :func:`neuroglot.sample`.
        level: of the intervals, over wordings as of :func:`summarize`.

    Returns:
        One row per language: ``language``, ``questions`` (whose responses have a letter), ``letters``, ``fidelity``
        (share), ``low``, ``high``.
    """
    examples = list(responses.examples if isinstance(responses, Corpus) else responses)
    table, result = own_shares(examples), []
    for language in dict.fromkeys(example.language for example in examples):
        mine = table[table["language"] == language]
        shares = mine.groupby(["unit", "document"])["share"].mean()
        low, high = _interval(shares, level) if len(shares) else (np.nan, np.nan)
        size = {"questions": len(shares), "letters": int(mine["letters"].sum())}
        result.append({"language": language, **size, "fidelity": shares.mean(skipna=False), "low": low, "high": high})
    return pd.DataFrame(result)
