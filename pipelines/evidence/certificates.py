"""Certificates of retention runs, beside the ledger: what went by which rule, what is left, how it was proved, as JSON and as a page (C-10.0,
C-10.4).

They hold counts and names of datasets, rules and files, nothing of anybody's; the ledger names the SHA-256 of each.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from html import escape
from pathlib import Path
from typing import Any

from pipelines.foundation.files import write_atomically
from pipelines.foundation.home import Home


def write(home: Home, told: dict[str, Any]) -> tuple[Path, str]:
    """Keep a certificate of the run of plan `told["plan"]`; its file and its SHA-256."""
    content = json.dumps(told, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    path = home.evidence / "certificates" / f"{told['as_of'][:10]}-{told['plan'][:16]}.json"
    path.parent.mkdir(mode=0o700, exist_ok=True)
    digest = hashlib.sha256(content.encode()).hexdigest()
    write_atomically(path.with_suffix(".html"), _page(told, digest))
    write_atomically(path, content)
    return path, digest


def changed(home: Home, known: dict[str, str], begun: Collection[str]) -> list[str]:
    """Of `known` (file name → SHA-256, as the ledger has them) the names of those that are not there as they were written, the page with them; and
    of those that are there, which tell of a plan that is not among the `begun` ones."""
    folder = home.evidence / "certificates"
    return sorted({name for name, digest in known.items() if not _as_written(folder / name, digest)}
                  | {path.name for path in folder.glob("*.json") if path.name not in known and _plan(path) not in begun})


def _as_written(path: Path, digest: str) -> bool:
    try:
        content = path.read_bytes()
        return hashlib.sha256(content).hexdigest() == digest and path.with_suffix(".html").read_text() == _page(json.loads(content), digest)
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _plan(path: Path) -> str | None:
    try:
        return str(json.loads(path.read_bytes())["plan"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _page(told: dict[str, Any], digest: str) -> str:
    rows = "".join("<tr>" + "".join(f"<td>{escape(str(entry[word]))}</td>" for word in ("zone", "dataset", "rule", "action"))
                   + f"<td>{entry['due']:,}</td><td>{entry['held']:,}</td><td>{escape(entry.get('why', ''))}</td></tr>" for entry in told["removed"])
    archived = "".join(f"<li>{entry['due']:,} of {escape(entry['dataset'])} into {escape(entry['zone'])} ({escape(entry['rule'])})</li>"
                       for entry in told.get("archived", ()))
    proof = "".join(f"<li>{'yes' if ok else 'NO'}: {escape(name)} – {escape(detail)}</li>" for name, ok, detail in told["proof"])
    ends = told["last_backup_ends"]
    state = "Complete." if told["complete"] else f"Gone from all live files; the last backup ends on {ends}." if ends else "A check is pending."
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Retention as of {escape(told['as_of'][:10])}</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}}table{{border-collapse:collapse;width:100%}}
th,td{{border-bottom:1px solid #bbb;padding:.3rem;text-align:left}}code{{word-break:break-all}}</style></head>
<body><main><h1>Retention as of {escape(told['as_of'][:10])}</h1>
<p>{escape(state)}
{told['left']} rows are still due. Policy {escape(told['policy_version'])}, {escape(told['software'])}.</p>
<table><thead><tr><th>zone</th><th>dataset</th><th>rule</th><th>action</th><th>rows</th><th>held</th><th>why</th></tr></thead><tbody>{rows}</tbody></table>
{f'<h2>Copied for a law before it went</h2><ul>{archived}</ul>' if archived else ''}<h2>Proof</h2><ul>{proof}</ul><p>{escape(told['cannot_know'])}</p>
<p>Plan <code>{escape(told['plan'])}</code><br>SHA-256 <code>{digest}</code></p></main></body></html>
"""
