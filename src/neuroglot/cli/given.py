"""What several commands make of their words: settings, text, a model."""

import argparse
import contextlib
import inspect
import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, quoted
from ..base.locks import alone
from ..model.loading import load_model, load_tokenizer
from ..model.processes import leave, own_device, shared
from ..text.corpora import Corpus
from ..text.languages import parse_languages
from ..text.readers import load_corpus

#: For a command that is told no model or text: those of the default book.
MODEL, CORPUS = "gemma3-270m", "problems"


def settings(arguments: argparse.Namespace, function: Callable[..., object]) -> dict[str, Any]:
    """What the command line gives of a function's arguments that have defaults; the others keep these."""
    parameters = inspect.signature(function).parameters.values()
    names = [one.name for one in parameters if one.default is not one.empty]
    return {name: getattr(arguments, name) for name in names if hasattr(arguments, name)}


@contextlib.contextmanager
def held(arguments: argparse.Namespace) -> Iterator[None]:
    """The lock of ``--out``, before a model is loaded, for all the processes that share the run."""
    with alone(arguments.out, **settings(arguments, alone), once=shared):
        yield
    leave()


def text(arguments: argparse.Namespace, languages: str | None = None) -> Corpus:
    """The text that a command is about: what :func:`neuroglot.load_corpus` reads, or a corpus file of the book."""
    corpus = _corpus(arguments, getattr(arguments, "languages", languages))
    say(f"text: {corpus.name}, {len(corpus.examples):,} examples in {', '.join(corpus.languages)}")
    return corpus


def _corpus(arguments: argparse.Namespace, languages: str | None) -> Corpus:
    options = corpus_options(arguments)
    spec = getattr(arguments, "corpus", CORPUS)
    if ":" in spec or not spec.endswith(".jsonl"):
        return load_corpus(spec, languages, tokenizer=lambda: tokenizer(arguments), **options)
    if options:
        raise NeuroglotError(f"{spec} is read as it is; leave out the options of the corpus.")
    codes = parse_languages(languages)
    corpus = Corpus.load(spec)
    return corpus if codes is None else corpus.only(codes)


def corpus_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of ``--corpus-option``."""
    own = ("spec", "languages", "tokenizer")
    return options(arguments.corpus_option, own, "--corpus, --languages and --model")


def tokenizer(arguments: argparse.Namespace) -> PreTrainedTokenizerBase:
    """The tokenizer of the model that a command is about, where a text is read with it before the model is loaded."""
    return load_tokenizer(getattr(arguments, "model", MODEL), **settings(arguments, load_tokenizer))


def model(arguments: argparse.Namespace) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The model that a command is about, on this process's own accelerator where several share the run."""
    device = own_device()
    if device is not None and hasattr(arguments, "device_map"):
        raise NeuroglotError("several processes take one accelerator each; leave out --device-map, or start only one.")
    own = {} if device is None else {"device_map": device}
    return load_model(getattr(arguments, "model", MODEL), **(own | model_options(arguments)))


def model_options(arguments: argparse.Namespace) -> dict[str, Any]:
    """Options of :func:`neuroglot.load_model`, by its own flags and by ``--model-option``."""
    own = ("name", "revision", "dtype", "device_map", "trust_remote_code")
    refused = "--model, --revision, --dtype, --device-map and --trust-remote-code"
    return settings(arguments, load_model) | options(arguments.model_option, own, refused)


def options(given: Sequence[Sequence[str]], own: Sequence[str], flags: str) -> dict[str, Any]:
    """Pairs of name and value; those that have a flag of their own are refused."""
    if taken := [name for name, _ in given if name in own]:
        raise NeuroglotError(f"the option {quoted(taken[0])} has a flag of its own; use {flags}.")
    return pairs(given)


def pairs(given: Sequence[Sequence[str]]) -> dict[str, Any]:
    """By name, each value as :func:`literal` reads it."""
    return {name: literal(value) for name, value in given}


def literal(word: str) -> Any:
    """A number, true, false or null as JSON has them; any other text as it is."""
    try:
        return json.loads(word)
    except (ValueError, RecursionError):  # also of a number too long, or of lists too deep
        return word


def say(words: str) -> None:
    """Print, once for all the processes that share a run."""
    if os.environ.get("RANK", "0") == "0":
        print(words, flush=True)
