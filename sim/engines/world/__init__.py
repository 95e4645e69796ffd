"""The world a run takes place in: from a scenario to modules, profiles, plan, cells and capacity."""
