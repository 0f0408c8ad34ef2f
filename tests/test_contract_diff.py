"""`contracts diff`: each change of a rule is found, and said whom it concerns: producers, consumers, members (C-9), or nobody."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import house
import pytest

from pipelines.foundation.dates import Period, compare_periods
from pipelines.policy.diff import REVEALS, compare_rules
from pipelines.policy.rulebook import load_rulebook
from pipelines.policy.vocabulary import TRANSFORMS

MEMBERS, TRANSACTIONS, EVENTS, POSTS, LOGS = (f"{n}.odcs.yaml" for n in ("members", "transactions", "usage_events", "forum_posts", "access_logs"))
POLICY = "policy.yaml"
PRODUCERS, CONSUMERS, TOLD = "producers", "consumers", "members"
REMOVED = """      - name: card_last4
        description: Last four digits of the card, where one was used.
        logicalType: string
        physicalType: VARCHAR
        logicalTypeOptions: {pattern: "^[0-9]{4}$"}
        customProperties:
          - {property: category, value: card_digits}
          - {property: identifiability, value: quasi}
          - {property: visibility, value: nobody}
          - {property: transforms, value: {security: {use: keyed_hash, as: card_key}}}
          - {property: export, value: {access_only: "received from the payment institution, not provided by the member"}}
          - {property: erasure, value: keep}
"""
ADDED = """      - name: shipped_on
        description: Day of shipping.
        logicalType: date
        physicalType: DATE
        customProperties:
          - {property: category, value: transactions}
          - {property: identifiability, value: none}
          - {property: visibility, value: counterpart}
          - {property: export, value: portability}
          - {property: erasure, value: keep}
