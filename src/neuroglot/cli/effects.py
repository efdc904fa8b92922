"""Commands that change neurons and look at what that does: ``losses``, ``steer``."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, quoted
from ..base.files import require_file
from ..counts.activations import ActivationStats
from ..counts.collecting import collect
from ..effects import asking, removals, steering
from ..effects.matrix import require_own
from ..model import likelihood, sampling
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from . import given
from .given import say, settings


def losses(arguments: argparse.Namespace) -> None:
    """Measure how likely the model finds a text, as it is and without some neurons."""
    types = _types(arguments)
    changes = {removals.AS_IT_IS: None} if types is None else removals.zeroing(_removals(arguments, types))
    with given.held(arguments):
        corpus = given.text(arguments)
        model, tokenizer = given.model(arguments)
        if types is not None:
            _require_own(types, model, corpus)
        own = settings(arguments, likelihood.losses)
        found = likelihood.losses(model, tokenizer, corpus, changes, arguments.out, **own)
    table = pd.DataFrame(np.exp(found.log_perplexity()), found.rows, found.languages)
    say("perplexity of each language's responses (columns), without the neurons of a language (rows):")
    say(table.to_string(float_format="{:.4g}".format))
    say(f"wrote {arguments.out}")


def _types(arguments: argparse.Namespace) -> NeuronTypes | None:
    if hasattr(arguments, "types"):
        return NeuronTypes.load(require_file(arguments.types))
    flags = {"neurons": "neurons", "draws": "draws", "matched": "matched", "stats": "counts", "width": "width"}
    if lacking := [flag for name, flag in flags.items() if hasattr(arguments, name)]:
        raise NeuroglotError(f"--{lacking[0]} is about neurons of some type; give --types, or leave it out.")
    return None


def _removals(arguments: argparse.Namespace, types: NeuronTypes) -> list[removals.Removal]:
    names = dict.fromkeys(getattr(arguments, "neurons", removals.SETS))
    if unknown := [name for name in names if name not in removals.SETS]:
        raise NeuroglotError(f"there is no set {quoted(unknown[0])}; use {', '.join(removals.SETS)}.")
    sets = {name: removals.SETS[name] for name in names}
    own = settings(arguments, removals.removals)
    if "stats" in own:
        own["stats"] = ActivationStats.load(require_file(own["stats"]))
    return removals.removals(types, sets, **own)


def _require_own(types: NeuronTypes, model: PreTrainedModel, corpus: Corpus) -> None:
    """Types of this very model; and a word where the text may be what they were found on."""
    require_own(types.provenance, model)
    if corpus.options.get("apart_from") != types.provenance.get("corpus_sha256"):
        say("note: this text was not held out of the text that these neurons were identified on")


def steer(arguments: argparse.Namespace) -> None:
    """Generate text under one language's neurons driven up and another's switched off."""
    types = NeuronTypes.load(require_file(arguments.types))
    with given.held(arguments):
        corpus = given.text(arguments)
        model, tokenizer = given.model(arguments)
        _require_own(types, model, corpus)
        own = settings(arguments, _steer)
        if "strengths" in own:
            own["strengths"] = {
                way: [given.literal(word) for word in words.split(",")] for way, words in own["strengths"]
            }
        found = _steer(model, tokenizer, corpus, types, arguments.out, **own)
    reached = found[found["output"] == "target"]
    shares = reached.set_index(["target", "way", "neurons", "strength"])["share"].unstack(sort=False)
    say("share of the responses that are in the language steered to, by strength (columns):")
    say(shares.to_string(float_format="{:.2f}".format, na_rep=""))
    say(f"wrote {arguments.out}")


def _steer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    types: NeuronTypes,
    out: Path,
    *,
    source: str | None = None,
    targets: str | None = None,
    strengths: Mapping[str, Sequence[float]] = {"amplify": [0, 4, 8], "set": [0, 1, 2]},
    neurons: str = "specific + related",
    prompts: int = 2,
    means: Path | None = None,
    mean_documents: int = 3,
    shots: int = 1,
    max_new_tokens: int = 32,
    draws: int = 1,
    seed: int = 0,
    overwrite: bool = False,
) -> pd.DataFrame:
    """What chapter 06 does; see :func:`neuroglot.effects.steering.outputs` for the table."""
    source, wanted = steering.directions(types, corpus, source, targets)
    if idle := steering.idle(types, source, wanted, neurons):
        say(f"no neuron to change, so not tried: {', '.join(idle)}")
    of = steering.steerings(source, [code for code in wanted if code not in idle], strengths, draws=draws)
    asked = steering.prompts(corpus, source, prompts)
    if not of or asked is None:
        what = "neuron to change" if asked else f"question in {source}"
        raise NeuroglotError(f"there is no {what}, so nothing to try; give other types or text.")
    average = None
    if any(each.way == "set" and each.strength for each in of):
        if means is None:
            means = out.with_name(f"{out.name}.means.safetensors")
            few = steering.apart_from(corpus, asked).spread(mean_documents)
            collect(model, tokenizer, few, means, quantity="product", moments=True, overwrite=overwrite)
        average = ActivationStats.load(means).select(types.languages).means()
    rows, _ = sampling.sample_rows(
        model,
        tokenizer,
        asked,
        out,
        interventions=steering.driving(types, of, average, neurons, seed=seed),
        shots=asking.shots_for(corpus, [source], shots),
        max_new_tokens=max_new_tokens,
        overwrite=overwrite,
    )
    return steering.outputs(steering.responses(rows, of))
