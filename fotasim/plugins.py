"""What plug-ins are given, for the annotations of their authors; docs/plugins.md says who gets what."""

from sim.engines.plugin_results import RunTables
from sim.plugins import Counts, ModuleNow, PlanNow

__all__ = ["Counts", "ModuleNow", "PlanNow", "RunTables"]
