"""A model as a program of steps, read by `torch.fx`."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from adapters.stack import across
from adapters.stack.functions import FUNCTIONS, METHODS
from adapters.stack.layers import MODULES
from adapters.stack.trace import Room, Slot, Step, Trace, Unfit


class Program:
    """What a model computes from its inputs, for k candidates at once.

    Parameters
    ----------
    model
        Its forward takes one tensor, samples first.
    weights
        Its free parameters.
    inputs
        What it is given.

    Attributes
    ----------
    like
        The outputs at the start, for one candidate: (1, features..., samples).
    bytes
        What one candidate's pass writes.

    Raises
    ------
    Unfit
        The model does something that is not in the tables; it says what.
    """

    def __init__(self, model: nn.Module, weights: list[nn.Parameter], inputs: Tensor) -> None:
        for module in model.modules():
            check_plain(module)
        try:
            graph = fx.Tracer().trace(model)
        except Exception as error:
            raise Unfit(f"its forward cannot be read: {error}") from error
        with torch.no_grad():
            trace = Trace(weights)
            first = trace.constant(_samples_last(inputs), samples=True)
            output = _read(trace, model, graph, first)
        if output.constant:
            raise Unfit("nothing that is searched matters")
        self.like = output.like
        steps = _needed(trace.steps, output)
        made = {step.output for step in steps}
        read = {i for step in steps for i in step.inputs}
        shared = [slot for slot in trace.slots if slot.constant and slot.index in read]
        # A pass keeps its values in this order: weights, what is shared, and what the steps make.
        order = [*range(len(weights)), *(slot.index for slot in shared), *(s.output for s in steps)]
        place = {index: at for at, index in enumerate(order)}
        self.tiny = _are_tiny(steps, trace)
        self._across = [(step.across, [place[i] for i in step.inputs]) for step in steps]
        self._steps = [(step.apply, [place[i] for i in step.inputs]) for step in steps]
        self._shared = [slot.like for slot in shared]
        self._sampled = [(at, slot.like) for at, slot in enumerate(shared) if slot.samples]
        self.bytes = sum(slot.like.nbytes for slot in trace.slots if slot.index in made)

    def take(self, rows: Tensor | None) -> None:
        """Go on with these samples only; None: with all."""
        for at, tensor in self._sampled:
            self._shared[at] = tensor if rows is None else tensor.index_select(-1, rows)

    def across(self, weights: Sequence[Tensor], room: Room | None) -> Tensor:
        """Return the outputs (features..., samples, k) under weights (..., k), where `tiny`."""
        values: list[Any] = [*weights, *self._shared]
        for apply, inputs in self._across:
            assert apply is not None
            values.append(apply(room, *[values[i] for i in inputs]))
        result: Tensor = values[-1]
        return result

    def __call__(self, weights: Sequence[Tensor], room: Room | None) -> Tensor:
        """Return the outputs (k, features..., samples) under weights (k, ...)."""
        values: list[Any] = [*weights, *self._shared]
        for apply, inputs in self._steps:  # unrolled: each turn counts where a pass is short
            if len(inputs) == 1:
                values.append(apply(room, values[inputs[0]]))
            elif len(inputs) == 2:
                values.append(apply(room, values[inputs[0]], values[inputs[1]]))
            else:
                values.append(apply(room, *[values[i] for i in inputs]))
        result: Tensor = values[-1]
        return result


def check_plain(module: nn.Module) -> None:
    """Make sure that a call of the module does what its type says, and nothing else."""
    hooks = module._forward_hooks, module._forward_pre_hooks
    if any(hooks) or module._backward_hooks or module._backward_pre_hooks:
        raise Unfit(f"its {type(module).__name__} has hooks")
    if "forward" in vars(module):
        raise Unfit(f"its {type(module).__name__} has a forward of its own")


def _are_tiny(steps: list[Step], trace: Trace) -> bool:
    """Whether all steps can be computed with the candidates last, and that pays."""
    work = 0
    for step in steps:
        if step.across is None:
            return False
        inputs = [trace.slots[i] for i in step.inputs]
        if step.across is not across.first_product and any(slot.constant for slot in inputs):
            return False
        if step.across is across.product:
            work += inputs[0].like.numel() * inputs[1].like.shape[1]
    return work <= across.TINY


def _needed(steps: list[Step], output: Slot) -> list[Step]:
    """Return the steps that the output comes from."""
    wanted, kept = {output.index}, []
    for step in reversed(steps):
        if step.output in wanted:
            kept.append(step)
            wanted.update(step.inputs)
    return kept[::-1]


def _samples_last(inputs: Tensor) -> Tensor:
    return inputs.detach().movedim(0, -1).contiguous()[None]


def _read(trace: Trace, model: nn.Module, graph: fx.Graph, inputs: Slot) -> Slot:
    """Go through what the model does, and return its output."""
    values: dict[fx.Node, Any] = {}
    seen: set[int] = set()
    modules = dict(model.named_modules())
    given = [inputs]
    for node in graph.nodes:
        arguments, settings = fx.node.map_arg((node.args, dict(node.kwargs)), values.__getitem__)
        if node.op == "output":
            (output,) = arguments
            if not isinstance(output, Slot) or not output.samples:
                raise Unfit("its output is no tensor of all samples")
            return output
        if node.op == "placeholder":
            value = given.pop() if given else arguments[0] if arguments else None
        elif node.op == "get_attr":
            value = _parameter(trace, model, str(node.target))
        elif node.op == "call_module":
            value = _module(trace, modules[str(node.target)], arguments, settings)
        else:
            value = _function(trace, node.target, arguments, settings)
        if isinstance(value, Slot):
            # Where nothing is added, as for the identity, the next readers are the input's own.
            passed = value.readers - 1 if value.index in seen else 0
            value.readers = len(node.users) + passed
            seen.add(value.index)
        values[node] = value
    raise Unfit("it has no output")


def _parameter(trace: Trace, model: nn.Module, name: str) -> Any:
    owner, _, last = name.rpartition(".")
    found = getattr(model.get_submodule(owner), last)
    if not isinstance(found, Tensor) or found.dim() == 0:
        raise Unfit(f"it reads {name}")
    return trace.weight(found)


def _module(trace: Trace, module: nn.Module, arguments: Any, settings: dict[str, Any]) -> Any:
    make = MODULES.get(type(module)) or getattr(type(module), "stacked", None)
    if make is None:
        raise Unfit(f"it has a {type(module).__name__}")
    if settings or len(arguments) != 1 or not isinstance(arguments[0], Slot):
        raise Unfit(f"its {type(module).__name__} is given more than one tensor")
    return make(trace, module, *arguments)


def _function(trace: Trace, target: Any, arguments: Any, settings: dict[str, Any]) -> Any:
    make = METHODS.get(target) if isinstance(target, str) else FUNCTIONS.get(target)
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    if make is None:
        raise Unfit(f"it calls {name}")
    try:
        return make(trace, *arguments, **settings)
    except (TypeError, AttributeError) as error:
        raise Unfit(f"it calls {name} in an unusual way ({error})") from error
