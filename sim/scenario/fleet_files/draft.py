"""A first mapping of a fleet file: columns and units guessed by names and content, doubts said, a scenario to edit."""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sim.scenario.fleet_files.raw import Raw
from sim.scenario.fleet_files.read import check_rows, read_raw
from sim.scenario.fleet_files.values import NOTHING, Texts, split, texts_of

NAMES: dict[str, tuple[str, ...]] = {
    "module": ("imei", "controllerid", "thingname", "moduleid", "module", "deviceid", "devicekey", "deviceserial", "serialnumber",
               "serial", "sn", "eui", "deveui", "endpoint", "clientid", "devicename", "device", "iccid", "id", "name"),
    "rsrp_dbm": ("rsrp", "rsrpdbm", "signalrsrp", "ltersrp", "signaldbm", "signal", "signalstrength", "empfang"),
    "battery_percent": ("battery", "batterypercent", "batterylevel", "batt", "battpct", "batterysoc", "soc", "stateofcharge",
                        "charge", "akku", "akkustand", "batterie"),
    "free_space": ("freespace", "freeflash", "free", "freestorage", "flashfree", "freespacebytes", "freebytes", "storagefree", "freememory", "speicherfrei"),
    "version": ("firmwareversion", "fwversion", "firmware", "fw", "version", "softwareversion", "swversion", "modemfirmware",
                "modulefirmware", "moduleversion", "currentversion", "fwver", "swver", "firmwarestand"),
    "hardware": ("hardwarerevision", "hwrevision", "hardwareversion", "hwversion", "hardware", "hw", "hwrev", "revision", "pcb"),
    "cell": ("cellid", "eci", "ecgi", "cell", "cgi", "tac", "funkzelle"),
    "time_zone": ("timezone", "tz", "zeitzone", "zone"),
    "last_seen": ("lastseen", "lastcontact", "lastonline", "lastconnected", "lastactivity", "lastactivitytime", "lastreport",
                  "lastcontrollerrequestat", "connectivitytimestamp", "lastupdatedat", "zuletztgesehen"),
    "technology": ("technology", "rat", "accesstechnology", "act", "networktype", "network", "radio", "tech", "bearer"),
}  # fmt: skip
"""Names of columns as exports have them, letters and digits only, likeliest first."""
LABELS = re.compile(
    r"site|customer|tenant|region|country|city|location|group|fleet|project|product|model|type|label|tag|operator|carrier"
    r"|kunde|standort|land|power|supply", re.IGNORECASE,
)  # fmt: skip
TECHNOLOGIES = {
    "nb-iot": ("nbiot", "nb", "nb1", "nb2", "catnb", "catnb1", "catnb2", "ltenb"),
    "lte-m": ("ltem", "catm", "catm1", "emtc", "m1", "ltecatm1", "ltem1"),
    "cat1bis": ("cat1bis", "ltecat1bis"),
    "cat1": ("cat1", "ltecat1"),
    "cat4": ("cat4", "ltecat4", "lte", "4g"),
}
_UNIT_IN_NAME = re.compile(r"[(\[_ /-](dbm|%|percent|pct|kib|mib|gib|kb|mb|gb|bytes|b|mv|v)[)\]]?$", re.IGNORECASE)
_UNITS = {"kib": "KiB", "mib": "MiB", "gib": "GiB", "kb": "kB", "mb": "MB", "gb": "GB", "bytes": "B", "b": "B"}
_UNITS_OF = {"rsrp_dbm": {"dbm"}, "battery_percent": {"%", "percent", "pct"}, "free_space": _UNITS.keys()}
"""Units in a column's name that its values can be read in."""
_NEEDED = {"rsrp_dbm": "dBm", "battery_percent": "per cent of charge", "free_space": "bytes"}
_MOST_LABEL_VALUES = 2000


@dataclass(slots=True)
class Draft:
    """A mapping, and what was not certain about it."""

    path: Path
    raw: Raw
    columns: dict[str, dict[str, object]] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    technologies: dict[str, list[str]] = field(default_factory=dict)
    """Texts of the technology column by technology; empty without one."""
    technology_column: str = ""
    duplicates: str = "stop"
    sheet: str | None = None
    unsure: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


