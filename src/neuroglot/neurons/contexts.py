"""The texts on which chosen neurons fire most, in every language, token by token."""

import base64
import hashlib
import json
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import ArrayLike
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.artifacts import finished, load_artifact, save_artifact
from ..base.errors import NeuroglotError, quoted, require_whole
from ..base.locks import one_writer
from ..base.provenance import record, table
from ..counts.activations import ActivationStats
from ..counts.widths import same_neurons
from ..model.batches import Batch, batches_of, begins_twice, spans_of_ids, split_text, tokenize
from ..model.experts import Routing
from ..model.layers import Layer, Mlp
from ..model.loading import backbone, evaluating, input_device, itself, longest_input, model_record
from ..model.sites import QUANTITIES, Seen, neuron_layers, observed
from ..model.stores import Text
from ..text.corpora import Corpus, Example
from ..text.languages import languages_of
from .identification import KINDS, NeuronTypes

# --- what is kept ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class TopContexts:
    """For some neurons, the texts of each language on which they fire most.

    A passage is an example, or one piece of an example longer than the context. Of a text there is
    its highest counted token, if that is above zero; of a neuron's texts in one language no two
    are the same example. Slots without such a text have value 0 and passage -1.

    Attributes:
        languages: codes, in order.
        neurons: int64 ``[n, 2]``: layer and neuron, sorted.
        value: float32 ``[n, languages, m]``: the neuron's value at that token, descending, rounded
            to twelve significant bits so that what differs by rounding only is a tie, which goes to
            the earlier example.
        passage: int32 ``[n, languages, m]``, an index into ``examples``.
        token: int32 ``[n, languages, m]``: the token's number in its passage.
        shade: uint8 ``[n, languages, m, window]``: values of the tokens from :attr:`first` on, as
            shares of the neuron's largest ``value``, which is 255; 0 where they are below zero.
        examples: int32 ``[passages]``: which example of the corpus each passage is of.
        starts: int64 ``[passages + 1]``: rows of ``spans`` that belong to each passage.
        spans: int32 ``[tokens, 2]``: the characters of ``prompt + response`` that a token stands
            for. Spans are equal (tokens that share a character) or apart and ascending; a token that
            stands for no text has an empty one.
        provenance: model, text, settings, versions.
    """

    languages: tuple[str, ...]
    neurons: np.ndarray
    value: np.ndarray
    passage: np.ndarray
    token: np.ndarray
    shade: np.ndarray
    examples: np.ndarray
    starts: np.ndarray
    spans: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "contexts"

    def __post_init__(self) -> None:
        whole = (self.neurons, self.passage, self.token, self.examples, self.starts, self.spans)
        kinds = self.value.dtype == np.float32 and self.shade.dtype == np.uint8
        if not kinds or not all(np.issubdtype(array.dtype, np.signedinteger) for array in whole):
            raise NeuroglotError("some numbers of the contexts are of another type; make the contexts again.")
        if not self.neurons.ndim or not self.examples.ndim:
            raise NeuroglotError("neurons or texts are no lists; make the contexts again.")
        n, shape = len(self.neurons), self.value.shape
        fits = self.neurons.shape == (n, 2) and self.value.ndim == 3 and shape[:2] == (n, len(self.languages))
        fits = fits and self.passage.shape == self.token.shape == self.shade.shape[:-1] == shape
        fits = fits and self.spans.shape[1:] == (2,) and self.starts.shape == (len(self.examples) + 1,)
        fits = fits and bool(self.starts[0] == 0 and self.starts[-1] == len(self.spans))
        fits = fits and bool((np.diff(self.starts) > 0).all())
        if not fits:
            raise NeuroglotError("neurons, languages, texts and tokens do not fit each other; make the contexts again.")
        there, lengths = self.passage >= 0, np.diff(self.starts)
        wrong = (self.passage < -1) | (self.passage >= len(lengths)) | (self.token < 0) | (there != (self.value > 0))
        if wrong.any() or (self.token[there] >= lengths[self.passage[there]]).any():
            raise NeuroglotError("some contexts are of no token that there is; make the contexts again.")
        ordered = np.isfinite(self.value).all() and (np.diff(self.value, axis=2) <= 0).all()
        ordered = ordered and np.array_equal(self.neurons, np.unique(self.neurons, axis=0))
        if not ordered or (self.neurons < 0).any() or (self.examples < 0).any():
            raise NeuroglotError(
                "some neurons, values or texts cannot be, or are in disorder; make the contexts again."
            )
        start, stop = self.spans.T
        follows = (start[1:] >= stop[:-1]) | (self.spans[1:] == self.spans[:-1]).all(axis=1)
        follows[self.starts[1:-1] - 1] = True  # the first token of a passage follows none
        if (start < 0).any() or (stop < start).any() or not follows.all():
            raise NeuroglotError("some tokens stand for text in disorder; make the contexts again.")

    @property
    def window(self) -> int:
        """Most tokens of a context."""
        size: int = self.shade.shape[-1]
        return size

    @property
    def example(self) -> np.ndarray:
        """Which example of the corpus each context is of, int32 ``[n, languages, m]``; -1 where there is none."""
        example: np.ndarray = np.append(self.examples, np.int32(-1))[self.passage]
        return example

    @property
    def first(self) -> np.ndarray:
        """The first token of each context, int32 ``[n, languages, m]``: two thirds of a window before its highest."""
        lengths = np.append(np.diff(self.starts), 0)[self.passage]
        return _first(self.token, lengths, self.window).astype(np.int32)

    def of(self, layer: int, neuron: int, corpus: Corpus) -> list[dict[str, Any]]:
        """The contexts of one neuron, as text.

        Returns:
            For each language ``language`` and ``contexts``, each of these with ``value``, ``example``
            (its index) and ``pieces``: the text in order, as ``(text, shade from 0 to 1, whether it is
            of the response)``. Tokens that share a character are one piece with the larger shade.

        Raises:
            NeuroglotError: a neuron without contexts here, or another corpus.
        """
        self._require(corpus)
        rows = np.flatnonzero((self.neurons == (layer, neuron)).all(axis=1))
        if not len(rows):
            raise NeuroglotError(f"there are no contexts of neuron {neuron} in layer {layer}; ask for it to be kept.")
        row, first, example = rows[0], self.first[rows[0]], self.example[rows[0]]
        result = []
        for k, code in enumerate(self.languages):
            contexts = []
            for slot in np.flatnonzero(self.passage[row, k] >= 0):
                spans = self._spans(int(self.passage[row, k, slot]))[first[k, slot] :][: self.window]
                pieces = _pieces(corpus.examples[example[k, slot]], spans, self.shade[row, k, slot])
                value = float(self.value[row, k, slot])
                contexts.append({"value": value, "example": int(example[k, slot]), "pieces": pieces})
            result.append({"language": code, "contexts": contexts})
        return result

    def for_page(self, corpus: Corpus) -> dict[str, Any]:
        """Everything a page needs to show the contexts, for JSON.

        A block is base64 of zlib (a browser's ``DecompressionStream("deflate")``); its numbers are
        little-endian. Characters are counted as JavaScript does, in units of UTF-16.

        Returns:
            ``languages``; ``contexts`` (m); ``window``; per neuron ``layers``, ``neurons``, ``peaks`` (the
            value that shade 255 is); ``texts``, a block of JSON: ``[text, characters of the prompt]``
            of each example that is shown; per passage ``text`` (index into these) and ``tokens`` (their
            number); ``spans``, a block of int32: start and end of every token of every passage, each
            less the number before it (0 before a passage's first); as blocks of int32
            ``[neurons, languages, contexts]`` ``passage`` (-1: none), ``first`` (token) and ``peak`` (the
            highest token, counted from the first); and ``shades``, a block of uint8 ``[..., window]``,
            0 past a passage's end.

        Raises:
            NeuroglotError: another corpus.
        """
        self._require(corpus)
        shown, text = np.unique(self.examples, return_inverse=True)
        texts, spans = [], []
        of_example = {}
        for number in shown.tolist():
            prompt = corpus.examples[number].prompt
            whole = prompt + corpus.examples[number].response
            units = of_example[number] = np.cumsum([0, *(1 + (character > "\uffff") for character in whole)])
            texts.append([whole, int(units[len(prompt)])])
        for passage, number in enumerate(self.examples.tolist()):
            spans.append(np.diff(of_example[number][self._spans(passage)].ravel(), prepend=0))
        steps = np.concatenate(spans) if spans else np.zeros(0, dtype=np.int64)
        first = self.first
        return {
            "languages": list(self.languages),
            "contexts": self.value.shape[2],
            "window": self.window,
            "layers": self.neurons[:, 0].tolist(),
            "neurons": self.neurons[:, 1].tolist(),
            "peaks": [float(f"{peak:.4g}") for peak in self._peaks()],
            "texts": block(json.dumps(texts, ensure_ascii=False, separators=(",", ":")).encode()),
            "text": text.tolist(),
            "tokens": np.diff(self.starts).tolist(),
            "spans": block(steps.astype("<i4").tobytes()),
            "passage": block(self.passage.astype("<i4").tobytes()),
            "first": block(first.astype("<i4").tobytes()),
            "peak": block((self.token - first).astype("<i4").tobytes()),
            "shades": block(self.shade.tobytes()),
        }

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``; hashes by their first digits."""
        rows = {"neurons": f"{len(self.neurons):,}", "contexts": f"{int((self.passage >= 0).sum()):,}"}
        return table(self.provenance, rows)

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same contexts give the same bytes."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        save_artifact(path, self.KIND, arrays, {"languages": list(self.languages), "provenance": self.provenance})

    @classmethod
    def load(cls, path: str | Path) -> "TopContexts":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, _ARRAYS)
        try:
            own = {name: arrays[name] for name in _ARRAYS}
            return cls(languages=languages_of(header, path), provenance=header["provenance"], **own)
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error

    def _peaks(self) -> np.ndarray:
        peaks: np.ndarray = self.value.max(axis=(1, 2), initial=0)
        return peaks

    def _spans(self, passage: int) -> np.ndarray:
        spans: np.ndarray = self.spans[self.starts[passage] : self.starts[passage + 1]]
        return spans

    def _require(self, corpus: Corpus) -> None:
        if corpus.hash != self.provenance.get("corpus_sha256"):
            raise NeuroglotError(f"these contexts are not of this text of {corpus.name}; give the one they came from.")
        length = np.array([len(example.prompt) + len(example.response) for example in corpus.examples])
        ends = self.spans[self.starts[1:] - 1, 1]
        if (self.examples >= len(length)).any() or (ends > length[self.examples]).any():
            raise NeuroglotError(f"these contexts are of text that {corpus.name} does not have; make them again.")


_ARRAYS = ("neurons", "value", "passage", "token", "shade", "examples", "starts", "spans")


def _first(token: np.ndarray, length: np.ndarray, window: int) -> np.ndarray:
    """Where a window starts in a passage: what comes before the token explains it, so there is more of that."""
    first: np.ndarray = np.clip(token - 2 * window // 3, 0, np.maximum(length - window, 0))
    return first


def block(data: bytes) -> str:
    """Bytes for a page: base64 of zlib."""
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _cells(offsets: Sequence[tuple[int, int]]) -> np.ndarray:
    """Tokens' spans, int32 ``[tokens, 2]``, with those that overlap united; see :class:`TopContexts`."""
    cells: list[list[int]] = []  # tokens that share characters share one list
    end = 0
    for start, stop in offsets:
        if start < min(end, stop) or start == stop == end > 0:
            cells.append(cells[-1])  # more of the same characters, or a byte that the tokenizer gives none
            cells[-1][1] = end = max(end, stop)
        elif start == stop:  # stands for no text, as a beginning that was added
            cells.append([end, end])
        else:
            cells.append([start, stop])
            end = stop
    return np.array(cells, dtype=np.int32).reshape(-1, 2)


