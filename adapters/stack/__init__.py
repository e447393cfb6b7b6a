"""Models as stacks of layers, all candidates at once, the samples last: the fastest path.

`torch.fx` reads what a model's forward does; `layers`, `images` and `functions` are the tables of
what can be computed this way, `losses` those of the losses; `program` puts the steps together, and
`evaluator` runs them over chunks of candidates.
"""

from adapters.stack.evaluator import Stacked

__all__ = ["Stacked"]
