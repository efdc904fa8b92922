"""Text by language: prompts and responses, and what can be said of them before any model runs."""

import dataclasses
import functools
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from .errors import NeuroglotError
from .languages import detect_language, is_detectable, is_language, parse_languages, split_sentences


@dataclass(frozen=True, slots=True)
class Example:
    """One text: only the tokens of ``response`` are counted, ``prompt`` is its context.

    Attributes:
        id: examples with the same id in several languages are translations of each other. What
            follows a ``#`` (a number) numbers the responses to one prompt.
        language: its code.
        prompt: what comes before the response, with whatever separates the two.
        response: empty where a source has questions only.
        answer: the number the response should end with, where the source says it.
        group: what results may be told apart by, for instance ``"level 1"``.
        cluster: what texts of much the same wording share; they are never told apart by resampling,
            so that intervals are honest. Default: every document for itself.
        origin: file and row, for messages.
    """

    id: str
    language: str
    prompt: str
    response: str
    answer: str = ""
    group: str = ""
    cluster: str = ""
    origin: str = dataclasses.field(default="", compare=False)

    @property
    def document(self) -> str:
        """The id without the number of the response: what intervals resample by."""
        head, mark, number = self.id.rpartition("#")
        return head if mark and number.isdecimal() else self.id

    @property
    def place(self) -> str:
        """Where it stands, for messages: file and row, or language and id."""
        return self.origin or f"{self.language}, {self.id}"


_FIELDS = ("id", "language", "prompt", "response", "answer", "group", "cluster")


@dataclass(frozen=True)
class Corpus:
    """Examples of two or more languages.

    Attributes:
        name: what was asked for, for instance ``"problems"`` or ``"text:essays"``.
        languages: codes in the order of every table and chart.
        examples: all examples; those of one language keep the order of the source.
        source: what identifies the text (package and version, or file names).
        options: what was asked for besides, for instance ``{"n": 250}``.
    """

    name: str
    languages: tuple[str, ...]
    examples: tuple[Example, ...]
    source: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parse_languages(self.languages)
        texts = Counter(e.language for e in self.examples if (e.response or e.prompt).strip())
        if empty := [code for code in self.languages if not texts[code]]:
            raise NeuroglotError(
                f"corpus {self.name}: there is no text in {', '.join(empty)}; "
                "give a text that is not empty or leave the language out."
            )
        seen: dict[tuple[str, str], Example] = {}
        for example in self.examples:
            if not example.response.strip() and not self.questions_only:
                raise NeuroglotError(f"corpus {self.name}: the response of {example.place} is empty; give one.")
            first = seen.setdefault((example.language, example.id), example)
            if first is not example:
                raise NeuroglotError(
                    f"corpus {self.name}: the id {example.id!r} occurs twice in {example.language}"
                    + (f" ({first.origin} and {example.origin})" if example.origin else "")
                    + "; give every example of a language its own id."
                )

    @functools.cached_property
    def questions_only(self) -> bool:
        """Whether there is no response to count yet; :func:`neuroglot.sample` makes them."""
        return not any(example.response for example in self.examples)

    @property
    def hash(self) -> str:
        """SHA-256 of the languages and of every field of every example, in order."""
        digest = hashlib.sha256(json.dumps(self.languages).encode())
        for example in self.examples:
            fields = [getattr(example, name) for name in _FIELDS]
            digest.update(json.dumps(fields, ensure_ascii=False).encode())
        return digest.hexdigest()

    def purity(self) -> pd.DataFrame:
        """Share of each language's sentences that a language detector (Lingua) gives its label.

        Returns:
            One row per language: ``language``, ``sentences`` (of responses, or of prompts where
            there is no response), ``agree`` (their number detected as that language), ``purity``
            (share), ``otherwise`` (the commonest other detections). Languages outside the detector
            have no ``agree`` and no ``purity``.
        """
        rows = []
        for code in self.languages:
            texts = (e.response or e.prompt for e in self.examples if e.language == code)
            sentences = [sentence for text in texts for sentence in split_sentences(text)]
            row: dict[str, Any] = {"language": code, "sentences": len(sentences)}
            if is_detectable(code):
                wrong = [sentence for sentence in sentences if not is_language(sentence, code)]
                others = Counter(detect_language(sentence) or "?" for sentence in wrong)
                agree = len(sentences) - len(wrong)
                row |= {
                    "agree": agree,
                    "purity": agree / len(sentences) if sentences else float("nan"),
                    "otherwise": ", ".join(f"{c} {n}" for c, n in others.most_common(3)),
                }
            else:
                row |= {"agree": pd.NA, "purity": float("nan"), "otherwise": "not in the detector"}
            rows.append(row)
        return pd.DataFrame(rows).astype({"agree": "Int64"})

    def take(self, documents: Iterable[str]) -> "Corpus":
        """The same corpus with some of its documents, for instance one half of them.

        Raises:
            NeuroglotError: a document that is not there, or a language left without text.
        """
        wanted = dict.fromkeys(documents)
        there = {example.document for example in self.examples}
        if missing := [document for document in wanted if document not in there]:
            raise NeuroglotError(f"corpus {self.name}: there is no document {missing[0]!r}.")
        kept = tuple(example for example in self.examples if example.document in wanted)
        return dataclasses.replace(self, examples=kept, options={**self.options, "documents": len(wanted)})

    def side_by_side(self, number: int = 3) -> pd.DataFrame:
        """The same few documents in every language, spread evenly over those that all languages have.

        Returns:
            One row per document and language: ``id``, ``group``, ``language``, ``prompt``,
            ``response``; no row where the languages share no document.
        """
        by_language = [{e.document: e for e in reversed(self.examples) if e.language == c} for c in self.languages]
        documents = dict.fromkeys(e.document for e in self.examples)
        shared = [document for document in documents if all(document in texts for texts in by_language)]
        chosen = [shared[i * len(shared) // number] for i in range(number)] if len(shared) >= number else shared
        rows = [
            {"id": d, "group": e.group, "language": e.language, "prompt": e.prompt, "response": e.response}
            for d in chosen
            for e in (texts[d] for texts in by_language)
        ]
        return pd.DataFrame(rows, columns=["id", "group", "language", "prompt", "response"])
