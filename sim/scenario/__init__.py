"""What is asked: the scenario file, checked before anything runs."""

from sim.scenario.load import json_schema
from sim.scenario.model import Scenario

__all__ = ["Scenario", "json_schema"]
