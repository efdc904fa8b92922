"""Models set beside the one under study: aligned here or given, their checkpoints and controls, and their files."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base.errors import NeuroglotError, quoted
from ..base.files import plain_name, require_file, sha256_file
from ..base.records import as_written, read_record, write_record
from ..base.tables import ARTIFACTS
from ..text.languages import parse_languages

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


#: What a model was trained on: preferences; the same, turned round at random (the control); their chosen answers alone.
KINDS = ("trained", "shuffled", "chosen")

#: What names of the others end in.
_CALLED = {"shuffled": "shuffled", "chosen": "chosen only"}


@dataclass(frozen=True)
class Variant:
    """One such model.

    Attributes:
        name: what it is called in tables.
        model: a name for :func:`neuroglot.load_model`.
        folder: where what is measured of it is kept.
        adapter: a peft adapter of ``model``, if it is one.
        aligned_on: the languages it was trained on, where that is known.
        seed: of the training.
        kind: one of :data:`KINDS`.
        step: of a checkpoint on the way; ``None`` for a finished model.
        measured: which of :data:`neuroglot.base.tables.ARTIFACTS` it has.
    """

    name: str
    model: str
    folder: str
    adapter: str | None = None
    aligned_on: tuple[str, ...] = ()
    seed: int = 0
    kind: str = "trained"
    step: int | None = None
    measured: tuple[str, ...] = ()

    @property
    def finished(self) -> bool:
        """Whether it is a result of training on preferences: no checkpoint, control, or training on answers alone."""
        return self.step is None and self.kind == "trained"

    @property
    def choice(self) -> str:
        """The languages it was trained on, as one word for tables."""
        return ", ".join(self.aligned_on)

    def file(self, artifact: str) -> str:
        """Where one of :data:`neuroglot.base.tables.ARTIFACTS` of this model is kept."""
        return f"{self.folder}/{ARTIFACTS[artifact]}"

    def load(self, **options: Any) -> "tuple[PreTrainedModel, PreTrainedTokenizerBase]":
        """The model and its tokenizer, by :func:`neuroglot.load_model`.

        Args:
            **options: those of the model under study; a revision is of it and its adapters, and is not
                taken for another model.
        """
        from ..model.loading import load_model

        own = options if self.adapter else {name: value for name, value in options.items() if name != "revision"}
        return load_model(self.model, adapter=self.adapter, **own)


def trained(
    model: str,
    choices: Sequence[str],
    seeds: Sequence[int],
    folder: str,
    *,
    control: bool = True,
    chosen_only: bool = False,
    steps: Sequence[int] = (),
) -> list[Variant]:
    """The models to train: every choice of languages with every seed, each with its control.

    Args:
        model: the one under study, base of all adapters.
        choices: languages to align on, for instance ``["zh,de", "sw,th"]``.
        seeds: of the trainings, of each kind.
        folder: where all are kept; a training is in ``FOLDER/NAME/adapter``.
        control: whether to train on shuffled preferences, too.
        chosen_only: whether to train on the chosen answers alone, too.
        steps: checkpoints to look at, of the first training and its control.

    Raises:
        NeuroglotError: no choice or seed, or one named twice.
    """
    for name, value in {"choices": choices, "seeds": seeds}.items():
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise NeuroglotError(f"{name}={quoted(value)}: give a list.")
    codes = [parse_languages(choice, least=1) or () for choice in choices]
    for what, listed in (("choices", codes), ("seeds", list(seeds))):
        if not listed or len(set(listed)) < len(listed):
            raise NeuroglotError(f"{what}: name at least one, and each once.")
    if wrong := [seed for seed in seeds if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0]:
        raise NeuroglotError(f"seeds: {quoted(wrong[0])} is no whole number from 0 on.")
    kinds = ["trained", *["shuffled"] * bool(control), *["chosen"] * bool(chosen_only)]
    found = []
    for chosen in codes:
        for seed in seeds:
            suffix = f", seed {seed}" if len(seeds) > 1 else ""
            for kind in kinds:
                looked_at = steps if kind != "chosen" and seed == seeds[0] else ()
                found += _with_checkpoints(model, chosen, seed, kind, suffix, folder, looked_at)
    return found


def _with_checkpoints(
    model: str, on: tuple[str, ...], seed: int, kind: str, suffix: str, folder: str, steps: Sequence[int]
) -> list[Variant]:
    """One training, and some of the models on the way to it."""
    called, ending = " ".join(on), {"shuffled": "-control", "chosen": "-chosen"}.get(kind, "")
    place = f"{folder}/{plain_name('-'.join(on), 'choices')}-seed-{seed}{ending}"
    name = f"{called}, {_CALLED[kind]}" if kind in _CALLED else f"aligned on {called}"
    own: dict[str, Any] = {"aligned_on": on, "seed": seed, "kind": kind}
    found = [Variant(f"{name}{suffix}", model, place, f"{place}/adapter", **own)]
    for step in steps:
        on_the_way = f"{called}, step {step}" + (f", {_CALLED[kind]}" if kind in _CALLED else "")
        at = f"{place}/adapter/checkpoints/{step}"
        found.append(Variant(f"{on_the_way}{suffix}", model, f"{place}/step-{step}", at, **own, step=step))
    return found


def given(
    model: str, folder: str, *, after: str | None = None, adapter: str | None = None, checkpoints: Sequence[str] = ()
) -> list[Variant]:
    """Models that were made elsewhere: another one, or an adapter of ``model``, and others on the way to it.

    Args:
        model: the one under study, base of ``adapter``.
        folder: where what is measured of them is kept.
        after: hub id or folder of the model to compare with; a folder may hold an adapter.
        adapter: an adapter of ``model`` instead.
        checkpoints: more such models (or adapters, where ``adapter`` is given), in order.

    Raises:
        NeuroglotError: neither or both.
    """
    if isinstance(checkpoints, str) or not isinstance(checkpoints, Sequence):
        raise NeuroglotError(f"checkpoints={quoted(checkpoints)}: give a list.")
    if (after is None) == (adapter is None):
        raise NeuroglotError("name one model to compare with: after, or an adapter.")

    def one(name: str, step: int | None) -> Variant:
        words = re.sub(r"[^\w.]+", "-", name).strip("-.")[-80:] or "model"
        place = f"{folder}/{words}"
        own: dict[str, Any] = {"model": name} if adapter is None else {"model": model, "adapter": name}
        return Variant(name, folder=place, step=step, **own)

    final = after if after is not None else str(adapter)
    found = [one(final, None), *(one(name, number) for number, name in enumerate(checkpoints, 1))]
    if len({variant.folder for variant in found}) < len(found):
        raise NeuroglotError("a model is named twice; name different ones.")
    return found


def alike(variants: Sequence[Variant], one: Variant, kind: str) -> list[Variant]:
    """Those of a kind that were trained as this one was, up to the same step, by seed."""
    same = (v for v in variants if (v.kind, v.aligned_on, v.step) == (kind, one.aligned_on, one.step))
    return sorted(same, key=lambda each: each.seed)


def comparisons(variants: Sequence[Variant]) -> list[tuple[str, Variant, str]]:
    """What is compared: a name, the first training of several seeds, and the kind of what stands beside it.

    Every training and checkpoint has its control beside it, one on the chosen answers alone, too; what was trained on
    preferences is set beside that one once more.
    """
    found, seen = [], set()
    for one in variants:
        group = one.kind, one.aligned_on, one.step
        if one.kind == "shuffled" or group in seen:
            continue
        seen.add(group)
        name = re.sub(r", seed \d+$", "", one.name) if one.aligned_on else one.name
        found.append((name, one, "shuffled"))
        if one.finished and alike(variants, one, "chosen"):
            found.append((f"{name}, less chosen only", one, "chosen"))
    return found


def before(plan: Sequence[Variant]) -> Variant:
    """The model under study, as one that is measured like the models of a plan and kept beside them."""
    return Variant("before", plan[0].model, str(Path(plan[0].folder).parent / "before"))


def first(variants: Sequence[Variant]) -> tuple[Variant, Variant | None]:
    """The first finished model, and the control of the same languages where there is one.

    Raises:
        NeuroglotError: none is finished.
    """
    lead = next((one for one in variants if one.finished), None)
    if lead is None:
        raise NeuroglotError("no finished model is among the variants; run chapter 07 again (book --force).")
    return lead, next(iter(alike(variants, lead, "shuffled")), None)


def save(path: str | Path, variants: Iterable[Variant], artifacts: Sequence[str]) -> None:
    """Write which variants there are, with a hash of each file that was measured of them."""
    rows = []
    for variant in variants:
        files = {name: sha256_file(file) for name in artifacts if (file := Path(variant.file(name))).is_file()}
        rows.append(asdict(variant) | {"measured": list(files), "files": files})
    write_record(path, "variants", {"variants": rows})


def load(path: str | Path) -> list[Variant]:
    """Read what :func:`save` wrote.

    Raises:
        NeuroglotError: no such file, another one, or a file measured that is not what it was.
    """
    said = read_record(require_file(path), "variants", "chapter 07")
    with as_written(path, "chapter 07"):
        found = [_read(row) for row in said["variants"]]
        files = [
            (v.file(name), sha)
            for v, row in zip(found, said["variants"], strict=True)
            for name, sha in row["files"].items()
        ]
    for file, sha in files:
        if not Path(file).is_file() or sha256_file(file) != sha:
            raise NeuroglotError(f"{file} is not the file that {path} names; run chapter 07 again (book --force).")
    return found


def load_if_any(path: str | Path) -> list[Variant]:
    """What :func:`load` reads, or no variants where there is no such file."""
    return load(path) if Path(path).is_file() else []


def _read(row: Mapping[str, Any]) -> Variant:
    own = {field.name: row[field.name] for field in fields(Variant)}
    texts = [own[name] for name in ("name", "model", "folder")] + [own["adapter"] or ""]
    if own["kind"] not in KINDS:
        raise ValueError(f"there is no kind {quoted(own['kind'])}")
    if not all(isinstance(each, str) for each in (*texts, *own["aligned_on"], *own["measured"])):
        raise ValueError("a name is no text")
    if unknown := [name for name in (*own["measured"], *row["files"]) if name not in ARTIFACTS]:
        raise ValueError(f"there is no artefact {quoted(unknown[0])}")
    return Variant(**own | {name: tuple(own[name]) for name in ("aligned_on", "measured")})
