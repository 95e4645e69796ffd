"""Plan files of real products as strategies: AWS IoT Jobs and hawkBit, with a list of all that cannot be carried over."""

from sim.scenario.imports.plan_file import Imported, from_text, read_plan, resolve, to_yaml

__all__ = ["Imported", "from_text", "read_plan", "resolve", "to_yaml"]
