"""Archives: every member unpacked and looked at by its own format, and every byte between the members."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator

from pipelines.assurance.residue.encodings import filled
from pipelines.assurance.residue.needles import BY_CHANCE, Needles
from pipelines.assurance.residue.record import Record

LARGEST = 1 << 30  # bytes of a member; they are unpacked into memory
DEEPEST = 6  # archives in each other

Look = Callable[[memoryview], Record]  # into a member

_HEADER = 1 << 12  # bytes in which names and comments of a gzip file are looked for
_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"


def scan_zip(data: memoryview, needles: Needles, look: Look) -> Record:
    """Look for `needles` in a ZIP archive: members, their names, comments and extra fields, and what stands between."""
    record = Record(needles)
    record.look("bytes of the archive", data, BY_CHANCE)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            spans = [(archive.start_dir, len(data) - len(archive.comment))]
            record.look("comment of the archive", archive.comment)
            for number, member in enumerate(archive.infolist(), start=1):
                spans.append(_local(data, member))
                for what, text in (("name", member.orig_filename.encode("utf-8", "replace")), ("comment", member.comment),
                                   ("extra field", member.extra)):
                    record.look(f"{what} of member {number}", text)
                _member(record, data, member, f"member {number}: ", look)
            _between(record, data, spans, len(data) - len(archive.comment))
    # whatever a damaged archive makes the library raise: it is not read, which no scan calls clean, and its bytes are looked at as they are
    except (zipfile.BadZipFile, NotImplementedError, OSError, EOFError, ValueError, struct.error, IndexError):
        record.unreadable.append("the archive is damaged")
        record.look("bytes of the archive", data)
    return record


def scan_gzip(data: memoryview, needles: Needles, look: Look) -> Record:
    """Look for `needles` in a gzip file: its names and comments, what it holds, and what stands behind."""
    record, rest = Record(needles), data
    record.look("bytes of the file", data, BY_CHANCE)
    while len(rest) and bytes(rest[:2]) == b"\x1f\x8b":
        if rest[3:4] != b"\0":  # the name that the content had, a comment, more fields
            for text in bytes(rest[10:_HEADER]).split(b"\0")[:3]:
                record.look("header of the compressed content", text)
        stream = zlib.decompressobj(31)
        try:
            plain = stream.decompress(rest, LARGEST)
        except zlib.error:
            plain = b""
        if not stream.eof:
            record.unreadable.append("its content is damaged, cut off or larger than what is read into memory")
            return record
        record.take(look(memoryview(plain)), "unpacked: ")
        rest = rest[len(rest) - len(stream.unused_data):]
    if filled(rest):
        record.unaccounted.append(f"{len(rest)} bytes stand behind the compressed content")
        record.look("bytes behind the compressed content", rest)
    return record


def scan_tar(data: memoryview, needles: Needles, look: Look) -> Record:
    """Look for `needles` in a tar archive."""
    record = Record(needles)
    record.look("bytes of the archive", data)
    end = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for number, member in enumerate(archive, start=1):
                record.look(f"name of member {number}", member.name.encode("utf-8", "surrogateescape"))
                record.look(f"name of member {number}", member.linkname.encode("utf-8", "surrogateescape"))
                for text in (member.uname, member.gname, *member.pax_headers.values()):
                    record.look(f"header of member {number}", str(text).encode("utf-8", "surrogateescape"))
                if member.sparse is not None:
                    record.unreadable.append(f"member {number}: it has holes")
                elif member.isreg():
                    record.take(look(data[member.offset_data:member.offset_data + member.size]), f"member {number}: ")
                    if member.offset_data + member.size > len(data):
                        record.unreadable.append("the archive is cut off")
                    padding = data[member.offset_data + member.size:-(-(member.offset_data + member.size) // 512) * 512]
                    if filled(padding):
                        record.unaccounted.append(f"{len(padding)} bytes stand behind member {number}")
                        record.look(f"bytes behind member {number}", padding)
            end = archive.offset
    except (tarfile.TarError, OSError, EOFError, ValueError):
        record.unreadable.append("the archive is damaged")
        record.look("bytes of the archive", data)
        return record
    rest = data[end:]
    if filled(rest):
        record.unaccounted.append(f"{len(rest)} bytes stand behind the last member")
        record.look("bytes behind the last member", rest)
    return record


def _member(record: Record, data: memoryview, member: zipfile.ZipInfo, within: str, look: Look) -> None:
    if member.flag_bits & 1:
        record.unreadable.append(f"{within}it is encrypted")
    elif member.file_size > LARGEST:
        record.unreadable.append(f"{within}it is larger than what is read into memory")
    else:
        name, extra = struct.unpack_from("<HH", data, member.header_offset + 26)
        start = member.header_offset + 30 + name + extra
        record.look(f"{within}name and extra field", data[start - name - extra:start])
        plain = _unpacked(data[start:start + member.compress_size], member)
        if plain is None:
            record.unreadable.append(f"{within}it is damaged, or compressed in a way that is not read")
        else:
            record.take(look(memoryview(plain)), within)


def _unpacked(packed: memoryview, member: zipfile.ZipInfo) -> bytes | memoryview | None:
    """A member's content, or None: what stands behind the end of its compressed stream would be read by nobody."""
    plain: bytes | memoryview = packed
    if member.compress_type == zipfile.ZIP_DEFLATED:
        stream = zlib.decompressobj(-15)
        try:
            plain = stream.decompress(packed, member.file_size + 1)
        except zlib.error:
            return None
        if not stream.eof or stream.unused_data:
            return None
    elif member.compress_type != zipfile.ZIP_STORED:
        return None
    return plain if len(plain) == member.file_size and zlib.crc32(plain) == member.CRC else None


def _local(data: memoryview, member: zipfile.ZipInfo) -> tuple[int, int]:
    """The bytes of a member with its header and, where there is one, the sizes written behind it."""
    start = member.header_offset
    if bytes(data[start:start + 4]) != _LOCAL:
        raise zipfile.BadZipFile
    name, extra = struct.unpack_from("<HH", data, start + 26)
    end = start + 30 + name + extra + member.compress_size
    if member.flag_bits & 8:
        signed = bytes(data[end:end + 4]) == b"PK\x07\x08"
        long = len(data) >= end + 24 and signed and data[end + 8:end + 16] == struct.pack("<Q", member.compress_size)
        end += (4 if signed else 0) + (20 if long else 12)
    return start, end


def _between(record: Record, data: memoryview, spans: list[tuple[int, int]], stop: int) -> None:
    for start, end in _gaps(spans, stop):
        gap = data[start:end]
        if filled(gap):
            record.unaccounted.append(f"{len(gap)} bytes belong to no member")
            record.look("bytes that belong to no member", gap)
    directory = bytes(data[spans[0][0]:stop])
    if not directory.startswith((_CENTRAL, _END)) or directory.rfind(_END) != len(directory) - 22:
        record.unaccounted.append("the directory of the archive does not end where the archive does")


def _gaps(spans: list[tuple[int, int]], stop: int) -> Iterator[tuple[int, int]]:
    at = 0
    for start, end in [*sorted(spans), (stop, stop)]:
        if start > at:
            yield at, start
        at = max(at, end)
