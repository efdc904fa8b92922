"""Several processes as one run: who is first, what each has made or counted (through accelerate)."""

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

import torch

from ..base.errors import NeuroglotError
from ..base.provenance import differing

Result = TypeVar("Result")


@dataclass(frozen=True)
class Processes:
    """The processes that share a run, seen from one of them; by default this one alone."""

    index: int = 0
    number: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that reads, writes and reports for all."""
        return self.index == 0

    def mine(self, items: Iterable[Result]) -> Iterator[Result]:
        """The items dealt to this process, every ``number``-th."""
        return islice(items, self.index, None, self.number)

    def total(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum over all processes of an integer tensor, the same on each; in place where it can be."""
        if self.number == 1:
            return tensor
        from accelerate import PartialState
        from accelerate.utils import reduce

        with _heard():
            total: torch.Tensor = reduce(tensor.to(PartialState().device), "sum").cpu()
        return total

    def once(self, do: Callable[[], Result]) -> Result:
        """What ``do`` gives the first process, given to all; so is the :class:`NeuroglotError` it may end in."""
        if self.number == 1:
            return do()
        from accelerate.utils import broadcast_object_list

        answer: list[Any] = [None, None]
        if self.first:
            try:
                answer = [do(), None]
            except NeuroglotError as error:
                answer = [None, str(error)]
        with _heard():
            broadcast_object_list(answer)
        if answer[1] is not None:
            raise NeuroglotError(answer[1])
        result: Result = answer[0]
        return result

    def each(self, do: Callable[[], Result]) -> list[Result]:
        """What ``do`` gives every process, in their order, given to all; the error that one ends in ends them all.

        Raises:
            NeuroglotError: this process's own, or what another one ended in, which is named.
        """
        if self.number == 1:
            return [do()]
        from accelerate.utils import gather_object

        own: tuple[Result | None, NeuroglotError | None]
        try:
            own = do(), None
        except NeuroglotError as error:
            own = None, error
        result, failed = own
        with _heard():
            answers = gather_object([(result, None if failed is None else str(failed))])
        if failed is not None:
            raise failed
        for index, (_, said) in enumerate(answers):
            if said is not None:
                raise NeuroglotError(f"process {index} ended the run: {said}")
        return [each for each, _ in answers]

    def require_alike(self, provenance: Mapping[str, Any]) -> None:
        """Let all go on only where each is about to make what the first one makes.

        Raises:
            NeuroglotError: in all of them, if one has another model, text or settings.
        """
        whole = self.once(lambda: provenance)

        def compare() -> None:
            if keys := differing(provenance, whole):
                raise NeuroglotError(
                    f"process {self.index} has not what the first one has ({', '.join(keys)} differ); "
                    "start all of them with the same model, text and settings."
                )

        self.each(compare)


def shared(do: Callable[[], Result]) -> Result:
    """:meth:`Processes.once` of the processes that share the run, for :func:`neuroglot.base.locks.one_writer`."""
    return joined().once(do)


@contextlib.contextmanager
def _heard() -> Iterator[None]:
    """While something is exchanged: that another process is gone is one sentence, not a fault of this one."""
    try:
        yield
    except RuntimeError as error:
        raise NeuroglotError(
            "another of the processes that share this run has ended, or does not answer; see what it said, and run the "
            "same command again to go on."
        ) from error


def joined() -> Processes:
    """The processes that ``torchrun`` or ``accelerate launch`` started together, else this one alone."""
    number = int(os.environ.get("WORLD_SIZE", "1"))
    if number < 2:
        return Processes()
    from accelerate import PartialState

    if os.environ.get("MASTER_ADDR") in ("127.0.0.1", "localhost", "::1"):
        # On one machine gloo finds its interface by the host's name, which need not resolve.
        loopback = "lo0" if os.uname().sysname == "Darwin" else "lo"
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
    state = PartialState(cpu=not torch.cuda.is_available())
    return Processes(state.process_index, state.num_processes)


@contextlib.contextmanager
def unbroken() -> Iterator[None]:
    """An interruption (Ctrl-C, or SIGTERM where it is one) waits for the end of the block; a second one does not."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    usual = {number: handler for number, handler in handlers.items() if callable(handler)}
    came: list[tuple[Any, ...]] = []

    def wait(*of: Any) -> None:
        came.append(of)
        if len(came) > 1:
            usual[of[0]](*of)

    for number in usual:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in usual.items():
            signal.signal(number, handler)
    if came:
        usual[came[0][0]](*came[0])


def own_device() -> str | None:
    """The accelerator that is this process's alone, where several processes share a run."""
    if joined().number == 1 or not torch.cuda.is_available():
        return None
    from accelerate import PartialState

    return str(PartialState().device)


def leave() -> None:
    """Let the other processes know that this one has done its part."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
