"""The training loop, on Accelerate for device, precision, processes and accumulation. One step:

    batch = what the counters say of this step (drawn ahead by a thread)       trainers.batches
    for each micro-batch: loss = mean of the method's losses; backward         trainers.methods
    norm = |gradient|, clipped; optimiser; averages                            clipped before the step

All randomness is a function of (seed, step), so a run that was killed goes on bit-equal from its last checkpoint.
"""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lab.assignment import AssignmentTable
from lab.command_line import FINISHED, STOPPED
from lab.random import generator
from trainers import checkpoints
from trainers.batches import Batch, Batches, assignment_table
from trainers.ema import Average
from trainers.gauges import Gauges, Window
from trainers.methods import Method
from trainers.mirror import Mirror
from trainers.networks import Network, build
from trainers.order import DROPOUT, WEIGHTS, Order
from trainers.recipes.schema import Recipe
from trainers.runs import Run
from trainers.sources import Source
from trainers.validation import held_out_loss, held_out_name

MOST_SKIPPED = 100  # steps running that fp16's scaler may skip: it halves its scale each time, and 2^-100 of it is nothing
NAMED = 16  # samples that a message names

CURE = "The last checkpoint is kept; lower optimiser.learning_rate, set optimiser.clip, or use training.precision=fp32"


class Diverged(RuntimeError):
    """A loss or gradient that is not finite; the last good checkpoint is kept."""


@dataclass
class Progress:
    """How far a training is; all of it goes into a checkpoint."""

    step: int
    network: Network
    averages: list[Average]
    optimiser: torch.optim.Optimizer
    table: AssignmentTable | None
    window: Window
    digest: str


def prepared_optimiser(recipe: Recipe, network: nn.Module, device: torch.device) -> torch.optim.Optimizer:
    """Adam or AdamW as the recipe holds it; fused where one kernel can do the step (it also needs the least memory)."""
    options = recipe.optimiser
    kind = torch.optim.AdamW if options.kind == "adamw" else torch.optim.Adam
    fused = device.type in ("cpu", "cuda")
    return kind(
        network.parameters(),
        lr=options.learning_rate,
        betas=options.betas,
        eps=options.eps,
        weight_decay=options.weight_decay,
        fused=fused,
    )


def learning_rate(recipe: Recipe, step: int) -> float:
    """Of step `step` (from 0 on): rising over the warm-up, then constant, or falling in a line to 0 after the last step."""
    options = recipe.optimiser
    rate = options.learning_rate * min(1.0, (step + 1) / options.warmup) if options.warmup else options.learning_rate
    if options.decay == "linear" and step >= options.warmup:
        rate *= max(0.0, (recipe.training.steps - step) / max(1, recipe.training.steps - options.warmup))
    return rate


def fresh(recipe: Recipe, source: Source, method: Method, text_width: int) -> Progress:
    """A training before its first step; weights are a function of the recipe's seed."""
    state = torch.get_rng_state()
    torch.manual_seed(generator(recipe.training.seed, 0, WEIGHTS).initial_seed())
    network = build(recipe, source.shape, len(source.classes), text_width)
    torch.set_rng_state(state)
    if recipe.training.channels_last and recipe.network.kind != "mlp":
        network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # torch's stubs lack this overload
    averages = [Average(network, decay) for decay in recipe.training.ema]
    optimiser = prepared_optimiser(recipe, network, torch.device("cpu"))
    return Progress(0, network, averages, optimiser, assignment_table(method, source), Window(), "")


