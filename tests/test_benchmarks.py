"""The script for machines with a GPU, tried with the CPU in its place: what it says, and that it can fail."""

import argparse
import sys
from pathlib import Path

import pytest
import torch

from neuroglot import load_model

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))
import gpu


@pytest.fixture
def asked(model_folder):
    return argparse.Namespace(
        model=str(model_folder), device="cpu", dtypes=["float32", "bfloat16"], problems=2, languages="en de",
        batch_tokens=512, rounds=1,
    )  # fmt: skip


def test_the_cpu_gives_what_the_cpu_gives(asked):
    assert "| float32 | 0.000 | 0.000 |" in (said := gpu.counted(asked)), said
    assert "| bfloat16 | 0.000 | 0.000 |" not in said and said.rstrip().endswith("| 0.000 |")
    said = gpu.measured(asked)
    assert "by 0.0e+00 nats per token" in said and "; 4 of 4 greedy answers" in said


def test_another_device_is_told_apart(asked, monkeypatch):
    def other(asked, device, dtype="float32"):
        model, tokenizer = load_model(asked.model, dtype=dtype)
        if device == "other":
            with torch.no_grad():
                model.model.embed_tokens.weight.mul_(1.01).add_(0.01)
        return model, tokenizer

    monkeypatch.setattr(gpu, "load", other)
    asked.device, asked.dtypes = "other", ["float32"]
    assert "| float32 | 0.000 |" not in gpu.counted(asked)
    assert "by 0.0e+00 nats" not in gpu.measured(asked)


def test_speed_is_beside_the_bare_pass_and_the_peak(asked):
    asked.dtypes = ["float32"]
    (row,) = [line for line in gpu.speed(asked).splitlines() if line.startswith("| float32")]
    _, _, tokens, peak, share, _ = row.split("|")
    assert float(tokens.replace(",", "")) > 0 and float(peak) >= 0 and float(share) > 0
