"""Multilingual alignment: trl's DPO on peft's LoRA (as in MAPO, arXiv 2401.06838), or maximum likelihood beside it."""

import contextlib
import copy
import math
import os
import random
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import torch
import transformers
from safetensors import SafetensorError
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from ..base.artifacts import finished
from ..base.errors import NeuroglotError, in_a_line, is_number, quoted, require_whole
from ..base.files import atomic, read_json, remove, sha256_file, write_json
from ..base.locks import one_writer
from ..base.parts import Parts
from ..base.provenance import record, table
from ..base.records import is_marked, kept_folder, mark_whole, read_record, write_record
from ..model.loading import (
    ADAPTER,
    ADAPTER_BASE,
    ADAPTER_CONFIG,
    context_length,
    has_adapter,
    hub_revision,
    input_device,
    itself,
    model_record,
    read_adapter_base,
    uncompiled,
)
from .preferences import Preferences

#: What a training learns, and the loss of trl's DPO trainer that it is: to prefer the chosen response of each pair, or
#: only to find the chosen responses likely (mean over their tokens), which teaches their style without a preference.
LEARNS = {"preferences": "sigmoid", "chosen": "sft"}


@dataclass(frozen=True)
class Recipe:
    """How to train.

    Attributes:
        rank, alpha, dropout: of LoRA, on every linear layer but the head (the experts of a mixture are none).
        learning_rate: of AdamW, falling linearly to zero.
        batch: pairs per step; ``micro_batch`` of them are held at a time.
        steps: optimizer steps.
        save_every: steps between the checkpoints that are kept.
        beta: of DPO: how strongly the model is held to what it was.
        learns: one of :data:`LEARNS`.
    """

    rank: int
    alpha: int
    dropout: float
    learning_rate: float
    batch: int
    micro_batch: int
    steps: int
    save_every: int
    beta: float = 0.1
    learns: str = "preferences"

    @property
    def saved(self) -> list[int]:
        """Steps after which a checkpoint is kept; the last is the result."""
        return sorted({*range(self.save_every, self.steps + 1, self.save_every), self.steps})

    def kept(self, steps: Sequence[int]) -> list[int]:
        """Those steps, if a checkpoint is kept after each.

        Raises:
            NeuroglotError: after one of them none is.
        """
        if isinstance(steps, str | int) or not all(step in self.saved for step in steps):
            raise NeuroglotError(f"steps {steps}: checkpoints are kept after {', '.join(map(str, self.saved))}.")
        return list(steps)

    def __post_init__(self) -> None:
        whole = ("rank", "alpha", "batch", "micro_batch", "steps", "save_every")
        for name, value in asdict(self).items():
            if name in whole:
                require_whole(name, value, 1)
            elif name == "learns":
                if value not in LEARNS:
                    raise NeuroglotError(f"learns={quoted(value)}: give {' or '.join(LEARNS)}.")
            elif not is_number(value) or value < 0:
                raise NeuroglotError(f"{name}={quoted(value)}: give a number from 0 on.")
        if self.dropout >= 1:
            raise NeuroglotError(f"dropout={self.dropout}: give a share below 1.")
        if self.batch % self.micro_batch:
            raise NeuroglotError(f"batch={self.batch} is no multiple of micro_batch={self.micro_batch}; make it one.")


#: ``paper``: the hyperparameters of arXiv 2505.21505, for a 7B model (there 7.5 h on four GPUs); beta is
#: trl's usual one, since the paper states none. ``small``: the packaged model on two CPU cores, in minutes.
PRESETS = {
    "paper": Recipe(64, 128, 0.05, 1e-6, batch=16, micro_batch=4, steps=1000, save_every=200),
    "small": Recipe(16, 32, 0.05, 2e-5, batch=4, micro_batch=4, steps=16, save_every=8),
}


def recipe_of(preset: str, changes: Mapping[str, Any] | None = None) -> Recipe:
    """A preset, some of its values changed.

    Raises:
        NeuroglotError: no such preset or value.
    """
    if preset not in PRESETS:
        raise NeuroglotError(f"there is no preset {quoted(preset)}; use {' or '.join(PRESETS)}.")
    changes = dict(changes or {})
    if unknown := [name for name in changes if name not in asdict(PRESETS[preset])]:
        raise NeuroglotError(f"a recipe has no {quoted(unknown[0])}; it has {', '.join(asdict(PRESETS[preset]))}.")
    return replace(PRESETS[preset], **changes)


