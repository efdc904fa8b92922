"""What a hostile hand does to a file: each harm takes a file and a random number generator and leaves a worse one."""

import json
import math
import os
import pickle
import random
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from neuroglot.base.artifacts import _hash
from neuroglot.base.records import content_hash

Harm = Callable[[Path, random.Random], None]

# --- any file -------------------------------------------------------------------------------------


def _truncated(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: rng.randrange(len(data) + 1)])


def _flipped(path: Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 2, 8, 64])):
        if data:
            data[_place(rng, len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _place(rng: random.Random, size: int) -> int:
    """Anywhere, or near one of the ends, where headers are."""
    return rng.choice([rng.randrange(size), rng.randrange(min(size, 64)), size - 1 - rng.randrange(min(size, 64))])


def _spliced(path: Path, rng: random.Random) -> None:
    """Bytes left out, repeated, put in another place, or replaced by others."""
    data = path.read_bytes()
    start = rng.randrange(len(data) + 1)
    stop = min(len(data), start + rng.choice([1, 2, 4, 8, 100, 10_000]))
    odd = [b"", data[start:stop] * 2, bytes(stop - start), rng.randbytes(stop - start), b"\xff" * (stop - start)]
    odd += [b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\0", b"\r", b"\n" * 9, b'"', b"\x1b[31m", "\u202e".encode()]
    path.write_bytes(data[:start] + rng.choice(odd) + data[stop:])


def _huge_number(path: Path, rng: random.Random) -> None:
    """Eight or four bytes, somewhere, that are a huge number, or one below zero."""
    data = bytearray(path.read_bytes())
    size = rng.choice([4, 8])
    at = rng.choice([0, 8, _place(rng, len(data) or 1) if data else 0])
    data[at : at + size] = rng.choice(
        [b"\xff" * size, b"\xff" * (size - 1) + b"\x7f", (2**31).to_bytes(size, "little")]
    )
    path.write_bytes(data)


def _digits(path: Path, rng: random.Random) -> None:
    """A digit of a text replaced by what is no usual number."""
    data = path.read_bytes()
    places = [at for at, byte in enumerate(data) if 48 <= byte <= 57]
    if places:
        at = rng.choice(places)
        odd = rng.choice([b"-1", b"NaN", b"inf", b"1e999", b"9" * 30, b"9" * 5000, b"0.5", b"-0", b"", b"1e5", b"null"])
        path.write_bytes(data[:at] + odd + data[at + 1 :])


def _other(path: Path, rng: random.Random) -> None:
    """Something else under the name."""
    row = {"language": "../../outside", "prompt": "a\0b", "response": "\ud800"}
    odd = [
        b"",
        b"\0" * 100_000,
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"{}",
        b"null",
        b"[]",
        b"PK\x03\x04",
        b"PAR1" * 3,
        b"GGUF" + b"\xff" * 40,
        b"\x80\x04.",
        b"\xff\xfe" + "text".encode("utf-16-le"),
        b"a,b\n" + b'"' + b"x" * 100_000,
        b",".join([b"a"] * 10_000) + b"\n",
        rng.randbytes(1000),
        json.dumps(row).encode(),
        (b'{"a":"' + b"x" * 1_000_000 + b'"}\n') * 3,
        b"<" * 100_000,
        b"<![CDATA[" + b"<!" * 1000,
        (2**40).to_bytes(8, "little") + b"{",
        (2).to_bytes(8, "little") + b"{}",
    ]
    path.write_bytes(rng.choice(odd))


# --- no plain file --------------------------------------------------------------------------------


def _not_plain(path: Path, rng: random.Random) -> None:
    """A pipe, a device, a folder, or a link to one of these, to nothing, to itself or out of the folder."""
    kind = rng.choice(
        ["pipe", "link to a pipe", "zero", "random", "folder", "nothing", "itself", "outside", "up", "tty"]
    )
    path.unlink()
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "link to a pipe":
        os.mkfifo(path.with_name("pipe"))
        path.symlink_to("pipe")
    elif kind == "folder":
        path.mkdir()
    else:
        to = {"zero": "/dev/zero", "random": "/dev/urandom", "nothing": "nowhere", "itself": path.name}
        to |= {"outside": "../outside/secret", "up": "../..", "tty": "/dev/tty"}
        path.symlink_to(to[kind])


def _holes(path: Path, rng: random.Random) -> None:
    """A file that says that it is more than a gigabyte, of which next to nothing is on the disk."""
    if rng.random() < 0.5:
        path.write_bytes(b"")
    os.truncate(path, 5 * 2**28)


# --- JSON -----------------------------------------------------------------------------------------


class _Deep(list[Any]):
    """Written deeper than can be read."""


def _odd(rng: random.Random) -> Any:
    return rng.choice(
        [
            None,
            True,
            False,
            -1,
            0,
            2**31,
            2**63,
            2**64,
            10**30,
            10**400,
            1e308,
            0.5,
            math.nan,
            math.inf,
            -math.inf,
            "",
            " ",
            "../../outside/secret",
            "/etc/passwd",
            "/dev/zero",
            "a\0b",
            "a\nb",
            "\ud800",
            "x" * 100_000,
            "<script>",
            "{prompt}",
            "-1",
            "nan",
            [],
            {},
            [None],
            [[1, 2], [3]],
            {"a": {"b": []}},
            {"": None},
            {"../x": "../y"},
            [0] * 10_000,
            ["en", "en"],
        ]
    )


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree: what holds it, and its key there."""
    if isinstance(tree, dict | list):
        for key in list(tree) if isinstance(tree, dict) else range(len(tree)):
            yield tree, key
            yield from _nodes(tree[key])


def harmed_tree(tree: Any, rng: random.Random) -> Any:
    """A JSON value with something wrong anywhere in it."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        nodes = list(_nodes(tree))
        if not nodes or rng.random() < 0.05:
            tree = _odd(rng)
            continue
        holder, key = rng.choice(nodes)
        match rng.randrange(6):
            case 0:
                del holder[key]
            case 1:
                other, there = rng.choice(nodes)
                if isinstance(other, dict | list) and there in (
                    other if isinstance(other, dict) else range(len(other))
                ):
                    holder[key] = json.loads(json.dumps(other[there]))
            case 2 if isinstance(holder, dict):
                holder[str(_odd(rng))[:50]] = _odd(rng)
            case 3 if isinstance(holder, list):
                holder.insert(key, _odd(rng))
            case _:
                holder[key] = _odd(rng)
    return tree


def _sealed(tree: Any, *rows: Any) -> Any:
    """With a hash that is right, if it had one."""
    if isinstance(tree, dict) and "sha256" in tree:
        bare = {name: value for name, value in tree.items() if name != "sha256"}
        tree = bare | {"sha256": content_hash(bare, *rows)}
    return tree


def _json(path: Path, rng: random.Random) -> None:
    """A file of JSON, or a line of one of JSON lines; hashes of ours are made anew."""
    text = path.read_text(encoding="utf-8")
    try:
        path.write_text(json.dumps(_sealed(harmed_tree(json.loads(text), rng))), encoding="utf-8")
    except ValueError:
        rows = [json.loads(line) for line in text.split("\n") if line]
        at = rng.randrange(len(rows))
        rows[at] = harmed_tree(rows[at], rng)
        if rng.random() < 0.2:
            rows.insert(rng.randrange(len(rows) + 1), rng.choice(rows))
        rows[0] = _sealed(rows[0], *rows[1:])
        path.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")


# --- safetensors ----------------------------------------------------------------------------------


def _odd_array(array: np.ndarray, rng: random.Random) -> np.ndarray:
    kinds = ["bool", "uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]
    kinds += ["float16", "float32", "float64"]
    with np.errstate(all="ignore"):
        match rng.randrange(9):
            case 0:
                return array.astype(rng.choice(kinds))
            case 1:
                return array[: len(array) // 2] if array.ndim else array
            case 2:
                return array.T
            case 3:
                return array[None] if rng.random() < 0.5 else array.reshape(-1)
            case 4:
                return array[:0] if array.ndim else np.zeros((0, 0), array.dtype)
            case 5:
                return np.zeros((rng.choice([0, 1, 5]),) * rng.randrange(6), rng.choice(kinds))
            case 6:
                return np.concatenate([array, array]) if array.ndim else array
            case _:
                changed = np.array(array)
                odd = [-1, -(2**31), 2**31 - 1, 2**62, 255, 1, 0]
                odd += [math.nan, math.inf, -math.inf, -0.5, 1e300] if changed.dtype.kind == "f" else []
                value = rng.choice(odd)
                if changed.size:
                    flat = changed.reshape(-1)
                    flat[[rng.randrange(changed.size) for _ in range(rng.choice([1, 3]))]] = np.array(value).astype(
                        changed.dtype
                    )
                return changed


def _arrays(path: Path, rng: random.Random) -> None:
    """Arrays of other types, shapes, values or names, or another header, under a hash that is right."""
    with safe_open(path, framework="numpy") as file:
        said = file.metadata() or {}
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header = json.loads(said.get("neuroglot", "null"))
    if rng.random() < 0.5:
        header = harmed_tree(header, rng)
    else:
        for _ in range(rng.choice([1, 1, 2])):
            name = rng.choice(sorted(arrays))
            match rng.randrange(8):
                case 0 if len(arrays) > 1:
                    del arrays[name]
                case 1:
                    arrays[rng.choice(["x", "sums", "shard_routed", "starved", "maxima"])] = arrays[name]
                case _:
                    arrays[name] = _odd_array(arrays[name], rng)
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    if isinstance(header, dict):
        header["sha256"] = _hash(header, arrays)
    save_file(arrays, path, metadata={"neuroglot": json.dumps(header)} if "neuroglot" in said else said)


def _declared(path: Path, rng: random.Random) -> None:
    """A header of safetensors that says of arrays what is not so."""
    data = path.read_bytes()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    for _ in range(rng.choice([1, 2])):
        name = rng.choice([key for key in header if key != "__metadata__"])
        one = header[name]
        match rng.randrange(5):
            case 0:
                one["dtype"] = rng.choice(
                    ["BOOL", "F8_E4M3", "BF16", "I64", "U8", "F64", "C64", "F4", "X", "", None, 3]
                )
            case 1:
                one["shape"] = rng.choice(
                    [[2**40, 2**40], [2**62], [-1], [0, 2**63], [], [10**9] * 3, ["a"], None, [1.5], [2**70], [1] * 100]
                )
            case 2:
                one["data_offsets"] = rng.choice(
                    [[0, 2**62], [-8, 0], [0, 0], [8, 0], [], None, [0.5, 1], [2**70, 2**71]]
                )
            case 3:
                header[rng.choice(["../x", "a\0b", "", "shard_counts"])] = dict(one)
            case _:
                one["shape"] = [*list(one["shape"])[::-1], rng.choice([1, 2, 0])]
    said = json.dumps(header).encode()
    path.write_bytes(rng.choice([len(said), len(said) + 1, 2**50]).to_bytes(8, "little") + said + data[8 + length :])


# --- torch.save -----------------------------------------------------------------------------------


class _Code:
    """What runs when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def _odd_tensor(tensor: torch.Tensor, rng: random.Random) -> Any:
    kinds = [torch.bool, torch.int8, torch.uint8, torch.float16, torch.float32, torch.float64, torch.complex64]
    kinds += [torch.bfloat16, torch.int64, torch.uint64]
    odd: list[Callable[[], Any]] = [
        lambda: tensor.to(rng.choice(kinds)),
        lambda: tensor.reshape(-1)[:1].expand(10 ** rng.randrange(1, 12)),
        lambda: torch.zeros(1, dtype=torch.int64).as_strided((10**6, 10**6), (0, 0)),
        lambda: tensor.to_sparse() if tensor.numel() else tensor,
        lambda: torch.sparse_coo_tensor(torch.zeros((1, 1), dtype=torch.int64), torch.ones(1), (2**40,)),
        lambda: torch.zeros(2**40, device="meta"),
        lambda: torch.nn.Parameter(tensor.float()),
        lambda: tensor.reshape(-1)[:0],
        lambda: tensor[None],
        lambda: -tensor.to(torch.int64) - 1,
        lambda: tensor.float() + 0.5,
        lambda: tensor.float() * math.nan,
        lambda: tensor.float() + math.inf,
        lambda: tensor.to(torch.int64) + 2**62,
        lambda: tensor.numpy(),
        lambda: torch.quantize_per_tensor(tensor.float(), 1.0, 0, torch.quint8),
        lambda: torch.tensor(7),
        lambda: torch.nested.nested_tensor([torch.ones(2), torch.ones(3)]),
    ]
    return rng.choice(odd)()


def _tensors(path: Path, rng: random.Random) -> None:
    """Other tensors, or no tensors, in a file of ``torch.save``."""
    content = torch.load(path, weights_only=True)
    nodes = list(_nodes(content))
    holder, key = rng.choice(nodes)
    if isinstance(holder[key], torch.Tensor):
        holder[key] = rng.choice([_odd_tensor(holder[key], rng), _odd(rng)])
    else:
        holder[key] = rng.choice([_odd(rng), [_odd(rng)] * 3, torch.tensor([1]), 10**30, -5, 2**70, 1.5])
    if rng.random() < 0.05:
        content = _odd(rng)
    torch.save(content, path)


def _code(path: Path, rng: random.Random) -> None:
    """Code in place of tensors: as a bare pickle, in an archive, or in one of NumPy's."""
    code = _Code(path.parent.parent / "canary")
    match rng.randrange(6):
        case 0:
            path.write_bytes(pickle.dumps(code, protocol=rng.randrange(6)))
        case 1:
            torch.save({"n": 3, "over_zero": code}, path)
        case 2:
            torch.save([[code]], path, pickle_protocol=rng.choice([2, 4]))
        case 3:
            with path.open("wb") as file:
                np.savez(file, over_zero=np.array([code], dtype=object), n=np.array([1]))
        case 4:
            torch.save(code, path, _use_new_zipfile_serialization=False)
        case _:
            repacked(path, lambda name, data: pickle.dumps(code) if name.endswith(".pkl") else data)


def repacked(path: Path, change: Callable[[str, bytes], bytes], how: int = zipfile.ZIP_STORED) -> None:
    """An archive with other records."""
    with zipfile.ZipFile(path) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", how) as archive:
        for name, data in records.items():
            archive.writestr(name, change(name, data))


def _archive(path: Path, rng: random.Random) -> None:
    """An archive that is compressed, names other places, holds a bomb, or whose pickle makes much of little."""
    head = b"\x80\x02"
    much = head + b"(" + b"K\x01" * 200_000 + b"l."
    doubled = head + b"(l0" + b"(h\x00h\x00l" * 3 + b"."
    ranged = head + b"cbuiltins\nrange\nq\x00."
    bytearrays = head + b"cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R."
    nested = head + b"](" * 50_000 + b"."
    memo = head + b"N" + b"r\xff\xff\xff\x7f" + b"."
    match rng.randrange(5):
        case 0:
            repacked(path, lambda _, data: data, zipfile.ZIP_DEFLATED)
        case 1:
            bomb = bytes(10**7)
            repacked(path, lambda name, data: data if name.endswith(".pkl") else bomb, zipfile.ZIP_DEFLATED)
        case 2:
            odd = rng.choice([much, doubled, ranged, bytearrays, nested, memo, b"", head])
            repacked(path, lambda name, data: odd if name.endswith(".pkl") else data)
        case 3:
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(rng.choice(["../../outside/secret", "/etc/x", "a\\b", "x" * 5000]), b"x")
        case _:
            repacked(path, lambda name, data: rng.randbytes(len(data)) if rng.random() < 0.5 else data)


# --- tables ---------------------------------------------------------------------------------------


def _odd_column(column: pd.Series, rng: random.Random) -> Any:
    n = len(column)
    odd: list[Callable[[], Any]] = [
        lambda: pyarrow.nulls(n),
        lambda: pyarrow.array([[1, 2]] * n),
        lambda: pyarrow.array([{"role": "user"}] * n),
        lambda: pyarrow.array([b"\xff\xfe"] * n),
        lambda: pyarrow.array([True, None] * n)[:n],
        lambda: pyarrow.array([math.nan, -1.0, math.inf, 0.5] * n)[:n],
        lambda: pyarrow.array([2**63] * n, pyarrow.uint64()),
        lambda: pyarrow.array([10**12] * n).cast(pyarrow.timestamp("ns")),
        lambda: pyarrow.array([2**60] * n).cast(pyarrow.timestamp("s")),
        lambda: pyarrow.array([-(2**62)] * n).cast(pyarrow.timestamp("us")),
        lambda: pyarrow.array([2**40] * n, pyarrow.duration("s")),
        lambda: pyarrow.array([1] * n).cast(pyarrow.decimal256(70, 3)),
        lambda: pyarrow.array([2**31 - 1] * n, pyarrow.int32()).cast(pyarrow.date32()),
        lambda: pyarrow.array([2**50] * n, pyarrow.int64()).cast(pyarrow.time64("us"), safe=False),
        lambda: pyarrow.array([str(value) for value in column]).dictionary_encode(),
        lambda: pyarrow.array([str(_odd(rng)).encode("utf-8", "replace").decode()[:1000] for _ in range(n)]),
        lambda: pyarrow.array(["x" * 100_000] * n),
        lambda: pyarrow.array([1.0] * n, pyarrow.float32()).cast(pyarrow.float16()),
        lambda: pyarrow.array([[("k", 1)]] * n, pyarrow.map_(pyarrow.string(), pyarrow.int64())),
        lambda: pyarrow.FixedSizeListArray.from_arrays(pyarrow.array([1] * 3 * n), 3),
    ]
    return rng.choice(odd)()


def _columns(path: Path, rng: random.Random) -> None:
    """A Parquet file with other columns."""
    table = pyarrow.parquet.read_table(path)
    name = rng.choice(table.column_names)
    at = table.column_names.index(name)
    match rng.randrange(5):
        case 0:
            table = table.drop_columns([name])
        case 1:
            table = table.append_column(name, table.column(at))
        case 2:
            table = table.replace_schema_metadata({"pandas": "{" * 1000, "ARROW:schema": "x" * 1000})
        case _:
            table = table.set_column(at, name, _odd_column(table.column(at).to_pandas(), rng))
    some = rng.choice([{}, {"compression": "zstd"}, {"use_dictionary": False}, {"data_page_version": "2.0"}])
    pyarrow.parquet.write_table(table, path, **some)


def _bomb(path: Path, rng: random.Random) -> None:
    """A Parquet file of a few kilobytes that is gigabytes once it is read."""
    names = pyarrow.parquet.read_schema(path).names
    if rng.random() < 0.5:
        text = pyarrow.array(["x" * 2_000_000])
        index, rows = pyarrow.array(np.zeros(1500, dtype=np.int32)), 1500
        one = pyarrow.DictionaryArray.from_arrays(index, text)
    else:
        rows = 40_000_000
        one = pyarrow.DictionaryArray.from_arrays(pyarrow.array(np.zeros(rows, dtype=np.int8)), pyarrow.array(["en"]))
    table = pyarrow.table(dict.fromkeys(names[: rng.choice([1, len(names)])], one))
    assert table.num_rows == rows
    pyarrow.parquet.write_table(table, path, compression="zstd", row_group_size=2**31)


def _rows(path: Path, rng: random.Random) -> None:
    """A delimited file with other fields, rows or header."""
    lines = path.read_text(encoding="utf-8").split("\n")
    at = rng.randrange(len(lines))
    mark = "\t" if path.suffix == ".tsv" else ","
    fields = lines[at].split(mark)
    if rng.random() < 0.7:
        odd = str(_odd(rng)).encode("utf-8", "replace").decode()[:5000]
        fields[rng.randrange(len(fields))] = odd
        lines[at] = mark.join(fields)
    else:
        lines[at] = rng.choice([lines[at] + mark, lines[at][1:], '"' + lines[at], lines[0], "", mark * 100_000, "\r"])
    path.write_text("\n".join(lines), encoding="utf-8")


# --- HTML, GGUF -----------------------------------------------------------------------------------


def _markup(path: Path, rng: random.Random) -> None:
    text = path.read_text(encoding="utf-8")
    odd = [
        "<![",
        "<!DOCTYPE [",
        "<!--",
        "<?",
        "</",
        "<p>" * 1000,
        '<article data-number="²">',
        "&#99999999999;",
        "&#xD800;",
    ]
    odd += [
        '<article data-number="../../x">',
        f'<article data-number="{"9" * 5000}">',
        "<![if x]>",
        "<!ELEMENT x [",
        "\0",
    ]
    at = rng.randrange(len(text) + 1)
    path.write_text(text[:at] + rng.choice(odd) + text[at:], encoding="utf-8")


def _gguf(path: Path, rng: random.Random) -> None:
    """Another value of a key, or another shape or place of a tensor."""
    from gguf import GGUFReader

    reader = GGUFReader(path)
    data = bytearray(path.read_bytes())
    if rng.random() < 0.6:
        fields = [field for field in reader.fields.values() if field.offset]
        field = rng.choice(fields)
        part = field.parts[field.data[0]] if field.data else field.parts[-1]
        at = part.ctypes.data - reader.data.ctypes.data
    else:
        tensor = rng.choice(reader.tensors)
        part = rng.choice(tensor.field.parts)
        at = part.ctypes.data - reader.data.ctypes.data
    size = part.dtype.itemsize
    odd = [1, 0, 2**31 - 1, 2**31, 10**9, 10**6, 2**62, 2**64 - 1, 33, 3]
    value = rng.choice(odd) & (2 ** (8 * size) - 1)
    data[at : at + size] = value.to_bytes(size, "little")
    path.write_bytes(data)


# --- which of them --------------------------------------------------------------------------------

ANY: tuple[Harm, ...] = (_truncated, _flipped, _flipped, _spliced, _huge_number, _digits, _other, _not_plain, _holes)
OF: dict[str, tuple[Harm, ...]] = {
    ".json": (_json,),
    ".jsonl": (_json,),
    ".ipynb": (_json,),
    ".safetensors": (_arrays, _arrays, _arrays, _declared),
    ".pt": (_tensors, _tensors, _code, _archive),
    ".pth": (_tensors, _tensors, _code, _archive),
    ".parquet": (_columns, _columns, _bomb),
    ".csv": (_rows,),
    ".tsv": (_rows,),
    ".html": (_markup,),
    ".gguf": (_gguf,),
}


def harms_of(path: Path) -> tuple[Harm, ...]:
    """What can be done to a file of this name; those that know its kind as often as those that do not."""
    with path.open("rb") as file:
        kind = ".pt" if file.read(2) == b"PK" else path.suffix
    own = OF.get(kind, ())
    return (*ANY, *own * max(1, len(ANY) // max(1, len(own))))


def harm(folder: Path, rng: random.Random) -> tuple[str, Path]:
    """Do one thing to one file of a folder, now and then two; what it was, and which file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    path = rng.choice(files)
    said = []
    for _ in range(rng.choice([1, 1, 1, 2])):
        if not path.is_symlink() and path.is_file() and path.stat().st_size < 2**30:
            one = rng.choice(harms_of(path))
            said.append(one.__name__.strip("_"))
            try:
                one(path, rng)
            except (
                ValueError,
                LookupError,
                OSError,
                SafetensorError,
                RuntimeError,
                TypeError,
                AttributeError,
                zipfile.BadZipFile,
                pickle.UnpicklingError,
                EOFError,
                struct.error,
                OverflowError,
                pyarrow.ArrowException,
                MemoryError,
                NotImplementedError,
            ):
                said[-1] += " (not done)"  # of what an earlier harm has left no file of its kind
    if rng.random() < 0.03:
        twin = path.with_name(rng.choice([" ", "x" * 200, "a\nb", "..x", "mgsm_\u202e"]) + path.suffix)
        if path.is_file() and path.stat().st_size < 2**30:
            shutil.copyfile(path, twin)
            said.append("twin")
    return " and ".join(said), path
