"""Names told apart by 16 bytes each, where there are too many of them to be held in memory."""

import hashlib

import numpy as np
from numpy.typing import NDArray


def digest(*words: str) -> bytes:
    """16 bytes that no other words have, in this order."""
    found = hashlib.blake2b(digest_size=16)
    for word in words:
        content = word.encode(errors="surrogatepass")
        found.update(len(content).to_bytes(8, "little") + content)  # or ("ab", "c") would be ("a", "bc")
    return found.digest()


def as_array(digests: bytes | bytearray) -> NDArray[np.bytes_]:
    """Digests that stand one after another, ``[names]``."""
    return np.frombuffer(digests, dtype="S16")


def numbered(digests: NDArray[np.bytes_]) -> NDArray[np.int64]:
    """The number of each name, int64 ``[names]``: names are numbered as they first appear."""
    _, first, inverse = np.unique(digests, return_index=True, return_inverse=True)
    number = np.empty(len(first), dtype=np.int64)
    number[np.argsort(first)] = np.arange(len(first))
    return number[inverse.reshape(-1)]


def repeated(digests: NDArray[np.bytes_]) -> tuple[int, int] | None:
    """Where the first name stands that has stood before, and where that was; ``None`` where all differ."""
    order = np.argsort(digests, kind="stable")
    again = order[1:][digests[order[1:]] == digests[order[:-1]]]
    if not len(again):
        return None
    second = int(again.min())
    return int(np.flatnonzero(digests == digests[second])[0]), second
