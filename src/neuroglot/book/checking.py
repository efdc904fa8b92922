"""Show on a user's own model what the tests show on tiny ones: :func:`check`, one plain sentence for each finding."""

import contextlib
import os
import sys
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from typing import Any

import numpy as np
import torch
from accelerate.utils import align_module_device
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.pytorch_utils import Conv1D

from ..base import plugins
from ..base.errors import NeuroglotError, in_a_line, quoted
from ..counts.collecting import Collection
from ..counts.counting import Counter, count_activations
from ..model.batches import tokenize
from ..model.experts import Given, given_to
from ..model.formulas import Formula, own_formula, transposed
from ..model.interventions import deactivate
from ..model.layers import Layer, Mlp, Site, Sites, blocks, most_neurons
from ..model.loading import evaluating, input_device, itself
from ..model.sites import SITES, entry_point, keeps_sign, neuron_layers, neuron_site
from ..text.corpora import Corpus
from ..text.languages import is_detectable, is_language

OK, FAILED, UNKNOWN = "ok", "FAILED", "unknown"


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        about: what was looked at.
        verdict: ``"ok"``, ``"FAILED"``, or ``"unknown"`` where it cannot be told.
        said: a sentence.
    """

    about: str
    verdict: str
    said: str

    def __str__(self) -> str:
        return f"{self.verdict:8}{self.about}: {self.said}"


def check(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> list[Finding]:
    """Whether what neuroglot does can be relied on with this model and this text, in about a minute.

    Looked at are: where the neurons are; counts, beside plain arithmetic in float64; logits while neurons are read;
    a removal, beside zeroed weights; the tokenizer; the detector of languages; time and memory of a count. The model is
    as it was afterwards.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: the text that is to be counted; questions will do.
    """
    return list(findings(model, tokenizer, corpus))


def findings(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> Iterator[Finding]:
    """Those of :func:`check`, each as soon as it is there."""
    probe = _Probe(itself(model), tokenizer, corpus)
    for about, look in _LOOKS.items():
        try:
            with torch.inference_mode(), evaluating(probe.model):
                verdict, said = look(probe)
        except NeuroglotError as error:
            verdict, said = FAILED, str(error)
        except Exception as error:  # the model's and the tokenizer's code are others'
            verdict, said = FAILED, f"{type(error).__name__}: {in_a_line(error)}"
        yield Finding(about, verdict, said)


_Said = tuple[str, str]

#: Tokens of each of the texts that the model runs on here; of different lengths, so that there is padding.
_LENGTHS = (32, 24, 12)


@dataclass(frozen=True)
class _Ran:
    """What one layer was given in a pass, and what it made of it; ``[tokens, ...]`` each.

    ``x`` is what its gate was given, ``given`` what its experts were; ``value`` what the down projection was given, or
    what the experts gave; ``others`` what other linear modules gave.
    """

    x: torch.Tensor | None = None
    value: torch.Tensor | None = None
    given: Given | None = None
    others: tuple[torch.Tensor, ...] = ()


class _Probe:
    """A model, and a few tokens of the text to try it on."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus) -> None:
        self.model, self.tokenizer, self.corpus = model, tokenizer, corpus
        # What will be counted: of questions, the questions, since there is nothing else yet.
        # Of token ids, which are checked as they are read, the text: what the tokenizer makes of it is tried.
        examples = [replace(example, tokens=None) for example in corpus.examples]
        if corpus.questions_only:
            examples = [replace(example, prompt="", response=example.prompt) for example in examples]
        self.text = replace(corpus, examples=tuple(examples))

    @cached_property
    def site(self) -> Site | Sites:
        return neuron_site(self.model)

    @cached_property
    def layers(self) -> list[Layer]:
        return neuron_layers(self.model, self.site)

    @cached_property
    def places(self) -> list["_Place"]:
        """All MLPs of all layers."""
        site = self.site
        rows = [(site,)] * len(self.layers) if isinstance(site, Site) else site.mlps
        own = (zip(layer.mlps, row, strict=True) for layer, row in zip(self.layers, rows, strict=True))
        return [_Place(number, mlp, one) for number, mlps in enumerate(own) for mlp, one in mlps]

    @cached_property
    def quantity(self) -> str:
        return "pre-activation" if keeps_sign(self.layers) else "activation"

    @cached_property
    def rows(self) -> list[tuple[list[int], list[bool]]]:
        """A few tokens of the first documents, in different languages as far as they go; and what is counted."""
        few = self.text.spread(len(_LENGTHS)).examples
        one_of_each = list({example.language: example for example in reversed(few)}.values())[::-1]
        chosen = [*one_of_each, *(e for e in few if e not in one_of_each)][: len(_LENGTHS)]
        bare = tuple(replace(example, prompt="") for example in chosen)
        codes = tuple(code for code in self.text.languages if code in {e.language for e in bare})
        rows = tokenize(self.tokenizer, replace(self.text, languages=codes, examples=bare))
        return [(ids[:most], counted[:most]) for (ids, counted), most in zip(rows, _LENGTHS, strict=False)]

    @cached_property
    def batch(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``ids``, which are tokens, and which are counted, ``[rows, tokens]`` each, padded on the right."""
        device, width = input_device(self.model), max(len(ids) for ids, _ in self.rows)
        ids, mask, counted = (torch.zeros(len(self.rows), width, dtype=torch.long) for _ in range(3))
        for row, (own, kept) in enumerate(self.rows):
            ids[row, : len(own)], mask[row, : len(own)] = torch.tensor(own), 1
            counted[row, : len(own)] = torch.tensor(kept)
        return ids.to(device), mask.to(device), counted.to(device)

    def logits(self) -> torch.Tensor:
        """Of the tokens; the padding, on the right, is seen by none of them."""
        ids, mask, _ = self.batch
        logits: torch.Tensor = self.model(input_ids=ids, use_cache=False).logits
        return logits[mask.bool()]

    def watched(self, run: Callable[[], object]) -> list[_Ran]:
        """What every MLP was given and made while ``run`` ran, by hooks of this module alone."""
        seen: list[dict[str, Any]] = [{"others": []} for _ in self.places]
        inside = blocks(self.model, self.site)
        handles = []
        for place, own in zip(self.places, seen, strict=True):
            mlp, block = place.mlp, inside[place.layer]
            if mlp.experts is not None:
                handles.append(mlp.experts.register_forward_pre_hook(_keep_routed(own), with_kwargs=True))
                handles.append(mlp.experts.register_forward_hook(_keep_output(own)))
                continue
            assert mlp.gate is not None and mlp.down is not None
            handles.append(mlp.gate.register_forward_pre_hook(_keep_input(own, "x")))
            handles.append(mlp.down.register_forward_pre_hook(_keep_input(own, "value")))
            for module in block.modules():
                if module not in (mlp.gate, mlp.down) and _weight(module) is not None:
                    handles.append(module.register_forward_hook(_keep_other(own, mlp.width)))
        try:
            run()
        finally:
            for handle in handles:
                handle.remove()
        return [_Ran(**own | {"others": tuple(own["others"])}) for own in seen]


@dataclass(frozen=True)
class _Place:
    """An MLP: the number of its layer, itself, and where it is."""

    layer: int
    mlp: Mlp
    site: Site


def _keep_input(own: dict[str, Any], name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], None]:
    return lambda _module, args: own.__setitem__(name, _flat(args[0]))


def _keep_other(own: dict[str, Any], width: int) -> Callable[[nn.Module, object, torch.Tensor], None]:
    return lambda _module, _args, output: own["others"].append(_flat(output)) if output.shape[-1] == width else None


def _keep_output(own: dict[str, Any]) -> Callable[[nn.Module, object, torch.Tensor], None]:
    def keep(_module: nn.Module, _args: object, output: Any) -> None:
        own["value"] = _flat(output[0] if isinstance(output, tuple) else output)

    return keep


def _keep_routed(own: dict[str, Any]) -> Callable[[nn.Module, tuple[torch.Tensor, ...], dict[str, torch.Tensor]], None]:
    def keep(module: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, torch.Tensor]) -> None:
        given = given_to(module, args, kwargs)
        x, chosen, shares = map(_flat, (given.x, given.chosen, given.shares))
        own["given"] = Given(x, chosen, shares, given.apart, given.bias)

    return keep


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().flatten(0, -2).clone()


def _weight(module: nn.Module) -> torch.Tensor | None:
    """The weight of a plain linear module, ``[outputs, inputs]``; nothing of one that is quantized, or none."""
    weight = getattr(module, "weight", None)
    if (
        not isinstance(module, nn.Linear | Conv1D)
        or not isinstance(weight, torch.Tensor)
        or not weight.is_floating_point()
    ):
        return None
    return weight.T if isinstance(module, Conv1D) else weight


# --- plain arithmetic ---------------------------------------------------------------------------


def _of_expert(mlp: Mlp, name: str, expert: int) -> tuple[torch.Tensor, torch.Tensor | None]:
    """An expert's weight, ``[outputs, inputs]``, and its bias."""
    weight, bias = attrgetter(name)(mlp.experts)[expert], getattr(mlp.experts, f"{name}_bias", None)
    assert mlp.experts is not None
    weight = weight.T if transposed(mlp.experts) else weight
    return weight, None if bias is None else bias[expert]


def _gates(mlp: Mlp, products: torch.Tensor) -> torch.Tensor:
    """The pre-activations among what the first projection makes."""
    if mlp.experts is not None and own_formula(mlp.experts):
        return Formula(mlp.experts).gate(products)
    z = products[:, : mlp.width]
    return z if mlp.before is None else mlp.before(z)


def _halves(layer: Mlp, site: Site, ran: _Ran, expert: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Which tokens an expert sees (0 in a dense layer: all); ``x W`` in float64; how far the model's may be off.

    Off by is what a sum in float32 of as many products can be.
    """
    weight: torch.Tensor | None
    if layer.experts is not None:
        assert ran.given is not None
        weight, bias = _of_expert(layer, site.gate, expert)
        seen = ran.given.sees(expert).nonzero()[:, 0]
        x = ran.given.of(expert, seen)
    else:
        assert layer.gate is not None
        with align_module_device(layer.gate):
            weight, bias = _weight(layer.gate), getattr(layer.gate, "bias", None)
        assert ran.x is not None
        x = ran.x
        seen = torch.arange(len(x))
    assert weight is not None
    x, weight = x.double(), weight.double()
    products = x @ weight.T + (0 if bias is None else bias.double())
    off = x.norm(dim=1)[:, None] * weight.norm(dim=1) * torch.finfo(torch.float32).eps * weight.shape[1] ** 0.5
    return seen, products, off


def _arithmetic(probe: _Probe, ran: list[_Ran], counted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For each neuron, the counted tokens that it is active for, and those where rounding decides.

    int64 ``[layers, neurons]`` both.
    """
    shape = len(probe.layers), most_neurons(probe.layers)
    active, open_ = (torch.zeros(shape, dtype=torch.long) for _ in range(2))
    for place, one in zip(probe.places, ran, strict=True):
        number, mlp = place.layer, place.mlp
        for expert in range(mlp.n_experts):
            seen, products, off = _halves(mlp, place.site, one, expert)
            value = _gates(mlp, products)
            if probe.quantity == "activation":
                value = _activated(mlp, value)
            off = off[:, : mlp.width] if off.shape == value.shape or mlp.before else _gates(mlp, off)
            kept = counted.to(value.device)[seen, None]
            own = mlp.of_expert(expert)
            active[number, own] = ((value > off) & kept).sum(0).cpu()
            open_[number, own] = ((value.abs() <= off) & kept).sum(0).cpu()
    return active, open_


def _activated(mlp: Mlp, z: torch.Tensor) -> torch.Tensor:
    """Its non-linearity, in the numbers that it is made for."""
    learned = list(mlp.activation.parameters()) if isinstance(mlp.activation, nn.Module) else []
    return mlp.activation(z.to(learned[0].dtype)).to(z.dtype) if learned else mlp.activation(z)


def _proven(layer: Mlp, site: Site, ran: _Ran) -> bool:
    """Whether the value of the neurons, as the layer goes on with it, is what the site's weights make of its input."""
    assert ran.value is not None
    if layer.experts is not None:
        assert ran.given is not None
        value_of_all = ran.given.together(ran.value)
        made, experts = torch.zeros_like(value_of_all, dtype=torch.float64), layer.experts
        for expert in range(layer.n_experts):
            seen, both, _ = _halves(layer, site, ran, expert)
            if own_formula(experts):
                value = Formula(experts).product(both)
            else:
                value = layer.activation(both[:, : layer.width])
                value = value * both[:, layer.width :] if site.fused else value
            share = ran.given.share(expert).double()[seen, None]
            down, bias = _of_expert(layer, site.down, expert)
            made[seen] += share * (value @ down.double().T + (0 if bias is None else bias.double()))
        return _close(made, value_of_all)
    _, products, _ = _halves(layer, site, ran, 0)
    value = _activated(layer, _gates(layer, products))
    if site.fused:
        return any(_close(value * (products[:, layer.width :] + plus), ran.value) for plus in (0.0, 1.0))
    return _close(value, ran.value) or any(_close(value * up.double(), ran.value) for up in ran.others)


def _close(made: torch.Tensor, there: torch.Tensor) -> bool:
    """Equal but for rounding in the numbers of ``there``."""
    tolerance = 3e-2 if there.dtype in (torch.float16, torch.bfloat16) else 1e-4
    scale = there.double().abs().max().item()
    return scale > 0 and (made - there.double()).abs().max().item() <= tolerance * scale


# --- what is looked at --------------------------------------------------------------------------


def _neurons(probe: _Probe) -> _Said:
    site, family = probe.site, probe.model.config.model_type
    ran = probe.watched(probe.logits)
    point = entry_point(probe.model)
    tried = f"given by {plugins.package(point)}" if point else "found by trying its modules on a few tokens"
    known = "in the table of architectures" if family in SITES else tried
    said = (
        f"{quoted(family)}, {known}: {_shape(probe.layers)} at {site.neurons}; active is one whose {probe.quantity} is "
        "above 0; "
    )
    mlps = [place.mlp for place in probe.places]
    if plain := [mlp for mlp in mlps if mlp.gate is not None and _weight(mlp.gate) is None]:
        return UNKNOWN, f"{said}not proven, since its {type(plain[0].gate).__name__} has no plain weights"
    wrong = [at.layer for at, one in zip(probe.places, ran, strict=True) if not _proven(at.mlp, at.site, one)]
    if wrong:
        return FAILED, f"{said}but in layer {wrong[0]} these are not what the rest of the layer goes on with"
    return OK, f"{said}proven in every layer: what it goes on with is what plain arithmetic makes of these weights"


def _shape(layers: Sequence[Layer]) -> str:
    """Layers and neurons in words."""
    numbers = sorted({layer.neurons for layer in layers})
    each = f"{numbers[0]:,}" if len(numbers) == 1 else f"{numbers[0]:,} to {numbers[-1]:,}"
    experts = next((mlp.n_experts for layer in layers for mlp in layer.mlps if mlp.experts is not None), 0)
    return f"{len(layers)} layers x {each} neurons{f' in {experts} experts' * bool(experts)}"


def _counts(probe: _Probe) -> _Said:
    if any(at.mlp.gate is not None and _weight(at.mlp.gate) is None for at in probe.places):
        return UNKNOWN, "the weights are not plain numbers, so nothing can be computed beside them"
    ids, mask, counted = probe.batch
    found: list[torch.Tensor] = []

    def count() -> None:
        found.append(count_activations(probe.model, ids, mask, counted, quantity=probe.quantity))

    ran = probe.watched(count)
    active, open_ = _arithmetic(probe, ran, (counted * mask).bool().flatten().cpu())
    differing = (found[0] < active) | (found[0] > active + open_)
    what = f"{int(counted.sum())} tokens x {sum(layer.neurons for layer in probe.layers):,} neurons"
    if differing.any():
        return FAILED, f"{what}: the counts of {int(differing.sum()):,} neurons are not those of plain arithmetic"
    near = f"; {int(open_.sum()):,} signs are within rounding of zero" * bool(open_.any())
    return OK, f"{what}, counted as plain arithmetic in float64 does, {int(found[0].sum()):,} times active{near}"


def _reading(probe: _Probe) -> _Said:
    before = probe.logits()
    _, _, counted = probe.batch
    counter = Counter(probe.layers, quantity=probe.quantity, moments=True)
    counter.count(counted.reshape(1, -1).float(), torch.zeros(1, dtype=torch.long))
    with counter.attached():
        during = probe.logits()
    after = probe.logits()
    if not torch.equal(before, after):
        return FAILED, "the logits of the same tokens differ from one pass to the next"
    if not torch.equal(before, during):
        off = (before - during).abs().max().item()
        return FAILED, f"reading the neurons changes the logits, by up to {off:.2g}"
    return OK, f"all {before.numel():,} logits are the same, bit for bit, while the neurons are read"


def _removal(probe: _Probe) -> _Said:
    generator = np.random.default_rng(0)
    some = [np.sort(generator.permutation(own.neurons)[: max(1, own.neurons // 10)]) for own in probe.layers]
    weights = [_down(place.mlp, place.site) for place in probe.places]
    if any(weight is None or weight.device.type == "meta" for weight in weights):
        return (
            UNKNOWN,
            "the weights of the down projections cannot be changed here, so there is nothing to compare with",
        )
    before = probe.logits()
    with deactivate(probe.model, some):
        removed = probe.logits()
    with contextlib.ExitStack() as stack:
        for place, weight in zip(probe.places, weights, strict=True):
            assert weight is not None
            index, mlp = some[place.layer], place.mlp
            own = index[(index >= mlp.start) & (index < mlp.columns.stop)] - mlp.start
            stack.enter_context(_zeroed(weight, own, mlp.width))
        zeroed = probe.logits()
    effect, off = ((one - zeroed).abs().max().item() for one in (before, removed))
    what = f"{sum(map(len, some)):,} random neurons"
    if not torch.equal(before, probe.logits()):
        return FAILED, "the model is not what it was after a removal"
    if not effect:
        return UNKNOWN, f"the logits do not depend on {what}, so there is nothing to compare"
    if off > 0.05 * effect:
        return FAILED, f"without {what} the logits are off by {off:.2g} from those with zeroed weights ({effect:.2g})"
    return (
        OK,
        f"without {what} the logits change by up to {effect:.2g}, as with their weights set to zero, to {off:.1g}",
    )


def _down(layer: Mlp, site: Site) -> torch.Tensor | None:
    """The down projection's weight, ``[outputs, neurons]`` or ``[experts, outputs, neurons]``."""
    if layer.experts is not None:
        experts: torch.Tensor = attrgetter(site.down)(layer.experts)
        return experts.transpose(1, 2) if transposed(layer.experts) else experts
    assert layer.down is not None
    return _weight(layer.down)


@contextlib.contextmanager
def _zeroed(weight: torch.Tensor, index: np.ndarray, width: int) -> Iterator[None]:
    """While active, the columns of some neurons are zero."""
    where = torch.as_tensor(index, device=weight.device)
    expert, column = where // width, where % width
    at = (expert, slice(None), column) if weight.ndim == 3 else (slice(None), column)
    kept = weight[at].clone()
    weight[at] = 0
    try:
        yield
    finally:
        weight[at] = kept


def _beginning(probe: _Probe) -> _Said:
    tokenizer, first = probe.tokenizer, probe.tokenizer.bos_token_id
    if first is None:
        return OK, "the tokenizer has no beginning token"
    name, (ids, counted) = quoted(tokenizer.bos_token), probe.rows[0]
    one = probe.text.examples[0]
    own = replace(one, prompt="", response=f"{tokenizer.bos_token}{one.response}")
    (twice, _), *_ = tokenize(tokenizer, replace(probe.text, languages=(one.language,), examples=(own,)))
    if twice[:2] == [first, first] or ids[:2] == [first, first]:
        return FAILED, f"a text begins with {name} twice"
    if ids[0] == first:
        if counted[0]:
            return FAILED, f"{name}, which the tokenizer puts first, is counted as text"
        return OK, f"the tokenizer puts {name} first, once, and it is not counted"
    without, with_ = (_nats(probe.model, given, len(ids) - 1) for given in (ids, [first, *ids]))
    if with_ < without - 0.5:
        return FAILED, (
            f"the tokenizer does not put {name} first, and the model expects it: {without:.2f} nats a token, with it "
            f"{with_:.2f}"
        )
    return OK, f"the tokenizer puts nothing first; with {name} the model finds the text no likelier"


def _nats(model: PreTrainedModel, ids: list[int], last: int) -> float:
    """Mean loss of the last tokens of a text."""
    given = torch.tensor([ids], device=input_device(model))
    logits = model(input_ids=given, use_cache=False).logits[0, -last - 1 : -1].float()
    return nn.functional.cross_entropy(logits, given[0, -last:].to(logits.device)).item()


def _padding(probe: _Probe) -> _Said:
    ids, mask, counted = probe.batch
    if len(probe.rows) < 2:
        return UNKNOWN, "there is only one text"
    together = count_activations(probe.model, ids, mask, counted, quantity=probe.quantity)
    alone = torch.zeros_like(together)
    for own, kept in probe.rows:
        row, here = (torch.tensor([each], device=ids.device) for each in (own, kept))
        alone += count_activations(probe.model, row, torch.ones_like(row), here.long(), quantity=probe.quantity)
    share = ((together - alone).abs().sum() / alone.sum().clamp(min=1)).item()
    few = 2e-2 if probe.model.dtype in (torch.float16, torch.bfloat16) else 1e-3
    said = f"{int(counted.sum())} tokens beside padding and alone: {share:.2%} of the counts differ"
    return (OK if share <= few else FAILED), f"{said}, {'within' if share <= few else 'more than'} rounding"


def _offsets(probe: _Probe) -> _Said:
    if not probe.tokenizer.is_fast:
        has = any(example.prompt for example in probe.text.examples)
        return (
            FAILED if has else UNKNOWN
        ), "a slow tokenizer cannot tell where in the text a token is; load a fast one"
    few, lost, foreign = probe.text.spread(1), dict[str, int](), dict[str, int]()
    for example, (ids, counted) in zip(few.examples, tokenize(probe.tokenizer, few), strict=True):
        text, start = example.prompt + example.response, len(example.prompt)
        spans = probe.tokenizer(text, return_offsets_mapping=True, verbose=False)["offset_mapping"][-len(ids) :]
        mine = [span for span, kept in zip(spans, counted, strict=True) if kept]
        there = {place for first, last in mine for place in range(first, last)}
        missing = sum(text[place].isalnum() and place not in there for place in range(start, len(text)))
        before = sum(last <= start for _, last in mine)
        for table, number in ((lost, missing), (foreign, before)):
            table[example.language] = table.get(example.language, 0) + number
    for table, what in (
        (lost, "characters of the response are in no counted token"),
        (foreign, "counted tokens are of the prompt"),
    ):
        if wrong := {code: number for code, number in table.items() if number}:
            return FAILED, f"{_each(wrong)} {what}"
    return OK, f"in {len(few.languages)} languages the tokens counted are those of the response, character by character"


def _round_trip(probe: _Probe) -> _Said:
    tokenizer, few = probe.tokenizer, probe.text.spread(1)
    unknown, other = dict[str, int](), dict[str, int]()
    for example in few.examples:
        ids = tokenizer(example.response, add_special_tokens=False, verbose=False)["input_ids"]
        lost = sum(number == tokenizer.unk_token_id for number in ids)
        unknown[example.language] = unknown.get(example.language, 0) + lost
        back = str(tokenizer.decode(ids, clean_up_tokenization_spaces=False))
        other[example.language] = other.get(example.language, 0) + (_plain(back) != _plain(example.response))
    if lacking := {code: number for code, number in unknown.items() if number}:
        return FAILED, f"{_each(lacking)} tokens are unknown to the tokenizer"
    if changed := [code for code, number in other.items() if number]:
        return FAILED, f"text in {', '.join(changed)} is another one after encoding and decoding"
    return OK, f"text in {len(few.languages)} languages is the same after encoding and decoding"


def _plain(text: str) -> str:
    """As far as tokenizers keep it: in one way of writing characters, and without its spaces."""
    return "".join(unicodedata.normalize("NFKC", text).split())


#: Documents of each language whose language is detected, and the share that must be.
_DETECTED, _LEAST = 20, 0.5


def _languages(probe: _Probe) -> _Said:
    few, found = probe.text.spread(_DETECTED), dict[str, str]()
    wrong = []
    foreign = [code for code in few.languages if not is_detectable(code)]
    for code in few.languages:
        if code in foreign:
            continue
        hits = [bool(is_language(e.response, code)) for e in few.examples if e.language == code]
        found[code] = f"{sum(hits)} of {len(hits)}"
        if sum(hits) < _LEAST * len(hits):
            wrong.append(code)
    said = f"detected as what they are said to be: {_each(found)} documents" if found else ""
    lacking = f"the detector does not know {', '.join(foreign)}, so accuracy and fidelity there are unknown"
    if wrong:
        return FAILED, f"{said}; text in {', '.join(wrong)} is mostly taken for another language"
    if foreign:
        return UNKNOWN, f"{said}; {lacking}" if said else lacking
    return OK, said


def _each(table: dict[str, Any]) -> str:
    return ", ".join(f"{code} {value}" for code, value in table.items())


def _cost(probe: _Probe) -> _Said:
    collection = Collection(probe.model, probe.tokenizer, probe.text, quantity=probe.quantity)
    needed, seconds = collection.memory(), collection.estimate_seconds()
    tokens, device = int(collection.tokens.sum()), input_device(probe.model)
    each = ", ".join(f"{name} {size / 2**30:.2f}" for name, size in needed.items())
    what = "questions, which the model answers first; of them alone, " if probe.corpus.questions_only else ""
    said = (
        f"{what}{tokens:,} tokens to count take about {seconds:.0f} s on {device} ({tokens / seconds:,.0f} a second) "
        f"and {sum(needed.values()) / 2**30:.2f} GiB ({each})"
    )
    if peak := _peak(device):
        said += f"; up to now it was {peak / 2**30:.2f} GiB at most"
    if (room := _room(device)) is not None and sum(needed.values()) > room:
        return FAILED, f"{said}; there are {room / 2**30:.2f} GiB in all"
    return OK, said


def _peak(device: torch.device) -> int | None:
    """Most memory that this process has taken, in bytes, where that can be told."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with contextlib.suppress(ImportError):
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return None


def _room(device: torch.device) -> int | None:
    """All memory that the device has, in bytes, where that can be told."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if device.type == "cpu" and hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


_LOOKS: dict[str, Callable[[_Probe], _Said]] = {
    "neurons": _neurons,
    "counts": _counts,
    "reading": _reading,
    "removal": _removal,
    "beginning token": _beginning,
    "padding": _padding,
    "offsets": _offsets,
    "round trip": _round_trip,
    "languages": _languages,
    "time and memory": _cost,
}
