"""Tiny random models, a tokenizer of bytes and a corpus of three languages; nothing is downloaded."""

import contextlib
import os
import re
from pathlib import Path

import pytest
import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast

from neuroglot import NeuroglotError
from neuroglot.base import plugins


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever can make a model, a browser or another process is marked: ``make check`` goes without."""
    makers = {"tiny_model", "load_model", "byte_tokenizer", "launched", "subprocess", "playwright"}
    for item in items:
        if makers & set(vars(item.module)):
            item.add_marker("model")


SHARED = Path(__file__).parents[2] / "shared" / "data"

# One small random model per architecture; every row of SITES must be here (tested).
TINY = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4}
TINY |= {"num_key_value_heads": 2, "vocab_size": 300, "max_position_embeddings": 256, "pad_token_id": 0}
_GPT = {"n_embd": 32, "n_inner": 48, "n_layer": 3, "n_head": 4, "vocab_size": 300, "n_positions": 256}
_EXPERTS = TINY | {"intermediate_size": 12, "num_experts_per_tok": 2, "head_dim": 8}
_PLAIN = "cohere gpt_neox granite llama mistral nemotron olmo2 phi phi3 qwen2 smollm3 stablelm starcoder2"
CONFIGS = dict.fromkeys(_PLAIN.split(), TINY)
CONFIGS |= {
    "bloom": {"hidden_size": 32, "n_layer": 3, "n_head": 4, "vocab_size": 300},
    "falcon": TINY | {"ffn_hidden_size": 48, "new_decoder_architecture": True, "num_kv_heads": 2},
    "gemma": TINY | {"head_dim": 8},
    "gemma2": TINY | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16},
    "gemma3": {
        "text_config": TINY | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16},
        "vision_config": {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
        | {"num_attention_heads": 2, "image_size": 28, "patch_size": 14},
        "mm_tokens_per_image": 4,
    },
    "gemma3_text": TINY | {"head_dim": 8, "query_pre_attn_scalar": 8, "sliding_window": 16},
    "glm": TINY | {"head_dim": 8},
    "gpt2": _GPT,
    "gptj": _GPT | {"rotary_dim": 8},
    "mixtral": _EXPERTS | {"num_local_experts": 4},
    "mpt": {"d_model": 32, "n_heads": 4, "n_layers": 3, "vocab_size": 300, "max_seq_len": 256},
    "olmoe": _EXPERTS | {"num_experts": 4},
    "opt": TINY | {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "qwen3": TINY | {"head_dim": 8},
    "qwen3_moe": _EXPERTS | {"num_experts": 4, "moe_intermediate_size": 12, "norm_topk_prob": True},
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 3, "attention_heads": 4, "vocab_size": 300},
}


def tiny_model(family: str, **changes):
    """A random model in float64, where no pre-activation is within rounding of zero."""
    transformers.set_seed(0)
    config = AutoConfig.for_model(family, **(CONFIGS[family] | changes))
    model = AutoModelForCausalLM.from_config(config, experts_implementation="eager").eval()
    if family != "xglm":  # its attention overflows in float64
        model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model


@contextlib.contextmanager
def unsettled(model):
    """A model in training mode but for one part, compiled, saving memory by checkpoints; it must be so afterwards."""
    model.train()
    list(model.modules())[-1].eval()
    getattr(model, "activation_checkpointing_enable", model.gradient_checkpointing_enable)()  # its older name
    model.compile(backend="eager")
    names = ("training", "gradient_checkpointing", "_gradient_checkpointing_func", "_compiled_call_impl")

    def state():
        return [[getattr(part, name, None) for name in names] for part in model.modules()], hooks(model)

    before = state()
    yield model
    assert state() == before


def hooks(model):
    """Those of every part."""
    return [hook for part in model.modules() for hook in (*part._forward_hooks, *part._forward_pre_hooks)]


@pytest.fixture(params=list(CONFIGS))
def any_model(request):
    return tiny_model(request.param)


@pytest.fixture
def llama():
    return tiny_model("llama")


def byte_tokenizer(**special) -> PreTrainedTokenizerFast:
    """Every byte is a token, 256 is <s>, 257 </s>; a sentence starts with <s>."""
    alphabet = {symbol: i for i, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    tokenizer = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<s>", "</s>"])
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 256)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", **special)


@pytest.fixture
def tokenizer():
    return byte_tokenizer()


TEXTS = {
    "en": ["The house is small and old.", "She reads a long book every evening.", "We walk to the river.", "Good day."],
    "de": [
        "Das Haus ist klein und alt.",
        "Sie liest jeden Abend ein langes Buch.",
        "Wir gehen zum Fluss.",
        "Guten Tag.",
    ],
    "ru": ["Дом маленький и старый.", "Она читает книгу каждый вечер.", "Мы идём к реке.", "Добрый день."],
}


@pytest.fixture
def install(tmp_path_factory, monkeypatch):
    """``install(name, {group: {name: value}})``: a package as an installer leaves it, in ``install.folder``."""
    folder = tmp_path_factory.mktemp("installed")
    monkeypatch.syspath_prepend(str(folder))

    def put(name, groups):
        record = folder / f"{name.replace('-', '_')}-1.0.dist-info"
        record.mkdir()
        (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = [
            f"[{group}]\n" + "".join(f"{n} = {v}\n" for n, v in points.items()) for group, points in groups.items()
        ]
        (record / "entry_points.txt").write_text("".join(lines))
        plugins._found.cache_clear()

    put.folder = folder
    yield put
    plugins._found.cache_clear()


def write_texts(folder: Path) -> Path:
    folder.mkdir()
    for language, paragraphs in TEXTS.items():
        (folder / f"{language}.txt").write_text("\n\n".join(paragraphs), encoding="utf-8")
    return folder


@pytest.fixture
def texts(tmp_path) -> Path:
    return write_texts(tmp_path / "texts")


@pytest.fixture
def model_folder(tmp_path, tokenizer) -> Path:
    folder = tmp_path / "tiny-llama"
    tiny_model("llama").float().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def fetched(get, *arguments, **options):
    """What ``get`` gives; skips, visibly, only where a package is missing and cannot be fetched.

    With NEUROGLOT_REQUIRE_DATA set, as in CI, it fails instead.
    """
    try:
        return get(*arguments, **options)
    except NeuroglotError as error:
        lacking = re.search("npm could not fetch|npm is not on the path|pip install", str(error))
        if lacking is None or os.environ.get("NEUROGLOT_REQUIRE_DATA"):
            raise
        pytest.skip(str(error))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    """The folder that downloads and conversions are kept in."""
    monkeypatch.setenv("NEUROGLOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("the shared data (published counts) are not beside this clone")
    return SHARED


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub's cache without a network, in which ``some/model`` is at a commit; call it to move that."""
    import huggingface_hub.constants as constants

    cache = tmp_path / "hub"
    folder = cache / "models--some--model"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)

    def move(commit):
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(commit)
        tiny_model("llama").save_pretrained(folder / "snapshots" / commit)
        byte_tokenizer().save_pretrained(folder / "snapshots" / commit)

    move("a" * 40)
    return move


@pytest.fixture
def small_files():
    """A context in which no file can grow over 100 bytes, which ends as a full disk does."""
    resource = pytest.importorskip("resource")

    @contextlib.contextmanager
    def small():
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return small
