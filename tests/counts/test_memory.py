"""What a count says that it needs, beside what is there at once as it runs."""

import weakref

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, LlamaConfig, MixtralConfig, Qwen3MoeConfig

from neuroglot.counts.collecting import Collection
from neuroglot.counts.gathering import KINDS
from neuroglot.text.corpora import Corpus, Example

from ..conftest import byte_tokenizer

SIZES = {"vocab_size": 320, "hidden_size": 256, "num_hidden_layers": 2, "max_position_embeddings": 1024}
SIZES |= {"num_attention_heads": 8, "num_key_value_heads": 4, "intermediate_size": 1024}
CONFIGS = {
    "dense": LlamaConfig(**SIZES),
    "few wide experts": MixtralConfig(**SIZES, num_local_experts=8, num_experts_per_tok=2),
    "many narrow experts": Qwen3MoeConfig(
        **SIZES, moe_intermediate_size=192, num_experts=32, num_experts_per_tok=8, head_dim=32
    ),
}


class Live(TorchDispatchMode):
    """Bytes of all tensors that are there at once, at most; not of those that were there before."""

    def __init__(self, before):
        super().__init__()
        self.now = self.peak = 0
        self.seen = {tensor.untyped_storage()._cdata: 0 for tensor in before}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(found):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.seen:
                storage = tensor.untyped_storage()
                self.seen[storage._cdata] = storage.nbytes()
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self.gone, storage._cdata)
        return found

    def gone(self, key):
        self.now -= self.seen.pop(key)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("dense", {}),
        ("dense", {"moments": True}),
        ("dense", {"gather": KINDS}),
        ("few wide experts", {}),
        ("many narrow experts", {}),
    ],
)
def test_what_a_count_says_it_needs_is_what_it_takes(name, how):
    letters = np.random.default_rng(0).choice(list("abcdef "), (2, 3, 700))
    texts = [("aa", i, text) for i, text in enumerate(letters[0])] + [
        ("kl", i, text) for i, text in enumerate(letters[1])
    ]
    examples = tuple(Example(str(i), code, "", "".join(text)) for code, i, text in texts)
    model = AutoModelForCausalLM.from_config(CONFIGS[name]).eval()
    collection = Collection(model, byte_tokenizer(), Corpus("t", ("aa", "kl"), examples), batch_tokens=3000, **how)
    needed = collection.memory()
    live = Live([*model.parameters(), *model.buffers()])
    with live:
        collection.run(progress=False)
    assert live.peak > 2**20
    said = sum(needed.values()) - needed["model"]
    assert 0.8 < said / live.peak < 1.2
