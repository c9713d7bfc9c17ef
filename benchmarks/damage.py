"""Damage to files, drawn from a seed: cuts, flips and lies that transfers, disks, strangers and attackers make."""

import json
import random
import re
import struct
from collections.abc import Callable
from typing import Any

Change = Callable[[bytes, random.Random], bytes]

_EXTREME = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63 - 1, 2**64 - 1)
_NUMBERS = (0, -1, 1.5, 10**6, 2**31, 2**63, 10**400, 1e308, float("nan"), float("inf"), True)
_VALUES = (None, "", "x" * 300_000, "a\nb\x1b[31m", "\ud800", "../../x", [], [[]], {}, {"a": {}}, [1] * 1000, *_NUMBERS)
_DTYPES = ("F64", "F32", "F16", "BF16", "I64", "I8", "U8", "BOOL", "F8_E4M3", "C64", "F4", "x", "")


def flip(content: bytes, chance: random.Random) -> bytes:
    """Some bits, most of them near the front, where headers are."""
    changed = bytearray(content)
    reach = len(changed) if chance.random() < 0.5 else min(len(changed), 2000)
    for _ in range(chance.choice((1, 1, 2, 4, 16, 100))):
        changed[chance.randrange(reach)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def cut(content: bytes, chance: random.Random) -> bytes:
    """Its end is missing, as after a download that broke off."""
    near = chance.random() < 0.3
    return content[: chance.randrange(min(len(content), 600) if near else len(content))]


def insert(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + chance.randbytes(chance.choice((1, 3, 8, 500))) + content[place:]


def remove(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    return content[:place] + content[place + chance.choice((1, 4, 100, 5000)) :]


def blank(content: bytes, chance: random.Random) -> bytes:
    """A block of zeros or noise, as on a failing disk."""
    place, size = chance.randrange(len(content)), chance.choice((4, 64, 512, 4096))
    block = content[place : place + size]
    return (
        content[:place]
        + (bytes(len(block)) if chance.random() < 0.5 else chance.randbytes(len(block)))
        + content[place + size :]
    )


def repeat(content: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(content))
    piece = content[place : place + chance.choice((8, 100, 4000))]
    return content[:place] + piece * chance.choice((2, 2, 50)) + content[place + len(piece) :]


def extreme(content: bytes, chance: random.Random) -> bytes:
    """An integer of the largest or smallest value, of a size and byte order that the format may have."""
    size = chance.choice((1, 2, 4, 4, 8))
    reach = len(content) if chance.random() < 0.4 else min(len(content), 3000)
    place = chance.randrange(reach)
    number = (chance.choice(_EXTREME) % 256**size).to_bytes(size, chance.choice(("little", "big")))
    return content[:place] + number + content[place + size :]


def digits(content: bytes, chance: random.Random) -> bytes:
    """A number that is written as text becomes another."""
    found = list(re.finditer(rb"\d+", content[:20_000]))
    if not found:
        return flip(content, chance)
    place = chance.choice(found)
    return content[: place.start()] + str(chance.choice(_EXTREME)).encode() + content[place.end() :]


def foreign(content: bytes, chance: random.Random) -> bytes:
    """Another file under this name."""
    others = (
        b"",
        b"\0",
        b"<!doctype html><title>404</title>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\3\4",
    )
    return chance.choice((*others, chance.randbytes(2000), b"\x80\x02" + chance.randbytes(300), content[::-1]))


ANY = (flip, flip, cut, insert, remove, blank, repeat, extreme, extreme, digits, foreign)
"""Of any file; what stands twice is drawn twice as often."""


# --- safetensors -----------------------------------------------------------------------------------------------------


def split(content: bytes) -> tuple[dict[str, Any], bytes]:
    """Header and data of a whole safetensors file."""
    size = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + size]), content[8 + size :]


def join(header: dict[str, Any] | bytes, data: bytes) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def lie_of_length(content: bytes, chance: random.Random) -> bytes:
    claimed = chance.choice((0, 1, 99_000_000, 100_000_000, 2**31, 2**63, 2**64 - 1, chance.randrange(10**5)))
    return claimed.to_bytes(8, "little") + content[8:]


def lie_of_tensor(content: bytes, chance: random.Random) -> bytes:
    """Shape, place, dtype or name of a tensor."""
    header, data = split(content)
    name = chance.choice([key for key in header if key != "__metadata__"])
    entry = header[name]
    lie = chance.randrange(6)
    if lie == 0:
        entry["shape"] = chance.choice(
            ([], [0], [2**62, 2**62], [10**9] * 2, [-1], entry["shape"][::-1], [1] * 5000, "x")
        )
    elif lie == 1:
        entry["data_offsets"] = chance.choice(([0, 0], [0, 2**62], [5, 1], [-4, 4], entry["data_offsets"][:1], "x"))
    elif lie == 2:
        entry["dtype"] = chance.choice(_DTYPES)
    elif lie == 3:
        header[chance.choice(("x" * 300_000, "a\nb", "", name + "x", "\ud800"))] = header.pop(name)
    elif lie == 4:
        del header[name]
    else:
        header[name] = chance.choice(_VALUES)
    return join(header, data)


def lie_of_header(content: bytes, chance: random.Random) -> bytes:
    """An entry of the JSON that this package keeps in the metadata, at any depth."""
    header, data = split(content)
    key = next(iter(header["__metadata__"]))
    record = json.loads(header["__metadata__"][key])
    place = record
    while (
        deeper := [value for value in place.values() if isinstance(value, dict) and value]
    ) and chance.random() < 0.5:
        place = chance.choice(deeper)
    place[chance.choice([*place, *place, "new"])] = chance.choice(_VALUES)
    if chance.random() < 0.15:
        place.pop(chance.choice(list(place)))
    header["__metadata__"][key] = json.dumps(record)
    return join(header, data)


def deep(content: bytes, chance: random.Random) -> bytes:
    """JSON nested a hundred thousand times, as the header or inside it."""
    nested = "[" * 100_000 + "]" * 100_000
    header, data = split(content)
    if chance.random() < 0.5:
        return join(nested.encode(), data)
    header["__metadata__"][next(iter(header["__metadata__"]))] = nested
    return join(header, data)


def long(content: bytes, chance: random.Random) -> bytes:
    """A header of megabytes."""
    header, data = split(content)
    header.setdefault("__metadata__", {})["more"] = "x" * chance.choice((10**6, 10**7))
    return join(header, data)


def strange_values(content: bytes, chance: random.Random) -> bytes:
    """Values of one tensor that are no numbers, or huge ones; or of all of them."""
    header, data = split(content)
    entries = [entry for key, entry in header.items() if key != "__metadata__" and entry["dtype"] == "F32"]
    if not entries:
        return flip(content, chance)
    changed = bytearray(data)
    strange = chance.choice((float("nan"), float("inf"), 3e38, 1e30, -1e20, 1e6, 2000.0, 900.0, 1e-45))
    for start, end in (
        entry["data_offsets"] for entry in (entries if chance.random() < 0.5 else [chance.choice(entries)])
    ):
        for place in range(start, end, 4) if chance.random() < 0.7 else [start]:
            changed[place : place + 4] = struct.pack("<f", strange)
    return join(header, bytes(changed))


SAFETENSORS = (lie_of_length, lie_of_tensor, lie_of_tensor, lie_of_header, lie_of_header, deep, long, strange_values)
"""Of a safetensors file of this package."""


def damaged(content: bytes, changes: tuple[Change, ...], chance: random.Random) -> tuple[bytes, str]:
    """The file after one to three of these changes, and their names."""
    chosen = chance.choices(changes, k=chance.choice((1, 1, 1, 2, 3)))
    # Those that need a whole file come first.
    chosen.sort(key=lambda change: change not in SAFETENSORS)
    names = []
    for change in chosen:
        if names and change in SAFETENSORS:
            continue  # the file may not be whole any more
        content = change(content, chance) if content else content
        names.append(change.__name__)
    return content, " + ".join(names)
