"""A circuit in its running form: every tensor, on one device."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Literal
from weakref import WeakSet

import torch
from attrs import evolve
from jaxtyping import Int
from torch import Tensor

from neurosim.circuit import Circuit
from neurosim.connectivity import Shape
from neurosim.credit import Presentation
from neurosim.errors import SimulationError, UnknownNameError
from neurosim.feedback import Feedback
from neurosim.forward import Activity, ForwardPass, Keep, Perturbation
from neurosim.named_tensors import NamedTensors, project
from neurosim.optimizers import Adam, Optimizer
from neurosim.parameters import draw_pathway
from neurosim.presented import codewords_for, images_as, usable_device
from neurosim.readout import codewords_of
from neurosim.relaxation import spread
from neurosim.schedule import schedule
from neurosim.score import Score
from neurosim.state import check, collect, restore
from neurosim.step import Step, Updates, Watch, bias_name, everything, needed
from neurosim.streams import stream
from neurosim.synapses import Synapses
from neurosim.temporal import TemporalPass
from neurosim.temporal_step import Present, TemporalUpdates
from neurosim.tensors import CircuitTensors
from neurosim.vectorization import Temporal, Vectorization, vectorization_named

#: precision -> (dtype of weights and activity, dtype of the operands of matrix products)
PRECISIONS: dict[str, tuple[torch.dtype, torch.dtype | None]] = {
    "float32": (torch.float32, None),
    "float64": (torch.float64, None),
    "bfloat16": (torch.float32, torch.bfloat16),
}

_STEPS = "progress/steps"


class Simulator:
    """Runs a circuit and lets it learn.

    Args:
        circuit: what to run; it is copied, so that later changes to it have no effect here.
        device: where every tensor lives.
        precision: ``"float32"``, ``"float64"``, or ``"bfloat16"`` (operands of matrix products in bfloat16, everything
            else in float32). On cuda torch's own settings decide whether float32 products use TF32.
        vectorization: how the K components exist; ``"group"``: side by side, ``"temporal"``: one time bin after the
            other, in as many presentations as it takes; ``"temporal:causal"`` or a
            :class:`~neurosim.vectorization.Temporal` says which order.
        seed: every object draws from its own stream derived from this and its name.
        optimizer: turns updates into changes of the weights; default :func:`~neurosim.optimizers.Adam`.

    Attributes:
        weights: group -> weight; ``sim.weights["f1->output"] = array`` copies values in.
        biases: population -> bias, ``(K, *units)`` or per channel ``(K, channels)``.
        gates: ``"population/constant"`` -> constants of the gates, ``"f1/t"``.
        feedback: ``"pathway/group"`` and ``"rule/population/constant"`` -> what pathways and rules drew.
        vectorization: its name.
        presentations: how often a step of learning presents its batch; 1 where all components are computed at once.

    Raises:
        CircuitError: what :meth:`Circuit.check` refuses.
        UnknownNameError: an unknown precision or vectorization.

    Example:
        >>> import torch
        >>> from neurosim import Simulator, circuits
        >>> sim = Simulator(circuits.load("digits-fc"), seed=0)
        >>> images, labels = torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.tensor([3, 1, 4, 1])
        >>> step = sim.learn(images, labels)
        >>> step.credit("fc1").shape, step.updates["input->fc1"].shape
        (torch.Size([4, 256]), torch.Size([10, 256, 1, 8, 8]))
    """

    def __init__(
        self,
        circuit: Circuit,
        *,
        device: torch.device | str = "cpu",
        precision: str = "float32",
        vectorization: str | Vectorization = "group",
        seed: int = 0,
        optimizer: Optimizer | None = None,
    ) -> None:
        if not isinstance(circuit, Circuit):
            raise SimulationError(
                f"circuit: expected a Circuit, got {circuit!r}; circuits.load(name) gives one by name"
            )
        if precision not in PRECISIONS:
            raise UnknownNameError("precision", str(precision), PRECISIONS)
        if isinstance(seed, bool) or not hasattr(seed, "__index__"):
            raise SimulationError(f"seed: expected an integer, got {seed!r}")
        self.circuit = circuit.check(vectorization).copy()
        self.device, self.precision, self.seed = usable_device(device), precision, int(seed)
        self.vectorization = vectorization_named(vectorization).name
        self._in_time = self.vectorization == Temporal.name and self.circuit.K > 1  # one component is one bin
        self.presentations = schedule(self.circuit).presentations if self._in_time else 1
        if optimizer is not None and not isinstance(optimizer, Optimizer):
            raise SimulationError(
                f"optimizer: expected Adam(...), SGD(...) or Optimizer(torch.optim.SomeClass, options), got "
                f"{optimizer!r}"
            )
        self.optimizer = optimizer or Adam()
        self._dtype, self._matmul_dtype = PRECISIONS[precision]
        self._steps = 0
        self._probed: WeakSet[Step] = WeakSet()
        self._connect(CircuitTensors.draw(self.circuit, self.seed, self.device, self._dtype))

    def __setattr__(self, name: str, value: object) -> None:
        if name in ("weights", "biases", "gates", "feedback") and not isinstance(value, NamedTensors):
            raise SimulationError(
                f"{name}: expected single tensors to be set, as in simulator.{name}[NAME] = tensor, got a "
                f"{type(value).__name__} for all of them"
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return f"<Simulator: {self.circuit!r} on {self.device}, {self.precision}, seed {self.seed}>"

    # -- running -------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def forward(self, images: Tensor, keep: Iterable[str] | Literal["all"] = ()) -> Activity:
        """Present ``images`` and let activity run to the output.

        Args:
            images: ``(batch, *inputs)``; uint8 images are scaled to [-1, 1] as ``(x / 255 - 0.5) / 0.5``,
                floating point numbers are taken as they are, NaN included, which shows where a loss is read.
            keep: populations whose activations, gates and pre-activations are kept; ``"all"`` for all.

        Raises:
            SimulationError: images of another shape, type or device.
            UnknownNameError: a population to keep that does not exist.
        """
        return self._pass.run(self._shown(images), self._keep(keep))

    def predict(self, images: Tensor) -> Int[Tensor, " batch"]:
        """The decoded class of every image, ``(batch,)``."""
        return self.circuit.readout.decode(self.forward(images).output.flatten(1), self._codewords)

    @torch.no_grad()
    def score(self, images: Tensor, labels: Tensor) -> Score:
        """Sum of the losses and number of mistakes, two 0-d tensors on the device, with their means as numbers."""
        output = self.forward(images).output.flatten(1)
        losses = self.circuit.readout.losses_of(output, codewords_for(labels, len(output), self._codewords))
        return Score(losses.sum(), self._mistakes(output, labels), len(output))

    @torch.no_grad()
    def bit_errors(self, images: Tensor, labels: Tensor) -> Int[Tensor, " length"]:
        """In how many examples each output component was wrong, ``(length,)`` on the device."""
        output = self.forward(images).output.flatten(1)
        return self.circuit.readout.bit_errors(output, codewords_for(labels, len(output), self._codewords))

    @torch.no_grad()
    def learn(self, images: Tensor, labels: Tensor, watch: Watch | None = None) -> Step:
        """Present a batch, update every learning group and bias, relax untied weights where it is time, and enforce the
        sign constraints, in this order.

        No value is read, so that nothing waits for the device: a simulator that has diverged goes on. A loop of one's
        own finds out where it reads ``step.mean_loss``; a :class:`~neurosim.training.Trainer` does after every epoch.

        Args:
            images: as in :meth:`forward`.
            labels: classes, integer ``(batch,)``.
            watch: looks at the step before anything changes, and changes nothing itself. In vectorization in time the
                batch is presented once more where it asks for something to be kept.

        Raises:
            SimulationError: as in :meth:`forward`; labels out of range; a circuit in which nothing learns.
        """
        if self._torch_optimizer is None:
            raise SimulationError("nothing learns in this circuit: every group is frozen (rule=None); give one a rule")
        keep = self._needed if watch is None else self._needed | watch.keep
        step = self._step(images, labels, keep, self._gradients)
        if watch is not None:
            watch.see(step if watch.keep == Keep() else self._seen_in_full(step, images, keep))
        self._torch_optimizer.step()
        self._relax()
        for name, limit in self._limits.items():
            project(self.weights[name], limit)
        self._updates.advance(step.credits)
        self._steps += 1
        step.release()
        self._outdate_probes()
        return step

    def spread(self) -> dict[str, float]:
        """How far the K weights of every untied group are from their average (:func:`~neurosim.relaxation.spread`)."""
        return {name: float(spread(self.weights[name])) for name, g in self.circuit.groups.items() if g.untied}

    @torch.no_grad()
    def probe(self, images: Tensor, labels: Tensor) -> Step:
        """The step that :meth:`learn` would make, everything kept and nothing changed.

        Its :meth:`~neurosim.step.Step.credit` answers for every population and any rule, until the weights change.
        """
        updates = {name: torch.empty_like(parameter) for name, parameter in self._parameters.items()}
        keep = everything(self.circuit)
        step = self._seen_in_full(self._step(images, labels, keep, updates), images, keep)
        self._probed.add(step)
        return step

    def _outdate_probes(self) -> None:
        for step in self._probed:
            step.outdate()
        self._probed.clear()

    def _seen_in_full(self, step: Step, images: Tensor, keep: Keep) -> Step:
        """The step with everything kept; in time nothing is left of a bin, and it takes presentations of its own."""
        if self._in_bins is None:
            return step
        prepared, before, whole = self._shown(images), step.credits.seen, len(images)
        activity = self._pass.run(prepared, keep)
        seen = self._present(prepared, activity, before.target, before.error, before.losses, slice(0, whole), whole)
        return evolve(step, activity=activity, credits=self._updates.credits(seen))

    def _step(self, images: Tensor, labels: Tensor, keep: Keep, out: Mapping[str, Tensor]) -> Step:
        prepared = self._shown(images)
        target = codewords_for(labels, len(prepared), self._codewords)
        present = partial(self._present, prepared)
        if self._in_bins is None:
            seen = self._seen_at_once(self._pass.run(prepared, keep), target, present)
            credits = self._updates.compute(seen, out)
        else:
            seen, credits = self._in_bins.compute(prepared, target, present, out)
        return Step(
            self.circuit,
            seen.losses.mean(),
            self._mistakes(seen.activity.output.flatten(1), labels),
            seen.activity.output,
            seen.error,
            NamedTensors("update", dict(out)),
            seen.activity,
            credits,
        )

    def _seen_at_once(self, activity: Activity, target: Tensor, present: Present) -> Presentation:
        output, readout = activity.output.flatten(1), self.circuit.readout
        error = readout.error(output, target).view(activity.output.shape)
        whole = len(output)
        return present(activity, target, error, readout.losses_of(output, target), slice(0, whole), whole)

    def _present(
        self,
        images: Tensor,
        activity: Activity,
        target: Tensor,
        error: Tensor,
        losses: Tensor,
        examples: slice,
        whole: int,
    ) -> Presentation:
        """Some examples of the batch ``images``, as the rules see them."""

        def rerun(noise: Mapping[str, Tensor]) -> Tensor:
            disturbed = self._pass.run(images[examples], Keep(), Perturbation(noise, activity.gates))
            return self.circuit.readout.losses_of(disturbed.output.flatten(1), target)

        return Presentation(
            circuit=self.circuit,
            synapses=self._synapses,
            activity=activity,
            error=error,
            target=target,
            losses=losses,
            whole=whole,
            constants=self._tensors.feedback,
            noise=lambda label, population: self._noise(whole, label, population)[examples],
            rerun=rerun,
            redraw=self._redraw,
            learners=self._updates.rules,
        )

    def _noise(self, batch: int, label: str, population: str) -> Tensor:
        """Standard normal, from a stream of the step's own: a probe sees what the next step of learning will see."""
        shape = (batch, self.circuit.K, *self.circuit.populations[population].shape)
        generator = stream(self.seed, "noise", label, population, self._steps)
        return torch.randn(shape, generator=generator, dtype=torch.float64, device="cpu").to(self.device, self._dtype)

    def _relax(self) -> None:
        """Draw untied weights together where it is time; before the sign constraints, which do not keep an average."""
        for group in self._relaxing:
            assert group.relaxation is not None
            if (self._steps + 1) % group.relaxation.every == 0:
                pre = self.circuit.populations[group.pre].shape
                signs = partial(self._signs, stream(self.seed, "relaxation", group.name, self._steps))
                group.relaxation.relax(self.weights[group.name], group.connectivity, pre, signs)

    def _signs(self, generator: torch.Generator, shape: Shape) -> Tensor:
        coins = torch.randint(2, shape, generator=generator, dtype=torch.float64, device="cpu")
        return (2.0 * coins - 1.0).to(self.device, self._dtype)

    def _redraw(self, feedback: Feedback, group: str) -> Tensor:
        constants = draw_pathway(self.circuit, self.seed, feedback, self.circuit.groups[group], self._steps)
        assert constants is not None
        return constants.to(self.device, self._dtype)

    # -- state ---------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Tensor]:
        """A copy of all tensors by name: ``weights/...``, ``biases/...``, ``gates/...``, ``feedback/...``, the
        optimizer's, and ``progress/steps``, from which the noise of stochastic rules and the times and noise of
        relaxations follow."""
        state = collect(self._tensors.flat(), self._parameters, self._torch_optimizer)
        return {name: tensor.clone() for name, tensor in state.items()} | {
            _STEPS: torch.tensor(self._steps, dtype=torch.int64, device="cpu")
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Restore what :meth:`state_dict` gave; either all of it or, on an error, nothing.

        Raises:
            SimulationError: tensors that are missing, too many or of another shape, the state of another optimizer,
                weights that break a sign constraint.
        """
        own, steps = self._tensors.flat(), torch.tensor(0, dtype=torch.int64, device="cpu")
        check(state, own | {_STEPS: steps}, self._parameters, self._torch_optimizer)
        for name in self._limits:
            self.weights.check_sign(name, state[f"weights/{name}"])
        restore(state, own | {_STEPS: steps}, self._parameters, self._torch_optimizer)
        self._steps = int(steps)
        self._outdate_probes()

    def to(self, device: torch.device | str) -> Simulator:
        """Move everything to another device, the optimizer's state included; where that fails, nothing has moved."""
        before = dict(vars(self))
        try:
            state = collect(self._tensors.flat(), self._parameters, self._torch_optimizer)
            moved = {name: tensor.to(device) for name, tensor in state.items()}
            self.device = usable_device(device)
            self._connect(self._tensors.copied(self.circuit, self.device, self._dtype))
            restore(moved, self._tensors.flat(), self._parameters, self._torch_optimizer)
        except Exception:
            vars(self).update(before)
            raise
        return self

    # -- tensors -------------------------------------------------------------------------------------------------

    def _connect(self, tensors: CircuitTensors) -> None:
        """Build everything that holds tensors: views by name, synapses, the forward pass, the optimizer."""
        circuit, populations = self.circuit, self.circuit.populations
        self._tensors = tensors
        self._limits = {name: group.sign for name, group in circuit.groups.items() if group.sign != "mixed"}
        self.weights = NamedTensors("weight", tensors.weights, self._limits)
        self.biases = NamedTensors("bias", tensors.biases)
        self.gates = NamedTensors("gate constant", tensors.gates)
        self.feedback = NamedTensors("feedback", tensors.feedback)
        # a frozen group keeps its weights, whatever could relax them
        learning = [group for group in circuit.groups.values() if group.rule is not None]
        self._relaxing = [group for group in learning if group.relaxation is not None]
        self._codewords = codewords_of(circuit.readout).to(self.device, self._dtype)
        self._synapses = {
            group.name: Synapses(
                group,
                populations[group.pre],
                populations[group.post],
                circuit.K,
                tensors.weights.get(group.name),
                self._matmul_dtype,
            )
            for name in circuit.order
            for group in circuit.into(name)
        }
        self._pass: ForwardPass | TemporalPass
        self._updates, self._in_bins = Updates(circuit, self._synapses), None
        if self._in_time:
            self._pass = TemporalPass(circuit, self._synapses, tensors, schedule(circuit))
            self._in_bins = TemporalUpdates(circuit, self._synapses, self._pass, self._updates)
        else:
            self._pass = ForwardPass(circuit, self._synapses, tensors)
        self._needed = needed(circuit)
        self._parameters = self._learning_parameters()
        self._gradients = {name: torch.zeros_like(parameter) for name, parameter in self._parameters.items()}
        for name, parameter in self._parameters.items():
            parameter.grad = self._gradients[name]
        self._torch_optimizer = self.optimizer.build(self._parameters) if self._parameters else None

    def _learning_parameters(self) -> dict[str, Tensor]:
        """What an optimizer changes: weights by group name, biases by ``"bias of ..."``."""
        learning = {name: self.weights[name] for name, group in self.circuit.groups.items() if group.rule is not None}
        for name, tensor in self.biases.items():
            if self.circuit.bias_rule(name) is not None:
                learning[bias_name(name)] = tensor
        return learning

    def _shown(self, images: Tensor) -> Tensor:
        return images_as(images, self.circuit.inputs, self.device, self._dtype)

    def _mistakes(self, output: Tensor, labels: Tensor) -> Tensor:
        return (self.circuit.readout.decode(output, self._codewords) != labels).sum()

    def _keep(self, keep: Iterable[str] | Literal["all"]) -> Keep:
        if keep == "all":
            return everything(self.circuit)
        names = frozenset([keep] if isinstance(keep, str) else keep)
        for name in names:
            if name not in self.circuit.populations:
                raise UnknownNameError("population", name, self.circuit.populations)
        return Keep(activations=names, gates=names, pre_activations=names)
