"""The certificate of an erasure: what went, what stayed and why, what was looked for and where, as JSON and as a page for the member (C-11.3).

It names nobody: who it is about is known by whoever was given it. Of one member it stands in the vault, and only its hash in the ledger.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date, datetime
from html import escape
from importlib.metadata import version
from typing import Any

from pipelines.engines.duckdb_engine import Connection, has_table
from pipelines.foundation.dates import paris_day, plus
from pipelines.foundation.errors import Misuse
from pipelines.policy.types import Rulebook
from pipelines.retention import archive

CANNOT_KNOW = ("What a disk keeps below the file system (cells of an SSD that were replaced, snapshots of a volume, copies that others made) cannot "
               "be seen from here. Whoever runs the machines encrypts their disks and ends such copies.")
GROUND = "a legal claim or obligation (C-10.5)"


def compose(rulebook: Rulebook, plan: dict[str, Any], residue: dict[str, Any], rebuilt: list[str], backups_until: date | None,
            as_of: datetime) -> dict[str, Any]:
    """All that can be said of the erasure; `complete` only when no copy of ours is left, not even in a backup (C-10.6)."""
    gone = [entry for entry in archive.going(plan["datasets"]) if entry["due"]]
    return {
        "certificate": "erasure", "request": plan["request"], "plan": plan["hash"], "as_of": as_of.isoformat(), "subjects": plan["subjects"],
        "policy_version": rulebook.policy.version, "software": f"kampeky {version('kampeky')}",
        "removed": [{key: entry[key] for key in ("zone", "dataset", "action", "rule")} | {"rows": entry["due"]} for entry in gone],
        "rows_before": plan["rows"], "left": 0, "kept": plan["kept"], "recipients": plan["recipients"],
        "public": plan.get("public", []), "marts_rebuilt": rebuilt,
        "tombstones_until": plan["tombstones_until"], "residue": residue,
        "last_backup_ends": backups_until.isoformat() if backups_until else None,
        "complete": bool(residue["ok"]) and backups_until is None and not residue["pending"], "cannot_know": CANNOT_KNOW,
    }


def digest(told: dict[str, Any]) -> str:
    """The SHA-256 of a certificate, as the ledger names it."""
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()


def keep(connection: Connection, request_id: str, told: dict[str, Any], rulebook: Rulebook, as_of: datetime) -> None:
    """Write it into the vault, attached to write; it ends with the tombstones of who it is about."""
    ends = plus(paris_day(as_of), [rulebook.policy.tombstones])
    connection.execute("insert or replace into vault.certificates values (?, ?, ?, ?)",
                       [request_id, json.dumps(told, sort_keys=True, ensure_ascii=False), as_of, ends])


def given(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    """(request, certificate) of all that the vault has."""
    if not has_table(connection, "vault", "certificates"):
        return []
    return [(request, json.loads(content)) for request, content in connection.execute(
        "select request_id, content from vault.certificates order by 1").fetchall()]


def waiting(connection: Connection) -> list[tuple[str, dict[str, Any]]]:
    """(request, certificate) of those that were not complete when they were made: of which a backup was left, or a file that somebody held open."""
    return [(request, told) for request, told in given(connection) if told.get("last_backup_ends") or told["residue"]["pending"]]


def complete(connection: Connection, request_id: str, told: dict[str, Any], day: date) -> dict[str, Any]:
    """The certificate once no backup is left in which its members were, and nobody holds an old file open; in place of the one before, in the vault
    that is attached to write."""
    made = told | {"complete": True, "completed_on": day.isoformat()}
    connection.execute("update vault.certificates set content = ? where request_id = ?",
                       [json.dumps(made, sort_keys=True, ensure_ascii=False), request_id])
    return made


def find(connection: Connection, request_id: str) -> dict[str, Any]:
    """The certificate of a request; Misuse where there is none."""
    row = connection.execute("select content from vault.certificates where request_id = ?", [request_id]).fetchone()
    if row is None:
        raise Misuse("There is no certificate for that request: it was not carried out, or its time is over.")
    return json.loads(row[0])


def page(told: dict[str, Any]) -> str:
    """The certificate for a person to read: one page of HTML that loads nothing, in French and in English."""
    removed = "".join("<tr>" + "".join(f"<td>{escape(r[word])}</td>" for word in ("zone", "dataset", "action")) + f"<td>{r['rows']:,}</td></tr>"
                      for r in told["removed"])
    kept = "".join(f"<li>{_still(k)}</li>" for k in told["kept"])
    recipients = "".join(f"<li>{escape(r['recipient'])} ({r['disclosures']})</li>" for r in told["recipients"])
    public = ", ".join(f"{p['dataset']} ({p['records']:,})" for p in told.get("public", []))
    residue = told["residue"]
    state = (_two("Effacement complet.", "The erasure is complete.") if told["complete"] else
             _two(f"Effacé des fichiers actifs ; la dernière sauvegarde disparaît le {told['last_backup_ends']}.",
                  f"Erased from all live files; the last backup ends on {told['last_backup_ends']}.") if told["last_backup_ends"] else
             _two("Effacé ; une vérification est encore en attente.", "Erased; a check is still pending."))
    return f"""<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(told['request'])} – certificat d’effacement / certificate of erasure</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}}
