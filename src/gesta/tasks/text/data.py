r"""Text on disk: one long text, captions of images, or sentence pairs of two languages.

    TEXT.txt, .tex, ... (or .gz), or a folder of such     one text; the last tenth is the test part
    FOLDER/Flickr8k.token.txt + Flickr_8k.<part>Images.txt      captions, five per image
    FOLDER/train.<language> and val|dev, test.<language>      sentence pairs, one sentence per line

Text is UTF-8; line endings are converted to `\n`. `corpus.py` turns it into numbers.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Literal

from gesta.schema import GestaError
from gesta.untrusted import open_file
from gesta.words import counted

Layout = Literal["text", "captions", "pairs"]
CAPTIONS = "Flickr8k.token.txt"
_IMAGE_LISTS = {
    "train": "Flickr_8k.trainImages.txt",
    "dev": "Flickr_8k.devImages.txt",
    "test": "Flickr_8k.testImages.txt",
}
_PAIR_PARTS = {"train": "train", "val": "dev", "dev": "dev", "valid": "dev", "test": "test"}
TEXT_SUFFIXES = frozenset({".txt", ".tex", ".gz"})


def read_text(path: Path) -> str:
    """Read a text file, gzipped or not. Raises GestaError if it is missing, binary, not UTF-8 or empty."""
    try:
        with open_file(path) as file:
            data = gzip.decompress(file.read()) if path.suffix == ".gz" else file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise GestaError(f"{path}: cannot be read ({error}). Check that the file is there and complete.") from error
    if b"\0" in data:
        raise GestaError(f"{path}: is a binary file (it contains zero bytes), not text. Give a text file in UTF-8.")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise GestaError(
            f"{path}: line {line} is not UTF-8 ({error.reason}). Convert the file, as in: iconv -f latin1 -t utf-8."
        ) from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise GestaError(f"{path}: is empty. Give a file with text.")
    return text


def read_lines(path: Path) -> list[list[str]]:
    """Return the words of every line, split at spaces; an empty line is a sentence without words."""
    return [line.split() for line in read_text(path).removesuffix("\n").split("\n")]


def layout_of(path: Path) -> Layout:
    """Return the layout of a file or folder of text. Raises GestaError if there is no text."""
    if not path.exists():
        raise GestaError(f"{path}: is neither a file nor a folder. Give a text file or a folder of text.")
    layout = recognized(path)
    if layout is None and (path.is_file() or _text_files(path)):
        return "text"
    if layout is None:
        raise GestaError(
            f"{path}: contains no text. Expected .txt files, {CAPTIONS}, or sentence pairs such as train.de and "
            "train.en."
        )
    return layout


def recognized(path: Path) -> Layout | None:
    """Return the layout of data that can only be text, otherwise None.

    This holds for text files, captions, sentence pairs, and folders that contain only text files.
    """
    if path.is_file():
        return "text" if path.suffix in TEXT_SUFFIXES else None
    if not path.is_dir():
        return None
    if (path / CAPTIONS).exists():
        return "captions"
    if len(_languages(path)) >= 2:
        return "pairs"
    shown = [p for p in path.iterdir() if not p.name.startswith(".")]
    return "text" if shown and all(p.is_file() and p.suffix in TEXT_SUFFIXES for p in shown) else None


def _text_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix in TEXT_SUFFIXES and not p.name.startswith(("._", ".")))


def whole_text(path: Path) -> str:
    """Return the text of a file, or of a folder's files joined in order of their names. Raises GestaError if none."""
    if not path.is_dir():
        return read_text(path)
    files = _text_files(path)
    if not files:
        raise GestaError(f"{path}: contains no text. Expected files {', '.join(sorted(TEXT_SUFFIXES))}.")
    return "".join(map(read_text, files))


def read_captions(folder: Path) -> dict[str, list[tuple[str, list[str]]]]:
    """Return (image, lowercase words) of every caption by part: train, dev, test.

    Raises GestaError for a malformed line.
    """
    part_of = {
        image: part
        for part, name in _IMAGE_LISTS.items()
        if (folder / name).exists()
        for image in read_text(folder / name).split()
    }
    if not part_of:
        raise GestaError(
            f"{folder}: none of {', '.join(_IMAGE_LISTS.values())} found; they list the images of each part."
        )
    parts: dict[str, list[tuple[str, list[str]]]] = {part: [] for part in _IMAGE_LISTS}
    for number, line in enumerate(read_text(folder / CAPTIONS).split("\n"), 1):
        if not line.strip():
            continue
        name, tab, caption = line.partition("\t")
        if not tab or not caption.strip():
            raise GestaError(f"{folder / CAPTIONS}: line {number} is not IMAGE#NUMBER<tab>CAPTION.")
        image = name.rpartition("#")[0] or name
        if image in part_of:
            parts[part_of[image]].append((image, caption.lower().split()))
    return parts


def _languages(folder: Path) -> list[str]:
    """Return the suffixes shared by the training files and another part, e.g. de for train.de and dev.de."""
    endings = {part: set() for part in _PAIR_PARTS}  # type: dict[str, set[str]]
    for file in folder.iterdir():
        stem, _, ending = file.name.partition(".")
        if file.is_file() and stem.partition("_")[0] in endings:
            endings[stem.partition("_")[0]].add(ending)
    others = set().union(*(held for part, held in endings.items() if part != "train"))
    return sorted(endings["train"] & others)


def read_pairs(folder: Path) -> dict[str, list[dict[str, str]]]:
    """Return the sentences of every line by language (words joined by spaces) for each existing part: train, dev, test.

    Raises GestaError if two languages have different numbers of lines.
    """
    parts: dict[str, list[dict[str, str]]] = {}
    languages = _languages(folder)
    for file in sorted(folder.glob(f"*.{languages[0]}")):
        name = file.name.removesuffix(f".{languages[0]}")
        part = _PAIR_PARTS.get(name.partition("_")[0])
        files = [folder / f"{name}.{language}" for language in languages]
        if part is None or part in parts or not all(other.is_file() for other in files):
            continue
        held = [[" ".join(words) for words in read_lines(other)] for other in files]
        for other, lines in zip(files, held, strict=True):
            if len(lines) != len(held[0]):
                raise GestaError(
                    f"{file} has {counted(len(held[0]), 'line')} and {other} {len(lines)}. Sentence pairs need the "
                    "same number: line k of one is the translation of line k of the other."
                )
        parts[part] = [dict(zip(languages, line, strict=True)) for line in zip(*held, strict=True)]
    return parts


def sentences_of(path: Path) -> list[list[str]]:
    """Return the lowercase words of every line of a text, or of the captions of a folder's training part."""
    if path.is_dir() and recognized(path) == "captions":
        return [caption for _, caption in read_captions(path)["train"]]
    return [[word.lower() for word in line.split()] for line in whole_text(path).split("\n") if line.strip()]
