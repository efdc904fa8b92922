"""Commands that read a model or what was read of it, from ``sample`` and ``collect`` to ``contexts``."""

import argparse
import shlex
import time
from pathlib import Path

import numpy as np

from ..base.errors import NeuroglotError
from ..base.files import write_bytes
from ..base.locks import write_kept
from ..base.words import counted
from ..counts.activations import ActivationStats
from ..counts.collecting import Collection
from ..counts.reading import read_counts
from ..counts.widths import in_words
from ..model import attribution, sampling
from ..model.processes import leave
from ..model.sites import neuron_layers
from ..neurons import contexts as passages
from ..neurons import detection, identification
from ..neurons.detection import Detection
from ..neurons.identification import NeuronTypes
from ..neurons.sets import read_neurons, stood_in_for, write_neurons
from ..text.corpora import Corpus
from ..text.readers import load_corpus
from ..text.streaming import FileExamples
from . import given
from .given import say, settings


def sample(arguments: argparse.Namespace) -> None:
    """Let the model answer the questions of a corpus."""
    with given.held(arguments):
        corpus = given.text(arguments)
        own = settings(arguments, sampling.sample)
        if "worked" in own:
            own["worked"] = load_corpus(own["worked"], corpus.languages, tokenizer=lambda: given.tokenizer(arguments))
        responses = sampling.sample(*given.model(arguments), corpus, arguments.out, **own)
    say(
        f"wrote {arguments.out}: {len(responses.examples):,} responses; to count them: "
        f"--corpus {shlex.quote(f'jsonl:{arguments.out}')}"
    )


def collect(arguments: argparse.Namespace) -> None:
    """Count how often each neuron is active in each language."""
    if arguments.dry_run:
        _collect(arguments)
        leave()
    else:
        with given.held(arguments):
            _collect(arguments)


# Texts of each language whose language is detected, where there may be millions.
_LOOKED_AT = 200


def _collect(arguments: argparse.Namespace) -> None:
    corpus = given.text(arguments)
    if isinstance(corpus.examples, FileExamples):
        say(f"read from files of {corpus.examples.size / 2**30:.2f} GiB, and not held in memory")
    model, tokenizer = given.model(arguments)
    collection = Collection(model, tokenizer, corpus, **settings(arguments, Collection))
    first = collection.processes.first
    if first and not corpus.questions_only:
        say(corpus.purity(_LOOKED_AT if corpus.streamed else None).to_string(index=False))
    tokens = dict(zip(corpus.languages, collection.tokens.sum(axis=0).tolist(), strict=True))
    say(f"tokens to count: {sum(tokens.values()):,} ({', '.join(f'{c} {n:,}' for c, n in tokens.items())})")
    if collection.split:
        say(f"{collection.split} texts are longer than the context and are counted in pieces")
    if getattr(arguments, "pack", False):
        say(f"texts are joined into {len(collection.texts):,} windows")
    widths = np.array([layer.neurons for layer in collection.layers])
    say(f"neurons: {len(widths)} layers x {in_words(widths)}")
    if arguments.dry_run:
        for what, needed in {"memory": collection.memory(), "disk": collection.disk()}.items():
            each = ", ".join(f"{name} {size / 2**30:.2f} GiB" for name, size in needed.items())
            say(f"{what}: about {sum(needed.values()) / 2**30:.2f} GiB ({each})")
        if first:
            seconds = collection.estimate_seconds()
            say(f"time: about {seconds:.0f} s, {sum(tokens.values()) / seconds:,.0f} counted tokens/s; nothing written")
        return
    start = time.perf_counter()
    collection.run(arguments.out, **settings(arguments, Collection.run))
    say(f"wrote {arguments.out} in {time.perf_counter() - start:.1f} s")


def classify(arguments: argparse.Namespace) -> None:
    """Find specific, related and general neurons in counts."""
    stats = read_counts(arguments.stats, **settings(arguments, read_counts))
    types = identification.classify(stats, **settings(arguments, identification.classify))
    solved = "solved" if types.solved else "given"
    by = f"scores of {types.detector}" if types.lam is None else f"lambda {types.lam:.6g} ({solved})"
    print(f"{by}, tau {types.tau:.6g}, {counted(int(types.selected.sum()), 'neuron')} selected")
    if types.n_starved:
        print(
            f"{counted(types.n_starved, 'neuron')} saw fewer than {types.min_tokens} tokens of a language: unclassified"
        )
    print(types.table()["kind"].value_counts(sort=False).to_string())
    print(
        types.counts_per_language()
        .pivot(index="language", columns="kind", values="neurons")
        .loc[list(types.languages), ["specific", "related"]]
        .to_string()
    )
    _write(arguments, types)


