"""A tiny random model of every family of transformers' causal language models, made from its own configuration."""

import re
from typing import Any

import torch
import transformers
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from neuroglot import NeuroglotError
from neuroglot.model.sites import SITES, neuron_layers

#: Every ``config.model_type`` of transformers' causal language models.
NAMES: tuple[str, ...] = tuple(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)

#: Sizes by the names of a configuration's settings, the first pattern that fits; a setting that none fits stays.
_SIZES: dict[str, int] = {
    r"(text_|decoder_)?vocab_size(_per_layer_input)?|unpadded_vocab_size": 300,
    r"((num|n)_(hidden_|(en|de)coder_)?|(en|de)coder_)layers?|depth|num_blocks|num_layers_per_stack": 4,
    r"(out_)?hidden_size(_global)?|d_model|n_embd|dim|emb(ed|edding)?_(dim|size)|word_embed_proj_dim|lru_width": 32,
    r"(in|out)put_embedding_size|attention_hidden_size|mamba_d_ssm|(pronunciation|shape)_embed_dim|moe_latent_size": 32,
    r"ple_embed_dim|projector_(in|out)put_dim|vision_output_dim|backbone_hidden_size|dim_model_base": 32,
    r"((num|n)_)?((de|en)coder_)?(attention_)?heads?|swa_num_attention_heads|index_n_heads|num_query_groups": 4,
    r"linear_num_(key|value)_heads|linear_num_heads|mamba_num_heads|n_mamba_heads": 4,
    r"mamba_n_heads": 8,
    r"num_key_value_heads|num_kv_heads|kv_n_heads|multi_query_group_num|swa_num_key_value_heads": 2,
    r"(swa_|linear_(key_|value_)?|attention_)?head_(dim|size)|(qk_nope|v|index|mamba)_head_dim|d_head|dim_head": 8,
    r"attention_head_size|kv_channels|mamba_d_head|mamba_headdim|linear_head_dim|d_kv": 8,
    r"qk_rope_head_dim|rotary_dim": 4,
    r"qk_head_dim": 12,
    r"(q|kv|o)_lora_rank|mamba_d(t_rank|_state)|ssm_state_size|state_size|time_step_rank|laurel_rank|adapter_rank": 8,
    r"intermediate_size|(en|de)coder_ffn_dim|ffn_dim|n_inner|ffn_hidden_size|dense_intermediate_size|dff|dim_ff": 48,
    r"intermediate_size_mlp|feed_forward_size|d_inner": 48,
    r"(moe|(moe_)?shared_experts?|expert|shared)_(intermediate|ffn_hidden)_size": 12,
    r"(num_|n_)?(local_|routed_)?experts|moe_num_experts": 4,
    r"num_experts_per_tok(en)?|moe_(k|topk)|top_k_experts|top_k": 2,
    r"n_groups?|topk_group|num_expert_group|mamba_n_groups|o_groups": 1,
    r"zero_expert_num|num_dense_layers|first_k_dense_replace|num_shared_experts|n_shared_experts": 1,
    r"num_kv_shared_layers": 2,
    r"hidden_size_per_layer_input|router_hidden_size": 8,
    r"max_(position_embeddings|seq_len|target_positions)|n_positions|n_ctx|index_topk|context_length": 256,
    r"(encoder_)?(hash_byte_group|ngram)_vocab(_size_base)?": 50,
    r"image_size": 28,
    r"patch_size": 14,
}


def shrunk(kind: type[PretrainedConfig], **given: Any) -> PretrainedConfig:
    """A configuration with small sizes, those of its parts too."""
    settings: dict[str, Any] = {}
    for name, value in vars(kind()).items():
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            size = next((size for pattern, size in _SIZES.items() if re.fullmatch(pattern, name)), value)
            settings[name] = min(size, value)
        if isinstance(value, PretrainedConfig):
            settings[name] = shrunk(type(value))
    settings |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
    if hasattr(kind(), "is_decoder"):
        settings["is_decoder"] = True
    if "qk_rope_head_dim" in settings:  # one head of keys and values for all, whose size is that of its rotated part
        settings |= {"head_dim": settings["qk_rope_head_dim"], "num_key_value_heads": settings["num_attention_heads"]}
    return kind(**(settings | given))


_ROPE = {"rope_theta": 10000.0, "rope_type": "default"}

