"""How likely a model finds responses, as it is and under interventions: losses, and perplexity."""

import hashlib
import json
import math
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from accelerate.utils import align_module_device
from torch import nn
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ..base.artifacts import finished, load_artifact, require_tokens, save_artifact
from ..base.errors import NeuroglotError, quoted, require_whole
from ..base.locks import one_writer
from ..base.parts import Parts
from ..base.provenance import record, table
from ..base.uncertainty import LEVEL, jackknife, leave_one_out, ratios
from ..text.corpora import Corpus
from ..text.languages import languages_of
from .batches import Batch, batches_of, texts_of
from .interventions import Intervention, hashes, intervene
from .loading import evaluating, input_device, itself, longest_input, model_record
from .sites import SITES, neuron_site
from .stores import Text


@dataclass(frozen=True, eq=False)
class Losses:
    """Negative log-likelihood of every language's responses, for each intervention.

    Attributes:
        rows: names of the interventions, in order.
        languages: codes, in order.
        units: what intervals resample: documents, or clusters of documents of one wording.
        nll: float64 ``[rows, languages, units]``, nats summed over the tokens of a unit's
            responses; not a number where it was not asked for.
        tokens: int64 ``[languages, units]``; 0 where a language lacks the unit.
        provenance: model, text, interventions, settings, versions.
    """

    rows: tuple[str, ...]
    languages: tuple[str, ...]
    units: tuple[str, ...]
    nll: np.ndarray
    tokens: np.ndarray
    provenance: dict[str, Any] = field(default_factory=dict)

    KIND = "losses"

    def __post_init__(self) -> None:
        shape = len(self.languages), len(self.units)
        if self.nll.shape != (len(self.rows), *shape) or self.tokens.shape != shape:
            raise NeuroglotError("rows, languages and units do not fit the losses; measure again.")
        for names in (self.rows, self.units):
            if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
                raise NeuroglotError("rows or units have no names, or the same twice; measure again.")
        if not np.issubdtype(self.tokens.dtype, np.integer) or not np.issubdtype(self.nll.dtype, np.floating):
            raise NeuroglotError(
                f"tokens are {self.tokens.dtype} and losses {self.nll.dtype}; they must be whole and real numbers."
            )
        require_tokens(self.tokens, axis=1)
        asked = ~np.isnan(self.nll)
        # Of one token nothing is likelier than 1, but for rounding.
        wrong = asked & ~((self.nll >= -_ROUNDING * self.tokens) & (self.nll < np.inf))
        if wrong.any() or (asked.any(axis=2) != asked.all(axis=2)).any():
            raise NeuroglotError("some losses are negative, infinite, or of a part of a language; measure again.")

    def log_perplexity(self, weights: np.ndarray | None = None) -> np.ndarray:
        """Nats per token, float64 ``[rows, languages]``: each language's summed loss over its tokens.

        Args:
            weights: ``[replicates, units]``, how often each unit counts, as from
                :func:`neuroglot.base.uncertainty.leave_one_out`; the result is then
                ``[replicates, rows, languages]``. A replicate without a token of a language gives no number there.
        """
        return ratios(self.nll, self.tokens, weights)

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``; hashes by their first digits."""
        own = {key: value for key, value in self.provenance.items() if key not in ("interventions", "only")}
        tokens = self.tokens.sum(axis=1)
        each = ", ".join(f"{code} {count:,}" for code, count in zip(self.languages, tokens, strict=True))
        rows = {"interventions": f"{len(self.rows):,}", "scored tokens": f"{int(tokens.sum()):,} ({each})"}
        return table(own, rows)

    def save(self, path: str | Path) -> None:
        """Write to a safetensors file, whole or not at all; the same losses give the same bytes."""
        head = {"rows": self.rows, "languages": self.languages, "units": self.units, "provenance": self.provenance}
        save_artifact(path, self.KIND, {"nll": self.nll, "tokens": self.tokens}, head)

    @classmethod
    def load(cls, path: str | Path) -> "Losses":
        """Read what :meth:`save` wrote.

        Raises:
            NeuroglotError: the file is missing, truncated, of another kind, version or shape.
        """
        arrays, header = load_artifact(path, cls.KIND, ("nll", "tokens"))
        names = [header.get(name) for name in ("rows", "units")]
        if not all(isinstance(each, list) for each in names):
            raise NeuroglotError(f"{path} lacks its names; make it again.")
        rows, units = (tuple(cast(list[str], each)) for each in names)
        try:
            return cls(rows, languages_of(header, path), units, arrays["nll"], arrays["tokens"], header["provenance"])
        except NeuroglotError as error:
            raise NeuroglotError(f"{path}: {error}") from error


# More than logits of any size are off by when they are rounded, in nats per token.
_ROUNDING = 0.01


def perplexity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    level: float = LEVEL,
    **options: Any,
) -> pd.DataFrame:
    """Perplexity of each language's responses: ``exp(sum of losses / number of tokens)``.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: prompts are context; responses are scored.
        path: as for :func:`losses`.
        level: of the intervals, a jackknife over wordings of the logarithm; fewer than four give none.
        **options: as for :func:`losses`, but for interventions.

    Returns:
        One row per language: ``language``, ``documents``, ``tokens``, ``perplexity``, ``low``, ``high``.

    Example:
        >>> ng.perplexity(model, tokenizer, corpus, progress=False)[["language", "documents", "tokens"]]
          language  documents  tokens
        0       de          4      95
        1       en          4      93
        2       ru          4     145
    """
    if "interventions" in options:
        raise NeuroglotError("perplexity is of the model as it is; for interventions use losses.")
    found = losses(model, tokenizer, corpus, path=path, **options)
    log, without = found.log_perplexity()[0], found.log_perplexity(leave_one_out(len(found.units)))[:, 0]
    low, high = np.exp(jackknife(log, without, found.tokens.T > 0).interval(level))
    return pd.DataFrame(
        {
            "language": found.languages,
            "documents": [len({e.document for e in corpus.examples if e.language == c}) for c in found.languages],
            "tokens": found.tokens.sum(axis=1),
            "perplexity": np.exp(log),
            "low": low,
            "high": high,
        }
    )


@one_writer()
def losses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    interventions: Mapping[str, Intervention | None] | None = None,
    path: str | Path | None = None,
    *,
    only: Mapping[str, Collection[str]] | None = None,
    positions: str = "all",
    response_tokens: int | None = None,
    batch_tokens: int = 1024,
    max_tokens: int | None = None,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> Losses:
    """The negative log-likelihood of a corpus's responses under each of several interventions.

    One forward pass holds some texts under as many interventions as fit; interventions that do the
    same are run once. The output head runs on the positions that predict a response, some thousand
    words of the vocabulary at a time, so that the logits are never there as a whole.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: prompts are context; responses are scored. A token without one before it is not.
        interventions: by name; ``None`` is the model as it is, which is also the default.
        path: where to save. A file that already holds just this is returned without running; an
            interrupted run goes on after its last finished pass, kept in ``PATH.parts``.
        only: the languages that an intervention is measured on, by its name; default: all.
        positions: where neurons are changed: at ``"all"`` tokens, or only at those of the
            ``"response"`` (which the counts are made of). The prompt is then as it is under every
            intervention, and run once for all; the response's first token is predicted from it.
        response_tokens: only so many tokens of each response, the first ones, are run and scored; default: all.
        batch_tokens: tokens per forward pass, padding included.
        max_tokens: split responses so that no input is longer; default: the model's context.
        overwrite: replace a file at ``path`` that holds other losses.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar.

    Raises:
        NeuroglotError: a bad argument, an unknown head, other losses at ``path``, a loss that is
            not finite.

    Example:
        >>> off = ng.Intervention(types.neurons("ru"), values=0.0)
        >>> found = ng.losses(model, tokenizer, corpus, {"as it is": None, "without": off}, progress=False)
        >>> found.rows, found.log_perplexity().shape
        (('as it is', 'without'), (2, 3))
    """
    if interventions is not None and not interventions:
        raise NeuroglotError("there is no intervention to measure; give at least one, or leave them out.")
    run = _Run(model, tokenizer, corpus, interventions or {"as it is": None}, only or {})
    if positions not in ("all", "response"):
        raise NeuroglotError(f"positions={quoted(positions)}: give 'all' or 'response'.")
    limits = {"response_tokens": response_tokens, "batch_tokens": batch_tokens, "max_tokens": max_tokens}
    for name, number in limits.items():
        if number is not None:
            require_whole(name, number, 1)
    if positions == "response" and model.config.model_type not in SITES:
        raise NeuroglotError(f"positions='response' is not known to be right for {type(model).__name__}; use 'all'.")
    return run(path, positions, response_tokens, batch_tokens, max_tokens, overwrite, progress)


@dataclass(frozen=True)
class _Pass:
    """Some texts of one language under some interventions (by their hashes), in one forward pass."""

    texts: list[Text]
    changes: tuple[str, ...]

    @property
    def tokens(self) -> int:
        return sum(map(_scored, self.texts)) * len(self.changes)


def _begun(text: Text, most: int) -> Text:
    """A text up to the end of the first ``most`` tokens of its response."""
    until = int(np.searchsorted(np.cumsum(text.counted), most)) + 1
    return replace(text, ids=text.ids[:until], counted=text.counted[:until])


def _scored(text: Text) -> int:
    """Tokens of the response with one before them; the first token of all is predicted by nothing."""
    return sum(text.counted[1:])


class _Run:
    """One call of :func:`losses`: what is asked, and what has been measured."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        corpus: Corpus,
        interventions: Mapping[str, Intervention | None],
        only: Mapping[str, Collection[str]],
    ) -> None:
        if corpus.questions_only:
            raise NeuroglotError(f"corpus {corpus.name} has no responses to score; let the model answer them first.")
        if unknown := [name for name in only if name not in interventions]:
            raise NeuroglotError(f"only: there is no intervention {quoted(unknown[0])}.")
        if foreign := [code for codes in only.values() for code in codes if code not in corpus.languages]:
            raise NeuroglotError(f"only: the corpus has no language {quoted(foreign[0])}.")
        model = itself(model)
        neuron_site(model)  # refuses what it does not know before anything runs
        self.model, self.tokenizer, self.corpus = model, tokenizer, corpus
        self.hashes = hashes(interventions)
        # What changes nothing is run as no change, whatever it is called.
        as_it_is = Intervention(()).hash
        self.changes = {self.hashes[name]: each for name, each in interventions.items()} | {as_it_is: None}
        self.only = {
            name: [code for code in corpus.languages if code in only.get(name, corpus.languages)]
            for name in interventions
        }

    def __call__(
        self,
        path: str | Path | None,
        positions: str,
        response_tokens: int | None,
        batch_tokens: int,
        max_tokens: int | None,
        overwrite: bool,
        progress: bool,
    ) -> Losses:
        longest = longest_input(self.model, max_tokens)
        # A bin for every unit, in the order in which the corpus has them.
        self.units = tuple(dict.fromkeys(example.unit for example in self.corpus.examples))
        texts, _ = texts_of(self.tokenizer, self.corpus, len(self.units), longest)
        settings = {"positions": positions, "batch_tokens": batch_tokens, "max_tokens": longest}
        if response_tokens is not None:
            texts = [_begun(text, response_tokens) for text in texts]
            settings["response_tokens"] = response_tokens
        self.texts = [text for text in texts if _scored(text)]
        provenance = self._provenance(settings)
        path = Path(path) if path is not None else None
        if path is not None and (done := finished(path, self._load, provenance, "losses", overwrite)) is not None:
            Parts(path, provenance).remove_own()
            return done
        passes = list(self._passes(positions, batch_tokens))
        parts = Parts(path, provenance)
        found: dict[tuple[str, int, int], float] = {}
        shown = dict[str, Any](unit="tok", desc="scoring", mininterval=1, file=sys.stderr, disable=not progress)
        with evaluating(self.model), tqdm(total=sum(each.tokens for each in passes), **shown) as bar:
            head = Head(self.model)
            for number, each in enumerate(passes):
                kept = parts.kept(f"{number:05d}")
                nll = kept[0]["nll"] if kept else self._score(each, head, positions).numpy()
                if not kept:
                    parts.keep(f"{number:05d}", {"nll": nll})
                for change, row in zip(each.changes, nll.tolist(), strict=True):
                    for text, loss in zip(each.texts, row, strict=True):
                        key = change, text.language, text.bin
                        found[key] = found.get(key, 0.0) + loss
                bar.update(each.tokens)
        result = self._gather(found, provenance)
        if path is not None:
            result.save(path)
            parts.remove()
        return result

    def _load(self, path: Path) -> Losses:
        """What a file holds, its interventions in the order asked for if they are the same ones."""
        found = Losses.load(path)
        said = found.provenance.get("interventions")
        if sorted(found.rows) != sorted(self.hashes) or not isinstance(said, list):
            return found
        at = [found.rows.index(name) for name in self.hashes]
        said = [said[i] for i in at] if len(said) == len(at) else said
        provenance = found.provenance | {"interventions": said}
        return replace(found, rows=tuple(self.hashes), nll=found.nll[at], provenance=provenance)

    def _provenance(self, settings: dict[str, Any]) -> dict[str, Any]:
        inputs = hashlib.sha256(json.dumps([[t.ids, t.counted, t.language, t.bin] for t in self.texts]).encode())
        return record(
            model_record(self.model),
            self.corpus.record(),
            input_sha256=inputs.hexdigest(),
            interventions=[[name, change] for name, change in self.hashes.items()],  # in their order
            only=self.only,
            settings=settings,
            libraries=("torch", "transformers"),
        )

    def _passes(self, positions: str, batch_tokens: int) -> Iterator[_Pass]:
        """Language by language, so that what is finished is whole cells."""
        for number, code in enumerate(self.corpus.languages):
            wanted = {self.hashes[name] for name, codes in self.only.items() if code in codes}
            changes = [change for change in self.changes if change in wanted]
            mine = [text for text in self.texts if text.language == number]
            if not changes:
                continue
            room = 0 if positions == "response" else batch_tokens // len(changes)
            for batch in batches_of(mine, room):
                at_once = max(1, batch_tokens // batch.size)
                for some in np.array_split(np.arange(len(changes)), math.ceil(len(changes) / at_once)):
                    yield _Pass(batch.texts, tuple(changes[i] for i in some))

    def _score(self, run: _Pass, head: "Head", positions: str) -> torch.Tensor:
        """Summed losses, float64 ``[interventions, texts]``."""
        inputs = Batch(run.texts).tensors(1)
        device, n, width = input_device(self.model), len(run.changes), inputs.ids.shape[1]
        counted = inputs.weights.sum(0).reshape(len(run.texts), width).bool()
        ids = inputs.ids.to(device)
        changes = [self.changes[change] for change in run.changes for _ in run.texts]
        with torch.inference_mode():
            start = int(counted[0].nonzero()[0])
            if positions == "all" or start == 0:
                with intervene(self.model, changes):
                    states = self.model.base_model(input_ids=ids.repeat(n, 1), use_cache=False).last_hidden_state
            else:
                states = self._after_the_prompt(ids, start, changes)
            before = counted[:, 1:].to(states.device)
            states = states.unflatten(0, (n, len(run.texts)))[:, :, :-1][:, before]
            targets = ids[:, 1:][before.to(device)]
            likely = head.log_likelihood(states.flatten(0, 1), targets.repeat(n)).cpu()
        if not likely.isfinite().all():
            raise NeuroglotError(f"some losses in {self.model.dtype} are not finite; load the model in float32.")
        of_text = counted[:, 1:].nonzero()[:, 0]
        sums = torch.zeros(n, len(run.texts), dtype=torch.float64)
        return sums.index_add_(1, of_text, -likely.unflatten(0, (n, -1)))

    def _after_the_prompt(self, ids: torch.Tensor, start: int, changes: Sequence[Intervention | None]) -> torch.Tensor:
        """Last states of one text, ``[interventions, width, size]``, its neurons changed from ``start`` on."""
        own = self.model.base_model(input_ids=ids[:, :start], use_cache=True)
        first = own.last_hidden_state.expand(len(changes), -1, -1)
        cache = own.past_key_values
        cache.reorder_cache(torch.zeros(len(changes), dtype=torch.long, device=ids.device))
        with intervene(self.model, changes):
            rest = self.model.base_model(
                input_ids=ids[:, start:].repeat(len(changes), 1), past_key_values=cache, use_cache=True
            ).last_hidden_state
        return torch.cat([first, rest], dim=1)

    def _gather(self, found: Mapping[tuple[str, int, int], float], provenance: dict[str, Any]) -> Losses:
        languages, shape = self.corpus.languages, (len(self.corpus.languages), len(self.units))
        tokens = np.zeros(shape, dtype=np.int64)
        for text in self.texts:
            tokens[text.language, text.bin] += _scored(text)
        nll = np.full((len(self.hashes), *shape), np.nan)
        for row, (name, change) in enumerate(self.hashes.items()):
            for code in self.only[name]:
                k = languages.index(code)
                nll[row, k] = [found.get((change, k, unit), 0.0) for unit in range(shape[1])]
        return Losses(tuple(self.hashes), languages, self.units, nll, tokens, provenance)


class Head:
    """What a model makes of its last hidden states, some words of the vocabulary at a time.

    Some families scale or cap their logits after the head; whether all of that is known here is
    proven on a few tokens against the model's own logits.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        self.head = model.get_output_embeddings()
        if type(self.head) is not nn.Linear:
            raise NeuroglotError(f"the head of {type(model).__name__} is no plain linear layer, which is not known.")
        config = model.config.get_text_config()
        self.scale = (getattr(config, "logit_scale", None) or 1.0) / (getattr(config, "logits_scaling", None) or 1.0)
        self.cap = getattr(config, "final_logit_softcapping", None)
        self._prove(model)

    def _prove(self, model: PreTrainedModel) -> None:
        ids = torch.arange(1, 5, device=input_device(model))[None] % self.head.out_features
        with torch.inference_mode():
            theirs = model(input_ids=ids, use_cache=False).logits[0].cpu()
            states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0]
            ours = torch.cat(list(self._slices(states)), dim=-1).cpu()
        off = float((ours - theirs).abs().max())
        # Rounding differs with the sizes of a product; a forgotten scale or cap is far larger than this.
        if not off <= torch.finfo(theirs.dtype).eps ** 0.5 * float(theirs.abs().max()):
            raise NeuroglotError(
                f"the logits of {type(model).__name__} are more than its head's output (they differ by {off:.3g}); "
                "its perplexity is not known."
            )

    def _slices(self, states: torch.Tensor) -> Iterator[torch.Tensor]:
        """Logits ``[n, words]`` of one slice of the vocabulary after the other, about eight megabytes each."""
        words = max(256, 2**21 // max(len(states), 1))
        with align_module_device(self.head):
            weight, bias = self.head.weight, self.head.bias
            states = states.to(weight)
            for start in range(0, len(weight), words):
                part = slice(start, start + words)
                yield self._finish(nn.functional.linear(states, weight[part], None if bias is None else bias[part]))

    def _finish(self, logits: torch.Tensor) -> torch.Tensor:
        logits = logits * self.scale if self.scale != 1 else logits
        return self.cap * torch.tanh(logits / self.cap) if self.cap else logits

    def whole(self, states: torch.Tensor) -> torch.Tensor:
        """All logits of some states, ``[n, vocabulary]``; gradients go through."""
        with align_module_device(self.head):
            bias = None if self.head.bias is None else self.head.bias.detach()
            return self._finish(nn.functional.linear(states.to(self.head.weight), self.head.weight.detach(), bias))

    def logits(self, states: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        """Of some words each, ``[n, words]``, of states ``[n, size]`` and words ``[n, words]``."""
        with torch.inference_mode(), align_module_device(self.head):
            weight, bias = self.head.weight, self.head.bias
            words = words.to(weight.device)
            found = (states.to(weight)[:, None] * weight[words]).sum(-1)
            return self._finish(found if bias is None else found + bias[words])

    def log_likelihood(self, states: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """``log p(target)``, float64 ``[n]``, of states ``[n, size]``."""
        chosen, totals, start = torch.empty(len(states), dtype=torch.float64), [], 0
        for logits in self._slices(states):
            chosen, targets = chosen.to(logits.device), targets.to(logits.device)
            precise = logits if logits.dtype == torch.float64 else logits.float()
            totals.append(precise.logsumexp(-1).double())
            here = (targets >= start) & (targets < start + logits.shape[-1])
            chosen[here] = precise[here, targets[here] - start].double()
            start += logits.shape[-1]
        return chosen - torch.stack(totals).logsumexp(0)
