"""What a file is by its first bytes, of kinds that can hold no log as it is.

Sources: the magic numbers of file(1), and the specifications of ZIP (APPNOTE 4.3.7), tar (ustar),
Arrow IPC, Avro object container files, ORC, BSON.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from tasks.logs.formats import results_of_others

#: first bytes → what it is
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"SQLite format 3\x00", "an SQLite database: export the table of the calls"),
    (b"ARROW1\x00\x00", "an Arrow file (Feather): write it as Parquet"),
    (b"\xff\xff\xff\xff", "an Arrow stream: write it as Parquet"),
    (b"Obj\x01", "an Avro file: write it as JSON lines or Parquet"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an old Office document (Excel, Word): save it as CSV"),
    (b"\xfd7zXZ\x00", "a file compressed by xz: unpack it, or pack it as gzip or zstd"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (b"Rar!\x1a\x07", "a RAR archive: unpack it"),
    (b"\x04\x22\x4d\x18", "a file compressed by LZ4: unpack it, or pack it as gzip or zstd"),
    (b"\xff\x06\x00\x00sNaPpY", "a file compressed by Snappy: unpack it"),
    (b"%PDF-", "a PDF document"),
    (b"%!PS", "a PostScript document"),
    (b"{\\rtf", "a document"),
    (b"\x89PNG\r\n\x1a\n", "an image"),
    (b"\xff\xd8\xff", "an image"),
    (b"II*\x00", "an image"),
    (b"MM\x00*", "an image"),
    (b"\x1aE\xdf\xa3", "a video file"),
    (b"\x7fELF", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\x00asm", "a program"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\x93NUMPY", "an array of NumPy"),
    (b"!<arch>\n", "an archive (ar)"),
    (b"\xed\xab\xee\xdb", "a package (RPM)"),
    (b"-----BEGIN ", "a key or certificate"),
    (b"-----BEGIN PGP", "a message sealed by PGP"),
    (b"BEGIN:VCALENDAR", "a calendar"),
    (b"BEGIN:VCARD", "contacts (vCard)"),
)
#: of letters alone, so that only what follows tells them from a text
_LETTERS: tuple[tuple[bytes, str], ...] = (
    (b"FEA1", "a Feather file: write it as Parquet"),
    (b"ORC", "an ORC file: write it as JSON lines or Parquet"),
    (b"BZh", "a file compressed by bzip2: unpack it, or pack it as gzip or zstd"),
    (b"GIF8", "an image"),
    (b"OggS", "a sound or video file"),
    (b"ID3", "a sound file"),
    (b"fLaC", "a sound file"),
    (b"MZ", "a program"),
    (b"GGUF", "weights of a model (GGUF)"),
    (b"PGDMP", "a dump of PostgreSQL: export the table of the calls as CSV"),
)
#: further in
_LATER: tuple[tuple[int, bytes, str], ...] = (
    (4, b"ftyp", "a video file"),
    (8, b"WEBP", "an image"),
    (8, b"WAVE", "a sound file"),
    (8, b"DUCK", "a DuckDB database: export the table of the calls"),
    (257, b"ustar", "a tar archive: unpack it"),
)
_NO_TEXT = re.compile(rb"[\x00-\x08\x0e-\x1a\x7f-\xff]")
_ZIP = b"PK\x03\x04"
#: members of an .eval file, a sample and epoch each
_OF_INSPECT = re.compile(r"header\.json|_journal/\w+\.json|samples/.+_epoch_\d+\.json")
_MARKUP = re.compile(rb"\s*<(?:\?xml|!doctype|!--|[a-zA-Z][\w:.-]*[\s/>])", re.IGNORECASE)
_ROOT = re.compile(rb"<(?:[\w.-]+:)?([A-Za-z][\w.-]*)[\s/>]")
_ROOTS = {
    "urlset": "a sitemap (XML)", "sitemapindex": "a sitemap (XML)", "rss": "a news feed (XML)",
    "feed": "a news feed (XML)", "html": "an HTML page", "svg": "an image (SVG)",
    "testsuites": "test results (JUnit XML)", "testsuite": "test results (JUnit XML)",
    "project": "a build file (XML)", "coverage": "test coverage (XML)", "gpx": "a track (GPX)",
    "kml": "a map (KML)", "mediawiki": "a dump of a wiki (XML)", "plist": "a property list (XML)",
    "nmaprun": "a network scan (XML)", "events": "an event log of Windows (XML)",
    "event": "an event log of Windows (XML)",
}  # fmt: skip
_PICKLE = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_SAFETENSORS = re.compile(rb'^.{8}\{"(?:__metadata__|[^"]{1,200})":\{', re.DOTALL)


def told(head: bytes) -> str | None:
    """`head`: the first bytes of the file, decompressed; some 64 KiB."""
    if head.startswith(_ZIP):
        return _zip(head)
    for magic, what in _MAGIC:
        if head.startswith(magic):
            return what
    for magic, what in _LETTERS:
        if head.startswith(magic) and _NO_TEXT.search(head[:256]):
            return what
    for offset, magic, what in _LATER:
        if head[offset:].startswith(magic):
            return what
    if _MARKUP.match(head):
        return _markup(head)
    if head.startswith(_PICKLE):
        return "a pickle of Python: it is never opened; write JSON lines"
    if _SAFETENSORS.match(head) and b'"dtype"' in head:
        return "weights of a model (safetensors)"
    return "a BSON dump of MongoDB: mongoexport writes JSON lines" if _is_bson(head) else None


def is_binary(head: bytes) -> bool:
    """Whether it is no text in any encoding that is read. UTF-16 begins with its mark."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return False
    some = head[:4096]
    control = sum(byte < 9 or 13 < byte < 27 for byte in some)
    return 20 * control > len(some)


