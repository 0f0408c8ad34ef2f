"""A project with a few small models, beside the real contracts: what publication owes to members is tried on these, whatever the real marts are."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from pipelines.foundation.home import PROJECT
from pipelines.policy.rulebook import load_rulebook
from pipelines.transformation.dbt_schema import dbt_files

PROFILES = """select m.pseudonym, coalesce(m.gender, 'unknown') as gender, coalesce(m.age_band, 'unknown') as age_band, count(e.pseudonym) as events
from {{ source('analytics', 'members') }} as m
left join {{ source('analytics', 'usage_events') }} as e on e.pseudonym = m.pseudonym
group by m.pseudonym, m.gender, m.age_band
"""
VISITS = """select pseudonym, count(*) as requests, min(ends_on) as ends_on
from {{ source('analytics', 'access_logs') }}
where pseudonym is not null
group by pseudonym
"""
SALES = """select paris_day as sold_on, count(*) as sale_count, count(distinct seller) as member_count
from {{ source('improvement', 'transactions') }}
group by paris_day
having count(distinct seller) >= 10
"""
MARTS = {
    ("analytics", "profiles"): (PROFILES, {"pseudonym": "uuid", "gender": "varchar", "age_band": "varchar", "events": "bigint"}, None),
    ("analytics", "visits"): (VISITS, {"pseudonym": "uuid", "requests": "bigint", "ends_on": "date"}, None),
    ("improvement", "sales_daily"): (SALES, {"sold_on": "date", "sale_count": "bigint", "member_count": "bigint"}, "sold_on"),
}


def small_project(folder: Path) -> Path:
    """A checkout of its own: contracts as they are, but for the marts that the policy lists, and the models above."""
    shutil.copytree(PROJECT / "data_contracts", folder / "data_contracts")
    policy = yaml.safe_load((folder / "data_contracts" / "policy.yaml").read_text())
    for name, purpose in policy["purposes"].items():
        purpose["marts"] = [mart for of, mart in MARTS if of == name]
    (folder / "data_contracts" / "policy.yaml").write_text(yaml.safe_dump(policy, sort_keys=False))
    dbt = folder / "dbt_project"
    dbt.mkdir()
    shutil.copytree(PROJECT / "dbt_project" / "macros", dbt / "macros")
    shutil.copytree(PROJECT / "dbt_project" / "tests", dbt / "tests")
    project = yaml.safe_load((PROJECT / "dbt_project" / "dbt_project.yml").read_text())
    marts = {"+materialized": "table", "+contract": {"enforced": True}, "+persist_docs": {"relation": True, "columns": True}}
    project["models"] = {"kampeky": {"+database": "mart", "+materialized": "view", **{of: {"marts": marts} for of, _ in MARTS}}}
    project.pop("seeds", None)
    (dbt / "dbt_project.yml").write_text(yaml.safe_dump(project))
    for (purpose, mart), (sql, columns, frozen) in MARTS.items():
        place = dbt / "models" / purpose / "marts"
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{mart}.sql").write_text(sql)
        described = {"name": mart, "description": "One row per what it counts.", **({"config": {"meta": {"frozen": frozen}}} if frozen else {}),
                     "columns": [{"name": name, "data_type": kind, "description": f"The {name}."} for name, kind in columns.items()]}
        (place / f"_{mart}.yml").write_text(yaml.safe_dump({"models": [described]}))
    for path, text in dbt_files(load_rulebook(folder / "data_contracts")).items():
        if path.endswith("_sources.yml"):
            (folder / path).parent.mkdir()
            (folder / path).write_text(text)
    return folder
