"""Files of ``torch.save`` that others publish: tensors and plain containers alone, and no more than the file holds."""

import io
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import NeuroglotError, in_a_line, quoted
from .files import open_plain, require_file, write_bytes

#: How such a file begins: it is a zip archive.
MAGIC = b"PK\x03\x04"

# All that tensors need. torch's own list for `weights_only` is longer and has `bytearray`, which takes any size.
_NAMES = re.compile(r"torch\._utils _rebuild_tensor_v2|torch \w+Storage|collections OrderedDict")


def read_tensors(path: str | Path, what: str) -> Any:
    """What a file of ``torch.save`` holds, on the CPU; no code in it is run.

    Args:
        path: the file.
        what: it is meant to hold, for messages.

    Raises:
        NeuroglotError: no such file, one that is damaged, of a torch before 1.6, or compressed, one that holds
            anything but numbers, text, lists, dictionaries and tensors, or tensors larger than what is stored.
    """
    path = require_file(path, "give one that is there")
    try:
        sizes = _records(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
        for tensor in _tensors(content):
            stored = tensor.untyped_storage().nbytes() if tensor.layout == torch.strided else -1
            if stored not in sizes or tensor.numel() * tensor.element_size() > stored:
                raise ValueError("a tensor is larger than what is stored of it")
        return content
    except Exception as error:  # torch raises many types for a damaged or foreign file
        reason = in_a_line(error, 200) or type(error).__name__
        raise NeuroglotError(f"{str(path)[:200]} cannot be read as {what} ({reason}).") from error


def _records(path: Path) -> set[int]:
    """The bytes of what an archive stores, and none; it is as large as it says, and names nothing but tensors."""
    with open_plain(path) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise ValueError("it is no archive of torch 1.6 or later; save it again")
    with zipfile.ZipFile(path) as archive:
        records = _stored(path, archive)
        for record in records:
            if record.filename.endswith(".pkl"):
                _require_plain(archive.read(record))
    return {0} | {record.file_size for record in records}


def require_stored(path: Path) -> None:
    """If a file is an archive, it is as large as it says, and not compressed: torch would unpack it to any size.

    Raises:
        ValueError: it is not so.
    """
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            _stored(path, archive)


def _stored(path: Path, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    records = archive.infolist()
    if any(record.compress_type != zipfile.ZIP_STORED for record in records):
        raise ValueError("it is compressed, as torch writes none")
    if sum(record.file_size for record in records) > path.stat().st_size:
        raise ValueError("it says that it is larger than it is")
    return records


def _require_plain(pickled: bytes) -> None:
    for opcode, argument, _ in pickletools.genops(pickled):
        if opcode.name in ("INST", "STACK_GLOBAL") or (opcode.name == "GLOBAL" and not _NAMES.fullmatch(str(argument))):
            raise ValueError(f"it holds more than tensors: {quoted(argument)}")


def _tensors(content: Any) -> list[torch.Tensor]:
    """All of it, each once, however they are nested."""
    found, seen, rest = [], set(), [content]
    while rest:
        one = rest.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, torch.Tensor):
            found.append(one)
        elif isinstance(one, dict):
            rest.extend(one.values())
        elif isinstance(one, list | tuple):
            rest.extend(one)
    return found


def whole_numbers(tensor: Any) -> np.ndarray:
    """A tensor of whole numbers from 0 on, also where they are stored as floats; int64 of its shape.

    Raises:
        ValueError: it is none, or has other numbers.
    """
    if not isinstance(tensor, torch.Tensor) or tensor.is_complex() or tensor.dtype == torch.bool:
        raise ValueError(f"there is {quoted(getattr(tensor, 'dtype', tensor), 40)} in place of whole numbers")
    numbers = tensor.to(torch.int64)
    if not bool((numbers == tensor).all()) or bool((numbers < 0).any()):
        raise ValueError("its numbers are not whole numbers from 0 on")
    found: np.ndarray = numbers.numpy()
    return found


def write_tensors(path: str | Path, content: Any) -> None:
    """Write with ``torch.save``, whole or not at all; the same content gives the same bytes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    write_bytes(path, buffer.getvalue())