def _pieces(example: Example, spans: np.ndarray, shade: np.ndarray) -> list[tuple[str, float, bool]]:
    text, prompt = example.prompt + example.response, len(example.prompt)
    cells: dict[tuple[int, int], int] = {}
    for (start, stop), each in zip(spans.tolist(), shade.tolist(), strict=False):
        if start < stop:
            cells[start, stop] = max(each, cells.get((start, stop), 0))
    pieces, end = [], None
    for (start, stop), each in cells.items():
        if end is not None and start > end:  # spaces that belong to no token
            pieces.append((text[end:start], 0.0, start > prompt))
        pieces.append((text[start:stop], each / 255, stop > prompt))
        end = stop
    return pieces


# --- which neurons -----------------------------------------------------------------------------


def chosen_neurons(types: NeuronTypes, stats: ActivationStats, *, general: int = 20) -> np.ndarray:
    """The neurons that contexts are kept of: all specific and related ones, and some general ones.

    Args:
        types: from :func:`neuroglot.classify`.
        stats: the counts that they came from.
        general: how many general ones: those whose lowest probability is highest.

    Returns:
        int64 ``[n, 2]``: layer and neuron, sorted.

    Raises:
        NeuroglotError: counts of other neurons or languages, or a number that is none.
    """
    require_whole("general", general, 0)
    if stats.languages != types.languages or not same_neurons(stats, types):
        raise NeuroglotError("types and counts are not of the same neurons and languages; classify these counts.")
    chosen = np.isin(types.codes, [KINDS.index("specific"), KINDS.index("related")])
    lowest = np.where(types.codes == KINDS.index("general"), stats.probabilities().min(axis=-1), -1.0).ravel()
    best = np.argsort(-lowest, kind="stable")[:general]
    chosen.ravel()[best[lowest[best] >= 0]] = True
    return np.argwhere(chosen).astype(np.int64)


