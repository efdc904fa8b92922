"""What a language's neurons write: their first-order contribution to the logits, and to which language's words.

A neuron adds its value times its column of the down projection to the stream. At the scales that the model's norms
have on average on a language's text, and with its mean value there, that is a fixed vector before the head. So what a
set of neurons writes is a sum of vectors ``u``, and the logits that it adds are ``head @ u``. Norms are held, no later
layer answers, and a soft cap on the logits is left out: the table ``check`` sets beside it what removal does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, require_whole
from ..base.uncertainty import Estimate, dealt_to_languages, jackknife, known_mean, leave_one_out, together, verdicts
from ..counts.activations import ActivationStats
from ..counts.collecting import collect
from ..counts.widths import same_neurons
from ..model.batches import Batch, batches_of, texts_of, tokenize
from ..model.interventions import Intervention, intervene
from ..model.loading import backbone, evaluating, input_device, longest_input
from ..model.readout import Readout
from ..neurons.identification import NeuronTypes
from ..text.corpora import Corpus
from .removals import BOTH, SETS, removals

#: Of how often a language's own token occurs, over equal amounts of text in all languages, at most this share is in
#: the others.
MOST_ELSEWHERE = 0.05

#: What the layers before a language's writing begins hold of it.
LITTLE = 0.05

#: Both kinds of text together.
ALL_TEXT = "all text"


@dataclass(frozen=True, eq=False)
class Writing:
    """What the neurons of each language write, as tables.

    The *number* of a set is the mean of what it adds to a language's own tokens, less the mean over the other
    languages of what it adds to theirs, in standard deviations over the vocabulary.

    Attributes:
        languages: codes, in order.
        numbers: ``text`` (each text that tokens are taken from, and :data:`ALL_TEXT`), ``language``, ``of`` (``own``:
            its specific and related neurons; ``others``: the other languages' in its place, their mean; ``matched``:
            random ones that fire as often, in the same layers, their mean; ``all``: every neuron), ``neurons``,
            ``tokens`` (distinct own ones), ``units`` (wordings that have any), ``number``, ``low``, ``high``,
            ``logits`` (the same in logits).
        contrasts: ``text``, ``language``, ``against`` (``others``, at equal numbers per layer, or ``matched``),
            ``number`` (own less these), ``low``, ``high``, ``detectable``, ``verdict``.
        dealt: ``text``, ``contrast`` and ``p``: own less others' over all languages, the sets dealt to the languages at
            random.
        layers: ``layer``, ``neurons`` (mean over languages), ``own`` and ``matched`` (what each layer adds to the
            number of the whole set, mean over languages), ``number`` (own less matched), ``low``, ``high``,
            ``detectable``, ``verdict``.
        tokens: ``language``, ``rank`` from 1 on, ``token``, ``logits``: what its neurons raise most.
        check: ``language``, ``documents``, ``predicted`` and ``fell`` (logits: by how much own tokens fall against the
            others' own when the set is removed), ``low``, ``high`` (of ``fell``), ``slope`` and ``correlation`` (of
            what fell on what was predicted, over all languages' own tokens).
        provenance: of the means.
    """

    languages: tuple[str, ...]
    numbers: pd.DataFrame
    contrasts: pd.DataFrame
    dealt: pd.DataFrame
    layers: pd.DataFrame
    tokens: pd.DataFrame
    check: pd.DataFrame
    provenance: dict[str, Any] = field(default_factory=dict)

    def tables(self) -> dict[str, pd.DataFrame]:
        """By name, those with a row."""
        names = ("numbers", "contrasts", "dealt", "layers", "tokens", "check")
        return {name: table for name in names if len(table := getattr(self, name))}


def writing(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    types: NeuronTypes,
    stats: ActivationStats,
    corpus: Corpus,
    elsewhere: Sequence[Corpus] = (),
    *,
    means: ActivationStats | None = None,
    draws: int = 20,
    checked: int = 3,
    top: int = 20,
    batch_tokens: int = 1024,
    seed: int = 0,
    progress: bool = True,
) -> Writing:
    """What the specific and related neurons of each language add to the logits, to first order.

    A language's *own* tokens occur in its text and (nearly) never in the others'
    (:data:`MOST_ELSEWHERE`); each weighs as often as it occurs. Intervals are over wordings.

    Memory: the down projections and the head, one layer or slice at a time in float32.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        types: from :func:`neuroglot.classify`.
        stats: the counts that they came from, for neurons that fire as often.
        corpus: held-out text: mean values, the norms' scales and own tokens are taken from it.
        elsewhere: other text in the same languages, from which own tokens are taken as well.
        means: counts of ``corpus`` with ``quantity="product"`` and moments; default: counted here.
        draws: of random neurons beside each language's.
        checked: documents of each language on which the set is really removed.
        top: tokens listed of each language.
        batch_tokens: tokens per forward pass, padding included.
        seed: of the draws.
        progress: show a bar as the means are counted.

    Raises:
        NeuroglotError: a mixture of experts or another model whose way to the logits is not known, means of something
            else, a language of the types that the text lacks, or a bad number.

    Example:
        >>> found = ng.writing(model, tokenizer, types, stats, corpus, progress=False)
        >>> found.tokens.groupby("language").size().tolist()
        [20, 20, 20]
        >>> found.numbers["of"].unique().tolist()
        ['own', 'others', 'matched', 'all']
    """
    for name, number in {"draws": draws, "checked": checked, "top": top, "batch_tokens": batch_tokens}.items():
        require_whole(name, number, 1)
    readout = Readout(model)
    languages = types.languages
    corpus, *elsewhere = (text.only(languages) for text in (corpus, *elsewhere))
    if means is None:
        means = collect(
            model, tokenizer, corpus, quantity="product", moments=True, batch_tokens=batch_tokens, progress=progress
        )
        if means is None:
            raise NeuroglotError("several processes share this; start one.")
    drawn = removals(types, {BOTH: SETS[BOTH]}, draws=draws, matched="firing rate", stats=stats, seed=seed)
    by_language = [[one.neurons for one in drawn if one.language == code] for code in languages]
    sets, matched = [own for own, *_ in by_language], [random for _, *random in by_language]
    passes = _Passes(readout, tokenizer, corpus.spread(checked), sets, batch_tokens)
    written = _written(readout, mean_values(means, types) * passes.scales[:, None], sets, matched)
    texts = [corpus, *elsewhere]
    tokens = {text.name: OwnTokens.of(tokenizer, [text], languages) for text in texts}
    every = OwnTokens.of(tokenizer, texts, languages)
    covariance = readout.covariance()
    measured = {
        name: _Measured(readout, covariance, own, written)
        for name, own in ({ALL_TEXT: every} | (tokens if elsewhere else {})).items()
    }
    return Writing(
        languages,
        numbers=_by_text({name: each.numbers() for name, each in measured.items()}),
        contrasts=_by_text({name: each.contrasts() for name, each in measured.items()}),
        dealt=_by_text({name: each.dealt() for name, each in measured.items()}),
        layers=measured[ALL_TEXT].layers(),
        tokens=_top_tokens(readout, tokenizer, languages, written.own.sum(0), top),
        check=passes.check(every, written.own.sum(0), measured[ALL_TEXT].directions),
        provenance=means.provenance,
    )


def _by_text(tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(tables, names=["text"]).reset_index("text").reset_index(drop=True)


def mean_values(means: ActivationStats, types: NeuronTypes) -> np.ndarray:
    """Mean value that enters the down projection, ``[layers, neurons, languages]`` in the types' languages.

    Raises:
        NeuroglotError: counts of another quantity, without moments, or of other neurons or languages.
    """
    if means.provenance.get("settings", {}).get("quantity") != "product":
        raise NeuroglotError('the means are not of what enters the down projection; count with quantity="product".')
    values = means.select(types.languages).means()
    if not same_neurons(means, types):
        raise NeuroglotError("means and types are not of the same neurons; count the means with this model.")
    return values


# --- the sets ----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Written:
    """What sets write with a language's mean values, as vectors before the head, float64.

    ``own``, ``every`` ``[layers, languages, size]``: the language's set, and all neurons; ``sets`` and ``apart``
    ``[layers, languages, sets, size]``: each language's set, and without the language's own neurons; ``matched``
    ``[layers, languages, draws, size]``; ``sizes`` ``[layers, languages]`` and ``sizes_apart`` ``[layers, languages,
    sets]``: neurons.
    """

    own: np.ndarray
    every: np.ndarray
    sets: np.ndarray
    apart: np.ndarray
    matched: np.ndarray
    sizes: np.ndarray
    sizes_apart: np.ndarray


def _written(
    readout: Readout,
    values: np.ndarray,
    sets: Sequence[Sequence[np.ndarray]],
    matched: Sequence[Sequence[Sequence[np.ndarray]]],
) -> _Written:
    """``values`` ``[layers, neurons, languages]``: mean values over the norms' scales."""
    found: list[tuple[np.ndarray, ...]] = []
    for layer, value in enumerate(values):
        columns, width = readout.columns(layer).numpy(), len(value)
        by_language = value.T.astype(np.float32)[:, None]
        member = _masks([own[layer] for own in sets], width)
        apart = member * (1 - member[:, None])
        drawn = np.stack([_masks([draw[layer] for draw in draws], width) for draws in matched])
        every = (by_language @ columns)[:, 0]
        own, whole, others, random = (
            (mask * by_language) @ columns for mask in (member[:, None], member, apart, drawn)
        )
        found.append((own[:, 0], every, whole, others, random, member.sum(-1), apart.sum(-1)))
    return _Written(*(np.stack(part).astype(float) for part in zip(*found, strict=True)))


def _masks(sets: Sequence[np.ndarray], width: int) -> np.ndarray:
    masks = np.zeros((len(sets), width), dtype=np.float32)
    for mask, index in zip(masks, sets, strict=True):
        mask[index] = 1
    return masks


# --- own tokens --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class OwnTokens:
    """The tokens of each language that occur in its text and (nearly) never in the others'.

    Attributes:
        languages: codes, in order.
        ids: of each language, its own tokens, ascending.
        counts: of each language, int64 ``[units, own tokens]``: how often each occurs in each wording's responses.
    """

    languages: tuple[str, ...]
    ids: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, tokenizer: PreTrainedTokenizerBase, texts: Sequence[Corpus], languages: tuple[str, ...]) -> "OwnTokens":
        """Those of some texts together; wordings of different texts are different units."""
        rows: list[tuple[int, int, int]] = []
        units: dict[tuple[int, str], int] = {}
        for number, text in enumerate(texts):
            for example, (ids, counted) in zip(text.examples, tokenize(tokenizer, text), strict=True):
                place = units.setdefault((number, example.unit), len(units)), languages.index(example.language)
                rows += [(*place, token) for token, keep in zip(ids, counted, strict=True) if keep]
        unit, language, token = np.array(rows, dtype=np.int64).T
        words, word = np.unique(token, return_inverse=True)
        counts = np.zeros((len(units), len(languages), len(words)), dtype=np.int64)
        np.add.at(counts, (unit, language, word), 1)
        rates = counts.sum(axis=0) / np.maximum(counts.sum(axis=(0, 2)), 1)[:, None]
        own = rates / rates.sum(axis=0) >= 1 - MOST_ELSEWHERE
        found = tuple(np.ascontiguousarray(counts[:, k, own[k]]) for k in range(len(languages)))
        return cls(languages, tuple(words[row] for row in own), found)

    def means(self, readout: Readout, weights: np.ndarray) -> np.ndarray:
        """The head's mean row over each language's own tokens, each as often as it occurs; NaN where there is none.

        Args:
            readout: the model's.
            weights: ``[replicates, units]``, how often each unit counts.

        Returns:
            Float64 ``[replicates, languages, size]``.
        """
        result = np.full((len(weights), len(self.ids), readout.size), np.nan)
        for k, (ids, counts) in enumerate(zip(self.ids, self.counts, strict=True)):
            times = weights @ counts
            total = times.sum(axis=1, keepdims=True)
            rows = readout.embeddings(ids).double().numpy()
            np.divide(times @ rows, total, out=result[:, k], where=total > 0)
        return result

    def directions(self, readout: Readout) -> np.ndarray:
        """``d``, float64 ``[1 + units, languages, size]``: own tokens' mean row less the mean of the others' ones.

        ``u @ d`` is the difference in logits. The first is of all units, each other one lacks a unit.
        """
        units = len(self.counts[0])
        means = self.means(readout, np.concatenate([np.ones((1, units)), leave_one_out(units)]))
        there = ~np.isnan(means[..., :1])
        total, number = np.where(there, means, 0).sum(axis=1, keepdims=True), there.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore", invalid="ignore"):
            others = (total - np.where(there, means, 0)) / (number - there)
        directions: np.ndarray = means - others
        return directions

    @property
    def present(self) -> np.ndarray:
        """Which units have own tokens of which language, bool ``[units, languages]``."""
        return np.stack([counts.sum(axis=1) > 0 for counts in self.counts], axis=1)