def _zip(head: bytes) -> str:
    names = list(_entries(head))
    firsts = {name.partition("/")[0] for name in names}
    if "xl" in firsts:
        return "an Excel workbook: save the sheet as CSV"
    if firsts & {"word", "ppt", "[Content_Types].xml"}:
        return "an Office document"
    if any(map(_OF_INSPECT.fullmatch, names)):
        what = results_of_others.refusal("Inspect")
        return f"an Inspect evaluation log (.eval), {what}"
    if any(name.endswith("data.pkl") for name in names):
        return "weights of a model (PyTorch)"
    if any(name.endswith(".npy") for name in names):
        return "arrays of NumPy"
    if "META-INF" in firsts or any(name.endswith(".dist-info/WHEEL") for name in names):
        return "a package of a program (jar, wheel)"
    inside = f"; in it {', '.join(names[:3])}" if names else ""
    return f"a ZIP archive: unpack it and name what is inside{inside}"


def _entries(head: bytes) -> Iterator[str]:
    """Names of the first entries, as far as their lengths stand before them."""
    at = 0
    while head[at : at + 4] == _ZIP and len(head) >= at + 30:
        flags, packed, name_bytes, extra_bytes = (
            struct.unpack_from("<H", head, at + 6)[0],
            struct.unpack_from("<I", head, at + 18)[0],
            *struct.unpack_from("<HH", head, at + 26),
        )
        name = head[at + 30 : at + 30 + name_bytes].decode("utf-8", "replace")
        if name:
            yield name
        if flags & 8:  # its length stands behind it
            return
        at += 30 + name_bytes + extra_bytes + packed


def _markup(head: bytes) -> str:
    roots = (match.group(1).decode().lower() for match in _ROOT.finditer(head[:4096]))
    root = next(roots, "")
    if root in _ROOTS:
        return _ROOTS[root]
    if b"<html" in head[:4096].lower() or head[:256].lower().lstrip().startswith(b"<!doctype html"):
        return "an HTML page"
    return f"an XML document: its root is {root[:40]}" if root else "an XML document"


def _is_bson(head: bytes) -> bool:
    """A document: its length, then an element of a known type with a name that ends in zero."""
    if len(head) < 8:
        return False
    length = int.from_bytes(head[:4], "little")
    if not 5 < length <= 16 * 2**20 or (length <= len(head) and head[length - 1] != 0):
        return False
    name, zero, _ = head[5:133].partition(b"\x00")
    known = head[4] in (1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 17, 18, 19)
    return known and bool(zero) and bool(name) and name.isascii() and name.decode().isprintable()
