"""How long a book will take and how much memory, said before it begins: a short probe of the model, times tokens."""

import ast
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from transformers import PreTrainedModel

from ..alignment.training import Recipe, recipe_of
from ..counts.collecting import Collection
from ..model.loading import evaluating, input_device, load_model
from ..text.languages import parse_languages
from ..text.readers import load_corpus
from .chapters import CHAPTERS, Chapter, project_root, text_options

#: Seconds that a chapter takes beside its model: a kernel, imports, intervals and charts.
START = 8.0


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take.

    Attributes:
        seconds: by chapter.
        memory: bytes, at most.
    """

    seconds: dict[str, float]
    memory: int

    def __str__(self) -> str:
        longest = sorted(self.seconds, key=lambda name: -self.seconds[name])[:3]
        most = ", ".join(f"{name} {_duration(self.seconds[name])}" for name in longest)
        return (
            f"about {_duration(sum(self.seconds.values()))} and {self.memory / 2**30:.1f} GiB of memory (most: {most})"
        )


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.0f} s"
        if seconds < 100
        else f"{seconds / 60:.0f} min"
        if seconds < 6000
        else f"{seconds / 3600:.1f} h"
    )


@dataclass(frozen=True)
class Amounts:
    """What decides how many tokens a chapter runs.

    Attributes:
        given: the chapters' parameters.
        languages: of the text.
        documents: of each of them.
        tokens: of a document in one language, prompt and response.
        recipe: of a training.
    """

    given: Mapping[str, Any]
    languages: int
    documents: float
    tokens: float
    recipe: Recipe

    def read(self, documents: float, *, shots: float = 0) -> float:
        """Tokens of so many documents in every language, each after some worked examples."""
        return documents * self.languages * self.tokens * (1 + shots)

    @property
    def counted(self) -> float:
        """Tokens of the text but for what is held out."""
        return self.read(self.documents * (1 - self.given["held_out_share"]))

    @property
    def held_out(self) -> float:
        """Documents of each language that are held out."""
        return self.documents * float(self.given["held_out_share"])

    def answers(self, questions: float) -> tuple[float, float]:
        """Tokens read and written when a model answers questions of chapter 01, each at the length of a document."""
        return self.read(questions, shots=4), self.read(questions)

    @property
    def models(self) -> tuple[int, int, int]:
        """Of chapter 07: how many are trained, are measured in full (controls, too), have their neurons counted."""
        if self.given["after"] is not None or self.given["adapter"] is not None:
            return 0, 1, 1 + len(self.given["checkpoints"])
        choices, beside = len(self.given["choices"]), 1 + bool(self.given["control"])  # of each checkpoint, too
        full = choices * len(self.given["seeds"]) * (beside + bool(self.given["chosen_only"]))
        return full, full, full + choices * beside * len(self.given["steps"])


def _activations(of: Amounts) -> tuple[float, float]:
    """The text that is not held out, once; and answers."""
    read, written = of.answers(of.given["accuracy_questions"])
    return of.counted + read, written


def _neurons(of: Amounts) -> tuple[float, float]:
    """All text once, and some documents with and without each language's neurons."""
    return of.counted + of.read(of.held_out + 2 * of.given["removal_documents"]), 0


def _deactivation(of: Amounts) -> tuple[float, float]:
    """The beginnings of some documents under removals, questions and solutions under a few, answers under these.

    A set that is removed in every language is run on all of them, a draw and a dose on one. Half of a document is taken
    to be its response, and other text (without a prompt) as many documents, if it does not say.
    """
    given, languages = of.given, of.languages
    cells = languages * (1 + languages) + languages  # one set in all languages, the other in its own
    again = cells + languages * 2 * given["choice_draws"]
    cells += languages * 2 * (given["random_draws"] + given["other_draws"])
    elsewhere = 0 if given["second"] is None else min(given["second_options"].values(), default=given["documents"])
    second = again * elsewhere * (of.tokens if given["response_tokens"] is None else given["response_tokens"])
    cells += languages * 3 * (given["dose_steps"] - 1)
    few = languages * (1 + 2 * languages)  # two sets
    begun = of.tokens if given["response_tokens"] is None else of.tokens / 2 + given["response_tokens"]
    read = min(begun, of.tokens) * (cells * given["documents"] + few * given["few_documents"])
    beside = languages * (2 + given["choice_draws"])
    read += beside * of.tokens * (given["choice_questions"] + 2 * given["choice_solutions"])
    under = languages * (2 + given["answer_draws"]) + languages * (languages - 1)
    answers = given["answer_questions"] * under
    # In how many languages more are asked is not known before; in all at most.
    more = (given["more_questions"] or {}).get("n", 0) * given["held_out_share"] * bool(answers)
    more_read, more_written = of.answers(more)
    return read + second + answers * of.tokens + more_read, answers * of.tokens + more_written