# --- the numbers -------------------------------------------------------------------------------


class _Measured:
    """The numbers of what is written, for own tokens of one text; arrays ``[1 + units, ...]`` as directions are."""

    def __init__(self, readout: Readout, covariance: np.ndarray, own: OwnTokens, written: _Written) -> None:
        self.tokens, self.written, self.covariance = own, written, covariance
        self.directions = own.directions(readout)
        self.own, self.every = (self._numbers(part.sum(0)[:, None])[..., 0] for part in (written.own, written.every))
        self.matched = self._numbers(written.matched.sum(0))
        self.equal_own, self.equal_others = self._at_equal_numbers()

    def _spread(self, u: np.ndarray) -> np.ndarray:
        """Standard deviation over the vocabulary of the logits of vectors ``[..., size]``; NaN where they are all 0."""
        variance = np.einsum("...s,...s->...", u @ self.covariance, u)
        spread: np.ndarray = np.sqrt(np.where(variance > 0, variance, np.nan))
        return spread

    def _logits(self, u: np.ndarray) -> np.ndarray:
        """Own tokens less the others', of vectors ``[languages, n, size]``: ``[1 + units, languages, n]``."""
        logits: np.ndarray = np.einsum("kns,rks->rkn", u, self.directions)
        return logits

    def _numbers(self, u: np.ndarray) -> np.ndarray:
        numbers: np.ndarray = self._logits(u) / self._spread(u)
        return numbers

    def _at_equal_numbers(self) -> tuple[np.ndarray, np.ndarray]:
        """Own and each other set where both have as many neurons in every layer, as random parts have on average.

        Returns:
            Each ``[1 + units, languages, sets]``; a language's own set beside itself has no number.
        """
        own, other = self.written.sizes[..., None], self.written.sizes_apart
        least = np.minimum(own, other)
        of_own, of_other = (least / np.maximum(size, 1) for size in (own, other))
        mine = np.einsum("lks,lkm->kms", self.written.own, of_own)
        theirs = np.einsum("lkms,lkm->kms", self.written.apart, of_other)
        return self._numbers(mine), self._numbers(theirs)

    def _sure(self, numbers: np.ndarray) -> Estimate:
        """Of numbers ``[1 + units, languages]``."""
        return jackknife(numbers[0], numbers[1:], self.tokens.present)

    def numbers(self) -> pd.DataFrame:
        """The table ``numbers``, but for the text."""
        others, matched = known_mean(self.equal_others, -1), known_mean(self.matched, -1)
        scattered = self._sure(matched).scattered(self.matched[0].T)
        logits = {"own": self.written.own.sum(0)[:, None], "all": self.written.every.sum(0)[:, None]}
        logits |= {"matched": self.written.matched.sum(0)}
        parts = []
        for of, estimate in {
            "own": self._sure(self.own),
            "others": self._sure(others),
            "matched": scattered,
            "all": self._sure(self.every),
        }.items():
            low, high = estimate.interval()
            columns = {"number": estimate.value, "low": low, "high": high}
            columns["logits"] = self._logits(logits[of]).mean(-1)[0] if of in logits else np.full(len(low), np.nan)
            parts.append(pd.DataFrame({"language": self.tokens.languages, "of": of} | self._sizes() | columns))
        return pd.concat(parts, ignore_index=True)

    def _sizes(self) -> dict[str, np.ndarray]:
        return {
            "neurons": self.written.sizes.sum(0).astype(int),
            "tokens": np.array([len(ids) for ids in self.tokens.ids]),
            "units": self.tokens.present.sum(axis=0),
        }

    def contrasts(self) -> pd.DataFrame:
        """The table ``contrasts``, but for the text."""
        others = self._sure(known_mean(self.equal_own - self.equal_others, -1))
        matched = self._sure(self.own - known_mean(self.matched, -1)).scattered(self.matched[0].T)
        both = together([others, matched])
        said, (low, high), least = verdicts(both), both.interval(), both.detectable()
        rows = [
            pd.DataFrame(
                {"language": self.tokens.languages, "against": against, "number": both.value[row], "low": low[row],
                 "high": high[row], "detectable": least[row], "verdict": said[row]}
            )
            for row, against in enumerate(("others", "matched"))
        ]  # fmt: skip
        return pd.concat(rows, ignore_index=True)

    def dealt(self) -> pd.DataFrame:
        """The table ``dealt``, but for the text: of all sets, with each language's values, for its tokens."""
        contrast, p = dealt_to_languages(self._numbers(self.written.sets.sum(0))[0].T)
        return pd.DataFrame({"contrast": [contrast], "p": [p]})

    def layers(self) -> pd.DataFrame:
        """The table ``layers``."""
        spread = self._spread(self.written.own.sum(0))[:, None]
        own = np.einsum("lks,rks->rkl", self.written.own, self.directions) / spread
        matched = np.einsum("lkds,rks->rdkl", self.written.matched, self.directions) / spread
        own, matched = (
            known_mean(own, axis=1),
            known_mean(matched, axis=2),
        )  # over languages: [1 + units, (draws,) layers]
        less = own - matched.mean(axis=1)
        estimate = jackknife(less[0], less[1:]).scattered(matched[0])
        low, high = estimate.interval()
        return pd.DataFrame(
            {
                "layer": range(len(low)),
                "neurons": self.written.sizes.mean(axis=1),
                "own": own[0],
                "matched": matched[0].mean(axis=0),
                "number": estimate.value,
                "low": low,
                "high": high,
                "detectable": estimate.detectable(),
                "verdict": verdicts(estimate),
            }
        )


