"""What the published policy says plainly no file of rules may loosen: a looser word is refused with its clause, a tighter one is taken."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import house
import pytest

from pipelines.foundation.dates import Period
from pipelines.foundation.errors import Refused
from pipelines.policy.floors import refuse_looser
from pipelines.policy.pages.floors import sentences
from pipelines.policy.rulebook import load_rulebook

ANALYTICS = "      region:       {basis: legitimate_interest}\n"
LOOSER = [  # clause, what policy.yaml says, what is written instead, what the sentence names
    ("C-8", "continued_browsing, ", "", "continued_browsing is never consent"),
    ("C-8", "pre_ticked_box, ", "", "pre_ticked_box is never consent"),
    ("C-8", "express: [banner_button, settings_page, registration_checkbox, unsubscribe_link]\n  never_consent: [continued_browsing, ",
     "express: [banner_button, continued_browsing]\n  never_consent: [", "continued_browsing is never consent"),
    ("C-8", "{basis: consent, kind: targeting_cookies, rows: {cookie_category: [targeting]}}",
     "{basis: legitimate_interest, rows: {cookie_category: [targeting]}}", "without consent usage must not flow in"),
    ("C-2.1", "log_files:    {basis: consent, kind: log_profiling}", "log_files:    {basis: legitimate_interest}", "without consent log_files"),
    ("C-2.1", "log_files:    {basis: consent, kind: log_profiling}", "log_files:    {basis: consent, kind: analytics_cookies}", "kind of their own"),
    ("C-2.1", "log_files:    {basis: consent, kind: log_profiling}", "log_files:    {basis: consent, kind: log_profiling, visitors: true}",
     "without a member are never profiled"),
    ("C-2.7", "location:     {basis: consent, kind: location}", "location:     {basis: contract}", "without consent location"),
    ("C-8", "kind: analytics_cookies, rows: {cookie_category: [analytics]}, visitors: true", "kind: analytics_cookies",
     "name in 'rows' the categories"),
    ("C-8.1", "{cookie_category: [targeting]}}", "{cookie_category: [targeting, necessary]}}", "serve the purpose service alone"),
    *((clause, ANALYTICS, f"{ANALYTICS}      {category}: {{basis: legitimate_interest}}\n", f"{category} must not flow in")
      for category, clause in (("transactions", "C-3.3a"), ("texts", "C-3.3a"), ("card_digits", "C-2.5"), ("wallet", "C-2.5"),
                               ("friends", "C-2.2a"), ("address", "C-2.3b"), ("bank_account", "C-2.3c"), ("telephone", "C-3.5"),
                               ("contact", "C-3.3b"), ("social", "C-2.2a"))),
    ("C-2.7", ANALYTICS, f"{ANALYTICS}      location: {{basis: consent, kind: location}}\n", "location must not flow in"),
    ("C-10.1", "clock: event_day, periods: [P30D]", "clock: event_day, periods: [P13M]", "P30D after their day"),
    ("C-10.1", "clock: event_day, periods: [P30D]", "clock: event_day, periods: [P30D, P1D]", "P30D after their day"),
    ("C-10.1", "clock: event_day, periods: [P30D]", "clock: event_day, periods: [P1M]", "P30D after their day"),
    ("C-10.2", "clock: event_day, periods: [P13M]", "clock: event_day, periods: [P398D]", "P13M after their day"),
    ("C-2.7", "periods: [P1D]", "periods: [P2D]", "P1D after their day"),
    ("C-3.5", "periods: [P7D]", "periods: [P8D]", "P7D after their day"),
    ("C-10.3", "after_deletion: [P3M]", "after_deletion: [P6M]", "'after_deletion' is P3M at most"),
    ("C-10.3", "after_last_activity: [P5Y, P3M]", "after_last_activity: [P6Y]", "'after_last_activity' is P5Y and then P3M at most"),
    ("C-10.9", "analytics_cookies:  {clause: C-8, scope: device, expires: P13M}", "analytics_cookies:  {clause: C-8, scope: device, expires: P5Y}",
     "expires after P13M at the latest"),
    ("C-10.9", "analytics_cookies:  {clause: C-8, scope: device, expires: P13M}", "analytics_cookies:  {clause: C-8, scope: device}",
     "expires after P13M at the latest"),
    ("C-8", "late_consents: {clause: C-8, period: P3D}", "late_consents: {clause: C-8, period: P30D}", "P3D at most"),
    ("C-10.4", "extracts: {clause: C-10.4, period: P7D}", "extracts: {clause: C-10.4, period: P8D}", "P7D at most"),
    ("C-10.4", "tool_logs: {clause: C-10.4, period: P30D}", "tool_logs: {clause: C-10.4, period: P31D}", "P30D at most"),
    ("C-3.4", "hours: 24", "hours: 25", "24 hours at most"),
    ("C-11.9", "portability: {clause: C-11.5, deadline: P1M}", "portability: {clause: C-11.5, deadline: P3M}", "P1M at most"),
    ("C-10.3", "    clause: C-3.1\n", "    clause: C-3.1\n    despite: [account_deleted]\n", "leave every purpose but security"),
    ("C-3.3b", "    clause: C-3.1\n", "    clause: C-3.1\n    identified: true\n", "security alone may name persons"),
    ("C-3.3b", "  security: {clause: C-3.5}         #", "  service: {clause: C-3.5}\n  security: {clause: C-3.5}         #",
     "advertising and security alone"),
]


@pytest.mark.parametrize(("clause", "old", "new", "says"), LOOSER, ids=[f"{case[0]}: {case[3]} ({n})" for n, case in enumerate(LOOSER)])
def test_a_looser_word_than_the_published_policy_is_refused_with_its_clause(tmp_path, clause, old, new, says):
    with pytest.raises(Refused) as refused:
        load_rulebook(house.rules_with(tmp_path, "policy.yaml", old, new))
    assert str(refused.value).startswith("policy.yaml: ")
    assert says in str(refused.value)
    assert f"({clause})" in str(refused.value)
    assert refused.value.exit_code == 3


def test_other_data_end_with_the_account_and_by_no_other_clock():
    policy = house.rulebook().policy
    other = replace(policy.retention["C-10.3"], clock="event_day", periods=(Period.parse("P3M"),))
    with pytest.raises(Refused, match=r"retention\.C-10\.3: its clock is the account's end.*\(C-10\.3\)"):
        refuse_looser(replace(policy, retention={**policy.retention, "C-10.3": other}))


TIGHTER = [
    ("clock: event_day, periods: [P30D]", "clock: event_day, periods: [P4W]"),
    ("clock: event_day, periods: [P30D]", "clock: event_day, periods: [P2W, P2W]"),
    ("clock: event_day, periods: [P13M]", "clock: event_day, periods: [P1Y]"),
    ("      log_files:    {basis: legitimate_interest, visitors: true}", "      log_files:    {basis: consent, kind: log_profiling}"),
    ("never_consent: [", "never_consent: [scrolling, "),
    ("hours: 24", "hours: 12"),
    ("    despite: [account_deleted]", "    # none"),
]


@pytest.mark.parametrize(("old", "new"), TIGHTER, ids=[case[1].strip() for case in TIGHTER])
def test_a_tighter_word_is_taken(tmp_path, old, new):
    assert load_rulebook(house.rules_with(tmp_path, "policy.yaml", old, new)).policy.version == house.rulebook().policy.version


ENDLESS = [  # contract, what it says, what is written instead, the rule that is missed
    ("access_logs.odcs.yaml", "value: C-10.1, element", "value: C-10.2, element", "C-10.1"),
    ("consents.odcs.yaml", "{property: retention, value: C-10.1}", "{property: retention, value: C-10.9}", "C-10.1"),
    ("verifications.odcs.yaml", "{property: retention, value: C-3.5}", "{property: retention, value: C-10.9}", "C-3.5"),
    ("transactions.odcs.yaml", "value: C-10.2, element", "value: C-10.3, element", "C-10.2"),
]


@pytest.mark.parametrize(("file", "old", "new", "rule"), ENDLESS, ids=[case[0] for case in ENDLESS])
def test_a_contract_that_keeps_a_column_longer_than_its_category_is_refused(tmp_path, file, old, new, rule):
    with pytest.raises(Refused, match=f"ends by {rule}"):
        load_rulebook(house.rules_with(tmp_path, file, old, new))


SHOWN = [("members.odcs.yaml", "bank_account", "C-2.3c"), ("wallets.odcs.yaml", "wallet", "C-2.5"),
         ("transactions.odcs.yaml", "card_digits", "C-2.5"),
         ("verifications.odcs.yaml", "telephone", "C-3.5"), ("access_logs.odcs.yaml", "log_files", "C-2.1")]


@pytest.mark.parametrize(("file", "category", "clause"), SHOWN, ids=[case[1] for case in SHOWN])
def test_a_contract_that_shows_somebody_what_nobody_may_see_is_refused(tmp_path, file, category, clause):
    rules = Path(shutil.copytree(house.RULES, tmp_path / "rules"))
    before, word, after = (rules / file).read_text().partition(f"category, value: {category}}}")
    assert word, f"{file} has no column of category {category}"
    (rules / file).write_text(before + word + after.replace("visibility, value: nobody", "visibility, value: members", 1))
    with pytest.raises(Refused, match=f"visible to nobody .{clause}"):
        load_rulebook(rules)


def test_of_an_account_only_what_the_published_policy_names_is_public():
    """C-2.3a: member name, picture, about, registration date, last visit; and of the friends their number (C-2.2a)."""
    accounts = house.rulebook().accounts
    assert {c.name for c in accounts.columns if c.visibility == "public"} == {
        "member_name", "picture_url", "about", "registered_at", "last_active_on", "friends_count"}


def test_the_page_of_purposes_prints_every_floor():
    page = (house.ROOT / "docs" / "purposes.md").read_text()
    assert all(f"- {sentence}" in page for sentence in sentences())
