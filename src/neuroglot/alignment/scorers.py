"""How well a response in one language agrees with the pivot's response to the same question."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from ..base import plugins
from ..base.errors import NeuroglotError, in_a_line, quoted
from ..model.likelihood import losses
from ..model.loading import evaluating, hub_commit, model_source, quiet, weights_hash
from ..text.corpora import Corpus, Example
from ..text.languages import is_language
from ..text.numbers import as_number, equations, last_number


class Scorer(Protocol):
    """Scores responses; only scores of responses to the same question are compared."""

    @property
    def provenance(self) -> dict[str, Any]:
        """What decides the scores."""

    def __call__(self, responses: Sequence[Example], references: Sequence[Example]) -> np.ndarray:
        """Float64 ``[responses]``, higher is better; ``references`` are the pivot's responses, one for each."""


@dataclass(frozen=True)
class Exact:
    """How many of three things hold: the right last number, the language asked for, true equations.

    The third is a share: of the equations written in the response, those that are true. A language that
    the detector does not know holds for no response.
    """

    @property
    def provenance(self) -> dict[str, Any]:
        """See :class:`Scorer`."""
        return {"scorer": "exact"}

    def __call__(self, responses: Sequence[Example], references: Sequence[Example]) -> np.ndarray:
        """See :class:`Scorer`."""
        scores = []
        for response in responses:
            answer = as_number(response.answer)
            if answer is None:
                raise NeuroglotError(f"{response.place}: there is no answer to score with; use another scorer.")
            steps = [each.true for each in equations(response.response)]
            scores.append(
                float(last_number(response.response) == answer)
                + float(bool(is_language(response.response, response.language)))
                + (sum(steps) / len(steps) if steps else 1.0)
            )
        return np.array(scores)


