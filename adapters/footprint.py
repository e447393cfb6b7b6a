"""How much memory one candidate's pass works on."""

from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from adapters.bench import Bench


class _Allocations(TorchFunctionMode):
    """Counts the bytes of the tensors that torch's functions return."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: int = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor):
            self.bytes += result.nbytes
        return result


def footprint(bench: Bench) -> int:
    """Return the bytes of one candidate's weights and of all that a pass computes from them."""
    weights = sum(weight.nbytes for weight in bench.weights)
    with bench.attempt(), bench.mode(), _Allocations() as activations:
        bench.loss()
    return int(weights + activations.bytes)
