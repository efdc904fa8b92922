"""A corpus of proverbs: a file of lines ``language<TAB>text``, loaded as ``proverbs:FILE``."""

from collections.abc import Iterator
from pathlib import Path

from neuroglot import Example


def proverbs(rest: str, languages: tuple[str, ...] | None, *, n: int | None = None) -> Iterator[Example]:
    """The first ``n`` proverbs of each language; of other languages than those asked for neuroglot keeps none."""
    seen: dict[str, int] = {}
    for line in Path(rest).read_text(encoding="utf-8").splitlines():
        language, text = line.split("\t")
        number = seen[language] = seen.get(language, 0) + 1
        if n is None or number <= n:
            yield Example(id=f"{number:05d}", language=language, prompt="", response=text)
