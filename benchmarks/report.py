"""Where the benchmarks' tables go: printed, and kept for the book's page "Beyond one machine"."""

import platform
from importlib.metadata import version
from pathlib import Path

import torch

from neuroglot.base.files import write_bytes

PAGE = Path(__file__).parents[1] / "book" / "benchmarks"


def write(name: str, text: str) -> None:
    """Print a fragment of the page, and keep it."""
    print(text, flush=True)
    write_bytes(PAGE / f"{name}.md", (text.strip() + "\n").encode())


def table(rows: list[tuple[str, ...]]) -> str:
    """A Markdown table; the first row is its head, all columns but the first are numbers."""
    head, *body = rows
    rule = ("---", *["---:"] * (len(head) - 1))
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, rule, *body))


def machine() -> str:
    """What the figures were measured on."""
    where = f"{platform.machine()}, {torch.get_num_threads()} threads"
    return f"{where}, torch {version('torch')}, transformers {version('transformers')}"
