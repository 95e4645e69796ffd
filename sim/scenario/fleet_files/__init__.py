"""Fleet files: lists of real devices as people have them, read as what they mean or refused with every fault."""

from sim.scenario.fleet_files.members import all_names, check_files, fleet_size, group_sizes, known_modules

__all__ = ["all_names", "check_files", "fleet_size", "group_sizes", "known_modules"]