@dataclass(frozen=True)
class Alignment:
    """A finished training.

    Attributes:
        folder: holds the adapter, and those of its checkpoints under ``checkpoints/STEP``; each is a name for
            :func:`neuroglot.load_model`.
        provenance: base model, preferences, recipe, seed, versions.
        log: one row per step: ``step``, ``loss``, ``accuracy`` (share of pairs in which the chosen response gained
            more), ``margin`` (by how much, in nats times beta), in the batch of that step.
    """

    folder: Path
    provenance: Mapping[str, Any]
    log: pd.DataFrame = field(compare=False)

    @property
    def checkpoints(self) -> dict[int, Path]:
        """Folders of the adapters on the way, by step; the last is the result."""
        found = {int(path.name): path for path in (self.folder / "checkpoints").glob("*") if path.name.isdecimal()}
        return dict(sorted(found.items()))

    def describe(self) -> pd.DataFrame:
        """The provenance as a table of two columns, ``what`` and ``value``; hashes by their first digits."""
        return table({"training": dict(self.provenance)})

    @classmethod
    def load(cls, folder: str | Path) -> "Alignment":
        """Read what :func:`align` wrote.

        Raises:
            NeuroglotError: the folder holds no finished training.
        """
        folder = Path(folder)
        path = folder / _RECORD
        if not path.is_file():
            raise NeuroglotError(f"{folder} holds no finished alignment; run neuroglot align first.")
        said = read_record(path, "alignment", "neuroglot align")
        log = said.get("log")
        rows = log if isinstance(log, list) else [None]
        if not all(
            isinstance(row, dict) and list(row) == _LOGGED and all(map(is_number, row.values())) for row in rows
        ):
            raise NeuroglotError(f"{path} has a log of something else; train again.")
        if not isinstance(said.get("provenance"), dict):
            raise NeuroglotError(f"{path} has a damaged provenance; train again.")
        found = cls(folder, said["provenance"], pd.DataFrame(log, columns=_LOGGED))
        for each in (folder, *found.checkpoints.values()):
            if read_adapter_base(each) is None:
                raise NeuroglotError(f"{each} has no {ADAPTER_BASE}; train again.")
        return found


_RECORD = "alignment.json"
_LOGGED = ["step", "loss", "accuracy", "margin"]


def require_folder(folder: Path) -> None:
    """A place that a training can be kept in.

    Raises:
        NeuroglotError: it has no name of its own, or is a file.
    """
    if not folder.name:
        raise NeuroglotError(f"{folder} has no name of its own; give the name of a folder to write.")
    if folder.exists() and not folder.is_dir():
        raise NeuroglotError(f"{folder} is a file; give the name of a folder to write.")


