"""Where a key can come from: a role file, the environment, a command (a secret manager), a key file. Each gives one key or one clear sentence.

Whoever has a role file has its keys and no others: nothing else is looked for. What a command prints is a key or nothing; it is never
repeated, for it may hold one.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import stat
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.foundation.errors import Misuse, Refused, Unavailable
from pipelines.foundation.files import write_atomically

ROLE_FILE = "KAMPEKY_ROLE_FILE"
COMMAND = "KAMPEKY_KEY_COMMAND"
PREFIX = "KAMPEKY_KEY_"
PATIENCE_SECONDS = 30
_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class RoleFile:
    """The keys of one role (C-4), as `kampeky keys role` writes them down."""

    role: str
    keys: Mapping[str, str]

    def get(self, name: str) -> str:
        if name not in self.keys:
            raise Refused(f"Your role '{self.role}' does not hold the key '{name}': {ROLE_FILE} names the only keys that this command is "
                          "given. What needs others is done by a job that holds them.", "C-4")
        return checked(self.keys[name], f"{name} in {ROLE_FILE}")


def role_file() -> RoleFile | None:
    """The role file that the environment names; none: whoever runs this is no person in a role."""
    named = os.environ.get(ROLE_FILE)
    if named is None:
        return None
    path = Path(named)
    if not named or path.is_dir():
        raise Unavailable(f"{ROLE_FILE} names no file. Name the file of your role, or unset it.")
    try:
        content = json.loads(_private(path))
        if set(content) != {"role", "keys"} or not all(isinstance(part, str) for part in (content["role"], *content["keys"].values())):
            raise ValueError
        return RoleFile(content["role"], content["keys"])
    except FileNotFoundError:
        raise Unavailable(f"{ROLE_FILE} names a file that is not there. Have it written by whoever holds the keys: "
                          "kampeky keys role ROLE --to FILE") from None
    except PermissionError:
        raise Unavailable(f"{path} may not be read by this user: it is somebody else's role (C-4).") from None
    except (ValueError, TypeError, AttributeError, KeyError):
        raise Unavailable(f"{path} is no role file. Have it written anew: kampeky keys role ROLE --to FILE") from None


def write_role_file(path: Path, role: str, keys: Mapping[str, str]) -> None:
    """Write the keys of `role` to a file that its owner alone reads; one that is there is left alone."""
    if path.exists() or path.is_symlink():
        raise Misuse(f"{path} is there already; it stays as it is. Name a new file, or remove that one first.")
    if not path.parent.is_dir():
        raise Misuse(f"{path.parent}: there is no such folder.")
    write_atomically(path, json.dumps({"role": role, "keys": dict(keys)}) + "\n", 0o600)


def variable(name: str) -> str:
    """The environment variable in which the key may stand."""
    return f"{PREFIX}{name.upper()}"


def from_command(name: str) -> str:
    """What the secret manager's command prints when it is asked for `name`: run without a shell, the name as its last word."""
    try:
        words = shlex.split(os.environ[COMMAND])
    except ValueError:
        words = []
    if not words:
        raise Unavailable(f"{COMMAND} is no command: write a program and its words, such as: vault-read --field=key kampeky")
    given = {key: value for key, value in os.environ.items() if not key.startswith(PREFIX)}  # it needs no key to give one
    try:
        process = subprocess.Popen([*words, name], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=given,
                                   start_new_session=True)
    except OSError as error:
        raise Unavailable(f"{COMMAND} could not be run ({error.strerror}), so the key '{name}' cannot be had. Is its program installed and "
                          "executable?") from None
    try:
        printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{COMMAND} gave no key '{name}' within {PATIENCE_SECONDS} seconds. Does it wait for somebody to answer? Run it by hand, "
                          "then try again.") from None
    finally:
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # it and whatever it started: nothing of it outlives the question
        if process.stdout:
            process.stdout.close()
        process.wait()
    if process.returncode != 0:
        raise Unavailable(f"{COMMAND} gave no key '{name}': it ended with code {process.returncode}. Is the key in the secret manager, and may this "
                          "user read it?")
    try:
        return checked(printed.decode(), f"What {COMMAND} printed for '{name}'")
    except UnicodeDecodeError:
        raise malformed(f"What {COMMAND} printed for '{name}'") from None


def from_file(path: Path, name: str) -> str:
    """The key in a file that its owner alone may read."""
    try:
        return checked(_private(path), str(path))
    except FileNotFoundError:
        raise Unavailable(f"The key '{name}' is missing. Put it into {path} (mode 0600) or into {variable(name)}; "
                          f"kampeky init makes the keys that a home never had.") from None
    except PermissionError:
        raise Unavailable(f"{path} may not be read by this user: your role does not hold the key '{name}' (C-4).") from None
    except UnicodeDecodeError:
        raise malformed(str(path)) from None


def _private(path: Path) -> str:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        raise Unavailable(f"{path} may be read by others (mode {mode:04o}), so it is no secret (C-4). Run: chmod 600 {path}; if somebody may "
                          "have seen it, see what it opens with: kampeky keys list")
    return path.read_text()


def checked(text: str, where: str) -> str:
    """The key as it is used: 64 hexadecimal digits."""
    key = text.strip().lower()
    if not _HEX.fullmatch(key):
        raise malformed(where)
    return key


def malformed(where: str) -> Unavailable:
    return Unavailable(f"{where} holds no key: expected 64 hexadecimal digits.")
