"""Hostile files of every kind: each is read, or refused in one sentence; nothing else ever comes of it.

``make fuzz`` makes 600 cases for every reader, ``make test`` a few. What is done to a file is decided by the case's
number. A case that fails is named by its reader and number.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import cases
from .readers import FAULTY, READERS

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux has it"),
]

#: Cases of every reader, and how many of them one process runs.
NUMBER = int(os.environ.get("FUZZ", "12"))
AT_ONCE = 25

# Seconds without a word after which a process is taken for lost: it is in a library that no signal reaches.
PATIENCE = 180


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("healthy")
    cases.make(folder)
    return folder


def outcomes(healthy: Path, some: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    """How cases end, each process of its own until it is lost."""
    while some:
        done = list(_of_one_process(healthy, some))
        yield from done
        assert done, "no case was begun"
        some = some[len(done) :]


def _of_one_process(healthy: Path, some: list[tuple[str, int]]) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "tests.hostile.cases", str(healthy), "run"]
    said, lost = bytearray(), "died"
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(some).encode())
        process.stdin.close()
        while True:
            if not select.select([process.stdout], [], [], PATIENCE)[0]:
                lost = "hung"
                process.kill()
            if not (more := os.read(process.stdout.fileno(), 2**16)):
                break
            said += more
    begun: list[Any] = []
    for line in said.decode().splitlines():
        begun = [] if isinstance(one := json.loads(line), dict) else one
        if isinstance(one, dict):
            yield one
    if begun:
        yield {"reader": begun[0], "number": begun[1], "harm": "?", "end": lost, "wrong": [lost]}


@pytest.mark.parametrize("part", range(-(-NUMBER // AT_ONCE)))
def test_whatever_is_done_to_a_file_it_is_read_or_refused_in_a_sentence(healthy: Path, part: int) -> None:
    numbers = range(part * AT_ONCE, min(NUMBER, (part + 1) * AT_ONCE))
    some = [
        (name, number)
        for number in numbers
        for name, reader in READERS.items()
        if number * reader.weight // 10 != (number + 1) * reader.weight // 10
    ]
    found = list(outcomes(healthy, some))
    wrong = [one for one in found if one["wrong"]]
    assert not wrong, "\n".join(json.dumps(one, ensure_ascii=False) for one in wrong)
    assert len(found) == len(some) and {one["end"] for one in found} == {"read", "refused"}


def test_every_reader_reads_what_is_healthy(healthy: Path, cache: Path) -> None:
    for name, reader in READERS.items():
        reader.read(healthy / name)


def test_what_no_reader_may_do_is_found(healthy: Path) -> None:
    """Each fault by its own name, and what comes after a lost process is still run."""
    found = {one["reader"]: one for one in outcomes(healthy, [(name, 0) for name in FAULTY])}
    assert list(found) == list(FAULTY)
    for name, (_, wrong) in FAULTY.items():
        assert any(each.startswith(wrong) for each in found[name]["wrong"]), found[name]