#: Settings without which a small model of a family does not run.
GIVEN: dict[str, dict[str, Any]] = {
    "cohere_compass_text": {
        "rope_parameters": dict.fromkeys(("full_attention", "sliding_attention"), _ROPE),
        "layer_types": ["full_attention", "sliding_attention"] * 2,
    },
    "dots1": {"n_routed_experts": 4, "n_shared_experts": 1, "num_experts_per_tok": 2, "first_k_dense_replace": 1},
    "gemma3n_text": {"activation_sparsity_pattern": [0.9, 0.9, 0.0, 0.0]},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "hunyuan_v1_dense": {"head_dim": 8},
    "hunyuan_v1_moe": {"head_dim": 8},
    "lfm2_moe": {"layer_types": ["conv", "full_attention"] * 2},
    "deepseek_v2": {"num_experts_per_tok": 2},
    "falcon_h1": {"mamba_n_heads": 4, "mamba_d_ssm": 32},
    "mamba2": {"num_heads": 8},
    "ministral": {"head_dim": 8},
    "nemotron": {"num_key_value_heads": 2},
    "xmod": {"default_language": "en_XX"},
    "gemma4_unified": {"use_bidirectional_attention": None},
    "gemma4_unified_text": {"use_bidirectional_attention": None},
    "zamba2": {"layers_block_type": ["mamba", "hybrid"] * 2, "n_mamba_heads": 8, "attention_hidden_size": 64},
}


def tiny(family: str) -> PreTrainedModel:
    """A random model, in float32."""
    transformers.set_seed(0)
    config = shrunk(CONFIG_MAPPING[family], **GIVEN.get(family, {}))
    model = AutoModelForCausalLM.from_config(config, experts_implementation="eager").eval()
    with torch.no_grad():  # some weights are not initialized, others are 0
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.nan_to_num_().clamp_(-1, 1).add_(torch.randn_like(parameter) * 0.1)
        for name, chosen in model.named_buffers():
            if name.endswith("tid2eid"):  # the experts of each word
                words, k = chosen.shape
                chosen.copy_((torch.arange(words)[:, None] + torch.arange(k)) % 4)
    return model


#: What becomes of a family.
KNOWN, FOUND, RAGGED, NONE, REFUSED, UNBUILT = "known", "found", "ragged", "no neurons", "refused", "not built"


def state(model: PreTrainedModel) -> tuple[str, str]:
    """What becomes of a model, and why."""
    try:
        layers = neuron_layers(model)
    except NeuroglotError as error:
        why = str(error).partition("on a few tokens: ")[2].partition(". Known:")[0] or str(error)
        return (NONE if "no MLP" in why or "both sides" in why else REFUSED), why
    if len({layer.neurons for layer in layers}) > 1:
        return RAGGED, ""
    return (KNOWN if model.config.model_type in SITES else FOUND), ""


def built(family: str) -> PreTrainedModel | str:
    """A tiny model, or why there is none."""
    try:
        return tiny(family)
    except Exception as error:
        said = " ".join(str(error).split())
        return f"{type(error).__name__}: {said[:90]}"


_HEADS = {
    KNOWN: "in the table above",
    FOUND: "found, and counted",
    RAGGED: "found, and counted; layers differ in width",
    NONE: "refused: without such neurons, or no decoder",
    REFUSED: "refused: an MLP that is not proven",
    UNBUILT: "not tried: no small model of it could be made",
}


def table(states: dict[str, tuple[str, str]]) -> str:
    """Of all families, in Markdown."""
    rows = [f"| of {len(states)} families of transformers {transformers.__version__} | |", "|---|---|"]
    for kind, head in _HEADS.items():
        own = {name: why for name, (found, why) in states.items() if found == kind}
        said = [f"{name} ({why.replace('|', '/')})" if why and kind != UNBUILT else name for name, why in own.items()]
        rows.append(f"| {head} ({len(own)}) | {', '.join(said)} |")
    return "\n".join(rows)


BEGIN, END = "<!-- written by benchmarks/families.py -->", "<!-- to here -->"


def states() -> dict[str, tuple[str, str]]:
    """Of every family."""
    made = {name: built(name) for name in NAMES}
    return {name: (UNBUILT, model) if isinstance(model, str) else state(model) for name, model in made.items()}