# --- the pass ----------------------------------------------------------------------------------


@one_writer()
def top_contexts(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    neurons: ArrayLike,
    path: str | Path | None = None,
    *,
    contexts: int = 2,
    window: int = 16,
    quantity: str = "pre-activation",
    batch_tokens: int = 1024,
    max_tokens: int | None = None,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> TopContexts:
    """Find, in one pass over the text, where chosen neurons fire most in each language.

    Only response tokens compete; what is shown around them may reach into the prompt. The layers
    after the deepest chosen one are not run. Any ``batch_tokens`` gives the same texts, but for
    values that differ by the model's own rounding.

    Memory, beside the model's and the tokenized text: ``neurons * languages * contexts * window``
    times 4 bytes, and ``batch_tokens * neurons`` times about 24; it does not grow with the corpus.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: the text; one language is enough.
        neurons: ``[n, 2]`` whole numbers, layer and neuron, in any order.
        path: where to save. A file that already holds just these contexts is returned, and nothing is run.
        contexts: texts kept of each neuron and language.
        window: tokens kept of each text.
        quantity: as for :func:`neuroglot.collect`; a neuron's value is its activation, or the product
            if that is asked for.
        batch_tokens: tokens per forward pass, padding included.
        max_tokens: split responses so that no input is longer; default: the model's context.
        overwrite: replace a file at ``path`` that holds other contexts.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar.

    Raises:
        NeuroglotError: no neurons, or some that the model does not have; a corpus without responses; a
            bad number; a slow tokenizer; other contexts at ``path``; values that are not finite.

    Example:
        >>> found = ng.top_contexts(model, tokenizer, corpus, [(0, 7), (3, 1)], progress=False)
        >>> found.value.shape  # neurons, languages, contexts
        (2, 3, 2)
    """
    if corpus.questions_only:
        raise NeuroglotError(f"corpus {corpus.name} has no responses to show; let the model answer them first.")
    numbers = {"contexts": contexts, "window": window, "batch_tokens": batch_tokens, "max_tokens": max_tokens}
    for name, number in numbers.items():
        if name != "max_tokens" or number is not None:
            require_whole(name, number, 1)
    if quantity not in QUANTITIES:
        raise NeuroglotError(f"quantity {quoted(quantity)} is unknown; use {', '.join(QUANTITIES)}.")
    if not tokenizer.is_fast:
        raise NeuroglotError("a slow tokenizer cannot tell where in the text a token is; load the fast one.")
    model = itself(model)
    layers = neuron_layers(model)
    wanted = _checked(neurons, layers)
    longest = longest_input(model, max_tokens)
    passages = _passages(tokenizer, corpus, longest)
    settings = {**numbers, "max_tokens": longest, "quantity": quantity}
    provenance = _provenance(model, corpus, wanted, passages, settings)
    path = Path(path) if path is not None else None
    if path is not None and (done := finished(path, TopContexts.load, provenance, "contexts", overwrite)) is not None:
        return done
    reader = _Reader(model, layers, wanted, quantity)
    best = _Best(passages, len(wanted), len(corpus.languages), contexts, window)
    batches = batches_of((passage.text for passage in passages), batch_tokens)
    shown = dict[str, Any](unit="tok", desc="contexts", mininterval=1, file=sys.stderr, disable=not progress)
    with torch.inference_mode(), evaluating(model), tqdm(total=sum(batch.counted for batch in batches), **shown) as bar:
        for batch in batches:
            best.add(batch.texts, *reader.read(batch))
            bar.update(batch.counted)
    result = best.gather(tokenizer, corpus, wanted, provenance)
    if path is not None:
        result.save(path)
    return result


def finder(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, **settings: Any
) -> Callable[[int, int], TopContexts]:
    """What fetches the passages of any neuron, by layer and number, as :class:`neuroglot.NeuronBrowser` wants it.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: the text.
        **settings: of :func:`top_contexts`.
    """

    def find(layer: int, neuron: int) -> TopContexts:
        return top_contexts(model, tokenizer, corpus, [(layer, neuron)], **settings)

    return find


def _checked(neurons: ArrayLike, layers: Sequence[Layer]) -> np.ndarray:
    """Layers and neurons, int64 ``[n, 2]``, sorted and each once."""
    try:
        array = np.asarray(neurons)
    except ValueError:  # rows of different lengths
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 2 or not len(array) or not np.issubdtype(array.dtype, np.integer):
        raise NeuroglotError(f"neurons of shape {array.shape}: give at least one row of two whole numbers.")
    wanted, most = np.unique(array.astype(np.int64), axis=0), [layer.neurons for layer in layers]
    for layer, neuron in wanted:
        if not (0 <= layer < len(most) and 0 <= neuron < most[layer]):
            each = " ".join(map(str, most)) if len(set(most)) > 1 else str(most[0])
            raise NeuroglotError(
                f"there is no neuron {neuron} in layer {layer}; the model has {len(most)} layers of {each}, from 0 on."
            )
    return wanted


@dataclass(frozen=True, slots=True)
class _Passage:
    """A text to run; ``text.bin`` is its own number.

    From ``text.ids[skipped]`` on its tokens are those of the example from ``token`` on, without a gap.
    """

    text: Text
    example: int
    skipped: int
    token: int


def _passages(tokenizer: PreTrainedTokenizerBase, corpus: Corpus, longest: int | None) -> list[_Passage]:
    language_of = {code: number for number, code in enumerate(corpus.languages)}
    passages: list[_Passage] = []
    for number, (ids, counted) in enumerate(tokenize(tokenizer, corpus)):
        example = corpus.examples[number]
        name, places = f"{corpus.name}, {example.place}", list(range(len(ids)))
        for kept, keep in split_text(name, places, counted, longest):
            if any(keep):
                # A piece that is not the first has the prompt in front, with what is left out after it.
                skipped = next((i for i, place in enumerate(kept) if place != i), 0)
                text = Text([ids[place] for place in kept], keep, language_of[example.language], len(passages))
                passages.append(_Passage(text, number, skipped, kept[skipped]))
    return passages


def _provenance(
    model: PreTrainedModel,
    corpus: Corpus,
    neurons: np.ndarray,
    passages: Sequence[_Passage],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    inputs = hashlib.sha256()
    for passage in passages:
        inputs.update(json.dumps([passage.text.ids, passage.text.counted, passage.example]).encode())
    return record(
        model_record(model),
        corpus.record(),
        input_sha256=inputs.hexdigest(),
        neurons_sha256=hashlib.sha256(neurons.astype("<i8").tobytes()).hexdigest(),
        settings=settings,
        libraries=("torch", "transformers"),
    )


class _Reader:
    """Values of the chosen neurons at every token of a batch."""

    def __init__(self, model: PreTrainedModel, layers: Sequence[Layer], neurons: np.ndarray, quantity: str) -> None:
        self.model, self.quantity, self.n = model, quantity, len(neurons)
        wanted = np.unique(neurons[:, 0]).tolist()
        self.deepest = len(wanted) - 1
        # Experts report one after the other, several MLPs too: their layer is over once the next one begins.
        self.ends = layers[wanted[-1]].dense is not None
        after = [n for n in range(wanted[-1] + 1, len(layers)) if layers[n].mlps][:1] if not self.ends else []
        self.layers = [layers[number] for number in (*wanted, *after)]
        self.rows = [np.flatnonzero(neurons[:, 0] == number) for number in wanted]
        self.columns = [torch.from_numpy(neurons[rows, 1]) for rows in self.rows]
        self._values: dict[int, torch.Tensor] = {}

    def read(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        """Values, float32 ``[n, texts, width]``, and which tokens count, bool ``[texts, width]``."""
        inputs = batch.tensors(1)
        counted = inputs.weights.any(0).reshape(inputs.ids.shape).numpy()
        self._values = {}
        try:
            with observed(self.layers, self._see, self.quantity, values=True):
                backbone(self.model)(input_ids=inputs.ids.to(input_device(self.model)), use_cache=False)
        except Seen:
            pass
        if len(self._values) < len(self.rows):
            raise NeuroglotError(
                f"{type(self.model).__name__} did not run all its MLPs as modules; load it without fused kernels."
            )
        values = np.empty((self.n, *counted.shape), dtype=np.float32)
        for number, rows in enumerate(self.rows):
            values[rows] = self._values[number].T.reshape(len(rows), *counted.shape).numpy()
        if not np.isfinite(values[:, counted]).all():
            raise NeuroglotError(f"some values in {self.model.dtype} are not finite; load the model in float32.")
        return values, counted

    def _see(
        self, number: int, mlp: Mlp, _counted: torch.Tensor, value: torch.Tensor | None, routing: Routing | None
    ) -> None:
        if number > self.deepest:
            raise Seen
        assert value is not None  # as asked for
        columns = self.columns[number] - mlp.start
        if number not in self._values:  # a neuron is at 0 where its expert does not see the token
            self._values[number] = torch.zeros(len(value) if routing is None else routing.total, len(columns))
        if routing is None:
            own = ((columns >= 0) & (columns < mlp.width)).nonzero()[:, 0]
            self._values[number][:, own] = value[:, columns[own].to(value.device)].float().cpu()
            if number == self.deepest and self.ends:
                raise Seen
            return
        for expert, rows in routing.spans:
            own = (columns.div(mlp.width, rounding_mode="floor") == expert).nonzero()[:, 0]
            if len(own):
                found = value[rows][:, (columns[own] % mlp.width).to(value.device)].float().cpu()
                self._values[number][routing.tokens[rows].cpu()[:, None], own] = found


class _Best:
    """The highest contexts so far; texts may come in any order."""

    def __init__(self, passages: Sequence[_Passage], n: int, languages: int, contexts: int, window: int) -> None:
        self.passages, self.window = passages, window
        self.lengths = np.array([len(p.text.ids) - p.skipped for p in passages], dtype=np.int64)
        self.example_of = np.array([*(p.example for p in passages), -1], dtype=np.int64)  # of passage -1: none
        shape = languages, n, contexts
        self.value = np.zeros(shape, dtype=np.float32)
        self.passage, self.token = np.full(shape, -1), np.zeros(shape, dtype=np.int64)
        self.shown = np.zeros((*shape, window), dtype=np.float32)

    def add(self, texts: Sequence[Text], values: np.ndarray, counted: np.ndarray) -> None:
        """Texts with the values of all neurons, float32 ``[n, texts, width]``, and which tokens count."""
        values = _rounded(values)
        competing = np.where(counted, values, -np.inf)
        token = competing.argmax(axis=2)  # the first of the highest
        peak = np.take_along_axis(competing, token[:, :, None], axis=2)[:, :, 0]
        for language in sorted({text.language for text in texts}):
            rows = np.array([row for row, text in enumerate(texts) if text.language == language])
            numbers = np.array([texts[row].bin for row in rows])
            skipped = np.array([self.passages[number].skipped for number in numbers])
            self._merge(language, values, rows, numbers, skipped, peak[:, rows], token[:, rows] - skipped)

    def _merge(
        self,
        language: int,
        values: np.ndarray,
        rows: np.ndarray,
        numbers: np.ndarray,
        skipped: np.ndarray,
        peak: np.ndarray,
        token: np.ndarray,
    ) -> None:
        """Texts ``rows`` of one language, by their passages' ``numbers``, with ``peak`` at ``token``, ``[n, rows]``."""
        kept = self.value.shape[2]
        value = np.concatenate([self.value[language], peak], axis=1)
        passage = np.concatenate([self.passage[language], np.broadcast_to(numbers, peak.shape)], axis=1)
        token = np.concatenate([self.token[language], token], axis=1)
        example = self.example_of[passage]
        # Of the pieces of one example, the highest; of equal ones, the first.
        order = np.lexsort((passage, -value, example))
        ordered = np.take_along_axis(example, order, axis=1)
        again = np.zeros(ordered.shape, dtype=bool)
        again[:, 1:] = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        lost = np.zeros_like(again)
        np.put_along_axis(lost, order, again, axis=1)
        value[lost] = -np.inf
        # An empty slot, of value 0 and example -1, is before every text in which the neuron does not fire.
        best = np.lexsort((example, -value))[:, :kept]
        self.value[language], self.passage[language], self.token[language] = (
            np.take_along_axis(array, best, axis=1) for array in (value, passage, token)
        )
        shown = np.take_along_axis(self.shown[language], np.minimum(best, kept - 1)[:, :, None], axis=1)
        neuron, slot = np.nonzero(best >= kept)
        new = best[neuron, slot] - kept
        lengths = self.lengths[numbers[new]]
        first = _first(self.token[language][neuron, slot], lengths, self.window)
        within = first[:, None] + np.arange(self.window)
        inside = within < lengths[:, None]
        place = np.where(inside, within, 0) + skipped[new][:, None]
        shown[neuron, slot] = np.where(inside, values[neuron[:, None], rows[new][:, None], place], 0)
        self.shown[language] = shown

    def gather(
        self, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, neurons: np.ndarray, provenance: dict[str, Any]
    ) -> TopContexts:
        """The result, with the passages that are in it and where their tokens are."""
        value, passage, token, shown = (
            np.ascontiguousarray(array.swapaxes(0, 1)) for array in (self.value, self.passage, self.token, self.shown)
        )
        peak = value.max(axis=(1, 2), initial=0)[:, None, None, None]
        share = np.divide(shown, peak, out=np.zeros_like(shown), where=peak > 0)
        used = np.unique(passage[passage >= 0])
        spans = self._spans(tokenizer, corpus, used)
        return TopContexts(
            corpus.languages,
            neurons,
            value,
            np.where(passage >= 0, np.searchsorted(used, passage), -1).astype(np.int32),
            token.astype(np.int32),
            (np.nan_to_num(share).clip(0, 1) * 255).round().astype(np.uint8),
            self.example_of[used].astype(np.int32),
            np.concatenate([[0], np.cumsum([len(each) for each in spans], dtype=np.int64)]).astype(np.int64),
            np.concatenate([*spans, np.zeros((0, 2), dtype=np.int32)]),
            provenance,
        )

    def _spans(self, tokenizer: PreTrainedTokenizerBase, corpus: Corpus, used: np.ndarray) -> list[np.ndarray]:
        examples = dict.fromkeys(self.example_of[used].tolist())
        given = {number: tokens for number in examples if (tokens := corpus.examples[number].tokens) is not None}
        own = [number for number in examples if number not in given]
        texts = [corpus.examples[number].prompt + corpus.examples[number].response for number in own]
        found = tokenizer(texts, return_offsets_mapping=True, verbose=False) if texts else {"offset_mapping": []}
        cells = dict(zip(own, map(_cells, found["offset_mapping"]), strict=True))
        tokens_of = zip(own, texts, found.get("input_ids", []), strict=True)
        twice = {number: begins_twice(tokenizer, text, ids) for number, text, ids in tokens_of}
        for number, tokens in given.items():
            cells[number] = _cells(spans_of_ids(tokenizer, corpus.examples[number], tokens))
            twice[number] = False
        spans = []
        for number in used.tolist():
            passage = self.passages[number]
            start = passage.token + twice[passage.example]  # a beginning of the text's own is not run twice
            spans.append(cells[passage.example][start : start + self.lengths[number]])
        return spans


def _rounded(values: np.ndarray) -> np.ndarray:
    """float32 values to the nearest of twelve significant bits."""
    return ((values.view(np.int32) + 0x800) & -0x1000).view(np.float32)
