"""What a backup's file is: a tar of stores and evidence, sealed with age while it is written, opened while it is read (C-10.6).

Nothing of it is ever on disk in plain, and it does not matter how much it is. The tar is of the plainest kind: regular files alone, in the two
folders that are known, with a list of all of them and their SHA-256 as its last file; whatever else it holds is refused before it is read.
"""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from stat import S_IMODE
from threading import Thread
from typing import IO, Any, Protocol

from pipelines.foundation.errors import KampekyError, Unavailable

ABOUT, MANIFEST, MARKER = "backup.json", "manifest.json", "home.json"
FOLDERS = ("zones", "evidence")
_SMALL = 1 << 20  # ABOUT is read before anything is believed
_DEEPEST = 12


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


def new_key() -> tuple[str, str]:
    """(key, recipient) of one backup: whoever has the recipient's can only put something in."""
    identity = _age().x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def read_key(path: Path) -> str:
    """The key in a file that its owner alone may read."""
    try:
        mode = S_IMODE(path.stat().st_mode)
        text = path.read_text().strip()
        _age().x25519.Identity.from_str(text)
    except FileNotFoundError:
        raise Unavailable(f"{path.name}, the backup's key, is not in {path.parent}. A backup opens with its own key alone, and that is destroyed "
                          "when its days are over. If it stands elsewhere, name it: --key KEYFILE") from None
    except (_age().IdentityError, OSError, UnicodeDecodeError):
        raise Unavailable(f"{path} is no backup's key. Name the file backup_NAME.key of the backup: --key KEYFILE") from None
    if mode & 0o077:
        raise Unavailable(f"{path} may be read by others (mode {mode:04o}), so it is no secret (C-4). Run: chmod 600 {path}")
    return text


def seal_text(recipient: str, text: str) -> bytes:
    return _age().encrypt(text.encode(), [_recipient(recipient)])


def open_text(key: str, content: bytes, what: str) -> str:
    """What `seal_text` sealed; KampekyError where the key does not fit or the content was changed."""
    try:
        return _age().decrypt(content, [_age().x25519.Identity.from_str(key)]).decode()
    except (_age().DecryptError, OSError, UnicodeDecodeError):
        raise _not_opened(what) from None


def seal(recipient: str, to: Path, write: Callable[[IO[bytes]], object]) -> None:
    """Write the new file `to`, 0600, of what `write` writes, sealed on the way."""
    handle = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as out:
        read_end, write_end = os.pipe()
        failed: list[BaseException] = []

        def work() -> None:
            with os.fdopen(read_end, "rb") as plain:
                try:
                    _age().encrypt_io(plain, out, [_recipient(recipient)])
                except BaseException as error:
                    failed.append(error)

        thread = Thread(target=work, daemon=True)
        thread.start()
        try:
            with suppress(BrokenPipeError), os.fdopen(write_end, "wb") as plain:
                write(plain)
        finally:
            thread.join()
        if failed:
            raise failed[0]
        out.flush()
        os.fsync(out.fileno())


def unseal(key: str, file: Path, read: Callable[[IO[bytes]], object]) -> None:
    """Give what is in `file` to `read`, which is to read all of it. What it reads is authentic block by block, and whole only when this returns."""
    read_end, write_end = os.pipe()
    failed: list[BaseException] = []

    def work() -> None:
        with file.open("rb") as sealed, suppress(BrokenPipeError), os.fdopen(write_end, "wb") as plain:
            try:
                _age().decrypt_io(sealed, plain, [_age().x25519.Identity.from_str(key)])
            except BrokenPipeError:
                raise
            except BaseException as error:
                failed.append(error)

    thread = Thread(target=work, daemon=True)
    thread.start()
    try:
        with os.fdopen(read_end, "rb") as plain:
            read(plain)
    except KampekyError:
        thread.join()
        if failed:  # the end was missing because the file is damaged: that is the reason to tell
            raise _not_opened(file.name) from None
        raise
    thread.join()
    if failed:
        raise _not_opened(file.name) from None


