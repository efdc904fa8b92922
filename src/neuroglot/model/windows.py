"""Short texts joined into windows, as in pre-training: a text sees those before it."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from transformers import PreTrainedTokenizerBase

from ..base.errors import NeuroglotError, quoted, require_whole
from .stores import Text


def window_length(pack: bool | int, longest: int | None) -> int:
    """Tokens of a window: those asked for, or of ``True`` the longest input.

    Raises:
        NeuroglotError: more than that, or no number where the model does not say its context.
    """
    if pack is True:
        if longest is None:
            raise NeuroglotError("pack: the model does not say how long its context is; give a number of tokens.")
        return longest
    require_whole("pack", pack, 1)
    if longest is not None and pack > longest:
        raise NeuroglotError(f"pack={quoted(pack)}: an input has at most {longest} tokens; give no more.")
    return int(pack)


def windows_of(tokenizer: PreTrainedTokenizerBase, texts: Iterable[Text], length: int) -> Iterator[Text]:
    """Texts of one language and one bin joined, in their order, into windows of at most ``length`` tokens.

    No text is cut; one that is longer is a window by itself. Between two texts stands the special token that the
    tokenizer begins or ends a text with; where it adds none, the one that ends a text (or else begins one), which does
    not count. A text attends to those before it in its window.

    Raises:
        NeuroglotError: the tokenizer has no such token.
    """
    joint = tokenizer.bos_token_id if tokenizer.eos_token_id is None else tokenizer.eos_token_id
    begun: dict[tuple[int, int], Text] = {}
    for text in texts:
        place = text.language, text.bin
        if (window := begun.get(place)) is not None:
            between = [joint] if window.counted[-1] and text.counted[0] else []
            if len(window.ids) + len(between) + len(text.ids) <= length:
                if None in between:
                    raise NeuroglotError("pack: the tokenizer has no token to stand between two texts; leave it out.")
                window.ids.extend(between + text.ids)
                window.counted.extend([False] * len(between) + text.counted)
                continue
            yield window
        begun[place] = replace(text, ids=[*text.ids], counted=[*text.counted])
    yield from begun.values()