@one_writer("folder")
def align(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    preferences: Preferences,
    folder: str | Path,
    recipe: Recipe | str = "small",
    *,
    seed: int = 0,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> Alignment:
    """Train a LoRA adapter to prefer the chosen responses, or on these alone; the model itself is left as it was.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        preferences: from :func:`neuroglot.alignment.preferences.prefer`.
        folder: where to write. One that holds just this training is returned without training; an
            interrupted one goes on after its last checkpoint, kept in ``FOLDER.parts``.
        recipe: or the name of one of :data:`PRESETS`.
        seed: of the adapter's first values, the order of the pairs and dropout.
        overwrite: replace a folder that holds another training.
        wait: for another process that trains into ``folder``; otherwise it is refused.
        progress: show a bar.

    Raises:
        NeuroglotError: trl or peft missing, no end-of-text token, a pair longer than the context,
            another training in ``folder``, a loss that is not a number.
    """
    _installed()
    recipe = recipe_of(recipe) if isinstance(recipe, str) else recipe
    folder = Path(folder)
    require_folder(folder)
    require_whole("seed", seed, 0)
    model = itself(model)
    _one_process(model)
    if getattr(model, "neuroglot_changes", ()):
        raise NeuroglotError("the model's neurons are being changed; align it outside of that block.")
    if has_adapter(model):
        raise NeuroglotError("the model has an adapter beside its weights; load it in float32, where it is merged.")
    if tokenizer.eos_token is None:
        raise NeuroglotError(f"{tokenizer.name_or_path} has no end-of-text token, which ends a response in training.")
    _check_lengths(model, tokenizer, preferences)
    provenance = record(
        model_record(model),
        preferences_sha256=preferences.hash,
        aligned_on=preferences.languages,
        pivot=preferences.pivot,
        preferences=dict(preferences.provenance),
        recipe=asdict(recipe),
        seed=seed,
        libraries=("torch", "transformers", "trl", "peft"),
    )
    if folder.is_dir() and not (folder / _RECORD).exists() and any(folder.iterdir()):
        raise NeuroglotError(f"{folder} holds something else than an alignment; give another folder.")
    if done := finished(folder / _RECORD, lambda path: Alignment.load(path.parent), provenance, "training", overwrite):
        if (left := Parts(folder, provenance)).kept("begun") is not None:
            left.remove()
        return done
    unfinished = Parts(folder, provenance)
    parts = unfinished.folder
    if unfinished.kept("begun") is None:  # the checkpoints are another training's
        unfinished.remove()
        unfinished.keep("begun")
    whole = _whole(parts, recipe)
    if not whole or _step(whole[-1]) < recipe.steps:
        with _as_it_was(model, tokenizer), uncompiled(), _quiet_trainer(), _only_responses(model):
            trainer = _trainer(model, tokenizer, preferences, parts, recipe, seed, progress)
            trainer.model.peft_config["default"].base_model_name_or_path = provenance["model"]
            trainer.model.peft_config["default"].revision = hub_revision(model)
            try:
                trainer.train(resume_from_checkpoint=str(whole[-1]) if whole else None)
            finally:  # what is said of a failure stands on a line of its own
                for callback in trainer.callback_handler.callbacks:
                    if isinstance(callback, _Marked):
                        callback.bar.close()
        whole = _whole(parts, recipe)
    log = _log(read_json(whole[-1] / "trainer_state.json")["log_history"])
    base = {key: provenance[key] for key in ("model", "revision", "dtype", "weights_sha256")}
    with atomic(folder) as part:
        for path in whole:
            _keep_adapter(path, part / "checkpoints" / str(_step(path)), base)
        _keep_adapter(whole[-1], part, base)
        write_record(part / _RECORD, "alignment", {"provenance": provenance, "log": log.to_dict("records")})
        if folder.exists():  # whole until the new one is; half of it would be nobody's
            folder.rename(part.with_name(f"{part.name}.old"))
    unfinished.remove()
    return Alignment.load(folder)


def _installed() -> None:
    try:
        import peft  # noqa: F401
        import trl  # noqa: F401
    except ImportError as error:
        raise NeuroglotError(f"alignment needs trl and peft ({error}); run: pip install neuroglot[align]") from error


def _one_process(model: PreTrainedModel) -> None:
    if os.environ.get("WORLD_SIZE", "1") != "1":
        raise NeuroglotError("alignment runs in one process; start it without torchrun or accelerate launch.")
    spread = len(set(getattr(model, "hf_device_map", {}).values())) > 1
    if input_device(model).type == "cuda" and torch.cuda.device_count() > 1 and not spread:
        raise NeuroglotError(
            "several GPUs are visible and the model is on one; give device_map='auto', or hide the others "
            "(CUDA_VISIBLE_DEVICES=0)."
        )


def _check_lengths(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, preferences: Preferences) -> None:
    longest = context_length(model)
    if longest is None:
        return
    pairs = preferences.pairs
    texts = [pair.prompt + response for pair in pairs for response in (pair.chosen, pair.rejected)]
    sizes = [len(ids) + 1 for ids in tokenizer(texts, verbose=False)["input_ids"]]
    for pair, size in zip(pairs, map(max, sizes[::2], sizes[1::2]), strict=True):
        if size > longest:
            raise NeuroglotError(
                f"{pair.language}, {pair.document}: a pair has {size} tokens, the context {longest}; leave it out."
            )


@contextlib.contextmanager
def _as_it_was(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """Take out of a model what peft and trl put in, and leave the random state as it was."""
    parts = [(part, vars(part).copy(), part._forward_hooks.copy()) for part in model.modules()]
    pad = tokenizer.pad_token
    settings = [each for each in (model.config, getattr(model, "generation_config", None)) if each is not None]
    values = [copy.deepcopy(vars(each)) for each in settings]
    states = random.getstate(), np.random.get_state()
    trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    with torch.random.fork_rng():
        try:
            yield
        finally:
            _unload(model)
            for name, parameter in model.named_parameters():
                parameter.requires_grad_(trained[name])
            for part, before, hooks in parts:  # modes, checkpoints, and what makes embeddings need gradients
                for name in vars(part).keys() - before.keys():
                    delattr(part, name)
                vars(part).update(before)
                part._forward_hooks.clear()
                part._forward_hooks.update(hooks)
            for each, value in zip(settings, values, strict=True):
                vars(each).clear()
                vars(each).update(value)
            random.setstate(states[0])
            np.random.set_state(states[1])
            tokenizer.pad_token = pad


def _unload(model: PreTrainedModel) -> None:
    """Every layer that an adapter wraps is the layer itself again."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    wrapped = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, module in wrapped:
        parent, _, leaf = name.rpartition(".")
        setattr(model.get_submodule(parent), leaf, module.get_base_layer())


@contextlib.contextmanager
def _quiet_trainer() -> Iterator[None]:
    """Without the libraries' bars and remarks; what matters is raised."""
    import datasets

    level = transformers.utils.logging.get_verbosity()
    bars = datasets.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.set_verbosity_error()
    datasets.disable_progress_bars()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers.utils.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


def _only_responses(model: PreTrainedModel) -> contextlib.AbstractContextManager[object]:
    """Where trl has no kernel of its own, let it still put only the responses' positions through the head.

    It does so on a GPU, and elsewhere scores prompts and padding too and throws that away: half of the time
    with a large vocabulary. What it computes of the rest is the same.
    """
    if input_device(model).type != "cpu":
        return contextlib.nullcontext()
    return mock.patch("trl.trainer.utils._use_triton", return_value=True, create=True)


def _trainer(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    preferences: Preferences,
    parts: Path,
    recipe: Recipe,
    seed: int,
    progress: bool,
) -> Any:
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig, DPOTrainer

    on_cpu = input_device(model).type == "cpu"
    arguments = DPOConfig(
        str(parts),
        max_steps=recipe.steps,
        per_device_train_batch_size=recipe.micro_batch,
        gradient_accumulation_steps=recipe.batch // recipe.micro_batch,
        learning_rate=recipe.learning_rate,
        beta=recipe.beta,
        loss_type=[LEARNS[recipe.learns]],
        max_length=None,
        save_steps=recipe.save_every,
        save_strategy="steps",
        logging_steps=1,
        logging_nan_inf_filter=False,  # a loss that is no number is to be seen
        router_aux_loss_coef=0.0,  # of a mixture: DPO and nothing else
        seed=seed,
        data_seed=seed,
        use_cpu=on_cpu,
        bf16=model.dtype == torch.bfloat16,
        gradient_checkpointing=False,
        disable_tqdm=True,
        report_to=[],
    )
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        lora_dropout=recipe.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    rows = [{"prompt": p.prompt, "chosen": p.chosen, "rejected": p.rejected} for p in preferences.pairs]
    transformers.set_seed(seed)  # the adapter's first values are drawn before the trainer sets it
    trainer = DPOTrainer(
        model,
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=lora,
        callbacks=[_Marked(recipe.steps, progress)],
    )
    trainer.remove_callback(transformers.PrinterCallback)
    trainer._save_checkpoint = _explained(trainer._save_checkpoint, parts)  # type: ignore[method-assign]
    return trainer


def _explained(save: Callable[..., None], parts: Path) -> Callable[..., None]:
    """A full disk ends in other errors in each of the libraries that write a checkpoint."""

    def explained(*arguments: Any, **options: Any) -> None:
        try:
            save(*arguments, **options)
        except (OSError, RuntimeError, SafetensorError) as error:
            raise NeuroglotError(
                f"could not write the checkpoint in {parts} ({in_a_line(error, 100)}); free some space or choose "
                "another place, and align again: it goes on after the last whole checkpoint."
            ) from error

    return explained


class _Marked(TrainerCallback):
    """A bar, and a mark in every checkpoint that was written to its end."""

    def __init__(self, steps: int, progress: bool) -> None:
        self.bar = tqdm(total=steps, unit="step", desc="aligning", file=sys.stderr, disable=not progress)

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.update(1)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        if not all(math.isfinite(logs[name]) for name in ("loss", "rewards/margins") if name in logs):
            raise NeuroglotError(
                f"the loss in step {state.global_step} is not a number; use a lower learning rate, or float32."
            )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self.bar.close()

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        mark_whole(Path(args.output_dir) / f"checkpoint-{state.global_step}", "neuroglot align")


def _step(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def _whole(parts: Path, recipe: Recipe) -> list[Path]:
    """The checkpoints up to the first that was not written to its end, or is damaged; later ones are made again."""
    whole: list[Path] = []
    for path in (parts / f"checkpoint-{step}" for step in recipe.saved):
        if not is_marked(path) or kept_folder(path, "neuroglot align") is None:
            break
        whole.append(path)
    for path in set(parts.glob("checkpoint-*")) - set(whole):
        remove(path)
    return whole


def _log(history: list[dict[str, Any]]) -> pd.DataFrame:
    names = {"loss": "loss", "rewards/accuracies": "accuracy", "rewards/margins": "margin"}
    rows = [
        {"step": row["step"], **{new: float(row[old]) for old, new in names.items()}}
        for row in history
        if "loss" in row
    ]
    return pd.DataFrame(rows, columns=_LOGGED)


def _keep_adapter(source: Path, target: Path, base: Mapping[str, Any]) -> None:
    """Copy weights and configuration, the latter in an order of its own: peft writes sets in any."""
    target.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source / ADAPTER, target / ADAPTER)
    config = read_json(source / ADAPTER_CONFIG)
    sets = {
        name: sorted(value) for name, value in config.items() if isinstance(value, list) and name.endswith("_modules")
    }
    write_json(target / ADAPTER_CONFIG, dict(sorted((config | sets).items())))
    files = {name: sha256_file(target / name) for name in (ADAPTER, ADAPTER_CONFIG)}
    write_record(target / ADAPTER_BASE, "adapter", {**base, "files": files})