def _write(arguments: argparse.Namespace, found: NeuronTypes | Detection) -> None:
    """Where ``--out`` is given, what was found, or its table as CSV."""
    if hasattr(arguments, "out"):

        def save(path: Path) -> None:
            if path.suffix == ".csv":
                write_bytes(path, found.table().to_csv(index=False, lineterminator="\n").encode())
            else:
                found.save(path)

        write_kept(arguments.out, save, **settings(arguments, write_kept))
        print(f"wrote {arguments.out}")


def attribute(arguments: argparse.Namespace) -> None:
    """Estimate what switching off each neuron does to each language's loss."""
    with given.held(arguments):
        corpus = given.text(arguments)
        model, tokenizer = given.model(arguments)
        own = settings(arguments, attribution.attributions)
        found = attribution.attributions(model, tokenizer, corpus, arguments.out, **own)
    neurons = sum(layer.neurons for layer in neuron_layers(model))
    say(f"wrote {arguments.out}: {neurons:,} neurons, {int(found.tokens.sum()):,} scored tokens")


def detect(arguments: argparse.Namespace) -> None:
    """Find each language's neurons in counts by one method."""
    stats = read_counts(arguments.stats, **settings(arguments, read_counts))
    own = given.options(arguments.changes, ("like", "attributions"), "--like and --attributions")
    if hasattr(arguments, "attributions"):
        own["attributions"] = attribution.Attributions.load(arguments.attributions)
    if hasattr(arguments, "like"):
        own["like"] = stood_in_for(arguments.like, stats)
    found = detection.detect(stats, arguments.method, **own)
    if hasattr(arguments, "take"):
        found = found.take(arguments.take)
    print(f"{found.method}: {', '.join(f'{code} {number:,}' for code, number in found.sizes().items())} neurons")
    _write(arguments, found)


def neurons(arguments: argparse.Namespace) -> None:
    """Read which neurons are each language's, and write them again."""
    found = read_neurons(arguments.found, **settings(arguments, read_neurons))
    shape = f"{found.layers or 'unknown'} layers x {found.width or 'unknown'}"
    sizes = ", ".join(f"{code} {number:,}" for code, number in found.sizes().items())
    print(f"{found.method or 'method unknown'}, {shape}: {sizes} neurons")
    if hasattr(arguments, "out"):
        write_kept(arguments.out, lambda path: write_neurons(path, found), **settings(arguments, write_kept))
        print(f"wrote {arguments.out}")


def contexts(arguments: argparse.Namespace) -> None:
    """Find the texts on which chosen neurons fire most."""
    neurons, languages = _chosen(arguments)
    with given.held(arguments):
        corpus = given.text(arguments, languages)
        model, tokenizer = given.model(arguments)
        own = settings(arguments, passages.top_contexts)
        found = passages.top_contexts(model, tokenizer, corpus, neurons, arguments.out, **own)
    for layer, neuron in found.neurons[: 3 if len(found.neurons) > 3 else None].tolist():
        print("\n".join(_first_lines(found, layer, neuron, corpus)))
    kept = int((found.passage >= 0).sum())
    print(f"wrote {arguments.out}: {counted(kept, 'passage')} of {counted(len(found.neurons), 'neuron')}")


def _chosen(arguments: argparse.Namespace) -> tuple[np.ndarray, str | None]:
    """The neurons that are named, or those of a type; and the languages that types are of."""
    counts, types = (getattr(arguments, name, None) for name in ("counts", "types"))
    if hasattr(arguments, "neuron"):
        if counts is not None or types is not None:
            raise NeuroglotError("--neuron names the neurons; leave out --counts and --types, or leave out --neuron.")
        return np.array(arguments.neuron), None
    if counts is None or types is None:
        raise NeuroglotError("no neuron is chosen; give --counts and --types, or name some with --neuron.")
    found = NeuronTypes.load(types)
    stats = ActivationStats.load(counts).select(found.languages)
    neurons = passages.chosen_neurons(found, stats, **settings(arguments, passages.chosen_neurons))
    if not len(neurons):
        raise NeuroglotError(f"{types} has no neuron of a type; name some with --neuron.")
    return neurons, " ".join(found.languages)


def _first_lines(found: passages.TopContexts, layer: int, neuron: int, corpus: Corpus) -> list[str]:
    """Of one neuron, the text it fires most on in each language."""
    lines = [f"layer {layer}, neuron {neuron}:"]
    for each in found.of(layer, neuron, corpus):
        for context in each["contexts"][:1]:
            words = " ".join("".join(piece for piece, _, _ in context["pieces"]).split())
            lines.append(f"  {each['language']} {context['value']:.3g}: {words[:100]}")
    return lines
