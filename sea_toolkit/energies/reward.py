"""The energy `reward`: the negative of a reward model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from sea_toolkit.core.response import SoftResponse
from sea_toolkit.energies.by_family import family_energy
from sea_toolkit.energies.judge.energy import Judge
from sea_toolkit.energies.process_reward.energy import ProcessReward
from sea_toolkit.errors import ModelError
from sea_toolkit.lm.devices import Placement, pick_device, pick_dtype
from sea_toolkit.lm.fingerprint import model_facts, tokenizer_fingerprint
from sea_toolkit.models.finder import ModelFinder
from sea_toolkit.models.folder import refuse_file
from sea_toolkit.models.heads import PairwiseModel
from sea_toolkit.models.policy_spec import DType
from sea_toolkit.models.reading import read_tokenizer
from sea_toolkit.models.tensor_parallel import KEY
from sea_toolkit.models.weights_files import weights_files
from sea_toolkit.problem.context import Context
from sea_toolkit.problem.energy import BoundEnergy, Energy, ResponseFunction
from sea_toolkit.problem.outlook import Foresight, Outlook
from sea_toolkit.readers.classifiers import classifier_outlook, classifier_reader, classifier_scorer, loaded_classifier
from sea_toolkit.readers.output_choice import Activation, OutputChoice
from sea_toolkit.readers.pairwise_reader import PairwiseReader
from sea_toolkit.readers.probe import Probe
from sea_toolkit.readers.probe_reader import PolicyView, ProbeReader, is_probe
from sea_toolkit.readers.probed_model import body_of, load_probed
from sea_toolkit.readers.sequence_classifier import ClassifierReader
from sea_toolkit.readers.shown_text import Reading
from sea_toolkit.readers.text_scorer import bound_outputs


class Reward(Energy):
    """−r(x, y), with r from a probe or a Hugging Face sequence-classification model.

    A process reward or a guard whose config or chat template tells its family is read as that family does, by the
    energy `process-reward` or `judge`.

    The unit is that of the reward: log-odds for a probe, the unit of its training for another model.

    Args:
        model: a catalog name (`sea-toolkit models list`), a probe file, a local folder or a Hugging Face id.
        reads: what a sequence classifier is shown: the "response" alone, "prompt+response" as plain text, the two in
            its tokenizer's "chat" template, or as the two segments of a "pair"; "auto" is what its folder tells, else
            "response". Probes read the response.
        output: which of several outputs is the reward, by label or index; or their weights, such as
            `{ helpfulness = 0.65, verbosity = -0.2 }`.
        activation: what is made of the outputs first: "none", the "sigmoid" of each, or their "softmax". The softmax of
            ratings with weights 1 to 5 is the expected number of stars.
        truncate: where prompt and answer have more tokens than a classifier can read, leave out the beginning of the
            prompt; the end of an answer only if it is too long by itself. Otherwise this is an error, found before
            anything is drawn.
        against: for a model that compares answers (PairRM): the answer that others are compared with, or a list with
            one for each prompt; the policy's most probable answer if it is left out.
        template_options: variables of the chat template, such as `{ enable_thinking = false }`.
        device: where a classifier runs, such as "cuda:1"; the policy's device if it is left out.
        dtype: of a classifier's weights; the policy's on the policy's device, else the fastest of the device.
        tensor_parallel_size: over how many processes of torchrun a classifier's weights are shared out: all that there
            are, or every process has all of them.
        batch: texts that a classifier reads at once, at most; 64 if it is left out.
    """

    differentiable = True
    label: str

    def __init__(
        self,
        *,
        model: str,
        reads: Reading = "auto",
        output: str | int | dict[str, float] | None = None,
        activation: Activation = "none",
        truncate: bool = False,
        against: str | list[str] | None = None,
        template_options: dict[str, Any] | None = None,
        device: str | None = None,
        dtype: DType | None = None,
        tensor_parallel_size: Annotated[int, Field(gt=0)] | None = None,
        batch: Annotated[int, Field(gt=0)] | None = None,
    ) -> None:
        self.model, self.reads, self.output, self.truncate = model, reads, output, truncate
        self.activation, self.against = activation, against
        self.template_options, self.device, self.dtype, self.batch = template_options, device, dtype, batch
        self.parts = tensor_parallel_size
        self.reward_model = model
        self.name = Path(model).stem if model.endswith(".safetensors") else model.rstrip("/").rpartition("/")[2]
        self.label = output if isinstance(output, str) else self.name
        if isinstance(output, int):
            self.label = f"{self.name}:{output}"

    def check(self, finder: ModelFinder, tokenizer: Any) -> None:
        """Find the model and its tokenizer, before any weights are read.

        Raises:
            ModelError: no such model, a damaged probe or one whose model cannot be had, or no tokenizer beside a
                classifier.
        """
        source = finder.find(self.model, "reward")
        if not is_probe(source):
            other = self._by_family(source, finder)
            if other is not None:
                other[0].check(finder, tokenizer)
                return
            read_tokenizer(source, self.name, trust_remote_code=finder.trust_remote_code)
            return
        self._refuse_options()
        probe = probe_at(source, self.name)
        if probe.info.vocabulary != tokenizer_fingerprint(tokenizer):
            body_of(probe, source, finder)

    def bind(self, context: Context) -> BoundEnergy:
        """Load the model and check that it fits the policy.

        Raises:
            ModelError: as `check`; unreadable weights; a probe whose model is not the one it was made for.
            RecipeError: no such output, or several and none named.
        """
        source = context.find_model(self.model)
        other = None if is_probe(source) else self._by_family(source, context.finder)
        if other is not None:
            bound = other[0].bind(context)
            return replace(bound, warnings=[f"{self.name} is {other[1]}", *bound.warnings])
        probe = probe_at(source, self.name) if is_probe(source) else None
        mine = None if probe is None else PolicyView(probe, context.policy)
        if probe is not None and mine is not None and mine.view is not None:
            placing = {"device": self.device, "dtype": self.dtype, "batch": self.batch}  # its parts were refused
            self._refuse(placing, "none of it: this probe is read in the policy's own pass")
            reader = ProbeReader(probe, mine.view, self.name, context)
            return BoundEnergy(
                energy=negative(reader), is_reward=True, warnings=mine.notes, fingerprint=probe.head.fingerprint,
                compass=compass_beside(Path(source)),
            )  # fmt: skip
        scorer = classifier_scorer(
            source, self.name, context, device=self.device, dtype=self.dtype, tensor_parallel_size=self.parts,
            against=self.against, **self._reading(source, context.finder),
        )  # fmt: skip
        if probe is not None:
            note = f"the probe {self.name} reads {probe.info.model}, which runs beside the policy"
            if note not in scorer.warnings:
                scorer.warnings.insert(0, note)
        elif self.reads == "auto" and isinstance(scorer.reader, ClassifierReader) and scorer.reader.may_want_a_pair:
            note = f'{self.name} reads the answer without the prompt; if it was trained on pairs, say reads = "pair"'
            if note not in scorer.warnings:
                scorer.warnings.append(note)
        choice = self.choice(scorer.reader)
        return bound_outputs(scorer, lambda outputs: -choice(outputs), choice.largest, is_reward=True)

    def outlook(self, foresight: Foresight) -> Outlook:
        """A probe is read in the policy's own pass if that is its model; everything else is a model of its own."""
        finder, ledger_name = foresight.finder, f"reward:{self.name}"
        source = finder.find(self.model, "reward")
        if not is_probe(source):
            other = self._by_family(source, finder)
            if other is not None:
                return other[0].outlook(foresight)
            return classifier_outlook(source, self.name, foresight, device=self.device, dtype=self.dtype)
        probe = probe_at(source, self.name)
        if not probe.other_facts(model_facts(foresight.policy, foresight.tokenizer, "the policy")):
            return Outlook("policy", [foresight.part_of_policy(ledger_name, probe.layer)])
        body, name, trust = body_of(probe, source, finder), probe.info.model, finder.trust_remote_code
        model = foresight.model(
            "base", body, name, ledger_name, device=self.device, dtype=self.dtype, layers=probe.layer
        )
        return Outlook(foresight.road(read_tokenizer(body, name, trust_remote_code=trust)), [model])

    def reader(self, finder: ModelFinder, place: Placement | None = None) -> ClassifierReader | None:
        """The model by itself, without a policy; None for one that compares answers, and so needs others.

        Args:
            finder: keeps what is loaded.
            place: where it runs; by default on the recipe's device or the fastest one, on a CPU in float32 unless the
                recipe says otherwise, so that two ways of reading can be told apart.

        Raises:
            ModelError: as `bind`, or a model that another energy reads.
            RecipeError: options that do not go with what it reads, or no such device.
        """
        source = finder.find(self.model, "reward")
        other = None if is_probe(source) else self._by_family(source, finder)
        if other is not None:
            raise ModelError(f"{self.name} is {other[1]}", expected="a classifier that reads whole texts")
        if place is None:
            device = pick_device(self.device or "auto")
            dtype = self.dtype or ("float32" if device.type == "cpu" else "auto")
            place = Placement(device, pick_dtype(dtype, device), self.parts or 1)
        reading = self._reading(source, finder)
        model, _ = loaded_classifier(source, self.name, finder, place, reading.get("load"))
        if isinstance(model, PairwiseModel):
            return None
        return classifier_reader(source, self.name, finder, place, **reading)

    def choice(self, reader: ClassifierReader | PairwiseReader) -> OutputChoice:
        """Which number of the model's outputs is the reward.

        Raises:
            RecipeError: no such output, or several and none named.
        """
        return OutputChoice.of(reader.model.config, self.name, self.output, self.activation)

    def _reading(self, source: Path | str, finder: ModelFinder) -> dict[str, Any]:
        """How the model is read: the recipe's options; of a probe, its own."""
        if is_probe(source):
            self._refuse_options()
            probe = probe_at(source, self.name)
            load = partial(load_probed, probe, source, finder)
            return {"reads": "response", "batch": self.batch, "load": load}
        return {
            "reads": self.reads, "truncate": self.truncate, "template_options": self.template_options,
            "batch": self.batch,
        }  # fmt: skip

    def _by_family(self, source: Path | str, finder: ModelFinder) -> tuple[Judge | ProcessReward, str] | None:
        """The energy that reads a process reward or a guard; at the end of a text, its number would mean another
        thing."""
        other = family_energy(
            self.model, source, finder, truncate=self.truncate, template_options=self.template_options
        )
        if other is not None:
            reads, activation = (
                None if value == usual else value for value, usual in ((self.reads, "auto"), (self.activation, "none"))
            )
            options = {
                "reads": reads, "output": self.output, "activation": activation, "against": self.against,
                "device": self.device, "dtype": self.dtype, KEY: self.parts, "batch": self.batch,
            }  # fmt: skip
            self._refuse(options, "none of it, or that energy with options of its own", other[1])
        return other

    def _refuse_options(self) -> None:
        reads = None if self.reads in ("auto", "response") else self.reads
        activation = None if self.activation == "none" else self.activation
        options = {
            "reads": reads, "output": self.output, "truncate": self.truncate or None,
            "template_options": self.template_options, "activation": activation, "against": self.against,
            KEY: self.parts,
        }  # fmt: skip
        self._refuse(options, "none of it: a probe reads the response, and has one output")

    def _refuse(self, options: dict[str, Any], expected: str, kind: str = "a probe") -> None:
        """Refuse options that a model of a kind does not have, if any is given."""
        if given := [name for name, value in options.items() if value is not None]:
            raise ModelError(f"{self.name} is {kind}, and its recipe sets {', '.join(given)}", expected=expected)


def probe_at(path: Path, name: str) -> Probe:
    """The probe in a file.

    Raises:
        ModelError: the file is damaged, or belongs to a model of another kind.
    """
    if path.suffix != ".safetensors" or path.name in weights_files(path.parent):
        refuse_file(path, name)
    return Probe.load(path)


def compass_beside(probe: Path) -> Path | None:
    """The file NAME.compass.safetensors beside a probe NAME.safetensors, if there is one."""
    path = probe.with_name(f"{probe.stem}.compass.safetensors")
    return path if path.is_file() else None


def negative(reward: ResponseFunction) -> ResponseFunction:
    """The energy of a reward."""

    def energy(response: SoftResponse) -> Float[Tensor, "P C"]:
        return -reward(response)

    return energy