def _steering(of: Amounts) -> tuple[float, float]:
    """The text for the means, every prompt under every steering, and once more with its response to score it."""
    given, others = of.given, of.languages - 1
    targets = (
        min(given["most_targets"], others) if given["targets"] is None else len(parse_languages(given["targets"], 1))
    )
    draws, headline = given["steering_draws"], given["headline"]
    beside = {
        way: [draws if each == headline.get(way) else min(draws, 1) for each in its if each]
        for way, its in given["strengths"].items()
    }
    responses = (1 + targets * sum(1 + each for its in beside.values() for each in its)) * given["prompts"]
    prompts = responses * of.tokens * (1 + given["prompt_shots"])
    return of.read(given["mean_documents"]) + 2 * prompts + responses * given["new_tokens"], responses * given[
        "new_tokens"
    ]


def _alignment(of: Amounts) -> tuple[float, float]:
    """Trainings (two responses a pair, each like three passes and one of the reference), and what is measured.

    Of some of what is held out the losses, the numbers, and the translated solutions.
    """
    trained, full, counted = of.models
    read = trained * of.recipe.steps * of.recipe.batch * 2 * 4 * of.tokens
    read += (1 + full) * 3 * of.read(min(of.given["measured_documents"], of.held_out)) + counted * of.counted
    asked, written = of.answers(of.given["answered_again"])
    return read + full * asked, full * written


def _spontaneous(of: Amounts) -> tuple[float, float]:
    """Every answer beside the pivot's, scored by the model, where chapter 07 asked for any."""
    _, full, _ = of.models
    return (1 + full) * 2 * of.read(min(of.given["score_questions"], of.given["answered_again"])), 0


def _stability(of: Amounts) -> tuple[float, float]:
    """Other text, before and after; a document of it is taken to be as long as one of the text."""
    domains = of.given["domains"]
    documents = (
        8 if domains is None else sum(min(its.values(), default=24) for its in domains.values() if its is not None)
    )
    return 2 * of.read(documents), 0


def _detectors(of: Amounts) -> tuple[float, float]:
    """Two texts, rewritten ones and others once (attribution as four times), and some documents under all removals.

    One of the texts is read again for each way to rewrite it, as if in all languages: only those not in Latin letters
    are. Other text is taken to have documents as long as a response, half of a document here. What neurons write is
    told from their means over the held-out text, read once more; what alignment changed from models that were counted.
    """
    given, names, others = of.given, of.given["detectors"].split(), len(of.given["elsewhere"] or {})
    texts = 2 + len((given["rewritten"] or "").split()) + others / 2
    read = of.read(texts * given["detector_documents"]) * (1 + 4 * ("attribution" in names))
    read += of.read(of.held_out) * ("writing" in given["claims_also"])
    begun = of.tokens if given["response_tokens"] is None else of.tokens / 2 + given["response_tokens"]
    removed = names if given["removed"] is None else given["removed"].split()
    sets = len(removed) * len(given["budgets"]) * (1 + 2 * given["detector_draws"])
    scored = of.tokens / 2 if given["response_tokens"] is None else given["response_tokens"]
    each = min(begun, of.tokens) + others * min(scored, of.tokens / 2)
    return read + (1 + sets) * of.languages * given["compared_documents"] * each, 0


