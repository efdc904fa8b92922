"""One prompt under one intervention: what the model says as it is, with it, and with random neurons in its place."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, is_number, quoted
from ..counts.activations import ActivationStats
from ..model.interventions import Intervention
from ..model.likelihood import losses
from ..model.sampling import continued
from ..neurons.drawing import matched_like, random_like
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus, Example
from ..text.languages import loops, main_language
from .removals import AS_IT_IS, BOTH, SETS, firing_rates

#: What is done to a set of neurons: switched off, their values times the strength, or set to so many times their mean
#: in the language.
OFF, TIMES, TO_MEAN = "off", "times", "set to the mean"
WAYS = (OFF, TIMES, TO_MEAN)

#: What the model says with the intervention, and with random neurons in place of the set.
CHANGED, RANDOM = "with the intervention", "with random neurons"


class NeuronSet(Protocol):
    """Neurons by language, as :class:`neuroglot.NeuronTypes` has them."""

    languages: tuple[str, ...]

    def neurons(self, language: str) -> Sequence[np.ndarray]:
        """One index array per layer."""


@dataclass(frozen=True)
class Setting:
    """What is played.

    Attributes:
        prompt: text that the model goes on from.
        language: whose neurons are changed.
        neurons: one of :data:`neuroglot.effects.removals.SETS`, or the name of another set.
        way: one of :data:`WAYS`.
        strength: a factor, or multiples of the mean; of no meaning for :data:`OFF`.
        new_tokens: how many are written, at most.
    """

    prompt: str
    language: str
    neurons: str = BOTH
    way: str = OFF
    strength: float = 1.0
    new_tokens: int = 32


@dataclass(frozen=True)
class Played:
    """What chapter 06 plays: a prompt, and what is done on it."""

    prompt: str
    settings: tuple[Setting, ...]


def example(
    questions: Corpus | None,
    types: NeuronTypes,
    source: str,
    targets: Sequence[str],
    headline: Mapping[str, float],
    new_tokens: int,
) -> Played:
    """The first question with the source's neurons off, and with the first target's driven up, as chapter 06 does both.

    Args:
        questions: prompts in the source language; ``None`` for none, of which nothing is played.
        types: whose neurons.
        source, targets: languages.
        headline: by way of :data:`neuroglot.effects.steering.WAYS`, the strength.
        new_tokens: how many are written, at most.
    """
    prompt = questions.examples[0].prompt.strip() if questions else ""
    ways = [(source, OFF, 1.0)]
    for code in targets[:1]:
        ways += [(code, TIMES, headline["amplify"])] if "amplify" in headline else []
        ways += [(code, TO_MEAN, headline["set"])] if "set" in headline else []
    having = [each for each in ways if sum(map(len, types.neurons(each[0], SETS[BOTH])))] if prompt else []
    return Played(
        prompt, tuple(Setting(prompt, code, BOTH, way, strength, new_tokens) for code, way, strength in having)
    )


def changes(
    types: NeuronTypes,
    setting: Setting,
    *,
    stats: ActivationStats | None = None,
    means: np.ndarray | None = None,
    others: Mapping[str, NeuronSet] | None = None,
    seed: int = 0,
) -> dict[str, Intervention | None]:
    """The model as it is, the intervention, and the same on random neurons of the same layers.

    Args:
        types: whose languages' neurons.
        setting: what is done.
        stats: the counts that the types were identified on: random neurons are then as often active in the language.
        means: ``[layers, neurons, languages]`` as of :meth:`neuroglot.ActivationStats.means`, with
            ``quantity="product"``, in the languages of ``types``; for :data:`TO_MEAN`.
        others: further sets of neurons by name, of the same model.
        seed: of the random neurons.

    Raises:
        NeuroglotError: an unknown language, set or way, a strength that is none, no means, a set without a neuron.
    """
    shape, others = types.score.shape, others or {}
    if setting.way not in WAYS:
        raise NeuroglotError(f"there is no way {quoted(setting.way)}; use {', '.join(WAYS)}.")
    if not is_number(setting.strength):
        raise NeuroglotError(f"strength {quoted(setting.strength)}: give a number.")
    if setting.neurons in SETS:
        own = types.neurons(setting.language, SETS[setting.neurons])
    elif setting.neurons in others:
        own = list(others[setting.neurons].neurons(setting.language))
    else:
        raise NeuroglotError(f"there is no set {quoted(setting.neurons)}; use {', '.join([*SETS, *others])}.")
    if len(own) != shape[0]:
        raise NeuroglotError(f"the set {setting.neurons} has {len(own)} layers and the model {shape[0]}; give its own.")
    if not sum(map(len, own)):
        raise NeuroglotError(f"{setting.language} has no {setting.neurons} neurons; choose another set or language.")
    seeds = ("playing", seed, setting.language, setting.neurons)
    if stats is None:
        drawn = random_like(own, types.layer_widths, seeds)
    else:
        rates = firing_rates(types, stats)[..., types.languages.index(setting.language)]
        drawn = matched_like(own, rates, seeds)
    done: dict[str, Any] = {"values": 0.0} if setting.way == OFF else {"factor": float(setting.strength)}
    if setting.way == TO_MEAN:
        if means is None:
            raise NeuroglotError("there are no means to set neurons to; give them, or choose another way.")
        done = {"values": setting.strength * means[..., types.languages.index(setting.language)]}
    return {AS_IT_IS: None, CHANGED: Intervention(own, **done), RANDOM: Intervention(drawn, **done)}


def play(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    setting: Setting,
    interventions: Mapping[str, Intervention | None],
    told: Callable[[dict[str, str]], bool] = lambda _: False,
) -> pd.DataFrame:
    """Responses under each intervention, written together.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        setting: the prompt, and how many tokens.
        interventions: from :func:`changes`.
        told: called after each token with what is there, by name; where it is true, all end.

    Returns:
        One row per intervention: ``done`` (its name), ``changed`` (neurons), ``response``, ``in`` (the language that is
        detected; ``"in circles"`` of text that repeats itself, missing where none is clear), ``nats`` per token that
        the unchanged model needs for it (missing of an empty response), ``tokens``.
    """
    names = list(interventions)
    said = continued(
        model,
        tokenizer,
        setting.prompt,
        list(interventions.values()),
        max_new_tokens=setting.new_tokens,
        told=lambda texts: told(dict(zip(names, texts, strict=True))),
    )
    rows = [
        {
            "done": name,
            "changed": sum(map(len, each.neurons)) if each else 0,
            "response": response,
            "in": "in circles" if loops(response) else main_language(response),
        }
        for (name, each), response in zip(interventions.items(), said, strict=True)
    ]
    examples = [Example(str(n), setting.language, setting.prompt, text) for n, text in enumerate(said) if text.strip()]
    cost = {}
    if examples:
        found = losses(model, tokenizer, Corpus("played", (setting.language,), tuple(examples)), progress=False)
        units = zip(found.units, found.nll[0, 0], found.tokens[0], strict=True)
        cost = {int(unit): (float(nll / tokens), int(tokens)) for unit, nll, tokens in units if tokens}
    table = pd.DataFrame(rows)
    table["nats"] = [cost.get(n, (np.nan, 0))[0] for n in range(len(rows))]
    table["tokens"] = [cost.get(n, (np.nan, 0))[1] for n in range(len(rows))]
    return table
