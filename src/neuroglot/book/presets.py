"""How deep a book goes: ``quick`` to see that all runs, the default for a first book, ``full`` for one to be cited."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..base.errors import NeuroglotError
from ..base.files import write_json

#: What the presets say besides each chapter's own defaults; ``""`` is the default book.
PRESETS: dict[str, dict[str, Any]] = {
    "": {},
    # As little as runs: enough to check the book, not to cite it.
    "quick": {
        # 01: what is counted, held out and asked; the number of documents under the name that a corpus has for it
        "corpus_options": {"n": 12},
        "held_out_share": 0.2,
        "sampling": {"max_new_tokens": 64},
        "accuracy_questions": 1,
        # 02, 03 and 07 to 09
        "splits": 4,
        "overlap_splits": 2,
        # 04
        "general": 5,
        "texts": 1,
        "token_texts": {"udhr": {"articles": 4}},
        "writing_draws": 2,
        "removal_documents": 1,
        # 05
        "documents": 4,
        "few_documents": 1,
        "random_draws": 2,
        "dose_steps": 2,
        "choice_questions": 2,
        "choice_solutions": 1,
        "choice_draws": 1,
        "answer_questions": 0,
        # 06
        "strengths": {"amplify": [0, 4], "set": [0, 1]},
        "most_targets": 2,
        "prompts": 1,
        "new_tokens": 16,
        "steering_draws": 1,
        "mean_documents": 1,
        # 07 to 09
        "practice_options": {"n": 24, "seed": 2, "levels": "1"},
        "recipe": {"steps": 2, "save_every": 1, "batch": 2, "micro_batch": 2},
        "steps": [1],
        "score_questions": 1,
        "domains": {"udhr": {"articles": 2}},
        # 10
        "detectors": "lambda-score lape average-precision overlap",
        "removed": "lambda-score lape",
        "budgets": [50],
        "rewritten": "romanized",
        "detector_documents": 2,
        "compared_documents": 1,
        "elsewhere": {"udhr": {"articles": 2}},
        "claims_also": "writing alignment",
    },
    # Some five hours on two cores: every held-out wording, more draws, several trainings of each kind. Half of it is
    # chapter 10: t has one degree of freedom less than draws, so four show effects a fifth as large as two do.
    "full": {
        "corpus_options": {"n": 100},
        "held_out_share": 0.4,
        "accuracy_questions": 40,
        # 04
        "removal_documents": 12,
        # 05
        "documents": 24,
        "few_documents": 8,
        "random_draws": 10,
        "other_draws": 2,
        "dose_steps": 4,
        "choice_questions": 24,
        "choice_solutions": 6,
        "choice_draws": 5,
        "answer_questions": 20,
        "more_questions": {"n": 100, "seed": 3, "levels": "1"},
        "second": "udhr",
        "second_options": {"articles": 30},
        # 06
        "prompts": 30,
        "steering_draws": 4,
        # 07 to 09
        "seeds": [0, 1, 2],
        "chosen_only": True,
        "overlap_splits": 15,
        "domains": {"udhr": {}},
        # 10
        "detectors": "lambda-score lape average-precision plnd percentile overlap mean-difference attribution",
        "removed": None,
        "budgets": [100, 20, "its own choice"],
        "rewritten": "romanized shuffled",
        "detector_documents": 20,
        "detector_draws": 4,
        "compared_documents": 5,
        "elsewhere": {"udhr": {"articles": 24}},
        "claims_also": "writing alignment",
    },
}

#: What of them is another for a run that is only set beside another one.
_BESIDE: dict[str, dict[str, Any]] = {
    "quick": {"corpus_options": {"n": 6}, "accuracy_questions": 0},
    # The chapters on deactivation and detectors, to see whether they find the same; fewer draws and sizes say that.
    "full": {
        "accuracy_questions": 0,
        "random_draws": 3,
        "other_draws": 2,
        "dose_steps": 2,
        "few_documents": 4,
        "choice_solutions": 4,
        "choice_draws": 3,
        "answer_questions": 0,
        "second": None,
        "budgets": [100],
        "detector_documents": 12,
        "elsewhere": None,
        "claims_also": "",
    },
}

#: Said on every page of a quick book.
QUICK_BANNER = "Quick preset: little text and few training steps, made to check the book, not to be cited."

# What an option for the number of documents is called, where it is not ``n``.
_MOST = {"udhr": "articles", "text": "paragraphs"}


def with_preset(parameters: Mapping[str, Any], preset: str, *, beside: bool = False) -> dict[str, Any]:
    """A run's own parameters, and those of a preset that it does not give; ``beside`` another run, that one's.

    Raises:
        NeuroglotError: no such preset.
    """
    if preset not in PRESETS:
        raise NeuroglotError(f"there is no preset {preset!r}; use {' or '.join(filter(None, PRESETS))}, or none.")
    given = PRESETS[preset] | (_BESIDE.get(preset, {}) if beside else {})
    own = parameters.get("corpus_options", {})
    if "corpus_options" not in given or not isinstance(own, Mapping):
        return given | dict(parameters)
    source = str(parameters.get("corpus", "problems")).partition(":")[0]  # which chapter 01 has where none is given
    # Only the packaged problems are as many as are asked for; of other text the full preset reads all.
    most = given["corpus_options"]["n"]
    options = {} if preset == "full" and source != "problems" else {_MOST.get(source, "n"): most}
    return given | dict(parameters) | {"corpus_options": {**options, **own}}


def keep(folder: Path, preset: str) -> None:
    """Mark a run's folder with its preset, before it begins."""
    for name in filter(None, PRESETS):
        if name == preset:
            write_json(folder / f"{name}.json", PRESETS[name])
        else:
            (folder / f"{name}.json").unlink(missing_ok=True)  # of a run that did not begin


def preset_of(folder: Path) -> str:
    """The preset that a run's folder holds a run with."""
    return next((name for name in PRESETS if name and (folder / f"{name}.json").is_file()), "")