@dataclass(frozen=True)
class GivenReference:
    """Mean log-probability per token that a causal model gives the response after the pivot's question and response.

    The pivot's question and response, an empty line, the question, the response.

    Attributes:
        model, tokenizer: the model under study, or another.
        path: keeps the losses, so that an interrupted run goes on.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    path: Path | None = None
    progress: bool = True

    @property
    def provenance(self) -> dict[str, Any]:
        """See :class:`Scorer`."""
        return {"scorer": "given the reference", **model_source(self.model), "weights_sha256": weights_hash(self.model)}

    def __call__(self, responses: Sequence[Example], references: Sequence[Example]) -> np.ndarray:
        """See :class:`Scorer`.

        Raises:
            NeuroglotError: as :func:`neuroglot.losses`.
        """
        placed = tuple(
            replace(
                response,
                id=f"r{number}",
                cluster="",
                prompt=f"{reference.prompt}{reference.response}\n\n{response.prompt}",
            )
            for number, (response, reference) in enumerate(zip(responses, references, strict=True))
        )
        languages = tuple(dict.fromkeys(response.language for response in responses))
        corpus = Corpus("responses given their references", languages, placed)
        found = losses(
            self.model, self.tokenizer, corpus, path=self.path, progress=self.progress, overwrite=self.path is not None
        )
        column = {unit: number for number, unit in enumerate(found.units)}
        cells = [(languages.index(example.language), column[example.unit]) for example in placed]
        with np.errstate(invalid="ignore"):
            return np.array([-found.nll[0, k, unit] / found.tokens[k, unit] for k, unit in cells])


#: The kinds of :func:`named` that are neuroglot's own.
_OWN = ("exact", "self", "translation")


def named(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, path: Path | None = None) -> Scorer:
    """A scorer by name: ``"exact"``, ``"self"`` (given the reference, by this model), or ``"translation:MODEL"``.

    Installed packages add ``"NAME:REST"``: an entry point of ``neuroglot.scorers``, a function ``(rest)`` that gives a
    :class:`Scorer`.

    Raises:
        NeuroglotError: no such scorer, or an installed one that is broken.
    """
    kind, _, place = name.partition(":")
    if (point := plugins.find("neuroglot.scorers", kind, _OWN)) is not None:
        scorer = plugins.call(point, plugins.load_function(point), place)
        if not callable(scorer) or not isinstance(getattr(scorer, "provenance", None), dict):
            raise plugins.broken(point, "gave no scorer: a function with a provenance")
        return scorer  # type: ignore[no-any-return]
    if name == "exact":
        return Exact()
    if name == "self":
        return GivenReference(model, tokenizer, path)
    if kind == "translation" and place:
        return Translation(place)
    added = "".join(f", {each}" for each in plugins.names("neuroglot.scorers", _OWN))
    raise NeuroglotError(
        f"there is no scorer {quoted(name)}; use exact, self{added}, or translation: and a model's id or folder."
    )


#: FLORES codes, which NLLB's tokenizer takes, of the languages of the paper; others are found by their three letters.
_FLORES = {
    **{"en": "eng_Latn", "ru": "rus_Cyrl", "es": "spa_Latn", "fr": "fra_Latn", "de": "deu_Latn", "zh": "zho_Hans"},
    **{"ja": "jpn_Jpan", "bn": "ben_Beng", "th": "tha_Thai", "sw": "swh_Latn", "te": "tel_Telu"},
}


class Translation:
    """Mean log-probability per token that a translation model gives the response, given the pivot's response.

    The score of MAPO (arXiv 2401.06838), whose model is NLLB-200-distilled-600M.

    Args:
        name: a sequence-to-sequence model, hub id or folder.
        revision: commit, branch or tag of a hub id.
        batch_size: responses scored together.

    Raises:
        NeuroglotError: no such model, one of another kind, or a tokenizer of another vocabulary than the model's.
    """

    def __init__(self, name: str, *, revision: str | None = None, batch_size: int = 16) -> None:
        try:
            with quiet():
                model = AutoModelForSeq2SeqLM.from_pretrained(name, revision=revision)
                tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
        except Exception as error:  # a foreign folder fails in the loaders in many ways
            raise NeuroglotError(
                f"the scorer {quoted(name)} could not be loaded as a sequence-to-sequence model; use for instance "
                f"facebook/nllb-200-distilled-600M, or the scorer self or exact. The loader said: "
                f"{in_a_line(error, 200)}"
            ) from error
        if len(tokenizer) > (size := model.get_input_embeddings().num_embeddings):
            raise NeuroglotError(
                f"the scorer {quoted(name)} has a tokenizer of {len(tokenizer):,} tokens and a model of {size:,}; "
                "it is of another vocabulary: give the tokenizer that belongs to the model."
            )
        self.name, self.revision, self.batch_size = name, hub_commit(name, revision) or revision, batch_size
        self.model, self.tokenizer = model.eval(), tokenizer
        self._tags = hasattr(tokenizer, "src_lang")

    @property
    def provenance(self) -> dict[str, Any]:
        """See :class:`Scorer`."""
        source = {"model": self.name, "revision": self.revision or "", "weights_sha256": weights_hash(self.model)}
        return {"scorer": "translation", **source}

    def __call__(self, responses: Sequence[Example], references: Sequence[Example]) -> np.ndarray:
        """See :class:`Scorer`.

        Raises:
            NeuroglotError: a language the scorer has no tag for, text its vocabulary lacks, or text too long for it.
        """
        scores = np.zeros(len(responses))
        groups: dict[tuple[str, str], list[int]] = {}
        for number, (response, reference) in enumerate(zip(responses, references, strict=True)):
            groups.setdefault((reference.language, response.language), []).append(number)
        for (source, target), members in groups.items():
            if self._tags:
                self.tokenizer.src_lang, self.tokenizer.tgt_lang = self._tag(source), self._tag(target)
            for start in range(0, len(members), self.batch_size):
                some = members[start : start + self.batch_size]
                scores[some] = self._score([references[i] for i in some], [responses[i] for i in some])
        return scores

    def _tag(self, language: str) -> str:
        """The language's token in the tokenizer: FLORES (NLLB), ``en_XX`` (mBART) or the code itself (M2M100)."""
        known = self.tokenizer.get_vocab()
        wanted = (_FLORES.get(language, ""), language, f"__{language}__")
        found = next((tag for tag in wanted if tag and tag in known), None)
        found = found or next((token for token in sorted(known) if token.startswith(f"{language}_")), None)
        if found is None:
            raise NeuroglotError(
                f"the scorer {quoted(self.name)} has no tag for the language {quoted(language)}; use one that knows it."
            )
        return found.strip("_") if found.startswith("__") else found

    def _score(self, references: Sequence[Example], responses: Sequence[Example]) -> np.ndarray:
        source = self.tokenizer([r.response for r in references], return_tensors="pt", padding=True)
        target = self.tokenizer(text_target=[r.response for r in responses], return_tensors="pt", padding=True)
        longest = getattr(self.model.config, "max_position_embeddings", None)
        for texts, encoded in ((references, source), (responses, target)):
            lengths = encoded["attention_mask"].sum(dim=1)
            if longest is not None and int(lengths.max()) > longest:
                place = texts[int(lengths.argmax())].place
                raise NeuroglotError(f"{place}: {int(lengths.max())} tokens are too long for the scorer's {longest}.")
            unknown = self.tokenizer.unk_token_id
            strange = [unknown is not None and unknown in row for row in encoded["input_ids"].tolist()]
            if any(strange):
                place = texts[strange.index(True)].place
                raise NeuroglotError(
                    f"{place}: the scorer {quoted(self.name)} has no tokens for some of this text; use one of a "
                    "vocabulary that covers the language."
                )
        labels = target["input_ids"].masked_fill(target["attention_mask"] == 0, -100)
        with torch.inference_mode(), evaluating(self.model):
            logits = self.model(**source, labels=labels).logits
        likely = logits.float().log_softmax(-1).gather(-1, labels.clamp(min=0)[..., None])[..., 0].double()
        kept = labels != -100
        means: np.ndarray = ((likely * kept).sum(-1) / kept.sum(-1)).numpy()
        return means
