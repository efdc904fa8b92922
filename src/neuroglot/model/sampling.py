"""Responses of the model under study: sampled from questions, seeded, kept as a file that goes on."""

import contextlib
import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from torch import nn
from tqdm import tqdm
from transformers import (
    DynamicCache,
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
)

from ..base.artifacts import finished
from ..base.errors import NeuroglotError, is_number, quoted, require_whole
from ..base.files import require_file
from ..base.locks import one_writer
from ..base.parts import Parts
from ..base.provenance import record
from ..base.records import read_lines, write_lines
from ..text import problems
from ..text.corpora import Corpus, Example
from ..text.readers import load_corpus
from .batches import begins_twice, given_ids
from .interventions import Intervention, hashes, intervene
from .loading import context_length, evaluating, input_device, itself, model_record

# What stands between worked examples, and so ends a response to a few-shot prompt.
_END = "\n\n"


def sample(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    n: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    shots: int = 4,
    worked: Corpus | None = None,
    chat: bool = False,
    max_new_tokens: int = 256,
    batch_size: int = 16,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
) -> Corpus:
    """Let a model answer the questions of a corpus.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        corpus: its prompts are the questions; responses it may have are not shown to the model.
        path: file to write, JSON lines that :func:`neuroglot.load_corpus` reads as ``jsonl:PATH``.
            A file of just this run is returned without running; an interrupted run goes on after
            its last batch, kept in ``PATH.parts``.
        n: responses to each question.
        temperature: 0 is greedy; above it, tokens are drawn from the whole distribution.
        seed: of the draws; with the same batches the same responses come out.
        shots: worked examples before the question, in its language; 0 for none.
        worked: where they come from, a corpus with responses; default: packaged problems of
            another seed. Those of the question's group come first; none is the question itself.
        chat: pose the question (and the worked examples, as turns) in the tokenizer's chat template.
        max_new_tokens: longest response, in tokens.
        batch_size: responses generated together.
        overwrite: replace a file at ``path`` that holds other responses.
        wait: for another process that writes ``path``; otherwise it is refused.
        progress: show a bar.

    Returns:
        The responses as a corpus: ids ``ID`` or, for n > 1, ``ID#1`` to ``ID#n``; prompts as the
        model got them. An empty response is left out; :func:`neuroglot.grade`, given the questions,
        counts it as wrong.

    Raises:
        NeuroglotError: no worked examples in a language, no chat template, a prompt that leaves
            no room in the context, other responses at ``path``, only empty responses.
    """
    rows, provenance = sample_rows(
        model,
        tokenizer,
        corpus,
        path,
        n=n,
        temperature=temperature,
        seed=seed,
        shots=shots,
        worked=worked,
        chat=chat,
        max_new_tokens=max_new_tokens,
        batch_size=batch_size,
        overwrite=overwrite,
        wait=wait,
        progress=progress,
    )
    examples = tuple(example for example in as_examples(rows) if example.response.strip())
    silent = set(corpus.languages) - {example.language for example in examples}
    if silent:
        place = f"; see {path}" if path else ""
        raise NeuroglotError(
            f"the model answered nothing in {', '.join(sorted(silent))}, so there is nothing to count{place}."
        )
    source = f"sampled from {provenance['model']} on {corpus.name}"
    return Corpus(f"responses:{corpus.name}", corpus.languages, examples, source, provenance["settings"])


