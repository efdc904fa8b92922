"""What switching off each single neuron would do to a model's loss, estimated in one pass forward and one back."""

import contextlib
import hashlib
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.artifacts import finished, load_artifact, require_tokens, save_artifact
from ..base.errors import NeuroglotError, quoted, require_whole
from ..base.locks import one_writer
from ..base.parts import Parts
from ..base.provenance import record
from ..base.records import content_hash
from ..text.corpora import Corpus
from ..text.languages import languages_of, require_codes
from .batches import Batch, batches_of, texts_of
from .layers import Layer, most_neurons
from .likelihood import Head
from .loading import evaluating, input_device, itself, longest_input, model_record
from .sites import neuron_layers


@dataclass(frozen=True, eq=False)
class Attributions:
    """First-order estimates of what setting a neuron to zero adds to the loss of each language's responses.

    Attributes:
        values: float64 ``[layers, neurons, languages]``: ``- sum_t x_t dL/dx_t`` over the responses' scored tokens, in
            nats per token. ``x`` is what enters the down projection, at every token ``t`` of prompt and response, and
            ``L`` the summed loss of the response; so the estimate is of :func:`neuroglot.deactivate`.
        tokens: int64 ``[languages]``: scored tokens.
        languages: codes, in the order of the last axis.
        provenance: model, text, settings, versions.
    """

    values: np.ndarray
    tokens: np.ndarray
    languages: tuple[str, ...]
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "attributions"

    def __post_init__(self) -> None:
        require_codes(self.languages, "languages")
        real = np.issubdtype(self.values.dtype, np.floating) and np.isfinite(self.values).all()
        if self.values.ndim != 3 or self.values.shape[-1:] != self.tokens.shape or not real:
            raise NeuroglotError("attributions do not fit their tokens, or are not finite; estimate again.")
        if len(self.tokens) != len(self.languages) or not np.issubdtype(self.tokens.dtype, np.integer):
            raise NeuroglotError("attributions do not fit their languages; estimate again.")
        require_tokens(self.tokens, axis=0)

    def joined(self, other: "Attributions") -> "Attributions":
        """Of both texts together, weighted by their tokens.

        Raises:
            NeuroglotError: of other languages, another model, or estimated in another way.
        """
        self._require_alike(other, self.languages == other.languages and self.values.shape == other.values.shape)
        tokens = self.tokens + other.tokens
        inputs = [one.provenance.get("input_sha256") for one in (self, other)]
        said = self.provenance | {"input_sha256": content_hash(inputs), "joined": inputs}
        values = (self.values * self.tokens + other.values * other.tokens) / tokens
        return Attributions(values, tokens, self.languages, said)

    def with_language(self, code: str, other: "Attributions") -> "Attributions":
        """With one language's estimates those of other text; all others' stay.

        Raises:
            NeuroglotError: a language that one of them lacks, another model, or estimated in another way.
        """
        self._require_alike(other, self.values.shape[:2] == other.values.shape[:2])
        if code not in self.languages or code not in other.languages:
            raise NeuroglotError(f"there is no language {quoted(code)} in both attributions; estimate it in both.")
        at, there = self.languages.index(code), other.languages.index(code)
        values, tokens = self.values.copy(), self.tokens.copy()
        values[..., at], tokens[at] = other.values[..., there], other.tokens[there]
        inputs = [one.provenance.get("input_sha256") for one in (self, other)]
        said = self.provenance | {"input_sha256": content_hash([*inputs, code]), "replaced": {code: inputs[1]}}
        return Attributions(values, tokens, self.languages, said)

    def _require_alike(self, other: "Attributions", same: bool) -> None:
        alike = ("weights_sha256", "settings")
        if not same or any(self.provenance.get(name) != other.provenance.get(name) for name in alike):
            raise NeuroglotError("attributions of other languages, models or settings cannot be joined.")

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same attributions give the same bytes."""
        metadata = {"languages": list(self.languages), "provenance": self.provenance}
        save_artifact(path, self.KIND, {"values": self.values, "tokens": self.tokens}, metadata)

    @classmethod
    def load(cls, path: str | Path) -> "Attributions":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("values", "tokens"))
        try:
            return cls(arrays["values"], arrays["tokens"], languages_of(header, path), header["provenance"])
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error


@one_writer()
def attributions(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    batch_tokens: int = 1024,
    max_tokens: int | None = None,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> Attributions:
    """Estimate what switching off each neuron does to each language's loss (attribution patching, to zero).

    The model runs in evaluation mode, once forward and once back; its weights get no gradients.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers; not a mixture of experts.
        corpus: prompts are context; responses are scored. A token without one before it is not.
        path: where to save. A file that already holds just this is returned without running; an
            interrupted run goes on after its last finished pass, kept in ``PATH.parts``.
        batch_tokens: tokens per pass, padding included.
        max_tokens: split responses so that no input is longer; default: the model's context.
        overwrite: replace a file at ``path`` that holds other attributions.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar.

    Raises:
        NeuroglotError: a bad argument, an unknown head, a mixture of experts, others at ``path``, a language without
            a scored token, an estimate that is not finite.

    Example:
        >>> found = ng.attributions(model, tokenizer, corpus, progress=False)
        >>> found.values.shape
        (4, 48, 3)
    """
    for name, number in {"batch_tokens": batch_tokens, "max_tokens": max_tokens}.items():
        if number is not None:
            require_whole(name, number, 1)
    if corpus.questions_only:
        raise NeuroglotError(f"corpus {corpus.name} has no responses to score; let the model answer them first.")
    model = itself(model)
    layers = neuron_layers(model)
    if any(layer.routed for layer in layers):
        raise NeuroglotError("attributions are of dense models; in a mixture of experts they are not known.")
    longest = longest_input(model, max_tokens)
    texts, _ = texts_of(tokenizer, corpus, 1, longest)
    texts = [text for text in texts if any(text.counted[1:])]
    tokens = np.zeros(len(corpus.languages), dtype=np.int64)
    for text in texts:
        tokens[text.language] += sum(text.counted[1:])
    if not tokens.all():
        code = corpus.languages[int(np.argmin(tokens))]
        raise NeuroglotError(f"corpus {corpus.name}: {code} has no token to score; give it text.")
    inputs = hashlib.sha256(json.dumps([[text.ids, text.counted, text.language] for text in texts]).encode())
    provenance = record(
        model_record(model),
        corpus.record(),
        input_sha256=inputs.hexdigest(),
        settings={"batch_tokens": batch_tokens, "max_tokens": longest},
        libraries=("torch", "transformers"),
    )
    path = Path(path) if path is not None else None
    load = Attributions.load
    if path is not None and (done := finished(path, load, provenance, "attributions", overwrite)) is not None:
        Parts(path, provenance).remove_own()
        return done
    batches = batches_of(texts, batch_tokens)
    parts, total = Parts(path, provenance), np.zeros((len(layers), most_neurons(layers), len(tokens)))
    shown = dict[str, Any](unit="tok", desc="attributing", mininterval=1, file=sys.stderr, disable=not progress)
    with evaluating(model), tqdm(total=int(tokens.sum()), **shown) as bar:
        head = Head(model)
        for number, batch in enumerate(batches):
            if (kept := parts.kept(f"{number:05d}")) is None:
                found = _of_batch(model, head, layers, batch, len(tokens))
                parts.keep(f"{number:05d}", {"found": found})
            else:
                found = kept[0]["found"]
            total += found
            bar.update(sum(sum(text.counted[1:]) for text in batch.texts))
    result = Attributions(total / tokens, tokens, corpus.languages, provenance)
    if path is not None:
        result.save(path)
        parts.remove()
    return result


# Positions whose logits are there at once: a vocabulary of 262,144 words then takes some 130 MB, forward and back.
_POSITIONS = 64


def _of_batch(model: PreTrainedModel, head: Head, layers: Sequence[Layer], batch: Batch, languages: int) -> np.ndarray:
    """Sums of one batch, float64 ``[layers, neurons, languages]``."""
    inputs = batch.tensors(1)
    counted = inputs.weights.sum(0).reshape(len(batch.texts), -1).bool()[:, 1:]
    with torch.enable_grad(), _gated(layers, len(batch.texts)) as gates:
        ids = inputs.ids.to(input_device(model))
        states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        back = torch.zeros_like(states)
        scored = counted.to(states.device)
        for some in scored.nonzero().split(_POSITIONS):
            own = states[some[:, 0], some[:, 1]].detach().requires_grad_()
            targets = ids[some[:, 0].to(ids.device), some[:, 1].to(ids.device) + 1]
            logits = head.whole(own)
            precise = logits if logits.dtype == torch.float64 else logits.float()
            loss = nn.functional.cross_entropy(precise, targets.to(precise.device), reduction="sum")
            (back[some[:, 0], some[:, 1]],) = torch.autograd.grad(loss, own)
        slopes = torch.autograd.grad(states, gates, back)
    total = torch.zeros(len(layers), most_neurons(layers), languages, dtype=torch.float64)
    of = torch.tensor([text.language for text in batch.texts])
    places = [(number, mlp) for number, layer in enumerate(layers) for mlp in layer.mlps]
    for (layer, mlp), slope in zip(places, slopes, strict=True):
        total[layer, mlp.columns].index_add_(1, of, -slope[:, 0].T.double().cpu())
    if not total.isfinite().all():
        raise NeuroglotError(f"some gradients in {model.dtype} are not finite; load the model in float32.")
    return total.numpy()


@contextlib.contextmanager
def _gated(layers: Sequence[Layer], texts: int) -> Iterator[list[torch.Tensor]]:
    """While active, what enters each down projection is times a gate of one, by text ``[texts, 1, neurons]``.

    The loss' slope at a neuron's gate is ``sum_t x_t dL/dx_t``.
    """
    gates: list[torch.Tensor] = []
    handles = []

    def hook(number: int) -> Any:
        def times(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
            value = args[0]
            flat = value.ndim == 2  # some families see all tokens of a batch as one row
            value = value.unflatten(0, (texts, -1)) if flat else value
            gate = torch.ones(texts, 1, value.shape[-1], dtype=value.dtype, device=value.device, requires_grad=True)
            gates.append(gate)
            if len(gates) != number + 1:
                raise NeuroglotError("the layers ran in another order, or more than once; attributions are not known.")
            changed = value * gate
            return (changed.flatten(0, 1) if flat else changed, *args[1:])

        return times

    try:
        for number, mlp in enumerate(mlp for layer in layers for mlp in layer.mlps):
            assert mlp.down is not None
            handles.append(mlp.down.register_forward_pre_hook(hook(number)))
        yield gates
    finally:
        for handle in handles:
            handle.remove()