class Loop:
    """A training at work: steps, and between them records, checkpoints and previews.

    preview(network, step), called within the averages, makes the pictures. Nothing here draws from torch's global generator but dropout, which is seeded for each step.
    """

    def __init__(
        self,
        *,
        recipe: Recipe,
        method: Method,
        source: Source,
        held_out: Source | None,
        run: Run,
        accelerator: Any,
        facts: dict[str, Any],
        preview: Callable[[Network, int], None],
        gauges: Gauges,
        name_of: Callable[[int], str],
        say: Callable[[str], None],
        mirror: Mirror | None = None,
    ) -> None:
        self.recipe, self.method, self.source, self.held_out, self.run = recipe, method, source, held_out, run
        self.accelerator, self.facts, self.preview, self.gauges, self.name_of, self.say = accelerator, facts, preview, gauges, name_of, say
        self.order = Order(source.n, recipe.training.batch, recipe.training.seed)
        self.stopping, self.skipped, self.mirror = False, 0, mirror or Mirror()
        self.rows, self.micro = own_rows(recipe, accelerator.process_index, accelerator.num_processes)

    def train(self, progress: Progress) -> int:
        """Up to the recipe's last step, or until a signal asks for the end. Returns the exit status. Raises Diverged."""
        recipe = self.recipe
        wrapped, optimiser = self.accelerator.prepare(progress.network, progress.optimiser)
        model: Any = torch.compile(wrapped) if recipe.training.compile else wrapped
        batches = Batches(self.method, self.source, self.order, progress.table)
        model.train()
        weights = list(progress.network.parameters())  # walking through the modules anew takes a millisecond
        with ThreadPoolExecutor(1, "draws", torch.set_num_threads, (1,)) as pool, self._signals():
            pending: Future[Batch] | None = None
            self.gauges.start(progress.step)
            while progress.step < recipe.training.steps:
                step = progress.step
                with self.gauges.waiting():
                    batch = batches.draw(step, self.rows, self.gauges.coupled) if pending is None else pending.result()
                pending = None
                stop = self._asked_to_stop()  # by one process, by all: they must draw, save and end alike
                due = (step + 1) % recipe.training.checkpoint_every == 0 or step + 1 == recipe.training.steps
                # A table is changed by drawing: it must not be a step ahead when it is saved.
                if step + 1 < recipe.training.steps and not (due and progress.table is not None) and not stop:
                    pending = pool.submit(batches.draw, step + 1, self.rows, self.gauges.coupled)
                self._step(model, weights, optimiser, progress, batch)
                progress.step += 1
                self._record(progress)
                if due or stop:
                    self._save(progress, judged=not stop)
                # Whoever asks for the end may not wait long: neither the held-out loss nor a preview, which may take minutes, stands in its way.
                if not stop and self._preview_due(progress.step, due) and self.accelerator.is_main_process:
                    with progress.averages[0].swapped(progress.network):
                        self.preview(progress.network, progress.step)
                    model.train()
                if stop and progress.step < recipe.training.steps:
                    self.say(f"stopped at step {progress.step}; the same command goes on from there")
                    return STOPPED
        return FINISHED

    def _asked_to_stop(self) -> bool:
        """Whether any process was; all must end after the same step."""
        if self.accelerator.num_processes > 1:
            asked = torch.tensor(float(self.stopping), device=self.accelerator.device)
            self.stopping = bool(self.accelerator.reduce(asked, "sum") > 0)
        return self.stopping

    def _step(self, model: nn.Module, weights: list[nn.Parameter], optimiser: Any, progress: Progress, batch: Batch) -> None:
        recipe, step, accelerator = self.recipe, progress.step, self.accelerator
        parts = recipe.training.accumulation
        rate = learning_rate(recipe, step)
        for group in optimiser.param_groups:
            group["lr"] = rate
        bad: list[Tensor] = []
        for a in range(parts):
            micro = batch[slice(a * self.micro, (a + 1) * self.micro)].to(accelerator.device)
            if recipe.network.dropout:
                torch.manual_seed(generator(recipe.training.seed, int(micro.samples[0]), DROPOUT).initial_seed())
            with nullcontext() if a + 1 == parts else accelerator.no_sync(model):
                losses = self.method.losses(model, micro.x_0, micro.x_1, micro.t, micro.told)
                accelerator.backward(losses.mean() / parts)
            bad.append(micro.index[~torch.isfinite(losses.detach().cpu())])
            progress.window.add(losses.detach(), micro.t)
        norm = accelerator.clip_grad_norm_(weights, recipe.optimiser.clip or float("inf"))
        self._check(torch.cat(bad), norm, step, batch)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if accelerator.optimizer_step_was_skipped:  # by the scaler of fp16, whose gradient overflowed
            self.skipped += 1
            if self.skipped > MOST_SKIPPED:
                raise Diverged(
                    f"fp16 has skipped {self.skipped} steps running, to step {step + 1}; use training.precision=bf16 or fp32. The last checkpoint is kept"
                )
        else:
            self.skipped = 0
            for average in progress.averages:
                average.update(weights, step + 1)
        progress.window.step(float(norm), rate)
        progress.digest = self._digest(progress.digest, step, batch)

    def _check(self, bad: Tensor, norm: Tensor, step: int, batch: Batch) -> None:
        """Raises Diverged naming the samples whose loss is not finite, or all where the gradient alone is not; with fp16 the scaler skips a step whose gradient overflows.

        Looked at after the gradients of all processes were averaged, so that all know of a bad one, and the first names the samples of all.
        """
        finite = bool(torch.isfinite(norm))
        if finite and not len(bad):
            return
        together = self.accelerator.num_processes > 1 and not finite  # then all are here
        bad = self._of_all(bad) if together else bad
        if len(bad):
            self._diverged("loss", step, bad, together)
        if self.accelerator.scaler is None:
            self._diverged("gradient", step, self._of_all(batch.index) if together else batch.index, together)

    def _of_all(self, index: Tensor) -> Tensor:
        """What every process has, in the order of the processes."""
        from accelerate.utils import gather_object

        return torch.tensor(gather_object(index.tolist()), dtype=torch.long)

    def _diverged(self, what: str, step: int, index: Tensor, together: bool) -> None:
        """Raises Diverged; of several processes the first alone speaks, before any ends."""
        names = ", ".join(f"{int(i)} ({self.name_of(int(i))})" for i in index[:NAMED])
        more = f" and {len(index) - NAMED} more" if len(index) > NAMED else ""
        message = f"the {what} of step {step + 1} is not finite, with samples {names}{more}. {CURE}"
        if not together:
            raise Diverged(message)
        if self.accelerator.is_main_process:
            self.say(f"error: {message}")
        self.accelerator.wait_for_everyone()
        raise Diverged("")

    def _digest(self, before: str, step: int, batch: Batch) -> str:
        """A chain of hashes over the numbers of all samples seen by this process: equal chains, equal order."""
        import hashlib

        numbers = batch.index.numpy().tobytes() + batch.samples.numpy().tobytes() + batch.t.numpy().tobytes()
        if self.recipe.training.log_samples:
            with self.run.sample_log(self.accelerator.process_index).open("a", encoding="utf-8") as file:
                file.write(f"{step + 1} {' '.join(map(str, batch.index.tolist()))}\n")
        return hashlib.sha256(before.encode() + numbers).hexdigest()[:16]

    def _record(self, progress: Progress) -> None:
        every = self.recipe.training.log_every
        if progress.step % every and progress.step != self.recipe.training.steps:
            return
        window = progress.window.reduced(self.accelerator)
        progress.window = Window()
        measured = self.gauges.read(progress.step)
        if self.accelerator.is_main_process:
            line = {
                "step": progress.step,
                "samples": progress.step * self.recipe.training.batch,
                **window.summary(),
                **measured,
                "digest": progress.digest,
            }
            self.run.record(line)
            self.mirror.log(line)
            self.gauges.show(progress.step, line)

    def _save(self, progress: Progress, judged: bool = True) -> None:
        """Writes a checkpoint; with its held-out loss where it is to be `judged`."""
        window = progress.window.reduced(self.accelerator)
        if not self.accelerator.is_main_process:
            self.accelerator.wait_for_everyone()
            return
        loss = None
        if judged:
            loss = held_out_loss(progress.network, progress.averages[0], self.method, self.held_out, self.accelerator.device)
        if loss is not None:  # before the checkpoint: a kill in between is made good by the rewind
            line = {"step": progress.step, "held_out_loss": loss}
            self.run.record(line)
            self.mirror.log(line)
        tensors: dict[str, Tensor] = {f"prior.{name}": value for name, value in self.method.prior.state().items()}
        tensors |= {f"normalisation.{name}": value for name, value in self.source.normalisation.state().items()}
        if progress.table is not None:
            tensors["table"] = progress.table.state()
        for name, value in (("label_law", self.source.law), ("null_text", self.source.null_text)):
            if value is not None:
                tensors[name] = value
        scaler = self.accelerator.scaler
        facts = {
            **self.facts,
            "shape": list(self.source.shape),
            "classes": list(self.source.classes),
            "held_out_loss": loss,
            "digest": progress.digest,
            "window": window.state(),
            "scaler": None if scaler is None else scaler.state_dict(),
            "seconds": self.gauges.seconds,
        }
        saved = checkpoints.save(
            self.run.checkpoints,
            step=progress.step,
            recipe=self.recipe,
            network=progress.network,
            averages=progress.averages,
            optimiser=progress.optimiser,
            tensors=tensors,
            facts=facts,
        )
        checkpoints.prune(self.run.checkpoints, self.recipe.training.keep)
        told = "" if loss is None else f", {held_out_name(self.recipe)} {loss:.4f}"
        self.say(f"step {progress.step}: {saved.folder.name} written{told}")
        self.accelerator.wait_for_everyone()

    def _preview_due(self, step: int, checkpoint: bool) -> bool:
        every = self.recipe.training.preview_every
        return checkpoint if every == 0 else step % every == 0 or step == self.recipe.training.steps

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """SIGTERM and Ctrl-C ask for the end after the present step; a second Ctrl-C ends at once."""

        def ask(number: int, _frame: Any) -> None:
            if not self.stopping:
                self.say("stopping after this step")
            self.stopping = True
            if number == signal.SIGINT:
                signal.signal(signal.SIGINT, signal.default_int_handler)

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGTERM, signal.SIGINT)}
        except ValueError:  # not the main thread, where no signal comes in
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def own_rows(recipe: Recipe, process: int, processes: int) -> tuple[Tensor, int]:
    """Which rows of an effective batch a process works on, micro-batch after micro-batch, and how many each has.

    Raises ValueError where the batch cannot be shared out evenly.
    """
    training = recipe.training
    micro, rest = divmod(training.batch, training.accumulation * processes)
    if rest or micro == 0:
        raise ValueError(
            f"training.batch={training.batch} cannot be shared evenly by {processes} processes in {training.accumulation} micro-batches; make it a multiple"
        )
    starts = torch.arange(training.accumulation) * micro * processes + process * micro
    return (starts[:, None] + torch.arange(micro)).flatten(), micro


def resumed(recipe: Recipe, checkpoint: checkpoints.Checkpoint, progress: Progress) -> Progress:
    """A fresh training brought to where a checkpoint of it was written."""
    from trainers.networks import load_body

    folder = checkpoint.folder
    progress.network.body.load_state_dict(load_body(folder / "model").state_dict())
    for average, name in zip(progress.averages, checkpoints.average_names(recipe), strict=True):
        average.copy_from(load_body(folder / name))
    names = [name for name, _ in progress.network.named_parameters()]
    checkpoints.restore_optimiser(progress.optimiser, checkpoint.tensors("optimizer.safetensors"), names)
    if progress.table is not None:
        progress.table = AssignmentTable.from_state(checkpoint.tensors("state.safetensors")["table"])
    progress.step, progress.digest = checkpoint.step, checkpoint.facts["digest"]
    progress.window = Window.from_state(checkpoint.facts["window"])
    return progress


def method_of(checkpoint: checkpoints.Checkpoint, recipe: Recipe) -> Method:
    """The method with the prior that the checkpoint has."""
    from trainers.priors import FittedPrior

    return Method(recipe, FittedPrior.from_state(checkpoints.part_of(checkpoint.tensors("state.safetensors"), "prior")))