@one_writer()
def sample_rows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    corpus: Corpus,
    path: str | Path | None = None,
    *,
    n: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    shots: int = 4,
    worked: Corpus | None = None,
    chat: bool = False,
    max_new_tokens: int = 256,
    batch_size: int = 16,
    overwrite: bool = False,
    wait: bool = True,
    progress: bool = True,
    interventions: Mapping[str, Intervention | None] | None = None,
    only: Mapping[str, Collection[str]] | None = None,
) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """As :func:`sample`, but every response, empty ones too, as rows of the file; and their provenance.

    ``cut_off`` says of each whether it had reached ``max_new_tokens`` when it ended.
    With ``interventions``, by name, every question is answered under each of them (``None`` is the
    model as it is), and a row says which in ``intervention``; with ``only``, by its name, just in some languages.
    """
    _require_temperature(temperature)
    for name, value in {"n": n, "max_new_tokens": max_new_tokens, "batch_size": batch_size}.items():
        require_whole(name, value, 1)
    for name, value in {"shots": shots, "seed": seed}.items():
        require_whole(name, value, 0)
    if worked is not None and not isinstance(worked, Corpus):
        raise NeuroglotError(f"worked={quoted(worked)}: give a corpus, as load_corpus returns it.")
    if not temperature and n > 1:
        raise NeuroglotError(f"n={n} responses at temperature 0 would be all the same; give a temperature above 0.")
    if interventions is not None and not interventions:
        raise NeuroglotError("there is no intervention to answer under; give at least one, or leave them out.")
    model = itself(model)
    questions = _questions(tokenizer, corpus, shots, worked, chat, n)
    ordered = _ordered(tokenizer, questions)
    only = only or {}
    asked = [
        _Asked(*pair, name)
        for name in interventions or [""]
        for pair in ordered
        if pair[0].language in only.get(name, corpus.languages)
    ]
    in_order = _in_order(asked, questions)
    batches = [asked[i : i + batch_size] for i in range(0, len(asked), batch_size)]
    question, ids = max(ordered, key=lambda one: len(one[1]))
    longest = f"{question.place}: its prompt"
    _require_room(model, len(ids), max_new_tokens, longest, "use fewer shots or fewer new tokens")
    # Sampled questions are asked as they were: their prompts may hold worked examples already.
    given = corpus.options if corpus.name.startswith("responses:") else {}
    end = _END if (shots and not chat) or (given.get("shots") and not given.get("chat")) else ""
    settings = {"n": n, "temperature": temperature, "seed": seed, "shots": shots, "chat": chat}
    text = corpus.record()
    del text["corpus_sha256"]  # of its responses, too, which nobody sees
    provenance = record(
        model_record(model),
        text,
        questions_sha256=_hash([[q.id, q.language, q.answer, q.group, q.cluster, ids] for q, ids in ordered]),
        settings=settings | {"max_new_tokens": max_new_tokens, "batch_size": batch_size},
        ends_at=end,
        libraries=("torch", "transformers"),
    )
    if interventions is not None:
        provenance["interventions"] = hashes(interventions)
        if only:
            provenance["only"] = {name: sorted(codes) for name, codes in only.items()}
    path = Path(path) if path is not None else None
    parts = Parts(path, provenance)
    if path is not None and (done := finished(path, _read, provenance, "responses", overwrite)) is not None:
        parts.remove_own()
        return _sorted(done.rows, in_order), provenance
    rows: list[dict[str, Any]] = []
    changes = interventions or {"": None}
    beginnings = _Beginnings(model, batches, changes)
    # In tokens, since a batch of responses takes minutes.
    shown = dict[str, Any](unit="tok", desc="sampling", mininterval=1, file=sys.stderr, disable=not progress)
    with evaluating(model), tqdm(total=len(asked) * max_new_tokens, **shown) as bar:
        for number, batch in enumerate(batches):
            if (kept := parts.kept(f"{number:05d}")) is not None:
                rows += kept[1]["rows"]
            else:
                prompts = [one.ids for one in batch]
                cache = beginnings.cache(number)
                label = f"{seed}/{number}"
                moved = _Moved(bar, len(batch))
                with _changed(model, [changes[one.intervention] for one in batch]):
                    responses = _generate(
                        model, tokenizer, prompts, cache, temperature, label, max_new_tokens, end, moved
                    )
                made = [one.row(*response) for one, response in zip(batch, responses, strict=True)]
                parts.keep(f"{number:05d}", rows=made)
                rows += made
            bar.set_postfix_str(f"{len(rows)} of {len(asked)} responses", refresh=False)
            bar.update(len(rows) * max_new_tokens - bar.n)
    rows = _sorted(rows, in_order)
    if path is not None:
        _write_rows(path, provenance, rows)
        parts.remove()
    return rows, provenance


