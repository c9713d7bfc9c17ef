"""Collect the photographs the built-in base is trained on, or measured on, from packages of Debian 12.

    apt-get download gcompris-qt-data lomiri-wallpapers-16.04 lomiri-wallpapers-20.04 palapeli-data
    for package in *.deb; do dpkg-deb -x "$package" packages; done
    python -m tools.training_photographs packages --out photos
    python -m tools.training_photographs packages --out held_out --held-out   # for python -m benchmarks.full_size

Takes those that PHOTOGRAPHS.md lists as training pictures, the stills of the example workflows included, scaled to a
short side of 320 pixels; or the held-out ones, at their full size. What is in none of the packages (pictures that come
with scikit-image, scikit-learn and SciPy) is named at the end.
"""

import argparse
import re
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).parent.parent
SHORT_SIDE = 320
RESOURCES = {
    "animal": "erase",
    "world": "explore_world_animals",
    "place": "explore_monuments",
    "music": "explore_world_music",
    "detail": "details",
}
"""First part of our names, and the GCompris resource file the pictures are in."""


def resource_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents in a Qt resource file: a tree of 14 or 22 byte nodes, names in UTF-16, big endian."""
    data = path.read_bytes()
    version, tree, contents, names = struct.unpack(">IIII", data[4:20])
    node_size = 14 if version < 2 else 22

    def walk(index: int) -> Iterator[tuple[str, bytes]]:
        node = tree + index * node_size
        name_at, flags = struct.unpack(">IH", data[node : node + 6])
        if flags & 2:  # a folder
            count, first = struct.unpack(">II", data[node + 6 : node + 14])
            for child in range(first, first + count):
                yield from walk(child)
            return
        (length,) = struct.unpack(">H", data[names + name_at : names + name_at + 2])
        name = data[names + name_at + 6 : names + name_at + 6 + 2 * length].decode("utf-16-be")
        start = contents + struct.unpack(">I", data[node + 10 : node + 14])[0]
        size = struct.unpack(">I", data[start : start + 4])[0]
        content = data[start + 4 : start + 4 + size]
        yield name, zlib.decompress(content[4:]) if flags & 1 else content

    return walk(0)


def slug(name: str) -> str:
    """A file's stem as PHOTOGRAPHS.md writes it."""
    words = re.sub(r"([a-z0-9])([A-Z])", r"\1-\2", name)
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")


def available(packages: Path) -> dict[str, bytes]:
    """All pictures in the packages by our names."""
    found = {}
    for kind, resource in RESOURCES.items():
        for name, content in resource_files(packages / f"usr/share/gcompris-qt/rcc/{resource}.rcc"):
            if Path(name).suffix in (".webp", ".jpg", ".jpeg", ".png"):
                found[f"{kind}-{slug(Path(name).stem).removesuffix('-background')}"] = content
    for path in (packages / "usr/share/backgrounds").glob("*.jpg"):
        title = slug(path.stem.partition("_by_")[0])
        found[f"lomiri-{re.sub(r'(?<=[0-9])-(?=[a-z]$)', '', title)}"] = path.read_bytes()
    for path in (packages / "usr/share/palapeli/collection").glob("*.jpg"):
        found[f"palapeli-{slug(path.stem)}"] = path.read_bytes()
    return found


def wanted(heading: str) -> list[str]:
    """Names of the pictures in the section of PHOTOGRAPHS.md whose heading begins so."""
    listed = (ROOT / "PHOTOGRAPHS.md").read_text(encoding="utf-8").partition(f"## {heading}")[2].partition("\n## ")[0]
    return re.findall(r"^\| ([a-z]+-[a-z0-9-]+) \|", listed, re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path, help="folder the packages were unpacked into")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--held-out", action="store_true", help="the held-out photographs, at their full size")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    pictures, missing = available(args.packages), []
    names = wanted("Shipped: held-out") if args.held_out else wanted("Not shipped") + wanted("Shipped: the living")
    for name in names:
        if name not in pictures:
            missing.append(name)
            continue
        picture = cv2.imdecode(np.frombuffer(pictures[name], np.uint8), cv2.IMREAD_COLOR)
        factor = 1.0 if args.held_out else min(1.0, SHORT_SIDE / min(picture.shape[:2]))
        scaled = cv2.resize(picture, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(args.out / f"{name}.jpg"), scaled, [cv2.IMWRITE_JPEG_QUALITY, 95])
    if not args.held_out:
        for path in (ROOT / "workflows" / "pictures" / "miva_stills").glob("*.jpg"):
            shutil.copy(path, args.out)
    print(f"{len(list(args.out.glob('*.jpg')))} photographs; not in the packages: {', '.join(missing) or 'none'}.")


if __name__ == "__main__":
    main()
