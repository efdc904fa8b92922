"""Turns of a chat and token ids, as the text that a model's tokenizer makes of them."""

import functools
import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ..base.errors import NeuroglotError, in_a_line, quoted
from .corpora import Tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: What stands for a turn's text while it is looked up what the template writes around it: no text has it.
_TURN = "\uf8ff\uf8ff"

#: Arguments of the template that decide what comes out of it, and are set here.
_OWN = ("conversation", "messages", "tokenize", "return_dict", "add_generation_prompt", "continue_final_message")


def decoded(tokenizer: "PreTrainedTokenizerBase", ids: Sequence[int]) -> str:
    """The text of token ids to the letter, special tokens too."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


@dataclass(frozen=True)
class Transcript:
    """How turns and ids become prompts and responses.

    Attributes:
        tokenizer: of the model that is to read them, or a function that loads it once it is needed.
        template: arguments of its chat template, ``{"enable_thinking": False}``.
        system: what a turn of the system says before all others.
    """

    tokenizer: "PreTrainedTokenizerBase | Callable[[], PreTrainedTokenizerBase] | None" = None
    template: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None

    @property
    def record(self) -> dict[str, Any]:
        """What a corpus says of how its turns were written, :attr:`Corpus.prompts_as_read`; nothing if none were."""
        if "_template" not in vars(self):  # not looked up so far
            return {}
        said = {"template": dict(self.template) or None, "system": self.system}
        said["chat_template_sha256"] = hashlib.sha256(self._template.encode()).hexdigest()
        return {name: value for name, value in said.items() if value is not None}

    def of_turns(self, messages: Any, origin: str) -> tuple[str, str]:
        """Prompt and response of a chat, as the template writes them.

        The response is the last turn, where that is the assistant's, and nothing where it is another's, which is a
        question. The prompt is all before it: the other turns, how the template begins an answer, and what it sets in
        front of this one besides, such as an empty block of thoughts. What it sets after the response, the mark of
        the end, is neither.

        Args:
            messages: ``[{"role": "user", "content": "..."}, ...]``, or that as JSON.
            origin: file and row, for messages.

        Raises:
            NeuroglotError: no turns, no tokenizer or template, arguments that it does not know, or a template that
                writes the turns before the last otherwise once there is an answer, or the answer otherwise.
        """
        turns = self._turns(_as_json(messages, "messages", origin), origin)
        if turns[-1]["role"] != "assistant":
            return self._written(turns, origin, add_generation_prompt=True), ""
        *before, last = turns
        if not before:
            raise NeuroglotError(f"{origin}: the assistant's is the only turn; give what it answers.")
        prompt = self._written(before, origin, add_generation_prompt=True)
        whole = self._written(turns, origin)
        if not whole.startswith(prompt):
            same = _alike(prompt, whole)
            raise NeuroglotError(
                f"{origin}: the chat template writes the turns before the answer otherwise once the answer is there "
                f"(from {quoted(prompt[same:], 30)} on); give other arguments of the template, or remove the row."
            )
        around = self._written([*before, last | {"content": _TURN}], origin)
        lead, _, end = around[len(prompt) :].partition(_TURN) if around.startswith(prompt) else ("", "", "")
        rest = whole[len(prompt) :]
        for start in (lead, ""):  # a turn that brings its own thoughts has no empty block of them
            response = rest[len(start) : len(rest) - len(end)]
            if rest == start + response + end and response.strip() == last["content"].strip():
                return prompt + start, response
        raise NeuroglotError(
            f"{origin}: the chat template writes the answer otherwise than it stands ({quoted(rest, 60)}); write it as "
            "the template does, or remove the row."
        )

    def of_ids(self, ids: Any, after: Any, prompt_tokens: Any, origin: str) -> tuple[str, str, Tokens]:
        """Prompt, response and the tokens that they are of.

        Args:
            ids: token ids, or a list of them as JSON: of the prompt where there is ``after``, else of all.
            after: those of the response, or ``None``.
            prompt_tokens: how many of ``ids`` are the prompt's, where there is no ``after``; ``None`` is 0.
            origin: file and row, for messages.

        Raises:
            NeuroglotError: no tokenizer, what are no ids of it, or no number.
        """
        tokenizer = self._tokenizer("input_ids", origin)
        found = _ids(ids, "input_ids", len(tokenizer), origin)
        count = _as_json(prompt_tokens, "prompt_tokens", origin)
        if after is not None:
            if count is not None:
                raise NeuroglotError(f"{origin}: prompt_tokens and response_ids say the same; give one of them.")
            prompt, response = found, _ids(after, "response_ids", len(tokenizer), origin)
        else:
            count = 0 if count is None else count
            if not isinstance(count, int) or isinstance(count, bool) or not 0 <= count <= len(found):
                raise NeuroglotError(
                    f"{origin}: prompt_tokens is {quoted(count)}; give a whole number up to that of the ids, "
                    f"{len(found)}."
                )
            prompt, response = found[:count], found[count:]
        # A character whose bytes are parted stands in the response, as everywhere.
        whole = decoded(tokenizer, prompt + response)
        start = _alike(decoded(tokenizer, prompt), whole) if response else len(whole)
        text = whole[:start], whole[start:]
        return *text, Tokens(prompt, response, text)

    # --- within ---

    @functools.cached_property
    def _loaded(self) -> "PreTrainedTokenizerBase | None":
        from transformers import PreTrainedTokenizerBase

        given = self.tokenizer
        return given if isinstance(given, PreTrainedTokenizerBase) else given() if callable(given) else None

    def _tokenizer(self, column: str, origin: str) -> "PreTrainedTokenizerBase":
        if self._loaded is None:
            raise NeuroglotError(
                f"{origin}: {column} are read with the model's tokenizer; give it, load_corpus(..., "
                "tokenizer=tokenizer)."
            )
        return self._loaded

    @functools.cached_property
    def _template(self) -> str:
        """The chat template, which reads the arguments that are given: others it would pass over in silence."""
        tokenizer, given = self._tokenizer("messages", "template"), self.template
        try:
            written = str(tokenizer.get_chat_template(given.get("chat_template")))
        except ValueError as error:
            raise NeuroglotError(
                f"the tokenizer {tokenizer.name_or_path} has no chat template; give prompt and response in place of "
                "messages, or the option template {'chat_template': ...}."
            ) from error
        for name in given:
            if name in _OWN:
                raise NeuroglotError(f"template: {name} is set by the reader; leave it out.")
            if name != "chat_template" and not re.search(rf"\b{re.escape(str(name))}\b", written):
                raise NeuroglotError(
                    f"template: the chat template of {tokenizer.name_or_path} does not read {quoted(name)}; leave it "
                    "out."
                )
        return written

    def _turns(self, messages: Any, origin: str) -> list[dict[str, Any]]:
        turns = messages if isinstance(messages, list) else []
        if not turns or not all(isinstance(turn, Mapping) for turn in turns):
            raise NeuroglotError(
                f"{origin}: the messages are {quoted(messages, 40)}; give a list of turns, "
                '[{"role": "user", "content": "..."}].'
            )
        turns = [{name: value for name, value in turn.items() if value is not None} for turn in turns]
        for number, turn in enumerate(turns, start=1):
            for name in ("role", "content"):
                if not isinstance(value := turn.get(name), str) or not value.strip():
                    raise NeuroglotError(
                        f"{origin}, turn {number}: its {name} is {quoted(value, 40)}; give text, or remove the row."
                    )
        if self.system is None:
            return turns
        if turns[0]["role"] in ("system", "developer"):
            raise NeuroglotError(f"{origin}: it has a turn of the system of its own; leave out the option system.")
        return [{"role": "system", "content": self.system}, *turns]

    def _written(self, turns: list[dict[str, Any]], origin: str, **how: Any) -> str:
        tokenizer = self._tokenizer("messages", origin)
        own: dict[str, Any] = {**self.template, **how, "chat_template": self._template, "tokenize": False}
        try:
            return str(tokenizer.apply_chat_template(turns, **own))
        except Exception as error:  # templates are programs of others
            raise NeuroglotError(
                f"{origin}: the chat template of {tokenizer.name_or_path} refuses these turns "
                f"({in_a_line(error, 100) or type(error).__name__}); change them, or remove the row."
            ) from error


def _alike(one: str, other: str) -> int:
    """How many characters two texts begin alike with."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))


def _as_json(value: Any, what: str, origin: str) -> Any:
    """What a field of a CSV file holds, which is text."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError) as error:
        raise NeuroglotError(f"{origin}: the {what} are no JSON ({in_a_line(error, 100)}); mend them.") from error


def _ids(value: Any, what: str, below: int, origin: str) -> tuple[int, ...]:
    ids = _as_json(value, what, origin)
    if not isinstance(ids, list) or not all(type(each) is int for each in ids):
        raise NeuroglotError(f"{origin}: {what} is {quoted(ids, 40)}; give a list of token ids, whole numbers.")
    if foreign := [each for each in ids if not 0 <= each < below]:
        raise NeuroglotError(
            f"{origin}: {what} has the id {foreign[0]}, and the tokenizer those below {below:,}; give ids of this "
            "tokenizer."
        )
    return tuple(ids)