def continued(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str,
    interventions: Sequence[Intervention | None],
    *,
    max_new_tokens: int = 48,
    temperature: float = 0.0,
    seed: int = 0,
    told: Callable[[list[str]], bool] = lambda _: False,
) -> list[str]:
    """What a model says after a prompt under several interventions, side by side in one batch, token by token.

    Args:
        model, tokenizer: from :func:`neuroglot.load_model` or transformers.
        prompt: text, taken as it is.
        interventions: a response is made under each; ``None`` is the model as it is.
        max_new_tokens: of each response, at most.
        temperature: 0 for greedy, or from 0.001 on.
        seed: of what is drawn.
        told: called with all responses so far after each token; where it is true, all end there.

    Raises:
        NeuroglotError: no prompt, or one that leaves too little of the context; another length or temperature.
    """
    _require_temperature(temperature)
    require_whole("max_new_tokens", max_new_tokens, 1)
    model = itself(model)
    ids = tokenizer(prompt)["input_ids"] if prompt.strip() else []
    if not ids:
        raise NeuroglotError("there is no prompt to go on from; give some text.")
    _require_room(model, len(ids), max_new_tokens, "the prompt", "give a shorter one, or fewer new tokens")
    watching = _Told(model, tokenizer, len(ids), told)
    label = f"{seed}/{prompt}"
    with evaluating(model), _changed(model, interventions):
        found = _generate(
            model, tokenizer, [ids] * len(interventions), None, temperature, label, max_new_tokens, "", watching
        )
    return [text for text, _ in found]


def _require_temperature(temperature: float) -> None:
    if not is_number(temperature) or not (temperature == 0 or temperature >= 1e-3):
        raise NeuroglotError(f"temperature={quoted(temperature)}: give 0 for greedy or a number from 0.001 on.")


def _require_room(model: PreTrainedModel, tokens: int, new: int, prompt: str, advice: str) -> None:
    context = context_length(model)
    if context is not None and tokens + new > context:
        raise NeuroglotError(
            f"{prompt} has {tokens} tokens, which leaves less than {new} of the context of {context}; {advice}."
        )


@dataclass(frozen=True, slots=True)
class _Asked:
    """One response to make: to which question, of which tokens, under which intervention."""

    question: Example
    ids: list[int]
    intervention: str

    @property
    def key(self) -> tuple[str, str, str]:
        return self.intervention, self.question.language, self.question.id

    def row(self, text: str, cut_off: bool) -> dict[str, Any]:
        """As a file has it; only responses under an intervention name one."""
        names = ("id", "language", "prompt", "answer", "group", "cluster")
        own = {"intervention": self.intervention} if self.intervention else {}
        return own | {name: getattr(self.question, name) for name in names} | {"response": text, "cut_off": cut_off}


def _in_order(asked: list[_Asked], questions: list[Example]) -> list[_Asked]:
    """By intervention, then as the questions come."""
    place = {(question.language, question.id): i for i, question in enumerate(questions)}
    names = {name: i for i, name in enumerate(dict.fromkeys(one.intervention for one in asked))}
    return sorted(asked, key=lambda one: (names[one.intervention], place[one.key[1:]]))


def _changed(
    model: PreTrainedModel, interventions: Sequence[Intervention | None]
) -> contextlib.AbstractContextManager[None]:
    """As :func:`intervene`; where there is nothing to change, for models whose neurons are not known too."""
    return intervene(model, interventions) if any(interventions) else contextlib.nullcontext()


# --- prompts -----------------------------------------------------------------------------------


def _questions(
    tokenizer: PreTrainedTokenizerBase, corpus: Corpus, shots: int, worked: Corpus | None, chat: bool, n: int
) -> list[Example]:
    """One example per response to make, its prompt as the model will get it."""
    if (chat or shots) and corpus.prompts_as_read:
        raise NeuroglotError(
            f"corpus {corpus.name}: its questions are what the model reads, in a chat template or as token ids; ask "
            "them with shots=0 and without chat."
        )
    if chat and not tokenizer.chat_template:
        raise NeuroglotError(f"{tokenizer.name_or_path} has no chat template; leave out chat.")
    if bare := next((example for example in corpus.examples if not example.prompt.strip()), None):
        raise NeuroglotError(f"{bare.place}: there is no question to answer; use a corpus with prompts.")
    if shots and worked is None:
        if missing := [code for code in corpus.languages if code not in problems.LANGUAGES]:
            raise NeuroglotError(
                f"there are no packaged worked examples in {quoted(missing[0])}; give a corpus of them as worked, "
                "or shots=0."
            )
        worked = load_corpus("problems", n=32 * max(shots, 1), seed=1)
    seen: dict[tuple[str, str], Example] = {}
    for example in corpus.examples:
        first = seen.setdefault((example.language, example.document), example)
        if first.prompt != example.prompt:
            raise NeuroglotError(
                f"{example.place}: its id {quoted(example.id)} makes it an answer to {first.place}, which asks "
                "something else; what follows a # in an id numbers the answers to one question."
            )
    by_language: dict[str, list[Example]] = {}
    for example in worked.examples if worked is not None else ():
        by_language.setdefault(example.language, []).append(example)
    questions = []
    for (language, document), question in seen.items():
        before = _worked(question, by_language.get(language, []), shots) if worked is not None else []
        prompt = _chat(tokenizer, question, before) if chat else _plain(question, before)
        ids = [document] if n == 1 else [f"{document}#{i}" for i in range(1, n + 1)]
        questions += [replace(question, id=id_, prompt=prompt, response="") for id_ in ids]
    return questions


