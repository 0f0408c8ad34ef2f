"""`kampeky retention plan` and `apply`."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pipelines.assurance.residue.home import lakes_are_whole
from pipelines.evidence import certificates, ledger
from pipelines.foundation.dates import parse_as_of
from pipelines.foundation.errors import KampekyError, Misuse, Refused
from pipelines.foundation.home import DELETION, Home
from pipelines.foundation.locks import locked
from pipelines.identity.erased_since import standing
from pipelines.identity.vault import opened_vault, rewrite_vault
from pipelines.lake.backups import last_end
from pipelines.policy.types import Rulebook
from pipelines.retention import archive
from pipelines.retention.apply import WHY, apply_plan, count_left
from pipelines.retention.plan import make_plan, read_plan, write_plan
from pipelines.rights.certificate import CANNOT_KNOW
from pipelines.rights.erasure import forget_proof, kept_proof
from pipelines.workflows.build import build, forget_unpublished, no_build, unpublish_all
from pipelines.workflows.completion import complete_erasures
from pipelines.workflows.publication import without_due
from pipelines.workflows.residue import Known, after_retention, forget_ending, vault_is_fresh
from pipelines.workflows.rules import rules

BEGUN, STOPPED = "retention begun", "retention stopped"


def plan(home: Home, as_of: datetime) -> dict[str, Any]:
    """Count what is due on the day of `as_of` and keep the plan as a file."""
    made = make_plan(home.require(), rules(), as_of)
    return {"plan": str(write_plan(home, made)), **made}


def plan_alone(home: Home, as_of: datetime) -> dict[str, Any]:
    """The same; of the plan only where it stands, its hash, and how much is due: what a scheduler keeps of it is small."""
    made = plan(home, as_of)
    return {key: made[key] for key in ("plan", "hash", "as_of")} | {"due": sum(entry["due"] for entry in archive.going(made["datasets"]))}


def apply(home: Home, plan: Path, now: datetime | None = None, confirm: str | None = None) -> dict[str, Any]:
    """Carry out a plan file, rebuild the marts that are published, and count that nothing due is left.

    With `now`, a plan of a day to come is refused. One that would delete more of a dataset than the policy lets a machine decide needs the plan's
    hash again as `confirm`; without it marts are made anew, so that what is due leaves them all the same, and the run counts as overdue. That it
    begins is in the ledger before anything goes, so no deletion is without a record; a run that was stopped is finished by applying the same plan
    again, and until then no mart is published that may hold what is due."""
    with locked(home.require(), DELETION, WHY):  # one at a time: who comes second finds it done
        return _apply(home, plan, now, confirm)


def _apply(home: Home, plan: Path, now: datetime | None, confirm: str | None) -> dict[str, Any]:
    content, rulebook = read_plan(plan), rules()
    as_of = parse_as_of(content["at"])
    if now and as_of > now:
        raise Refused(f"The plan is of a day to come ({content['as_of']}): what is due then need not go today. Make one of today: "
                      "kampeky retention plan", "C-10.0")
    resumed = content["hash"] in unfinished(home)
    published = [] if home.clearing else _published(home, rulebook, content["hash"])
    if confirm is not None and confirm != content["hash"]:
        raise Misuse("--confirm repeats the hash of the plan, and it is another one.")
    if not resumed and confirm is None:
        _guard(home, rulebook, content, as_of, published)

    def begun(entries: list[Any]) -> None:
        if not resumed:
            ledger.append(home, BEGUN, as_of, {"hash": content["hash"], "datasets": entries, "published": published})
        unpublish_all(home, rulebook)  # before anything goes: a run that is killed leaves no mart that may hold what is due

    with opened_vault(home, WHY) as connection:
        told = kept_proof(connection, content["hash"]) if resumed else None
    if told is None:  # else it was stopped after all was proved and forgotten: nothing can be looked for once more
        told = _carry_out(home, rulebook, content, as_of, resumed, begun, f"kampeky retention apply {plan}")
    rewrite_vault(home, WHY)
    told["proof"].append(vault_is_fresh(home, rulebook))
    if not told["proof"][-1][1]:
        raise KampekyError(f"The vault is not proved to be fresh: {told['proof'][-1][2]}. Run it again: kampeky retention apply {plan}")
    entries = told.pop("entries")
    file, digest = certificates.write(home, told)
    result = {"as_of": content["as_of"], "hash": content["hash"], "datasets": entries, "rebuilt": told["marts_rebuilt"], "left": told["left"],
              "certificate": file.name, "certificate_sha256": digest}
    ledger.append(home, "retention", as_of, result)
    with opened_vault(home, WHY, write=True) as connection:
        forget_proof(connection, content["hash"])
    return result | {"erasures_completed": complete_erasures(home, as_of)}


def _carry_out(home: Home, rulebook: Rulebook, content: dict[str, Any], as_of: datetime, resumed: bool, begun: Callable[[list[Any]], object],
               again: str) -> dict[str, Any]:
    """Delete, build the marts again, count and prove; the content of the certificate, which the vault keeps until it is written."""
    known = list[Known]()
    stopped = [run for run in unfinished(home) if run != content["hash"]]
    try:
        with ExitStack() as stack:
            no_build(stack, home, rulebook, WHY)
            # one that was under way may have published
            published = [] if home.clearing else _published(home, rulebook, content["hash"])
            result = apply_plan(home, rulebook, content, resumed, begun, published,
                                lambda connection: known.append(Known.of_ending(connection, home, rulebook, content["hash"], stopped)))
        whole = lakes_are_whole(home, rulebook)
        rebuilt = build(home, as_of, published) if published else []
        forget_unpublished(home, rulebook)
        left = count_left(home, rulebook, as_of)
    except BaseException:
        if content["hash"] in unfinished(home):
            unpublish_all(home, rulebook)
        raise
    if left:
        raise KampekyError(f"{left} rows are still due after the run. Apply the same plan again: {again}")
    proof = after_retention(home, rulebook, known[-1], whole)
    told = {
        "certificate": "retention", "plan": content["hash"], "as_of": as_of.isoformat(), "removed": archive.going(result["datasets"]),
        **({"archived": kept} if (kept := archive.copied(result["datasets"])) else {}), "left": left,
        "marts_rebuilt": [r["purpose"] for r in rebuilt], "policy_version": rulebook.policy.version, "software": f"kampeky {version('kampeky')}",
        "proof": proof.checks, "last_backup_ends": str(last_end(home, WHY) or "") or None, "cannot_know": CANNOT_KNOW,
        "complete": proof.ok and not proof.pending and last_end(home, WHY) is None}
    if not proof.ok:
        file, _ = certificates.write(home, told)
        wrong = "; ".join(f"{name}: {detail}" for name, ok, detail in proof.checks if not ok)
        raise KampekyError(f"What was deleted is not proved to be gone: {wrong}. Mend that, then run it again: {again} (certificate {file.name})")
    told["entries"] = result["datasets"]
    forget_ending(home, rulebook, known[-1], content["hash"], json.dumps(told, sort_keys=True), as_of)
    return told


def _published(home: Home, rulebook: Rulebook, plan: str) -> list[str]:
    """The purposes whose marts are to stand afterwards: those that do now; of a run that was stopped, those that did when it began."""
    begun = (entry.facts for entry in ledger.read(home) if entry.act == BEGUN and entry.facts["hash"] == plan and plan in unfinished(home))
    stood = next((facts["published"] for facts in begun if "published" in facts), None)
    return [name for name in rulebook.policy.built if (home.mart(name).exists() if stood is None else name in stood)]


def _guard(home: Home, rulebook: Rulebook, content: dict[str, Any], as_of: datetime, published: list[str]) -> None:
    """Stop what would delete more than the policy lets pass without a person (C-10.4): it is rather a wrong date or a wrong extract."""
    limit, counted = rulebook.policy.guard, [e for e in content["datasets"] if e["zone"].partition("/")[0] in ("raw", archive.ALIAS) and "of" in e]
    # a row that goes by two rules is one; what is kept by law for years does not end by a slip in the policy's text either
    due, of = ({entry["dataset"] if entry["zone"] == "raw" else f"{entry['zone']}: {entry['dataset']}": entry[word] for entry in counted}
               for word in ("going", "of"))
    much = [name for name, rows in sorted(due.items()) if rows > max(limit.rows, of[name] * limit.percent / 100)]
    if not much:
        return
    ledger.append(home, STOPPED, as_of, {"hash": content["hash"], "datasets": {name: {"due": due[name], "of": of[name]} for name in much}})
    for name in published:  # the zones stay as they are, and with them the plan that a person is to look at
        without_due(home, rulebook, rulebook.policy.purposes[name], as_of)
    told = ", ".join(f"{due[name]:,} of {of[name]:,} rows of {name}" for name in much)
    raise Refused(f"The plan would delete {told}: more than {limit.percent:g} % of a dataset waits for a person. Nothing was deleted. If that is "
                  f"right, repeat the plan's hash: kampeky retention apply PLAN --confirm {content['hash']}", "C-10.4, guard of policy.yaml")


def overdue(home: Home) -> str | None:
    """The day of the oldest run that was stopped and not made up for since, None if there is none."""
    entries = ledger.read(home)
    done = max((entry.seq for entry in entries if entry.act == "retention"), default=0)
    return min((entry.as_of for entry in entries if entry.seq > done and (entry.act in (STOPPED, BEGUN))), default=None)


def unfinished(home: Home) -> list[str]:
    """Hashes of plans of which the ledger says that they were begun, and not that they were done."""
    entries = ledger.read(home)
    done = {entry.facts["hash"] for entry in entries if entry.act == "retention"}
    return [entry.facts["hash"] for entry in standing(entries) if entry.act == BEGUN and entry.facts["hash"] not in done]