def begins(layers: pd.DataFrame) -> int | None:
    """The first layer from which on neurons hold 95 % of what they add to the number beyond matched ones.

    Args:
        layers: the table of :class:`Writing`.

    Returns:
        ``None`` where all layers together add nothing beyond matched neurons.
    """
    number = layers["number"].fillna(0).to_numpy()
    if not number.sum() > 0:
        return None
    late = np.flatnonzero(number.cumsum() > LITTLE * number.sum())
    return int(layers["layer"].iloc[late[0]])


# --- the passes over a little text -------------------------------------------------------------


class _Passes:
    """Some documents as the model is and without each language's set: the norms' scales, and what falls.

    Attributes:
        scales: ``[layers, languages]``, mean over counted tokens of one over the scales of a layer's norm and of the
            final one.
        fell: by language, ``[units, size]``, and tokens ``[units]``: by how much the state before the head differs,
            summed over the tokens of each wording.
    """

    def __init__(
        self,
        readout: Readout,
        tokenizer: PreTrainedTokenizerBase,
        corpus: Corpus,
        sets: Sequence[Sequence[np.ndarray]],
        batch_tokens: int,
    ) -> None:
        self.readout, self.corpus = readout, corpus
        units = len({example.unit for example in corpus.examples})
        texts, _ = texts_of(tokenizer, corpus, units, longest_input(readout.model, None))
        k = len(corpus.languages)
        self.fell, self.tokens = np.zeros((k, units, readout.size)), np.zeros((k, units))
        sums = np.zeros((len(readout.layers), k))
        with torch.inference_mode(), evaluating(readout.model):
            for language, own in enumerate(sets):
                mine = [text for text in texts if text.language == language]
                for batch in batches_of(mine, batch_tokens // 2):
                    sums[:, language] += self._run(batch, language, Intervention(list(own), values=0.0))
        self.scales = sums / np.maximum(self.tokens.sum(axis=1), 1)

    def _run(self, batch: Batch, language: int, removal: Intervention) -> np.ndarray:
        """Adds up what falls; sums of one over the scales, ``[layers]``."""
        inputs, n = batch.tensors(1), len(batch.texts)
        counted = inputs.weights.any(0).reshape(n, -1)
        over: dict[int, torch.Tensor] = {}
        states: list[torch.Tensor] = []

        def see(number: int, over_scale: torch.Tensor, output: torch.Tensor) -> None:
            over[number] = over_scale.reshape(2 * n, -1)[:n].cpu()[counted]
            if number < 0:
                states.append(output.reshape(2 * n, -1, output.shape[-1]).float().cpu())

        handles = self.readout.watch(see)
        try:
            with intervene(self.readout.model, [None] * n + [removal] * n):
                ids = inputs.ids.to(input_device(self.readout.model)).repeat(2, 1)
                backbone(self.readout.model)(input_ids=ids, use_cache=False)
        finally:
            for handle in handles:
                handle.remove()
        differences = (states[0][:n] - states[0][n:]).double()
        for text, row, keep in zip(batch.texts, differences, counted, strict=True):
            self.fell[language, text.bin] += row[keep].sum(0).numpy()
            self.tokens[language, text.bin] += int(keep.sum())
        final = over.pop(-1)
        parts = [final * over[number] if number in over else final for number in range(len(self.readout.layers))]
        return np.array([float(part.double().sum()) for part in parts])

    def check(self, own: OwnTokens, written: np.ndarray, directions: np.ndarray) -> pd.DataFrame:
        """The table ``check``; ``written`` ``[languages, size]``, ``directions`` ``[1 + units, languages, size]``."""
        rows, words = [], np.unique(np.concatenate(own.ids))
        head = self.readout.embeddings(words).double().numpy()
        for k, code in enumerate(self.corpus.languages):
            there = self.tokens[k] > 0
            sums, sizes = self.fell[k][there], self.tokens[k][there]
            way = directions[0, k]
            each = sums @ way
            mean = sums.sum(0) / max(sizes.sum(), 1)
            with np.errstate(divide="ignore", invalid="ignore"):
                without = (each.sum() - each) / (sizes.sum() - sizes)
            estimate = jackknife(mean @ way, without)
            low, high = estimate.interval()
            predicted, fell = head @ written[k], head @ mean
            moved = predicted.size and predicted.std() > 0 and fell.std() > 0
            documents = len({e.document for e in self.corpus.examples if e.language == code})
            rows.append(
                {
                    "language": code,
                    "documents": documents,
                    "predicted": float(written[k] @ way),
                    "fell": float(estimate.value),
                    "low": float(low),
                    "high": float(high),
                    "slope": float(np.polyfit(predicted, fell, 1)[0]) if moved else np.nan,
                    "correlation": float(np.corrcoef(predicted, fell)[0, 1]) if moved else np.nan,
                }
            )
        return pd.DataFrame(rows)


# --- tokens ------------------------------------------------------------------------------------


def _top_tokens(
    readout: Readout, tokenizer: PreTrainedTokenizerBase, languages: tuple[str, ...], written: np.ndarray, top: int
) -> pd.DataFrame:
    """The table ``tokens`` of ``written`` ``[languages, size]``; a language without neurons raises none."""
    logits, ids = _highest(readout, torch.from_numpy(written).float(), 6 * top)
    rows = []
    for k, code in enumerate(languages):
        if written[k].any():
            places = _told(tokenizer, ids[k].tolist(), top)
            rows += [
                {"language": code, "rank": rank, "token": text, "logits": float(logits[k, place])}
                for rank, (place, text) in enumerate(places.items(), 1)
            ]
    return pd.DataFrame(rows, columns=["language", "rank", "token", "logits"])


def raised(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    stats: ActivationStats,
    means: ActivationStats,
    neurons: np.ndarray,
    top: int = 10,
) -> pd.DataFrame:
    """The tokens that each neuron raises most, by the sign of its mean value in the language in which it fires most.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        stats: counts, for how often it fires.
        means: counts with ``quantity="product"`` and moments.
        neurons: ``[n, 2]``, layer and neuron.
        top: tokens of each.

    Returns:
        One row per neuron: ``layer``, ``neuron``, ``language``, ``value`` (its mean there), ``tokens`` (a list; of a
        neuron whose mean value is 0, empty).
    """
    readout = Readout(model)
    layer, neuron = np.asarray(neurons).T
    most = stats.probabilities()[layer, neuron].argmax(axis=-1)
    value = means.select(stats.languages).means()[layer, neuron, most]
    columns = torch.empty(len(layer), readout.size)
    for number in np.unique(layer):
        here = np.flatnonzero(layer == number)
        columns[here] = readout.columns(int(number))[neuron[here]]
    _, ids = _highest(readout, columns * torch.from_numpy(np.sign(value)).float()[:, None], 3 * top)
    tokens = [
        list(_told(tokenizer, each, top).values()) if own else [] for each, own in zip(ids.tolist(), value, strict=True)
    ]
    codes = [stats.languages[k] for k in most]
    return pd.DataFrame({"layer": layer, "neuron": neuron, "language": codes, "value": value, "tokens": tokens})


def _highest(readout: Readout, vectors: torch.Tensor, number: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Highest logits of vectors ``[n, size]`` and their words, both ``[n, number]``, in 64 megabytes at a time."""
    best, words, start = torch.empty(len(vectors), 0), torch.empty(len(vectors), 0, dtype=torch.long), 0
    for rows in readout.slices(max(1024, 2**24 // max(len(vectors), 1))):
        logits, place = torch.topk(vectors @ rows.T, min(number, len(rows)))
        best, words = torch.cat([best, logits], dim=1), torch.cat([words, place + start], dim=1)
        best, order = torch.topk(best, min(number, best.shape[1]))
        words, start = words.gather(1, order), start + len(rows)
    return best, words


def _told(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int], most: int) -> dict[int, str]:
    """The first few words that differ but for spaces, as text, by their place; without special and added ones."""
    added, found = tokenizer.added_tokens_decoder, dict[str, int]()
    for place, word in enumerate(ids):
        text = "" if word in added else str(tokenizer.decode([word])).strip()
        if text and len(found) < most:
            found.setdefault(text, place)
    return {place: text for text, place in found.items()}