table{{border-collapse:collapse;width:100%}}th,td{{border-bottom:1px solid #bbb;padding:.3rem;text-align:left}}
code{{word-break:break-all}}</style></head>
<body><main><h1>Certificat d’effacement / Certificate of erasure</h1>
<p><strong>{state}</strong></p>
<p>{_two('Demande', 'Request')}: <code>{escape(told['request'])}</code>, {escape(told['as_of'])} ·
{_two('Politique', 'Policy')} {escape(told['policy_version'])} · {escape(told['software'])}</p>
<h2>Ce qui a été effacé / What was removed</h2>
<table><thead><tr><th>zone</th><th>{_two('données', 'dataset')}</th><th>action</th><th>{_two('lignes', 'rows')}</th></tr></thead>
<tbody>{removed}</tbody></table>
<h2>Ce qui est conservé / What is kept</h2>{f'<ul>{kept}</ul>' if kept else f"<p>{_two('Rien.', 'Nothing.')}</p>"}
<p>{_two(f"Pour que rien ne revienne d’un ancien fichier, des empreintes chiffrées sont gardées jusqu’au {told['tombstones_until']}.",
         f"So that nothing comes back from an old file, keyed hashes are kept until {told['tombstones_until']}.")}</p>
<h2>À qui ces données avaient été données / To whom they had been given</h2>
{f'<ul>{recipients}</ul>' if recipients else f"<p>{_two('Personne.', 'Nobody.')}</p>"}
<h2>Ce qui était public / What was public</h2>
<p>{escape(public) or _two('Rien.', 'Nothing.')} {_two('Les moteurs de recherche gardent leurs propres copies : nous leur signalons ces pages.',
                                                     'Search engines keep copies of their own: we tell them of these pages.') if public else ''}</p>
<h2>Vérification / Proof</h2>
<p>{_two(f"{residue['files']} fichiers, {residue['bytes']:,} octets lus et décodés ; {len(residue['found'])} trace(s).",
         f"{residue['files']} files, {residue['bytes']:,} bytes read and decoded; {len(residue['found'])} trace(s) found.")}</p>
<p>{_two(f"Le nom, dans les textes qui restent : {residue['names']['as_words']} fois comme mot courant ou comme nom d’autrui.",
         f"The name in texts that stay: {residue['names']['as_words']} times as an ordinary word or somebody else’s.")}</p>
{_shorter(residue)}<p lang="en">{escape(told['cannot_know'])}</p>
<p>Plan: <code>{escape(told['plan'])}</code><br>SHA-256: <code>{digest(told)}</code></p>
</main></body></html>
"""


def _still(kept: dict[str, Any]) -> str:
    """One thing that is kept, why and until when: by a hold, or by a law that the controller's counsel has it keep (C-10.8)."""
    if "law" in kept:
        many, until = f"{kept['records']:,}", escape(kept["until"])
        return (f"{escape(kept['dataset'])}: {many} {_two('enregistrement(s)', 'record(s)')} – {escape(kept['law'])} (C-10.8); " + _two(
            f"conservés à part, pour cette seule obligation légale, jusqu’au {until} au plus tard",
            f"kept apart, for that legal obligation alone, until {until} at the latest"))
    return f"{escape(kept['dataset'])}: {escape(kept['reason'])} – {GROUND}; {_two('réexaminé le', 'reviewed on')} {escape(kept['review_on'])}"


def _shorter(residue: dict[str, Any]) -> str:
    """What was not looked for in the bytes of files, and how else."""
    short, hashed = residue["too_short"], residue["hashed"]
    told = [_two(f"{short} identifiants trop courts pour être distingués du hasard ont été comptés dans leurs colonnes seulement.",
                 f"{short} identifiers that are too short to be told from chance were counted in their columns alone.")] if short else []
    if hashed:
        told.append(_two(f"{hashed:,} valeurs ont été comparées par leurs empreintes chiffrées.",
                         f"{hashed:,} values were compared by their keyed hashes."))
    return "".join(f"<p>{one}</p>" for one in told)


def _two(french: str, english: str) -> str:
    return f"{french} / <span lang=\"en\">{english}</span>"
