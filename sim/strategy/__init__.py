"""Who gets it next: the rules a plan is released, offered, retried and stopped by. One concern a file.

Every rule is a pure function of numbers: `r` is the plan's `Settings`, `c` its `Progress`, `e` one execution. The cloud
(sim/cloud/message_rules.py) asks them; the same source serves plain Python and a compiler. The words are defined in
docs/strategy.md, which numbers the definitions that the docstrings cite.
"""