#: Tokens that a chapter reads and writes with the model, by its name; others run no model.
TOKENS: dict[str, Callable[[Amounts], tuple[float, float]]] = {
    "01-activations": _activations,
    "04-neurons": _neurons,
    "05-deactivation": _deactivation,
    "06-steering": _steering,
    "07-alignment": _alignment,
    "08-spontaneous": _spontaneous,
    "09-stability": _stability,
    "10-detectors": _detectors,
}


def estimate(parameters: Mapping[str, Any], chapters: Sequence[str], *, root: Path | None = None) -> Estimate:
    """What some chapters of a run will take, on this machine with its model.

    The model is loaded; how fast it reads is measured on one batch of the text (run twice), how fast it writes on
    sixteen short texts at once. Tokens are those of the text, times what :data:`TOKENS` says of each chapter. It is no
    promise: other work on the machine, and other lengths of text, make it wrong.

    Args:
        parameters: as for :func:`neuroglot.book.chapters.run_chapters`.
        chapters: names of those that will be run.
        root: the project.

    Raises:
        NeuroglotError: the model or the text cannot be loaded, or counted.
    """
    given = defaults(root or project_root()) | dict(parameters)
    if not set(chapters) & set(TOKENS):
        return Estimate(dict.fromkeys(chapters, START), 0)
    start = time.perf_counter()
    model, tokenizer = load_model(given["model"], **(given["model_options"] or {}))
    loading = time.perf_counter() - start
    options = text_options(given["corpus"], given["corpus_options"])
    corpus = load_corpus(given["corpus"], given["languages"], tokenizer=tokenizer, **options)
    if corpus.questions_only:  # their answers are taken to be as long
        answers = (replace(example, response=example.prompt) for example in corpus.examples)
        corpus = replace(corpus, examples=tuple(answers))
    collection = Collection(model, tokenizer, corpus, batch_tokens=given["batch_tokens"])
    total = sum(len(text.ids) for text in collection.texts)
    reading, examples = collection.estimate_seconds() / total, len(corpus.examples)
    recipe = recipe_of(given["preset"], given["recipe"])
    languages = len(corpus.languages)
    of = Amounts(given, languages, examples / languages, total / examples, recipe)
    writing = _writing(model, int(of.tokens))
    seconds = {}
    for name in chapters:
        read, written = TOKENS[name](of) if name in TOKENS else (0.0, 0.0)
        seconds[name] = START + reading * read + writing * written + loading * (name in TOKENS)
    return Estimate(seconds, _memory(collection, of, chapters))


def _memory(collection: Collection, of: Amounts, chapters: Sequence[str]) -> int:
    """That of a count; in chapter 07 of two models, and of the words' likelihoods in a training."""
    needed = collection.memory()
    if "07-alignment" not in chapters:
        return sum(needed.values())
    vocabulary = collection.model.config.get_text_config().vocab_size
    training = 3 * 4 * vocabulary * 2 * of.recipe.micro_batch * of.tokens * bool(of.models[0])
    return int(2 * needed["model"] + max(needed["batch"] + needed["counts"], training))


def _writing(model: PreTrainedModel, tokens: int, rows: int = 16) -> float:
    """Seconds a token, of so many responses that are written together."""
    size = model.config.get_text_config().vocab_size
    ids = (torch.arange(rows * max(tokens, 1)) % size).reshape(rows, -1).to(input_device(model))
    took = []
    for new in (2, 2, 10):  # the first one warms up
        start = time.perf_counter()
        with torch.inference_mode(), evaluating(model):
            how = {"min_new_tokens": new, "max_new_tokens": new, "do_sample": False, "pad_token_id": 0}
            cast(Any, model).generate(ids, attention_mask=torch.ones_like(ids), **how)
        took.append(time.perf_counter() - start)
    return max(took[2] - took[1], 0.0) / 8 / rows


def defaults(root: Path, chapters: Sequence[Chapter] = CHAPTERS) -> dict[str, Any]:
    """The value that each parameter has in the first cells of the chapters, in whichever comes first."""
    import papermill

    found: dict[str, Any] = {}
    for chapter in chapters:
        said = papermill.inspect_notebook(str(root / "notebooks" / f"{chapter.name}.ipynb"))
        found |= {name: ast.literal_eval(one["default"]) for name, one in said.items() if name not in found}
    return found
