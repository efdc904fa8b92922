"""The models of a plan, and what is measured of each: preferences, trainings, counts, losses, answers, scores."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from ..base.errors import NeuroglotError, quoted
from ..counts.activations import ActivationStats
from ..text.corpora import Corpus, Example
from ..text.readers import load_corpus
from . import variants
from .comparison import require_same_text
from .variants import Variant

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ..neurons.identification import NeuronTypes
    from .preferences import Preferences
    from .training import Alignment, Recipe


def plan_of(
    model: str,
    folder: str,
    recipe: "Recipe",
    *,
    after: str | None = None,
    adapter: str | None = None,
    checkpoints: Sequence[str] = (),
    choices: Sequence[str] = (),
    seeds: Sequence[int] = (0,),
    control: bool = True,
    chosen_only: bool = False,
    steps: Sequence[int] = (),
) -> list[Variant]:
    """The models given, or else those to train by a recipe: see :func:`variants.given` and :func:`variants.trained`."""
    if after is None and adapter is None:
        kinds = {"control": control, "chosen_only": chosen_only}
        return variants.trained(model, choices, seeds, folder, **kinds, steps=recipe.kept(steps))
    return variants.given(model, folder, after=after, adapter=adapter, checkpoints=checkpoints)


def preferences_for(
    trainings: Sequence[Variant],
    lm: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    held: Corpus,
    folder: str | Path,
    *,
    practice: str,
    practice_options: Mapping[str, Any],
    candidates: str = "corrupted",
    sampling: Mapping[str, Any],
    scorer: str = "exact",
    pivot: str = "en",
    seed: int = 0,
) -> "dict[tuple[str, ...], Preferences]":
    """The preferences of each choice of languages to train on, saved; of no training, none.

    Args:
        trainings: the models to train.
        lm, tokenizer: of the model under study, which may make responses and score them.
        held: text that shares no wording with the questions.
        folder: where preferences, responses and scores are kept.
        practice, practice_options: the questions, for :func:`neuroglot.load_corpus`.
        candidates, sampling, seed: as of :func:`neuroglot.alignment.preferences.candidates`.
        scorer: for :func:`neuroglot.alignment.scorers.named`.
        pivot: the language whose responses the others are to agree with.

    Raises:
        NeuroglotError: other candidates than ``"corrupted"`` or ``"sampled"``.
    """
    from . import preferences, scorers

    choices = list(dict.fromkeys(one.aligned_on for one in trainings))
    if not choices:
        return {}
    if candidates not in ("corrupted", "sampled"):
        raise NeuroglotError(f"candidates={quoted(candidates)}: give corrupted or sampled.")
    questions = load_corpus(practice, tokenizer=tokenizer, **practice_options).apart_from(held)
    wanted = list(dict.fromkeys(code for on in choices for code in on))
    offered = preferences.candidates(
        candidates, questions, wanted, lm, tokenizer, f"{folder}/sampled.jsonl", seed=seed, sampling=sampling
    )
    judge = scorers.named(scorer, lm, tokenizer, Path(folder) / "scores.safetensors")
    made = {}
    for on in choices:
        made[on] = preferences.prefer(offered, questions, judge, languages=on, pivot=pivot)
        made[on].save(f"{folder}/{'-'.join(on)}.preferences.jsonl")
    return made


def pairs_table(preferences: "Mapping[tuple[str, ...], Preferences]") -> pd.DataFrame:
    """How many pairs there are, by choice of languages, language and kinds."""
    tables = [made.table().assign(choice=", ".join(on)) for on, made in preferences.items()]
    return pd.concat(tables).set_index(["choice", "language", "kinds"])


def first_pair(preferences: "Mapping[tuple[str, ...], Preferences]") -> pd.DataFrame:
    """The first pair of the first choice, as a table of one row."""
    pair = next(iter(preferences.values())).pairs[0]
    return pd.DataFrame([{"question": pair.prompt.strip(), "chosen": pair.chosen, "rejected": pair.rejected}])


def train(
    trainings: Sequence[Variant],
    preferences: "Mapping[tuple[str, ...], Preferences]",
    lm: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    recipe: "Recipe",
    *,
    seed: int = 0,
    overwrite: bool = False,
) -> "dict[str, Alignment]":
    """Train each model: a control on preferences shuffled with a seed of its own, others on the chosen answers alone.

    Args:
        trainings: the models, each with the folder of its adapter and its seed.
        preferences: from :func:`preferences_for`.
        lm, tokenizer: of the model under study.
        recipe: how.
        seed: of the shuffling.
        overwrite: whether to replace files there that hold something else.

    Returns:
        By name of the model.
    """
    from .training import align

    done = {}
    for one in trainings:
        wanted = preferences[one.aligned_on]
        wanted = wanted.shuffled(seed + one.seed) if one.kind == "shuffled" else wanted
        own = replace(recipe, learns="chosen") if one.kind == "chosen" else recipe
        done[one.name] = align(lm, tokenizer, wanted, str(one.adapter), own, seed=one.seed, overwrite=overwrite)
    return done


def measure(
    plan: Sequence[Variant],
    text: Corpus,
    held: Corpus,
    before: ActivationStats,
    *,
    pivot: str,
    model_options: Mapping[str, Any],
    asked: Corpus | None = None,
    answering: Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Count each model's neurons and, of all but checkpoints, measure what it finds likely and ask it the questions.

    Args:
        plan: the models; each is loaded, and let go before the next.
        text: what is counted, in the way of ``before``.
        held: what likelihoods are measured on.
        before: counts of the model under study.
        pivot: the language that others were aligned to.
        model_options: of :func:`neuroglot.load_model`.
        asked: questions, if any.
        answering: how they are answered, for :func:`neuroglot.model.sampling.sample_rows`.
        overwrite: whether to replace files there that hold something else.

    Returns:
        Which of :data:`neuroglot.base.tables.ARTIFACTS` there are now.

    Raises:
        NeuroglotError: a model whose tokenizer is another, so that its neurons are not to be compared.
    """
    from ..counts.collecting import collect
    from ..model.sampling import sample_rows

    measured: tuple[str, ...] = ()
    for one in plan:
        lm, tokenizer = one.load(**model_options)
        settings = before.provenance["settings"]
        same = collect(lm, tokenizer, text, one.file("stats"), overwrite=overwrite, **settings)
        if same is not None:  # only the first of several processes has them
            require_same_text(before, same)
        if one.step is None:
            measured = likelihoods(one, lm, tokenizer, held, pivot, overwrite=overwrite)
            if asked is not None:
                sample_rows(lm, tokenizer, asked, one.file("solved"), overwrite=overwrite, **(answering or {}))
        del lm  # before the next one is loaded
    return ("stats", *measured) if asked is None else ("stats", *measured, "solved")


