"""The files that were named, and what is in them: unzipped, in UTF-8, in chunks."""

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain, pairwise
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Any

CHUNK = 65_536
# What macOS adds, and the empty file by which AWS Config tests whether it may write to a bucket.
IGNORED = re.compile(r"\._.*|\.DS_Store|ConfigWritabilityCheckFile")
# In JSON a closing bracket comes before an opening one in a string, or where the next text begins.
# Two patterns: one that begins with either bracket takes ten times as long.
NEXT_TEXTS = re.compile(rb"\}\s*(?=[\[{])"), re.compile(rb"\]\s*(?=[\[{])")
ARCHIVES = {b"PK\x03\x04": "a zip archive", b"7z\xbc\xaf": "a 7z archive", b"BZh": "a bzip2 file"}
ARCHIVES |= {b"\xfd7zXZ": "an xz file", b"\x28\xb5\x2f\xfd": "a zstd file"}


class NotExportError(ValueError):
    """The file is not what AWS Config exports.

    The message begins with a verb, and before a colon it says what the file is.
    """


def find_files(paths: Iterable[Path]) -> dict[Path, bool]:
    """Return the files, and of a folder each file below it; whether the file was named itself.

    Links are followed; a file is returned once, however it is reached. OSError: a folder cannot
    be listed, or a link leads nowhere.
    """
    found: dict[tuple[int, int], tuple[Path, bool]] = {}
    for path in paths:
        is_folder = path.is_dir()
        for each in walk_folder(path) if is_folder else [path]:
            status = each.stat()
            known = found.setdefault((status.st_dev, status.st_ino), (each, not is_folder))
            if not is_folder and not known[1]:
                found[status.st_dev, status.st_ino] = known[0], True
    return dict(found.values())


def walk_folder(folder: Path) -> Iterator[Path]:
    """Yield each file below the folder, also through links, but each folder once."""

    def stop(error: OSError) -> None:
        raise error  # what cannot be listed may hold anything

    seen = set()
    for parent, folders, names in folder.walk(on_error=stop, follow_symlinks=True):
        status = parent.stat()
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above it
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        folders.sort()
        yield from (parent / name for name in sorted(names) if not IGNORED.fullmatch(name))


def is_regular(path: Path) -> bool:
    """Return whether the path is a file that can be read to its end, and no pipe or device."""
    return S_ISREG(path.stat().st_mode)


def read_chunks(path: Path) -> Iterator[bytes]:
    """Yield the content, unzipped and in UTF-8, so that each JSON text begins with a chunk.

    NotExportError: the file is empty, or an archive. ValueError: its gzip data is damaged.
    """
    for chunk in filter(None, decode(read_bytes(path))):  # ijson takes an empty one for the end
        ends = [match.end() for pattern in NEXT_TEXTS for match in pattern.finditer(chunk)]
        for start, end in pairwise([0, *sorted(ends), len(chunk)]):
            yield chunk[start:end]


def read_bytes(path: Path) -> Iterator[bytes]:
    """Yield the bytes of a file, unzipped."""
    if S_ISDIR(path.stat().st_mode):
        raise NotExportError("is a folder")
    with path.open("rb") as raw:
        start = raw.peek(8)
        if not start:
            raise NotExportError("is empty")
        for magic, noun in ARCHIVES.items():
            if start.startswith(magic):
                raise NotExportError(f"is {noun}: unpack it first")
        is_zipped = start.startswith(b"\x1f\x8b")
        file: Any = gzip.GzipFile(fileobj=raw) if is_zipped else raw
        try:
            while chunk := file.read(CHUNK):
                yield chunk
        except (EOFError, gzip.BadGzipFile, zlib.error) as ex:
            fix = "copy the file again"
            raise ValueError(f"{path} is damaged, its gzip data is not whole: {fix}.") from ex


def decode(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the chunks in UTF-8 without a byte order mark; PowerShell writes UTF-16."""
    first = next(chunks, b"")
    if first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        decoder = codecs.getincrementaldecoder("utf-16")(errors="replace")
        for chunk in chain([first], chunks):
            yield decoder.decode(chunk).encode()
        return
    yield first.removeprefix(codecs.BOM_UTF8)
    yield from chunks
