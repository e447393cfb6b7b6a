"""What a population costs: candidates per second, memory and gradients, beside the peers.

`models` has the four networks, `sides` the ways to score a population, `measure` and `memory` the
stopwatch and the scales, `report` the page. The command is ``experiments speed population``.
"""