def likelihoods(
    one: Variant,
    lm: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    held: Corpus,
    pivot: str,
    *,
    overwrite: bool = False,
) -> tuple[str, ...]:
    """Measure the losses of a model and, where the text has solutions with an answer, its forced choices.

    Args:
        one: which model it is; says where all is kept.
        lm, tokenizer: that model.
        held: the text.
        pivot: the language whose solutions are the wrong ones for questions in others.
        overwrite: whether to replace files there that hold something else.

    Returns:
        Which of :data:`neuroglot.base.tables.ARTIFACTS` there are now.
    """
    from ..effects.choices import number_choices, translated
    from ..model.likelihood import losses

    losses(lm, tokenizer, held, path=one.file("losses"), overwrite=overwrite)
    if held.questions_only or not all(example.answer for example in held.examples):
        return ("losses",)
    number_choices(lm, tokenizer, held, path=one.file("number_choices"), overwrite=overwrite)
    try:
        others = translated(held, pivot)
    except NeuroglotError:  # the text is not parallel, or lacks the pivot
        return "losses", "number_choices"
    losses(lm, tokenizer, others, path=one.file("translation_losses"), overwrite=overwrite)
    return "losses", "number_choices", "translation_losses"


def other_texts(
    domains: Mapping[str, Mapping[str, Any]] | None,
    types: "NeuronTypes",
    tokenizer: "PreTrainedTokenizerBase | Callable[[], PreTrainedTokenizerBase] | None" = None,
) -> tuple[dict[str, Corpus], dict[str, str]]:
    """Other text than the types were found on, in the same languages.

    Args:
        domains: by its name for :func:`neuroglot.load_corpus`, its options; ``None``: the Declaration of Human Rights,
            or the problems where the types were found on that.
        types: those.
        tokenizer: for :func:`neuroglot.load_corpus`, where a text has messages or token ids.

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
            texts[name] = load_corpus(name, types.languages, tokenizer=tokenizer, **options)
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
        solved: the answers of the one under study; where it has none, no other's are read. Those to questions that
            none of the others was asked are left out.
    """
    from ..model.sampling import read_answers

    own = read_answers(solved)
    others = {one.name: read_answers(one.file("solved")) for one in plan if own and "solved" in one.measured}
    again = {(e.language, e.document) for answers in others.values() for e in answers}
    return {"before": [e for e in own if not others or (e.language, e.document) in again]} | others


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
        By name of the model, one row per answer that is not empty: ``language``, ``document``, ``unit``, ``score``; and
        the questions.
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
        rows = {name: [getattr(e, name) for e in some] for name in ("language", "document", "unit")}
        score = list(scorer(some, [references[e.document] for e in some])) if some else []
        scores[name] = pd.DataFrame(rows | {"score": score})
    return scores, scored
