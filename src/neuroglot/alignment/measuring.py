"""The models of a plan, and what is measured of each: preferences, trainings, counts, losses, answers, scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..base.errors import NeuroglotError
from ..counts.activations import ActivationStats
from ..text.corpora import Corpus
from ..text.readers import load_corpus
from .variants import Variant

if TYPE_CHECKING:
    from ..neurons.identification import NeuronTypes


def other_texts(
    domains: Mapping[str, Mapping[str, Any]] | None, types: "NeuronTypes"
) -> tuple[dict[str, Corpus], dict[str, str]]:
    """Other text than the types were found on, in the same languages.

    Args:
        domains: by its name for :func:`neuroglot.load_corpus`, its options; ``None``: the Declaration of Human Rights,
            or the problems where the types were found on that.
        types: those.

    Returns:
        The text by name, and why other text is left out, by name.
    """
    counted = str(types.provenance.get("corpus", ""))
    if domains is None:
        domains = {"problems": {"n": 24}} if counted.startswith("udhr") else {"udhr": {"articles": 8}}
    texts, left_out = {}, {}
    for name, options in domains.items():
        if name == counted:
            left_out[name] = "it is the text that the run counts."
            continue
        try:
            texts[name] = load_corpus(name, types.languages, **options)
        except NeuroglotError as error:
            left_out[name] = str(error)
    return texts, left_out


def count_elsewhere(
    texts: Mapping[str, Corpus],
    model: str,
    after: Variant,
    folder: str,
    *,
    model_options: Mapping[str, Any],
    settings: Mapping[str, Any],
    sampling: Mapping[str, Any],
    overwrite: bool = False,
) -> dict[tuple[str, str], ActivationStats]:
    """Counts of other text, in the model before and after its alignment; one model is held at a time.

    Args:
        texts: by name; questions without responses are answered first.
        model: before, for :func:`neuroglot.load_model`.
        after: the aligned one.
        folder: where counts and answers are kept.
        model_options: of :func:`neuroglot.load_model`.
        settings: of :func:`neuroglot.collect`.
        sampling: of :func:`neuroglot.sample`.
        overwrite: whether to replace files there that hold something else.

    Returns:
        By name of the text and ``"before"`` or ``"after"``.
    """
    from ..counts.collecting import collect
    from ..model.loading import load_model
    from ..model.sampling import sample

    found = {}
    for when in ("before", "after") if texts else ():
        lm, tokenizer = load_model(model, **model_options) if when == "before" else after.load(**model_options)
        for number, (name, text) in enumerate(texts.items()):
            path = f"{folder}/{when}-domain-{number}"
            if text.questions_only:
                text = sample(lm, tokenizer, text, f"{path}.jsonl", overwrite=overwrite, **sampling)
            counted = collect(lm, tokenizer, text, f"{path}.safetensors", overwrite=overwrite, **settings)
            if counted is not None:  # only the first of several processes has them
                found[name, when] = counted
        del lm  # before the other one is loaded
    return found
