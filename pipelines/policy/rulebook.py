"""The folder of policy and contracts → Rulebook, refusing what does not fit together (the coverage rule)."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType

from pipelines.foundation.errors import Refused
from pipelines.policy import coverage, documents
from pipelines.policy.contract_file import load_contract
from pipelines.policy.contract_types import Contract
from pipelines.policy.documents import RULE
from pipelines.policy.floors import refuse_looser, refuse_looser_contract
from pipelines.policy.legal_archive import check_archives
from pipelines.policy.policy_file import load_policy
from pipelines.policy.resolving import check_resolving
from pipelines.policy.types import Policy, Rulebook
from pipelines.policy.vocabulary import OF_THE_CLOCK, OWN


def load_rulebook(folder: Path, *, draft: bool = False) -> Rulebook:
    """All rules in `folder`: policy.yaml and every *.odcs.yaml. A `draft` is read to be compared, not to be run: it may loosen what the published
    policy says, which members would be told of first."""
    written = {path: documents.read(path) for path in (folder / "policy.yaml", *sorted(folder.glob("*.odcs.yaml")))}
    coverage.refuse_missing(coverage.missing({path.name: document for path, document in written.items()}))
    policy = load_policy(folder / "policy.yaml", written.pop(folder / "policy.yaml"))
    contracts = {path.name.removesuffix(".odcs.yaml"): load_contract(path, policy, document) for path, document in written.items()}
    stray = [p.name for p in sorted(folder.iterdir()) if p.suffix in (".yaml", ".yml") and p.name != "policy.yaml"
             and not p.name.endswith(".odcs.yaml")]
    if stray:
        raise Refused(f"{folder.name}/ holds {', '.join(stray)}, which no room reads: call a contract <dataset>.odcs.yaml.", RULE)
    for what, found in (("account", [c for c in contracts.values() if c.account]),
                        ("consentRegister", [c for c in contracts.values() if c.consent_register])):
        if len(found) != 1:
            raise Refused(f"{folder.name}/: exactly one contract must say '{what}', found {len(found)}.", RULE)
    if not draft:
        refuse_looser(policy)
    for contract in contracts.values():
        _check(contract, policy)
        if not draft:
            refuse_looser_contract(contract, policy)
    _check_sources(contracts, policy)
    check_resolving(policy.resolving, policy.recipients, next(c for c in contracts.values() if c.account))
    check_archives(policy, contracts)
    return Rulebook(policy, MappingProxyType(contracts))


def _check(contract: Contract, policy: Policy) -> None:
    def refuse(message: str) -> Refused:
        return Refused(f"{contract.path}: {message} Then run: kampeky contracts check", RULE)

    if not contract.subjects:
        raise refuse("names no subject column: whose data is it?")
    if any(c.partitioned and c.name != contract.clock for c in contract.columns):
        raise refuse("only the clock can be partitioned: tables are laid out by the event's Paris day.")
    if contract.latest_by and not contract.key:
        raise refuse("latestBy needs a primary key.")
    for column in contract.columns:
        if column.door.only_while:
            other, values = column.door.only_while
            known = next((c.allowed for c in contract.columns if c.name == other), ())
            if not set(values) <= set(known):
                raise refuse(f"'{column.name}' is kept only while '{other}' is {', '.join(values)}, which is no value that it can have.")
    if contract.recipient and set(contract.column(contract.recipient).allowed) != set(policy.recipients):
        raise refuse("its recipients are not those of the policy's register (C-5).")
    kinds = [policy.consent_kinds[name] for name in contract.holding.consents]
    if kinds and not (contract.clock and contract.column(contract.clock).required and len(contract.subjects) == 1):
        raise refuse("is held by consent, so it names a required 'clock' and one subject: whose consent was there, and when?")
    if contract.device is None and any(kind.scope == "device" for kind in kinds):
        raise refuse("is held by a consent that is given per device, so it names a 'device' column.")
    for purpose in policy.purposes:
        entering = contract.entering(purpose)
        if not entering:
            continue
        outputs = [t.output for _, t in entering]
        if len(set(outputs)) != len(outputs):
            raise refuse(f"two columns enter purpose '{purpose}' under one name.")
        named = contract.named_in(purpose)
        if not named:
            raise refuse(f"at least one column must enter purpose '{purpose}' as its pseudonym.")
        if contract.clock and not any(c.name == contract.clock and t.use in OF_THE_CLOCK for c, t in entering):
            raise refuse(f"the clock must enter purpose '{purpose}' as {' or '.join(OF_THE_CLOCK)}, or its rows could not be expired (C-10.4).")
        key = contract.pseudonymous_key(purpose)
        kind = policy.purposes[purpose].sources[key.category].kind if key else None
        per_device = kind is not None and policy.consent_kinds[kind].scope == "device"
        if per_device and not any(c.name == contract.device and t.use in ("keyed_hash", "device") for c, t in entering):
            raise refuse(f"enters purpose '{purpose}' under {kind}, which is given per device, so its device enters as device or keyed_hash: a "
                         "withdrawal on the device could not be found otherwise (C-11.8).")
        for column, _ in named:
            if column.name not in [s.column for s in contract.subjects]:
                raise refuse(f"'{column.name}' enters as a pseudonym but is no subject column.")


def _check_sources(contracts: dict[str, Contract], policy: Policy) -> None:
    """A source limited to rows names a column, and values that it may have, of each dataset that enters by it."""
    for purpose in policy.purposes.values():
        for category, source in purpose.sources.items():
            for contract in contracts.values():
                if not any(t.category == category for _, t in contract.entering(purpose.name)):
                    continue
                if source.own:
                    kind = source.rows[0][0]
                    register = contract.consent_register
                    if not register or register.kind != kind or purpose.name not in contract.column(kind).transforms:
                        raise Refused(f"policy.yaml: purposes.{purpose.name}.sources.{category}: kind '{OWN}' is for the consent register, "
                                      f"whose kind enters by it; {contract.path} is none, or its kind does not enter.", RULE)
                elif source.rows:
                    for name, values in source.rows:
                        unknown = set(values) - set(contract.column(name).allowed) if name in [c.name for c in contract.columns] else {name}
                        if unknown:
                            raise Refused(f"policy.yaml: purposes.{purpose.name}.sources.{category}.rows: {', '.join(sorted(unknown))} is unknown "
                                          f"to {contract.path}.", RULE)
                        held = {contract.holding.kinds[value] for value in values} if name == contract.holding.by else set()
                        if held and source.kind not in held:
                            raise Refused(f"policy.yaml: purposes.{purpose.name}.sources.{category} asks for {source.kind or 'no consent'} where "
                                          f"{contract.path} holds those rows by {', '.join(sorted(filter(None, held))) or 'none'}.", RULE)