def pack(out: IO[bytes], about: dict[str, Any], files: Iterable[tuple[str, IO[bytes], int]]) -> None:
    """Write the tar: `about`, then each (name, content, size), then the list of them."""
    listed: dict[str, dict[str, Any]] = {}
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        _add(tar, ABOUT, _Hashed.of(json.dumps(about, sort_keys=True)))
        for name, content, size in files:
            hashed = _Hashed(content, size)
            _add(tar, name, hashed)
            listed[name] = {"bytes": size, "sha256": hashed.digest.hexdigest()}
        _add(tar, MANIFEST, _Hashed.of(json.dumps(listed, sort_keys=True)))


def unpack(plain: IO[bytes], into: Path, accept: Callable[[dict[str, Any]], object]) -> None:
    """Write the files of the tar below the new folder `into`; `accept` is shown what the backup says of itself before any is written. KampekyError
    where it is not exactly what `pack` writes; then what is below `into` is worth nothing."""
    found: dict[str, dict[str, Any]] = {}
    listed: Any = None
    try:
        with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Plain) as tar:
            for number, member in enumerate(tar):
                content = tar.extractfile(member)
                if content is None or listed is not None or (member.name == ABOUT) != (number == 0):
                    raise _foreign("its parts are not in their order")
                if member.name in (ABOUT, MANIFEST):
                    told = _json(content, member.size, member.name)
                    listed = told if member.name == MANIFEST else None
                    if number == 0:
                        accept(told)
                    continue
                if member.name in found:
                    raise _foreign("a name stands in it twice")
                found[member.name] = {"bytes": member.size, "sha256": _write(into, member.name, content)}
        while plain.read(1 << 20):  # to the end of the sealed file, so that all of it was proved
            pass
    except (tarfile.TarError, EOFError):
        raise _foreign("it is no tar, or one that is cut off") from None
    if listed != found:
        raise _foreign("it does not hold the files that it lists")


class _Plain(tarfile.TarInfo):
    """A member that may be: a regular file under a name that is known. Judged by its header, before anything that follows it is read."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> _Plain:
        member = super().frombuf(buf, encoding, errors)
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.size < 0:
            raise _foreign("it holds something that is no regular file")
        if member.name not in (ABOUT, MANIFEST, MARKER):
            parts = member.name.split("/")
            if parts[0] not in FOLDERS or not 2 <= len(parts) <= _DEEPEST or not all(map(_plain_part, parts)):
                raise _foreign("it holds a file that belongs to no folder of a backup")
        return member


def _plain_part(part: str) -> bool:
    return bool(part) and part.isprintable() and part.isascii() and not part.startswith(".") and "\\" not in part


class _Hashed:
    """`size` bytes of a file, whose SHA-256 is known when they are read."""

    def __init__(self, content: _Readable, size: int) -> None:
        self.content, self.size, self.digest = content, size, hashlib.sha256()

    @classmethod
    def of(cls, text: str) -> _Hashed:
        import io

        data = text.encode()
        return cls(io.BytesIO(data), len(data))

    def read(self, size: int = -1, /) -> bytes:
        block = self.content.read(size)
        self.digest.update(block)
        return block


def _add(tar: tarfile.TarFile, name: str, content: _Hashed) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = content.size, 0o600
    tar.addfile(member, content)


def _write(into: Path, name: str, content: IO[bytes]) -> str:
    path, digest = into / name, hashlib.sha256()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(handle, "wb") as out:
        for block in _blocks(content):
            digest.update(block)
            out.write(block)
        out.flush()
        os.fsync(out.fileno())
    return digest.hexdigest()


def _blocks(content: IO[bytes]) -> Iterator[bytes]:
    while block := content.read(1 << 20):
        yield block


def _json(content: IO[bytes], size: int, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content.read()) if name == MANIFEST or size <= _SMALL else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise _foreign("what it says of itself cannot be read")
    return found


def _recipient(text: str) -> Any:
    try:
        return _age().x25519.Recipient.from_str(text)
    except _age().RecipientError:
        raise KampekyError("A backup's json names no recipient that age knows: it was changed. Run: kampeky retention plan, and apply it") from None


def _not_opened(name: str) -> KampekyError:
    return KampekyError(f"{name} does not open: the key is not its own, or the file is damaged. Nothing was restored. Take another copy or backup, "
                        "or name its key: --key KEYFILE")


def _foreign(why: str) -> KampekyError:
    return KampekyError(f"The file is no backup of this platform: {why}. Nothing was restored. Take another backup.")


def _age() -> Any:
    """The age library, which has no types."""
    return import_module("pyrage")