def _worked(question: Example, worked: list[Example], shots: int) -> list[Example]:
    """The first worked examples, those of the question's group before the others; not itself."""
    own = [example for example in worked if example.prompt.strip() != question.prompt.strip()]
    own.sort(key=lambda example: example.group != question.group)
    if len(own) < shots or not all(example.response for example in own[:shots]):
        raise NeuroglotError(
            f"the worked examples have fewer than {shots} with a response in {quoted(question.language)}; "
            "give more of them, or fewer shots."
        )
    return own[:shots]


def _plain(question: Example, before: list[Example]) -> str:
    if broken := next((example for example in before if _END in example.response.strip()), None):
        raise NeuroglotError(
            f"{broken.place}: its response has a blank line, which stands between worked examples and ends an answer; "
            "give others as worked, chat=True or shots=0."
        )
    return "".join(example.prompt + example.response + _END for example in before) + question.prompt


def _chat(tokenizer: PreTrainedTokenizerBase, question: Example, before: list[Example]) -> str:
    turns = []
    for example in before:
        turns += [{"role": "user", "content": example.prompt.strip()}]
        turns += [{"role": "assistant", "content": example.response}]
    turns += [{"role": "user", "content": question.prompt.strip()}]
    text = cast(str, tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True))
    # The tokenizer adds its own beginning; a template's would be a second one.
    first = tokenizer("a")["input_ids"][0]
    if tokenizer.bos_token and first == tokenizer.bos_token_id:
        text = text.removeprefix(tokenizer.bos_token)
    return text


def _ordered(tokenizer: PreTrainedTokenizerBase, questions: list[Example]) -> list[tuple[Example, list[int]]]:
    """The questions with their tokens, those of like length together."""
    texts = [question.prompt for question in questions]
    ids = tokenizer(texts, verbose=False)["input_ids"]
    ids = [one[begins_twice(tokenizer, text, one) :] for text, one in zip(texts, ids, strict=True)]
    eos = tokenizer.eos_token_id
    ids = [one[:-1] if len(one) > 1 and one[-1] == eos else one for one in ids]  # an end would end the response
    for number, question in enumerate(questions):
        if question.tokens is not None:
            ids[number] = given_ids(tokenizer, question, question.tokens)
    return sorted(zip(questions, ids, strict=True), key=lambda pair: len(pair[1]))


# --- generation --------------------------------------------------------------------------------


