"""What is published after a build: the new marts, or, when it failed, what may stay of the old ones, or nothing (C-10.4, C-11.8).

Nobody stays in because a build failed. Whoever has lost a grant since the last publication, and every row that is due, is taken out of what is
published; where that cannot be done, for whatever reason, the marts of the purpose are unpublished. Extracts follow the marts they were made from.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from pipelines.engines import duckdb_engine as engine
from pipelines.evidence import ledger
from pipelines.foundation.dates import paris_day
from pipelines.foundation.errors import KampekyError, Refused
from pipelines.foundation.home import Home
from pipelines.foundation.locks import locked
from pipelines.identity.vault import attach_vault
from pipelines.keys.keyring import Keyring, mart_key
from pipelines.lake.store import opened, raw_lake
from pipelines.policy.types import Purpose, Rulebook
from pipelines.workflows import extracts

if TYPE_CHECKING:
    from pipelines.transformation.memory import Memory

RULE = "C-10.4, C-11.8"


def key_of(home: Home, purpose: Purpose) -> str | None:
    return Keyring(home).get(mart_key(purpose.name)) if purpose.published == "encrypted" else None


def memory_before(home: Home, purpose: Purpose) -> Memory | None:
    """What is remembered of what is published; of marts that a retention run took away, so that it can make them anew, too."""
    from pipelines.transformation.memory import publications
    from pipelines.transformation.subtract import published_memory

    if home.mart(purpose.name).exists():
        try:
            return published_memory(home, purpose, key_of(home, purpose))
        except engine.Error:  # a damaged file is replaced by a good build like any other
            return None
    found = publications(home, purpose.name)
    return found[0] if len(found) == 1 else None


def succeed(home: Home, purpose: Purpose, before: Memory | None, now: Memory, day: date) -> int:
    """The marts of `now` stand: extracts that hold somebody lost go, and what is remembered of the marts `before`. Returns how many extracts went."""
    from pipelines.transformation.memory import forget
    from pipelines.transformation.subtract import BEFORE, LOST, mark_lost

    connection = engine.connect(home.tmp, extensions=("httpfs",))
    try:
        now.attach(connection, write=False, alias="now")
        if before is not None and _readable(connection, before, BEFORE):
            mark_lost(connection, f"from {BEFORE}.grants", "from now.grants")
            removed = extracts.settle(connection, home, before, now, f"select pseudonym from {LOST}", day, BEFORE)
        else:
            removed = extracts.remove_of(home, purpose.name)
    finally:
        connection.close()
    forget(home, purpose.name, but=now)
    return removed


def _readable(connection: engine.Connection, memory: Memory, alias: str) -> bool:
    """Whether what is remembered can be read, all of it; then it is attached as `alias`. A damaged one is as none."""
    from pipelines.transformation.memory import readable

    try:
        memory.attach(connection, write=False, alias=alias)
        return readable(connection, alias)
    except (KampekyError, engine.Error):
        return False


def fail(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime, error: BaseException) -> BaseException:
    """After a build that failed by `error`: keep nobody in, write down what was done, and return what the command ends with."""
    facts: dict[str, Any] = {"purpose": purpose.name, "error": type(error).__name__}
    if not home.mart(purpose.name).exists():
        _take_away(home, purpose.name)
        ledger.append(home, "build failed", as_of, facts | {"published": False})
        return _said(error, f"There is no published mart of {purpose.name} until a build succeeds.")
    try:
        done = _subtract(home, rulebook, purpose, as_of)
    except BaseException as second:
        _take_away(home, purpose.name)
        ledger.append(home, "build failed", as_of, facts | {"published": False, "second_error": type(second).__name__})
        why = (f"Who has to be out could not be taken out of the published mart of {purpose.name} ({_reason(second)}), so it is unpublished until a "
               "build succeeds.")
        if not isinstance(second, Exception):
            return second
        words = str(error) if isinstance(error, KampekyError) else f"The build failed ({type(error).__name__})."
        return Refused(f"{words} {why}", RULE) if isinstance(error, Exception) else error
    ledger.append(home, "build failed", as_of, facts | {"published": True} | done)
    taken, suppressed = sum(done["taken_out"].values()), sum(done["suppressed"].values())
    more = f", and {suppressed} more so that what is shown keeps the limits of risk" if suppressed else ""
    return _said(error, f"What is published of {purpose.name} stays, without the {taken} rows of members who are out by now and of "
                        f"days that are due{more}.")


def without_due(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> None:
    """Take out of the published marts of a purpose what is due by `as_of` and who has to be out, as far as that can be done; else the marts go."""
    try:
        _subtract(home, rulebook, purpose, as_of)
    except Exception:  # for whatever reason: nobody can say any more that nothing due is in them
        _take_away(home, purpose.name)


def unreadable(home: Home, as_of: datetime, error: KampekyError) -> KampekyError:
    """Under rules that cannot be read nobody can be judged, so no mart stays, of whatever purpose; what the command ends with. A person in a role has
    begun no build."""
    names = sorted(path.stem for path in home.mart("x").parent.glob("*.duckdb")) if Keyring(home).role is None else []
    if not names:
        return error
    for name in names:
        _take_away(home, name)
    ledger.append(home, "build failed", as_of, {"purposes": names, "error": type(error).__name__, "published": False})
    return Refused(f"{error} Nobody can be judged by rules that cannot be read, so what was published of {', '.join(names)} is unpublished until a "
                   "build succeeds.", RULE)


def _subtract(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> dict[str, Any]:
    from pipelines.transformation.memory import forget
    from pipelines.transformation.subtract import published_memory, subtract

    key, day = key_of(home, purpose), paris_day(as_of)
    memory = published_memory(home, purpose, key)
    if memory is None:
        raise KampekyError("nothing is remembered of it")
    grants = _judged(home, rulebook, purpose, as_of)
    done, now = subtract(home, purpose, memory, key, grants, rulebook.policy.risk, day)
    connection = engine.connect(home.tmp, extensions=("httpfs",))
    try:
        memory.attach(connection, write=False)
        connection.register("given", grants)
        lost = "select pseudonym from (select pseudonym, grant_key from kept.grants except select pseudonym::uuid, grant_key from given)"
        removed = extracts.settle(connection, home, memory, now, lost, day)
    finally:
        connection.close()
    forget(home, purpose.name, but=now)
    return {"marts": done.rows, "taken_out": done.taken, "suppressed": done.suppressed, "extracts_removed": removed}


def _judged(home: Home, rulebook: Rulebook, purpose: Purpose, as_of: datetime) -> Any:
    """The gate alone, as of now: (pseudonym, grant_key) of everybody who may be in, as an Arrow table."""
    from pipelines.pseudonymisation.subjects import SUBJECT_GRANTS, judge

    why = f"build {purpose.name}"
    with locked(home, "vault", why, exclusive=False), opened(raw_lake(home), why) as connection:
        attach_vault(connection, home, write=False)
        judge(connection, home, rulebook, purpose, as_of)
        return connection.execute(f"select pseudonym::varchar as pseudonym, grant_key from {SUBJECT_GRANTS}").to_arrow_table()


def _take_away(home: Home, purpose: str) -> None:
    """Marts, what is remembered of them, and what was taken out of them. Needs no key."""
    from pipelines.transformation.memory import forget
    from pipelines.transformation.publish import unpublish

    unpublish(home.mart(purpose))
    forget(home, purpose)
    extracts.remove_of(home, purpose)


def _said(error: BaseException, more: str) -> BaseException:
    if isinstance(error, KampekyError):
        error.args = (f"{error} {more}",)
    return error


def _reason(error: BaseException) -> str:
    """Words of ours; of others the kind alone, for they may quote a row."""
    return str(error).rstrip(".") if isinstance(error, KampekyError) else type(error).__name__
