"""What is sent to hawkBit's management API, and how what it stored compares: bodies in, words out, no requests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sim.engines.live.ddi.publication import Publication, Release

Document = dict[str, Any]
MAX_VERSION_CHARS = 64
_CONDITIONS = ("successCondition", "successAction", "errorCondition", "errorAction")


def target(publication: Publication, controller: str, token: str) -> Document:
    """A target; `token` is its security token, {id} in it its name."""
    own = {"securityToken": token.replace("{id}", controller)} if token else {}
    return {"controllerId": controller, "name": publication.target_name(controller), **own}


def software_module(publication: Publication, release: Release) -> Document:
    """A component: the first firmware is the `os` of the distribution set, of which there can be one."""
    return {
        "name": release.component,
        "version": release.version,
        "type": "os" if release is _os(publication) else "application",
    }


def artifact_name(release: Release) -> str:
    """File name of a package."""
    return f"{release.component}-{release.version}.bin"


def distribution_set(publication: Publication, modules: Sequence[Any]) -> Document:
    """All components together, named by the one there is or by the plan."""
    releases = publication.releases
    kind = ("os" if len(releases) == 1 else "os_app") if _os(publication) is not None else "app"
    name = releases[0].component if len(releases) == 1 else publication.name
    version = "+".join(release.version for release in releases)[:MAX_VERSION_CHARS]
    return {"name": name, "version": version, "type": kind, "modules": [{"id": number} for number in modules]}


def rollout(publication: Publication, package: Any, now_ms: int) -> Document:
    """The rollout of a distribution set to exactly these targets."""
    found = {
        **publication.rollout, "distributionSetId": package, "targetFilterQuery": f"name=='{publication.prefix}*'",
    }  # fmt: skip
    if publication.force_after_s is not None:
        found["forcetime"] = now_ms + int(1000.0 * publication.force_after_s)
    return found


def _os(publication: Publication) -> Release | None:
    return next((release for release in publication.releases if release.is_firmware), None)


def differences(
    publication: Publication, sent: Mapping[str, Any], whole: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Where the stored rollout (`whole`, its `groups`) is not the one that was sent, or has not these targets."""
    found = _unequal("the rollout's", sent, whole, ("type", "distributionSetId", "targetFilterQuery"))
    found += _unequal("the rollout's", {"totalTargets": len(publication.targets)}, whole, ("totalTargets",))
    if "forcetime" in sent:
        found += _unequal("the rollout's", sent, whole, ("forcetime",))
    if len(groups) != len(publication.groups):
        return [*found, f"{len(groups)} groups are stored, {len(publication.groups)} were sent"]
    wanted = sent.get("groups") or [sent]
    for size, group, stored in zip(publication.groups, wanted, groups, strict=True):
        named = f"group {size.name}:"
        found += _unequal(named, {"totalTargets": size.targets}, stored, ("totalTargets",))
        if "groups" in sent:
            found += _unequal(named, {"name": size.name}, stored, ("name",))
        if "confirmationRequired" in stored:
            found += _unequal(named, group, stored, ("confirmationRequired",))
        for part in _CONDITIONS:
            keys = ("condition", "expression") if part.endswith("Condition") else ("action",)
            found += _unequal(f"{named} {part}", group[part], stored.get(part) or {}, keys)
    return found


def _unequal(where: str, sent: Mapping[str, Any], stored: Mapping[str, Any], keys: Sequence[str]) -> list[str]:
    return [
        f"{where} {key} is {_shown(stored.get(key))}, {_shown(sent[key])} was sent"
        for key in keys
        if str(stored.get(key)).lower() != str(sent[key]).lower()
    ]


def _shown(value: Any) -> str:
    return "not there" if value is None else repr(value)[:120]
