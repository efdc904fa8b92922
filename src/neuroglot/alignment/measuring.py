"""The models of a plan, and what is measured of each: preferences, trainings, counts, losses, answers, scores."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..base.errors import NeuroglotError
from ..counts.activations import ActivationStats
from ..text.corpora import Corpus, Example
from ..text.readers import load_corpus
from .variants import Variant

if TYPE_CHECKING:
    from ..neurons.identification import NeuronTypes


def other_texts(
    domains: Mapping[str, Mapping[str, Any]] | None, types: "NeuronTypes"
) -> tuple[dict[str, Corpus], dict[str, str]]:
    """Other text than the types were found on, in the same languages.

    Args:
        domains: by its name for :func:`neuroglot.load_corpus`, its options; ``None``: the Declaration of Human Rights,
            or the problems where the types were found on that.
        types: those.

    Returns:
        The text by name, and why other text is left out, by name.
    """
    counted = str(types.provenance.get("corpus", ""))
    if domains is None:
        domains = {"problems": {"n": 24}} if counted.startswith("udhr") else {"udhr": {"articles": 8}}
    texts, left_out = {}, {}
    for name, options in domains.items():
        if name == counted:
            left_out[name] = "it is the text that the run counts."
            continue
        try:
            texts[name] = load_corpus(name, types.languages, **options)
        except NeuroglotError as error:
            left_out[name] = str(error)
    return texts, left_out


def count_elsewhere(
    texts: Mapping[str, Corpus],
    model: str,
    after: Variant,
    folder: str,
    *,
    model_options: Mapping[str, Any],
    settings: Mapping[str, Any],
    sampling: Mapping[str, Any],
    overwrite: bool = False,
) -> dict[tuple[str, str], ActivationStats]:
    """Counts of other text, in the model before and after its alignment; one model is held at a time.

    Args:
        texts: by name; questions without responses are answered first.
        model: before, for :func:`neuroglot.load_model`.
        after: the aligned one.
        folder: where counts and answers are kept.
        model_options: of :func:`neuroglot.load_model`.
        settings: of :func:`neuroglot.collect`.
        sampling: of :func:`neuroglot.sample`.
        overwrite: whether to replace files there that hold something else.

    Returns:
        By name of the text and ``"before"`` or ``"after"``.
    """
    from ..counts.collecting import collect
    from ..model.loading import load_model
    from ..model.sampling import sample

    found = {}
    for when in ("before", "after") if texts else ():
        lm, tokenizer = load_model(model, **model_options) if when == "before" else after.load(**model_options)
        for number, (name, text) in enumerate(texts.items()):
            path = f"{folder}/{when}-domain-{number}"
            if text.questions_only:
                text = sample(lm, tokenizer, text, f"{path}.jsonl", overwrite=overwrite, **sampling)
            counted = collect(lm, tokenizer, text, f"{path}.safetensors", overwrite=overwrite, **settings)
            if counted is not None:  # only the first of several processes has them
                found[name, when] = counted
        del lm  # before the other one is loaded
    return found


def answers_of(plan: Sequence[Variant], solved: str | Path) -> dict[str, list[Example]]:
    """The answers of the model under study, as ``"before"``, and of those others that answered, by name.

    Args:
        plan: the other models.
        solved: the answers of the one under study; where it has none, no other's are read.
    """
    answered = {"before": _examples(solved)}
    for one in plan:
        if answered["before"] and "solved" in one.measured:
            answered[one.name] = _examples(one.file("solved"))
    return answered


def _examples(path: str | Path) -> list[Example]:
    from ..model.sampling import read_rows

    rows: Sequence[Mapping[str, Any]] = read_rows(path)
    return [Example(**row) for row in rows]


def score_answers(
    answered: Mapping[str, Sequence[Example]],
    plan: Sequence[Variant],
    asked: str | Path,
    held: Corpus,
    folder: str | Path,
    *,
    pivot: str,
    questions: int,
    judge: str,
    model: str,
    model_options: Mapping[str, Any],
) -> tuple[dict[str, pd.DataFrame], list[str]]:
    """How well the answers of each model agree with the pivot's, all scored by the same scorer.

    Args:
        answered: from :func:`answers_of`; with fewer than two models there are no scores.
        plan: the models but the one under study.
        asked: a corpus of the questions.
        held: has the pivot's responses to them.
        folder: where scores of the model under study are kept; those of others are in their own.
        pivot: the language whose responses the others are to agree with; its own are not scored.
        questions: how many are scored, in the order of the answers.
        judge: a scorer, for :func:`neuroglot.alignment.scorers.named`.
        model: the one under study.
        model_options: of :func:`neuroglot.load_model`.

    Returns:
        By name of the model, one row per answer that is not empty: ``language``, ``document``, ``score``; and the
        questions.
    """
    from ..model.loading import load_model
    from .scorers import named

    if len(answered) < 2 or not questions:
        return {}, []
    posed = Corpus.load(asked)
    bare = {(e.language, e.document): e.prompt for e in posed.examples}
    references = {
        e.document: replace(e, prompt=bare[pivot, e.document])
        for e in held.examples
        if e.language == pivot and (pivot, e.document) in bare
    }
    scored = [d for d in dict.fromkeys(e.document for e in answered["before"]) if d in references][:questions]
    if not scored:
        return {}, []
    lm, tokenizer = load_model(model, **model_options)
    folders, scores = {one.name: one.folder for one in plan}, {}
    for name, examples in answered.items():
        some = [e for e in examples if e.document in scored and e.language != pivot and e.response.strip()]
        some = [replace(e, prompt=bare[e.language, e.document]) for e in some]
        scorer = named(judge, lm, tokenizer, Path(folders.get(name, folder)) / "scores.safetensors")
        rows = {"language": [e.language for e in some], "document": [e.document for e in some]}
        score = list(scorer(some, [references[e.document] for e in some])) if some else []
        scores[name] = pd.DataFrame(rows | {"score": score})
    return scores, scored
