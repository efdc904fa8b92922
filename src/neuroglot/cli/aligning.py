"""Commands about what alignment changes: ``align``, ``compare``."""

import argparse
import shlex
import time
from pathlib import Path

import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..alignment import comparison, training
from ..alignment.preferences import Preferences, candidates, prefer
from ..alignment.reading import readable
from ..alignment.scorers import named
from ..base.errors import NeuroglotError
from ..base.files import require_file
from ..base.locks import write_kept
from ..base.tables import write_tables
from ..counts.activations import ActivationStats
from ..model.sampling import sample
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from ..text.languages import parse_languages
from ..text.readers import load_corpus
from . import given
from .given import settings


def align(arguments: argparse.Namespace) -> None:
    """Train an adapter that answers other languages as the pivot is answered."""
    training.require_folder(arguments.out)
    _align(arguments, **settings(arguments, _align))


def _align(
    arguments: argparse.Namespace,
    *,
    languages: str = "zh,de",
    pivot: str = "en",
    preset: str = "small",
    shuffle: bool = False,
    seed: int = 0,
) -> None:
    recipe = training.recipe_of(preset, given.pairs(arguments.changes))
    codes = parse_languages(languages, least=1)
    assert codes is not None
    with given.held(arguments):
        model, tokenizer = given.model(arguments)
        used = _pairs(arguments, model, tokenizer, codes, pivot)
        print(used.table().to_string(index=False))
        used = used.shuffled(seed) if shuffle else used
        start = time.perf_counter()
        done = training.align(model, tokenizer, used, arguments.out, recipe, **settings(arguments, training.align))
    first, last = done.log.iloc[0], done.log.iloc[-1]
    print(f"loss {first['loss']:.3f} in step 1, {last['loss']:.3f} in step {last['step']:.0f}")
    print(f"wrote {arguments.out} in {time.perf_counter() - start:.1f} s")
    words = ["--model", getattr(arguments, "model", given.MODEL), "-p", "after", str(arguments.out)]
    print(f"what changed: neuroglot book {shlex.join(words)}")


def _pairs(
    arguments: argparse.Namespace,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    languages: tuple[str, ...],
    pivot: str,
) -> Preferences:
    """Those of ``--pairs`` if it is there, else new ones, written there or beside the training."""
    chosen = getattr(arguments, "pairs", None)
    pairs = chosen or arguments.out.with_name(f"{arguments.out.name}.preferences.jsonl")
    if chosen is None or not pairs.exists():
        own = settings(arguments, _preferences)
        preferences = _preferences(arguments, model, tokenizer, languages, pivot, **own)
        write_kept(pairs, preferences.save, **settings(arguments, write_kept))
        print(f"wrote {pairs}")
        return preferences
    if hasattr(arguments, "apart_from"):
        raise NeuroglotError(f"{pairs} is there already, so --apart-from cannot be kept to; leave one of them out.")
    print(f"using the pairs in {pairs}: corpus, responses and scorer are theirs")
    preferences = Preferences.load(pairs)
    if preferences.pivot != pivot or set(preferences.languages) != set(languages):
        raise NeuroglotError(
            f"{pairs} has pairs in {' '.join(preferences.languages)} with the pivot {preferences.pivot}; "
            "give these languages, or another file."
        )
    return preferences


def _preferences(
    arguments: argparse.Namespace,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    languages: tuple[str, ...],
    pivot: str,
    *,
    responses: str = "corrupted",
    n: int = 4,
    temperature: float = 0.8,
    scorer: str = "exact",
    apart_from: Path | None = None,
    seed: int = 0,
) -> Preferences:
    corpus, options = getattr(arguments, "corpus", given.CORPUS), given.corpus_options(arguments)
    if corpus == given.CORPUS:  # easy ones, and others than those that neurons are counted on
        options = {"n": 96, "seed": 2, "levels": "1"} | options
    questions = load_corpus(corpus, tokenizer=tokenizer, **options)
    if apart_from is not None:
        questions = questions.apart_from(Corpus.load(apart_from))
    judge = named(scorer, model, tokenizer)
    path = arguments.out.with_name(f"{arguments.out.name}.responses.jsonl")
    sampling = {"n": n, "temperature": temperature} | settings(arguments, sample)
    offered = candidates(responses, questions, languages, model, tokenizer, path, seed=seed, sampling=sampling)
    return prefer(offered, questions, judge, languages=languages, pivot=pivot)


def compare(arguments: argparse.Namespace) -> None:
    """Set a model's neurons after a change beside those before it, and the change beside a control's."""
    if twice := [path for path in arguments.after if arguments.after.count(path) > 1]:
        raise NeuroglotError(f"{twice[0]} is named twice; name the counts of different models.")
    types = NeuronTypes.load(require_file(arguments.types))
    before, *after = (ActivationStats.load(path) for path in (arguments.before, *arguments.after))
    control = [ActivationStats.load(path) for path in getattr(arguments, "control", ())]
    own = settings(arguments, comparison.compare)
    changes = comparison.compare(types, before, after, control, **own).table()
    thresholds = own.get("thresholds", "kept")
    first, *others = (
        comparison.classified(types, stats.select(types.languages), thresholds) for stats in (before, *after)
    )
    moves = pd.concat(
        [
            comparison.transitions(first, other).assign(model=str(path))
            for other, path in zip(others, arguments.after, strict=True)
        ]
    )
    totals = changes[changes["what"] == "all"]
    print(readable(totals.drop(columns=["what", "place"])).to_string(index=False))
    for model, part in moves.groupby("model", sort=False):
        print(f"neurons of each type before (rows) and after (columns), {model}:")
        print(part.pivot(index="before", columns="after", values="neurons").to_string())
    content = {"changes": changes, "transitions": moves}
    write_kept(arguments.out, lambda path: write_tables(path, content), **settings(arguments, write_kept))
    print(f"wrote {arguments.out}")
