"""The recommended strategy as a file that a scenario can take as its plan.strategy."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from ruamel.yaml import YAML

from sim.report.show import kind_of, metric_of, printable, show
from sim.scenario.fields import WITH_UNITS

if TYPE_CHECKING:
    from sim.study.tune import Tuning

_PLACE = "plan.strategy."


def strategy_yaml(result: Tuning) -> str:
    """The strategy section with the recommended settings in force, its provenance in comments on top."""
    assert result.recommended is not None
    strategy = result.best.model_dump(mode="json", exclude_unset=True, exclude_none=True, context=WITH_UNITS)[
        "plan"
    ].get("strategy", {})
    lines = [f"Strategy by fotasim tune for {_scenarios(result)}, seed {result.scenario.seed}: {result.answer}."]
    for name, found in result.recommended.objectives.items():
        lines.append(
            f"{name}: {_shown(name, found.value)}, 95 % interval {_shown(name, found.low)} to {_shown(name, found.high)}"
        )
    for constraint in result.constraints:
        found = result.recommended.constraints[constraint.text]
        kept = "kept" if constraint.surely(found) else "BROKEN" if constraint.surely_not(found) else "in doubt"
        lines.append(
            f"subject to {constraint.text}: {kept}, found {_shown(constraint.metric, found.value)}, "
            f"95 % interval {_shown(constraint.metric, found.low)} to {_shown(constraint.metric, found.high)}"
        )
    others = {k: v for k, v in result.recommended.settings.items() if not k.startswith(_PLACE)}
    lines += [f"Outside the strategy, set as well: {key}={value}" for key, value in others.items()]
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    yaml.dump(strategy, stream)
    return "".join(f"# {printable(line).replace(chr(10), ' ')}\n" for line in lines) + stream.getvalue()


def _scenarios(result: Tuning) -> str:
    names = list(result.scenarios)
    return f"scenario {names[0]}" if len(names) == 1 else f"scenarios {', '.join(names)}"


def _shown(name: str, value: float) -> str:
    return show(kind_of(name), value) if metric_of(name) else f"{value:.5g}"