class _Beginnings:
    """Keys and values of what prompts begin with (their worked examples), computed once for all.

    A batch is padded on the left. Every row gets, from one pass over its own beginning, the keys
    and values of as many tokens as all rows can have, moved to the right by its padding; so what
    is left to run is as wide in every row, and the layout is that of a batch run as a whole.
    A beginning is run once for each intervention it stands under.
    """

    def __init__(
        self, model: PreTrainedModel, batches: list[list[_Asked]], changes: Mapping[str, Intervention | None]
    ) -> None:
        self.model, self.changes = model, changes
        alike: dict[tuple[str, str], dict[str, list[int]]] = {}
        for one in (one for batch in batches for one in batch):
            alike.setdefault((one.question.language, one.question.group), {})[one.question.id] = one.ids
        begin = {key: _common(list(prompts.values())) for key, prompts in alike.items()}
        self.batches = [
            [((one.intervention, begin[one.question.language, one.question.group]), one.ids) for one in batch]
            for batch in batches
        ]
        self.last = {beginning: number for number, batch in enumerate(self.batches) for beginning, _ in batch}
        self.kept: dict[tuple[str, tuple[int, ...]], list[tuple[torch.Tensor, torch.Tensor]]] = {}

    def cache(self, number: int) -> DynamicCache | None:
        """For one batch, or ``None`` where too little is shared to be worth it."""
        batch = self.batches[number]
        width = max(len(ids) for _, ids in batch)
        pads = [width - len(ids) for _, ids in batch]
        shared = min(pad + len(beginning) for pad, ((_, beginning), _) in zip(pads, batch, strict=True))
        if shared < width / 4:
            return None
        cache = DynamicCache()
        # What is shared of the longest prompt has no padding; a short prompt may have nothing but padding there.
        whole = self._states(batch[pads.index(0)][0])
        rows = [
            self._states(beginning) if pad < shared else whole for pad, (beginning, _) in zip(pads, batch, strict=True)
        ]
        for layer, states in enumerate(zip(*rows, strict=True)):
            keys, values = (
                torch.cat([_pad_left(state[kind], pad, shared) for state, pad in zip(states, pads, strict=True)])
                for kind in (0, 1)
            )
            cache.update(keys, values, layer)
        for beginning in [b for b in self.kept if self.last[b] <= number]:
            del self.kept[beginning]
        return cache

    def _states(self, beginning: tuple[str, tuple[int, ...]]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        if beginning not in self.kept:
            intervention, tokens = beginning
            ids = torch.tensor([tokens], device=input_device(self.model))
            with torch.inference_mode(), _changed(self.model, [self.changes[intervention]]):
                cache = self.model.base_model(ids, past_key_values=DynamicCache(), use_cache=True).past_key_values
            self.kept[beginning] = [(layer.keys, layer.values) for layer in cache.layers]
        return self.kept[beginning]


def _pad_left(states: torch.Tensor, pad: int, width: int) -> torch.Tensor:
    """The first ``width - pad`` tokens of ``[1, heads, tokens, size]`` after ``pad`` zeros; at most ``width`` zeros."""
    pad = min(pad, width)
    return nn.functional.pad(states[:, :, : width - pad], (0, 0, pad, 0))


def _common(prompts: list[list[int]]) -> tuple[int, ...]:
    """The tokens that all prompts begin with, short of a whole prompt; none for a single one."""
    if len(prompts) < 2:
        return ()
    first, last = min(prompts), max(prompts)  # in the order of lists these two differ earliest
    shortest = min(map(len, prompts)) - 1
    alike = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), shortest)
    return tuple(first[: min(alike, shortest)])


class _Moved(StoppingCriteria):
    """Ends nothing: moves a bar by a token of every row."""

    def __init__(self, bar: "tqdm[Any]", rows: int) -> None:
        self.bar, self.rows = bar, rows

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        self.bar.update(self.rows)
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


class _Told(StoppingCriteria):
    """Tells the responses so far, and ends all of them where that is wanted."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        start: int,
        told: Callable[[list[str]], bool],
    ) -> None:
        self.tokenizer, self.start, self.told = tokenizer, start, told
        self.ends = _ends(model, tokenizer)

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        kept = _before(self.ends, input_ids[:, self.start :].tolist())
        stop = self.told([text.lstrip() for text in self.tokenizer.batch_decode(kept, skip_special_tokens=True)])
        return torch.full((len(input_ids),), stop, dtype=torch.bool, device=input_ids.device)


def _ends(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The tokens that end a response."""
    own = model.generation_config.eos_token_id
    ends = own if own is not None else tokenizer.eos_token_id
    return [ends] if isinstance(ends, int) else list(ends or ())


def _before(ends: Collection[int], rows: Sequence[Sequence[int]]) -> list[list[int]]:
    """Tokens up to an end: what follows it is padding, which need be no special token."""
    return [list(itertools.takewhile(lambda token: token not in ends, row)) for row in rows]


class _AtEnd(StoppingCriteria):
    """Rows are done once their last few new tokens hold what ends a response."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, start: int, end: str) -> None:
        self.tokenizer, self.start, self.end = tokenizer, start, end

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **_: Any) -> torch.Tensor:
        tails = self.tokenizer.batch_decode(input_ids[:, max(self.start, input_ids.shape[1] - 3) :])
        # An empty line before any text ends nothing: it is stripped.
        return torch.tensor([self.end in tail.lstrip() for tail in tails], device=input_ids.device)


class _Finite(LogitsProcessor):
    """Scores that are not numbers would pass for tokens."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if scores.isnan().any():
            raise NeuroglotError(f"the model's scores in {self.model.dtype} are not numbers; load it in float32.")
        return scores