def draft(path: Path, sheet: str | None = None) -> Draft:
    """Guesses the mapping of a file. Raises FleetFileError when it cannot be read at all."""
    made = Draft(path, read_raw(path, sheet), sheet=sheet)
    check_rows(path, made.raw)
    texts = {
        name: texts_of(column, NOTHING)[0]
        for name, column in zip(made.raw.names, made.raw.columns, strict=True)
        if name
    }
    taken: set[str] = set()
    for key, known in NAMES.items():
        found = [name for want in known for name in texts if _plain(name) == want and name not in taken]
        found += [
            n
            for n in texts
            if n not in found and n not in taken and key in _INSIDE and _plain(n).endswith(_INSIDE[key])
        ]
        fit = [name for name in dict.fromkeys(found) if _fits(key, name, texts[name])]
        if not fit:
            continue
        taken.add(fit[0])
        if len(fit) > 1 and key != "module":
            made.unsure.append(f"{key}: {fit[0]!r} is taken; it could be {', '.join(map(repr, fit[1:4]))}")
        _TAKE.get(key, _take)(made, key, fit[0], texts[fit[0]])
    for name, column in texts.items():
        if name in taken:
            continue
        if LABELS.search(name) and 0 < len(column.distinct) <= min(_MOST_LABEL_VALUES, max(20, made.raw.rows // 2)):
            made.labels[_label(name, made.labels)] = name
        else:
            made.unused.append(name)
    _say_what_is_missing(made)
    return made


_INSIDE = {
    "module": ("imei", "thingname", "controllerid", "serialnumber", "deviceid"),
    "rsrp_dbm": ("rsrp", "rsrpdbm"), "version": ("firmwareversion", "fwversion", "fw", "firmware"),
    "battery_percent": ("batterylevel", "batterypercent", "battery"), "free_space": ("freeflash", "freespace"),
    "hardware": ("hwrevision", "hardwarerevision", "hwversion"), "last_seen": ("lastseen",), "time_zone": ("timezone",),
}  # fmt: skip
"""What a path of keys such as `shadow.reported.fw` may end in."""
_IDS = (*_INSIDE["module"], "moduleid", "devicekey", "deviceserial")
"""Names that mean a device however often each occurs: rows of telemetry are not that many devices."""


def _plain(name: str) -> str:
    bare = _UNIT_IN_NAME.sub("", name) or name
    return re.sub(r"[^a-z0-9]", "", bare.casefold())


def _fits(key: str, name: str, texts: Texts) -> bool:
    """Whether the content can be that: something there, and numbers where numbers are needed."""
    if not texts.distinct:
        return False
    if key == "module":
        return _plain(name) in _IDS or len(texts.distinct) > 0.5 * int((texts.codes >= 0).sum())
    if key in ("rsrp_dbm", "battery_percent", "free_space"):
        return any(split(text) is not None for text in texts.distinct[:500])  # the rest is refused with its lines
    if key == "technology":
        return any(_technology(text) for text in texts.distinct[:50])
    return True


def _numbers(texts: Texts) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    parts = [split(text) for text in texts.distinct[:5000]]
    return np.array(
        [float(p[0].replace(",", ".")) for p in parts if p is not None and p[0].count(",") + p[0].count(".") < 2]
    )


def _take(made: Draft, key: str, name: str, texts: Texts) -> None:
    missing = int((texts.codes < 0).sum())
    given: dict[str, object] = {"column": name}
    if missing and key not in ("cell", "last_seen"):
        given["missing"] = "drop" if key in ("module", "time_zone") else "sample"
        done = "dropped" if given["missing"] == "drop" else "drawn from the known values"
        made.unsure.append(f"{name!r}: {missing:,} of {made.raw.rows:,} rows have no value; they are {done}")
    made.columns[key] = given


def _take_module(made: Draft, key: str, name: str, texts: Texts) -> None:
    column = made.raw.columns[made.raw.names.index(name)]
    texts, *_ = texts_of(column, frozenset({""}))  # an id may be `null` or `NA`: only an empty cell is none
    _take(made, key, name, texts)
    known = texts.codes[texts.codes >= 0]
    again = len(known) - len(texts.distinct)
    if again > 0:
        made.duplicates = "keep-last"
        made.unsure.append(
            f"{name!r}: {again:,} rows name a module a second time; the last row counts (duplicates: keep-last)"
        )


def _take_number(made: Draft, key: str, name: str, texts: Texts) -> None:
    _take(made, key, name, texts)
    given, values = made.columns[key], _numbers(texts)
    hint = _UNIT_IN_NAME.search(name)
    unit = hint[1].casefold() if hint else ""
    suffixed = any((split(text) or ("", "", ""))[2] for text in texts.distinct[:200])
    if unit and unit not in _UNITS_OF[key]:
        del made.columns[key]
        made.unsure.append(
            f"{name!r} is a voltage: fotasim needs the charge in per cent, so it is not used"
            if key == "battery_percent" and unit in ("mv", "v")
            else f"{name!r} is in {unit}: fotasim needs {_NEEDED[key]}, so it is not used"
        )
    elif key == "free_space" and not suffixed:
        given["unit"] = _UNITS.get(unit) or ("B" if len(values) and np.median(values) >= 100e3 else "kB")
        if unit not in _UNITS:
            made.unsure.append(f"{name!r}: the unit is a guess ({given['unit']})")
    elif key == "battery_percent" and not suffixed and not unit and len(values) and values.max() <= 1:
        given["unit"] = "fraction"
        made.unsure.append(f"{name!r}: taken for fractions of 1, as no value is above 1")
    elif key == "rsrp_dbm" and len(values) and np.median(values) > 0:
        given["unit"] = "index" if values.max() <= 97 and values.min() < 40 else "unsigned-dBm"
        made.unsure.append(
            f"{name!r}: positive values are taken for {given['unit']}; it could also be an RSSI, or CSQ's 0 to 31"
        )
    elif key == "rsrp_dbm" and "rsrp" not in name.casefold():
        made.unsure.append(f"{name!r}: taken for RSRP; an RSSI is some 20 dB higher")


def _technology(text: str) -> str | None:
    plain = re.sub(r"[^a-z0-9]", "", text.casefold())
    return next((ours for ours, theirs in TECHNOLOGIES.items() if plain in theirs), None)


def _take_technology(made: Draft, key: str, name: str, texts: Texts) -> None:  # noqa: ARG001
    unknown: list[str] = []
    for text in texts.distinct:
        ours = _technology(text)
        made.technologies.setdefault(ours, []).append(text) if ours else unknown.append(text)
    made.technology_column = name
    missing = int((texts.codes < 0).sum())
    if unknown or missing:
        listed = ", ".join(map(repr, unknown[:5])) + (f" and {missing:,} rows without" if missing else "")
        made.unsure.append(f"{name!r}: {listed} fits no technology; those rows are in no group (fleet.groups.….where)")


_TAKE = {
    "module": _take_module, "rsrp_dbm": _take_number, "battery_percent": _take_number, "free_space": _take_number,
    "technology": _take_technology,
}  # fmt: skip


def _label(name: str, taken: dict[str, str]) -> str:
    plain = re.sub(r"[^A-Za-z0-9]+", "_", name.rsplit(".", 1)[-1]).strip("_").lower() or "label"
    while plain in taken:
        plain += "_2"
    return plain


def _say_what_is_missing(made: Draft) -> None:
    if "module" not in made.columns:
        made.unsure.append("no column of ids: modules are numbered; map columns.module if there is one")
    if "version" not in made.columns:
        made.unsure.append("no column of versions: every module is taken to run 'installed'; set components")
    for key in ("rsrp_dbm", "battery_percent", "free_space"):
        if key not in made.columns:
            made.unsure.append(f"no column for {key}: drawn from the default distribution of the group")
    if not made.technologies:
        made.unsure.append("no column of technologies: every module is taken for lte-m; set technology")
    if made.unused:
        listed = ", ".join(map(repr, made.unused[:12])) + (
            f" and {len(made.unused) - 12} more" if len(made.unused) > 12 else ""
        )
        made.unsure.append(f"not used: {listed}")


def to_yaml(made: Draft, folder: Path) -> str:
    """The scenario as text, the file's path relative to `folder` where it is below it."""
    file = os.path.relpath(made.path.resolve(), folder.resolve())
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", made.path.name.split(".")[0]).strip("-.") or "fleet"
    groups = [
        _group(made, file, technology, texts) for technology, texts in (made.technologies or {"lte-m": []}).items()
    ]
    doubts = "".join(f"# - {line}\n" for line in map(_one_line, made.unsure)) or "# - nothing\n"
    return f"""\
# Drafted from {_one_line(made.path.name)} ({_one_line(made.raw.form)}, {made.raw.rows:,} rows). Look at the mapping, then set the plan.
# Check with: fotasim validate THIS-FILE
# Not certain:
{doubts}\
name: {name}
description: The devices of {json.dumps(_one_line(made.path.name))[1:-1]}.
seed: 1
horizon: 14d

fleet:
  groups:
{"".join(groups)}
plan:
  name: release
  mode: silent
  components:
    # Set these: the version the package brings, as the file would write it, and its size.
    - {{component: fw, type: firmware, package: full, target_version: "NEW", size: 1 MB}}
  strategy:
    preset: quectel

gates:
  success_rate: ">= 0.95"
  bricked_of_installed: "<= 1e-3"
"""


def _group(made: Draft, file: str, technology: str, texts: list[str]) -> str:
    columns = "".join(f"        {key}: {_value(given)}\n" for key, given in made.columns.items())
    labels = "".join(f"        {label}: {_value({'column': name})}\n" for label, name in made.labels.items())
    parts = [
        f"    - name: {technology if made.technologies else 'devices'}\n",
        f"      file: {json.dumps(file)}\n",
        f"      sheet: {json.dumps(made.sheet)}\n" if made.sheet else "",
        f"      where: {{{json.dumps(made.technology_column)}: {json.dumps(texts)}}}\n" if texts else "",
        f"      duplicates: {made.duplicates}\n" if made.duplicates != "stop" else "",
        f"      technology: {technology}\n",
        "      power: battery          # battery | mains | vehicle\n",
        "" if "version" in made.columns else '      components: {fw: "installed"}\n',
        f"      columns:\n{columns}" if columns else "",
        f"      labels:\n{labels}" if labels else "",
        "      check_in: {every: 24h, jitter: 10min}   # when they come online: see docs/scenario.md\n",
    ]
    return "".join(parts)


def _value(given: dict[str, object]) -> str:
    """A mapping in flow style, texts in quotes: JSON is YAML."""
    return "{" + ", ".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in given.items()) + "}"


def _one_line(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