"""
FORUM = "      forum:        {basis: legitimate_interest}\n"
CASES = [  # file, what stands there, what is written instead, where, what, for whom
    # columns
    (TRANSACTIONS, REMOVED, "", "transactions.card_last4", "column removed", {PRODUCERS, CONSUMERS}),
    (TRANSACTIONS, REMOVED, REMOVED + ADDED, "transactions.shipped_on", "column added", set()),
    (TRANSACTIONS, REMOVED, REMOVED + ADDED.replace("physicalType: DATE\n", "physicalType: DATE\n        required: true\n"),
     "transactions.shipped_on", "required column added", {PRODUCERS}),
    (TRANSACTIONS, REMOVED, REMOVED + ADDED.replace("value: transactions", "value: address"), "transactions.shipped_on", "column added", {TOLD}),
    (TRANSACTIONS, "physicalType: DECIMAL(12,2)", "physicalType: BIGINT", "transactions.price_eur", "type changed", {PRODUCERS, CONSUMERS}),
    (POSTS, "physicalType: TIMESTAMPTZ", "physicalType: DATE", "forum_posts.posted_at", "type changed", {PRODUCERS, CONSUMERS}),
    # requirements
    (MEMBERS, "format: email, ", "", "members.email", "format: looser", set()),
    (MEMBERS, "{format: iban, pattern", "{pattern", "members.iban", "format: looser", set()),
    (MEMBERS, "maxLength: 320, pattern", "maxLength: 100, pattern", "members.email", "maxLength: stricter", {PRODUCERS}),
    (MEMBERS, "maxLength: 320, pattern", "maxLength: 400, pattern", "members.email", "maxLength: looser", set()),
    (MEMBERS, "maxLength: 320, pattern", "minLength: 6, maxLength: 320, pattern", "members.email", "minLength: stricter", {PRODUCERS}),
    (MEMBERS, 'maxLength: 320, pattern: "^[^@', 'maxLength: 320, pattern: "^[^ @', "members.email", "pattern: stricter", {PRODUCERS}),
    (TRANSACTIONS, "maximum: 1000000", "maximum: 900", "transactions.price_eur", "at most: stricter", {PRODUCERS}),
    (MEMBERS, "validValues: [direct, google, facebook]", "validValues: [direct, google]", "members.registration_channel", "values: stricter",
     {PRODUCERS}),
    (MEMBERS, "validValues: [direct, google, facebook]", "validValues: [direct, google, facebook, apple]", "members.registration_channel",
     "values: looser", {CONSUMERS}),
    (MEMBERS, "validValues: [direct, google, facebook]", "validValues: [direct, apple]", "members.registration_channel", "values: stricter",
     {PRODUCERS, CONSUMERS}),
    (TRANSACTIONS, "is null or buyer_id <> seller_id", "is not null or buyer_id <> seller_id", "transactions: rowRules.two_parties", "stricter",
     {PRODUCERS}),
    (EVENTS, "badRows, value: {percent: 5", "badRows, value: {percent: 1", "usage_events: badRows", "stricter", {PRODUCERS}),
    (EVENTS, "badRows, value: {percent: 5", "badRows, value: {percent: 9", "usage_events: badRows", "looser", set()),
    # retention
    (POLICY, "periods: [P30D]", "periods: [P31D]", "policy: retention.C-10.1", "retention longer", {TOLD}),
    (POLICY, "periods: [P30D]", "periods: [P4W]", "policy: retention.C-10.1", "retention shorter", {CONSUMERS}),
    (POLICY, "after_last_activity: [P5Y, P3M]", "after_last_activity: [P6Y]", "policy: retention.C-10.3", "retention longer", {TOLD}),
    (POLICY, "quarantine: {clause: C-10.4, period: P30D}", "quarantine: {clause: C-10.4, period: P60D}", "policy: quarantine", "longer", {TOLD}),
    (EVENTS, "  - {property: retention, value: C-10.9, element: usage_events.occurred_at, driver: regulatory}\n", "", "usage_events",
     "retention longer", {TOLD}),
    (TRANSACTIONS, "value: C-10.2, element", "value: C-10.1, element", "transactions", "retention shorter", {CONSUMERS}),
    (TRANSACTIONS, "value: C-10.2, element", "value: C-10.3, element", "transactions", "retention longer", {TOLD}),  # another clock
    (LOGS, "value: C-10.1, element", "value: C-3.5, element", "access_logs", "retention shorter", {CONSUMERS}),
    (EVENTS, "          - {property: retention, value: C-10.1}\n", "", "usage_events.occurred_at", "retention longer", {TOLD}),
    ("consents.odcs.yaml", "      - {property: visitorsOnly, value: [C-10.9]}\n", "", "consents", "retention shorter", {CONSUMERS}),
    # transforms
    (EVENTS, "transforms, value: {analytics: {use: route,", "transforms, value: {advertising: presence, analytics: {use: route,",
     "usage_events.page → advertising", "flows in", {TOLD}),
    (MEMBERS, "transforms, value: {analytics: keep, advertising: keep, security: keep}", "transforms, value: {analytics: keep, security: keep}",
     "members.registration_channel → advertising", "flows in no longer", {CONSUMERS}),
    (MEMBERS, "analytics: {use: age_band, as: age_band}", "analytics: {use: age_band, as: age}", "members.birthday → analytics", "transform changed",
     {CONSUMERS}),
    (MEMBERS, "analytics: {use: age_band, as: age_band}", "analytics: {use: keep, as: age_band}", "members.birthday → analytics", "transform changed",
     {CONSUMERS, TOLD}),
    (LOGS, "favoris, categorie, aide]", "favoris, categorie, aide, mur]", "access_logs.path → analytics", "transform changed", {CONSUMERS, TOLD}),
    # what a member has of it
    (MEMBERS, "export, value: portability", 'export, value: {none: "because"}', "members.member_id", "export changed", {TOLD}),
    (TRANSACTIONS, '{access_only: "received from the payment institution, not provided by the member"}', "portability", "transactions.card_last4",
     "export changed", set()),
    (POSTS, "property: erasure, value: redact", "property: erasure, value: keep", "forum_posts.body", "erasure changed", {TOLD}),
    (TRANSACTIONS, "property: erasure, value: keep", "property: erasure, value: empty", "transactions.transaction_id", "erasure changed", set()),
    (MEMBERS, "visibility, value: nobody", "visibility, value: members", "members.member_id", "visibility changed", {TOLD}),
    (MEMBERS, "visibility, value: public", "visibility, value: members", "members.member_name", "visibility changed", set()),
    (TRANSACTIONS, "holding, value: {basis: contract", "holding, value: {basis: legitimate_interest", "transactions: holding.basis",
     "held for another reason", {TOLD}),
    ("locations.odcs.yaml", "door, value: {round: 2}", "door, value: {round: 4}", "locations.latitude", "more is kept at the door", {TOLD}),
    # inputs
    (LOGS, "{property: format, value: access_log}", "{property: format, value: access_log}\n      - {property: encoding, value: latin-1}",
     "access_logs", "source changed", {PRODUCERS}),
    # purposes
    (POLICY, FORUM, FORUM + FORUM.replace("forum:       ", "transactions:"), "policy: purposes.analytics.sources.transactions", "source added",
     {TOLD}),
    (POLICY, "      usage:        {basis: contract, rows: {cookie_category: [necessary]}}\n", "", "policy: purposes.service.sources.usage",
     "source removed", {CONSUMERS}),
    (POLICY, "log_files:    {basis: consent, kind: log_profiling}", "log_files:    {basis: legitimate_interest}",
     "policy: purposes.analytics.sources.log_files", "basis changed", {CONSUMERS, TOLD}),
    (POLICY, "forum:        {basis: legitimate_interest}", "forum:        {basis: consent, kind: log_profiling}",
     "policy: purposes.analytics.sources.forum", "basis changed", {CONSUMERS}),
    (POLICY, "rows: {cookie_category: [analytics]}", "rows: {cookie_category: [analytics, functional]}", "policy: purposes.analytics.sources.usage",
     "wider", {CONSUMERS, TOLD}),
    (POLICY, "marts: [offer_matching]", "marts: [offer_matching, offer_alerts]", "policy: purposes.service.marts", "added", set()),
    (POLICY, "marts: [ad_profiles, ad_segments, email_audience]", "marts: [ad_segments, email_audience]", "policy: purposes.advertising.marts",
     "removed", {CONSUMERS}),
    (POLICY, "audience: marketing", "audience: analyst", "policy: purposes.advertising.audience", "read by another role", {CONSUMERS}),
    # recipients and consents
    (POLICY, "receives: [usage]}", "receives: [usage, log_files]}", "policy: recipients.usage_analysis.receives", "added", {TOLD}),
    (POLICY, "receives: [registration, transactions]}", "receives: [registration]}", "policy: recipients.group.receives", "removed", set()),
    (POLICY, "country: IE", "country: FR", "policy: recipients.usage_analysis.country", "changed", {TOLD}),
    (POLICY, "address: email, recipient: mailing", "address: email, recipient: hosting", "policy: resolving.advertising.channels.email.recipient",
     "changed", {TOLD}),
    (POLICY, "      mailbox:      {clause: C-3.3c, kind: mailbox_marketing, address: member_id, recipient: mailing}\n", "",
     "policy: resolving.advertising.channels", "removed", {CONSUMERS}),
    (POLICY, "  security: {clause: C-3.5} ", "  service: {clause: C-3.1}\n  security: {clause: C-3.5} ", "policy: resolving.service",
     "pseudonyms are resolved", {TOLD}),
    (POLICY, "until: 2029-03-31", "until: 2031-03-31", "policy: recipients.sms_verification.until", "changed", set()),
    (POLICY, "analytics_cookies:  {clause: C-8, scope: device, expires: P13M}", "analytics_cookies:  {clause: C-8, scope: device}",
     "policy: consent_kinds.analytics_cookies", "lasts longer", {TOLD}),
    (POLICY, "analytics_cookies:  {clause: C-8, scope: device, expires: P13M}", "analytics_cookies:  {clause: C-8, scope: device, expires: P6M}",
     "policy: consent_kinds.analytics_cookies", "lasts shorter", {CONSUMERS}),
    (POLICY, "analytics_cookies:  {clause: C-8, scope: device", "analytics_cookies:  {clause: C-8, scope: member",
     "policy: consent_kinds.analytics_cookies", "given by another", {CONSUMERS, TOLD}),
    (POLICY, "unsubscribe_link]", "unsubscribe_link, phone_call]", "policy: consent_methods.express", "added", {TOLD}),
    (POLICY, "objection:   {clause: C-11.7, deadline: P1M", "objection:   {clause: C-11.7, deadline: P3M", "policy: rights.objection", "longer",
     {TOLD}),
]


@pytest.mark.parametrize(("file", "old", "new", "where", "what", "concerns"), CASES, ids=[f"{case[3]} {case[4]}" for case in CASES])
def test_a_change_is_found_and_said_whom_it_concerns_and_nothing_else_is(tmp_path, file, old, new, where, what, concerns):
    found = compare_rules(house.rulebook(), load_rulebook(house.rules_with(tmp_path, file, old, new), draft=True))
    assert [(c.where, c.change, set(c.concerns)) for c in found] == [(where, what, concerns)]


def test_a_dataset_or_a_recipient_that_comes_is_told_and_one_that_goes_breaks_who_had_it(tmp_path):
    less = Path(shutil.copytree(house.RULES, tmp_path / "less"))
    (less / "forum_posts.odcs.yaml").unlink()
    (less / "verifications.odcs.yaml").unlink()
    (less / "disclosures.odcs.yaml").unlink()  # its values are the register's
    policy = (less / POLICY).read_text()
    line = next(line for line in policy.splitlines(keepends=True) if line.startswith("  mangopay:"))
    (less / POLICY).write_text(policy.replace(line, ""))
    gone = {c.where: (c.change, set(c.concerns)) for c in compare_rules(house.rulebook(), load_rulebook(less))}
    assert gone == {"policy: recipients.mangopay": ("recipient removed", set()), "forum_posts": ("dataset removed", {PRODUCERS, CONSUMERS}),
                    "verifications": ("dataset removed", {PRODUCERS}), "disclosures": ("dataset removed", {PRODUCERS})}
    come = {c.where: (c.change, set(c.concerns)) for c in compare_rules(load_rulebook(less), house.rulebook())}
    assert come == {"policy: recipients.mangopay": ("recipient added", {TOLD}), "forum_posts": ("dataset added", {TOLD}),
                    "verifications": ("dataset added", {TOLD}), "disclosures": ("dataset added", {TOLD})}


def test_wording_comments_and_order_are_no_change(tmp_path):
    rules = house.rules_with(tmp_path, MEMBERS, "E-mail address of the account.", "Where mail goes.")
    policy = (rules / POLICY).read_text()
    (rules / POLICY).write_text("# a note\n" + policy.replace("Signs of attacks, unauthorised", "Signs of unauthorised"))
    text = (rules / EVENTS).read_text()
    first, second = "  - {property: retention, value: C-10.3", "  - {property: retention, value: C-10.9"
    lines = [line for line in text.splitlines() if line.startswith((first, second))]
    (rules / EVENTS).write_text(text.replace("\n".join(lines), "\n".join(reversed(lines))))
    answer = house.kampeky("contracts", "diff", house.RULES, rules, "--json", "--fail-on", "breaking")
    assert (answer.code, answer.json) == (0, {"changes": [], "breaking": 0, "members_to_be_told": 0, "refused": False})
    assert house.kampeky("contracts", "diff", house.RULES, house.RULES).err == "No rule changes.\n"


def test_every_transform_has_a_place_in_how_much_it_reveals():
    assert REVEALS.keys() == TRANSFORMS.keys()


@pytest.mark.parametrize(
    ("old", "new", "verdict"),
    [("P30D", "P30D", "same"), ("P4W", "P28D", "same"), ("P1Y", "P12M", "same"), ("P30D", "P31D", "longer"), ("P13M", "P12M", "shorter"),
     ("P1M", "P30D", "longer"), ("P30D", "P1M", "longer")],  # after some day each of the two ends later
)
def test_a_period_is_longer_if_it_ends_later_after_any_day(old, new, verdict):
    assert compare_periods([Period.parse(old)], [Period.parse(new)]) == verdict


# --- the command ---


def test_the_command_ends_with_0_whatever_changes_and_with_3_on_what_it_was_asked_to_fail_on(tmp_path):
    rules = house.rules_with(tmp_path, TRANSACTIONS, REMOVED, "")
    shown = house.kampeky("contracts", "diff", house.RULES, rules)
    assert shown.code == 0
    assert "transactions.card_last4" in shown.out and "producers" in shown.out and "1 break producers or consumers" in shown.err
    assert house.kampeky("contracts", "diff", house.RULES, rules, "--fail-on", "members").code == 0
    refused = house.kampeky("contracts", "diff", house.RULES, rules, "--fail-on", "breaking", "--json")
    assert (refused.code, refused.json["breaking"], refused.json["changes"][0]["for"]) == (3, 1, [PRODUCERS, CONSUMERS])
    longer = house.rules_with(tmp_path / "longer", POLICY, "periods: [P30D]", "periods: [P31D]")
    assert house.kampeky("contracts", "diff", house.RULES, longer, "--fail-on", "breaking").code == 0
    assert house.kampeky("contracts", "diff", house.RULES, longer, "--fail-on", "members").code == 3


def test_what_cannot_be_compared_is_one_sentence(tmp_path):
    assert "there is no such folder of rules" in house.kampeky("contracts", "diff", tmp_path / "none", house.RULES).sentence
    broken = house.rules_with(tmp_path, POLICY, "scope: device", "scope: browser")
    refused = house.kampeky("contracts", "diff", broken, house.RULES)
    assert refused.code == 3 and str(broken) in refused.sentence and "'browser' is unknown" in refused.sentence
    misused = house.kampeky("contracts", "diff", house.RULES, house.RULES, "--fail-on", "all")
    assert misused.code == 2 and "--fail-on 'all' is unknown. Known: breaking, members" in misused.sentence


def test_a_new_dataset_that_tells_of_persons_is_for_members_and_one_that_does_not_is_nobodys():
    """C-9: also where its categories are known already and it enters no purpose."""
    book = house.rulebook()
    wallets = book.contract("wallets")
    columns = tuple(replace(c, identifiability="none") for c in wallets.columns)

    def told(columns):
        coupons = replace(wallets, name="coupons", columns=columns)
        changes = compare_rules(book, replace(book, contracts={**book.contracts, "coupons": coupons}))
        return [(c.where, c.change, c.concerns) for c in changes]

    assert told(wallets.columns) == [("coupons", "dataset added", ("members",))]
    assert told(columns) == [("coupons", "dataset added", ())]