@contextlib.contextmanager
def _plainly(model: PreTrainedModel) -> Iterator[None]:
    """Without the model's own defaults for generation (penalties, beams ...), which nobody asked for."""
    own = model.generation_config
    model.generation_config = GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = own


def _generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: list[list[int]],
    cache: DynamicCache | None,
    temperature: float,
    label: str,
    max_new_tokens: int,
    end: str,
    moved: StoppingCriteria,
) -> list[tuple[str, bool]]:
    """One response to each prompt, padded on the left, and whether it was cut off; ``end`` ends it, where it is any."""
    width = max(map(len, prompts))
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id or 0
    ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
    device = input_device(model)
    ends = _ends(model, tokenizer)
    config = GenerationConfig(
        max_new_tokens=max_new_tokens,
        do_sample=temperature > 0,
        pad_token_id=pad,
        eos_token_id=ends or None,
        **({"temperature": temperature, "top_k": 0, "top_p": 1.0} if temperature else {}),
    )
    with torch.inference_mode(), torch.random.fork_rng(), _plainly(model):
        torch.manual_seed(int.from_bytes(hashlib.sha256(label.encode()).digest()[:7]))
        output = cast(Any, model).generate(
            ids.to(device),
            attention_mask=mask.to(device),
            past_key_values=cache,
            generation_config=config,
            logits_processor=LogitsProcessorList([_Finite(model)]),
            stopping_criteria=StoppingCriteriaList([moved, *([_AtEnd(tokenizer, width, end)] if end else [])]),
        )
    new = output[:, width:].tolist()
    kept = _before(ends, new)
    ended = [len(before) < len(row) for before, row in zip(kept, new, strict=True)]
    texts = [text.lstrip() for text in tokenizer.batch_decode(kept, skip_special_tokens=True)]
    return [
        (text.partition(end)[0].rstrip() if end else text.rstrip(), not done and not (end and end in text))
        for text, done in zip(texts, ended, strict=True)
    ]


# --- the file ----------------------------------------------------------------------------------


def read_rows(path: str | Path) -> list[dict[str, str]]:
    """The responses in a file of :func:`sample` or :func:`sample_rows`; none where the file is empty.

    Raises:
        NeuroglotError: no such file, or another one.
    """
    path = require_file(path)
    if not path.stat().st_size:
        return []
    return _read(path).rows


def read_answers(path: str | Path) -> list[Example]:
    """:func:`read_rows`, as examples."""
    return as_examples(read_rows(path))


def as_examples(rows: Iterable[Mapping[str, Any]]) -> list[Example]:
    """Rows of :func:`sample_rows` as questions with the model's own responses, whatever they were made under."""
    fields = [{name: value for name, value in row.items() if name != "intervention"} for row in rows]
    return [Example(**row) for row in fields]


def read_settings(path: str | Path) -> dict[str, Any]:
    """How the responses in a file were made, as options of :func:`sample`; nothing where the file is empty.

    Raises:
        NeuroglotError: as :func:`read_rows`.
    """
    return dict(_read(Path(path)).provenance.get("settings", {})) if read_rows(path) else {}


class _Responses(NamedTuple):
    provenance: dict[str, Any]
    rows: list[dict[str, Any]]


def _write_rows(path: Path, provenance: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    write_lines(path, "responses", {"provenance": provenance}, rows)


def _read(path: Path) -> _Responses:
    """What a file of responses holds.

    Raises:
        NeuroglotError: another file, or one that is not as it was written.
    """
    try:
        head, rows = read_lines(path, "responses", "neuroglot sample")
        said = head["provenance"]
        if not isinstance(said, dict) or not all(
            isinstance(row, dict) and isinstance(row.get("response"), str) for row in rows
        ):
            raise TypeError("a row is no response")
    except (NeuroglotError, KeyError, TypeError) as error:
        raise NeuroglotError(
            f"{path} is damaged or no file of responses of this version; make it again, delete it or ask for it to be "
            "overwritten."
        ) from error
    return _Responses(said, rows)


def _sorted(rows: list[dict[str, Any]], asked: list[_Asked]) -> list[dict[str, Any]]:
    """In the order asked; a file has them by batches, or by interventions in another order."""
    place = {one.key: i for i, one in enumerate(asked)}
    return sorted(rows, key=lambda row: place[row.get("intervention", ""), row["language"], row["id"]])


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()
