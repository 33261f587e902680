"""The options of `gesta compress`, and how many channels and weights to prune to reach a given number of bytes."""

from __future__ import annotations

from dataclasses import dataclass

from gesta.bundle import sparse
from gesta.compression.weights import Weights, narrowed, prunable
from gesta.schema import GestaError

KEEP = (0.5, 0.25)
"""Shares of the parameters that channel pruning keeps if no target size is given."""
SPARSITY = 0.7
SPARSITIES = (0.5, 0.75, 0.9)
ROOM = 0.97
"""Share of the target bytes used in planning."""
NEARLY = 0.9
"""Channel pruning that keeps more than this share of the parameters is not worth the training."""
DISTILLATION = ("distillation.loss=kl", "distillation.alpha=0.5", "distillation.temperature=4")


@dataclass(frozen=True)
class Plan:
    """`keep`: shares of the initial parameters to keep in channel pruning (None: by `target_bytes`, else KEEP).

    `sparsity`: of the weight pruning that follows (None: as needed for `target_bytes`, else SPARSITY; 0: none). Each
    pruning takes `steps` steps with `epochs` of fine-tuning each. `distil`: fine-tune with a teacher. `sets`: changes
    to the fine-tuning recipe. `to`, `clips`, `seconds`: export options.
    """

    target_bytes: int | None = None
    max_drop: float | None = None
    keep: tuple[float, ...] | None = None
    sparsity: float | None = None
    epochs: int = 10
    steps: int = 2
    distil: bool = True
    sets: tuple[str, ...] = ()
    to: str = "openvino"
    clips: int = 500
    seconds: float = 2.0

    def check(self) -> None:
        """Raises GestaError (usage) for invalid values."""
        if self.target_bytes is not None and self.target_bytes < 1:
            raise GestaError(f"--target-bytes is {self.target_bytes}, expected at least 1, e.g. 500000.", usage=True)
        if self.max_drop is not None and self.max_drop < 0:
            raise GestaError(
                f"--max-drop is {self.max_drop:g}, expected percentage points of at least 0, e.g. 1.", usage=True
            )
        if any(not 0 < share < 1 for share in self.keep or ()):
            raise GestaError("--keep must be a share of the parameters between 0 and 1, e.g. 0.25.", usage=True)
        if self.sparsity is not None and not 0 <= self.sparsity < 1:
            raise GestaError("--sparsity must be from 0 (none) to below 1.", usage=True)
        if self.epochs < 1 or self.steps < 1:
            raise GestaError("--epochs and --steps must be at least 1.", usage=True)
        if any(change.partition("=")[0].strip() in ("teacher", "distillation.teachers") for change in self.sets):
            raise GestaError("--set cannot name teachers here: use --teacher BUNDLE.", usage=True)
        if self.to not in ("openvino", "onnx"):
            raise GestaError(f"unknown format {self.to!r}; choose from openvino, onnx.", usage=True)

    @property
    def chooses(self) -> bool:
        """Whether there are constraints for selecting a result."""
        return self.target_bytes is not None or self.max_drop is not None

    @property
    def recipe_sets(self) -> tuple[str, ...]:
        """Changes to the fine-tuning recipe. Validation people, used for selection, are never trained on."""
        return ("training.validation=true", *(DISTILLATION if self.distil else ()), *self.sets)

    def sizes(self, parameters: int) -> list[int]:
        """Returns the parameter counts to reach by channel pruning, descending; for a target size, the one that fits.

        Empty if that is close to the initial count: then only weights of the initial network are pruned.
        """
        if self.keep is not None:
            wanted = [round(share * parameters) for share in self.keep]
        elif self.target_bytes is None:
            wanted = [round(share * parameters) for share in KEEP]
        else:
            wanted = [] if self.prunes_start(parameters) else [self._pruned_size]
        return sorted({n for n in wanted if 0 < n < parameters}, reverse=True)

    def prunes_start(self, parameters: int) -> bool:
        """Returns whether weight pruning of the initial network alone (nearly) reaches the target size."""
        return self.keep is None and self.target_bytes is not None and NEARLY * parameters <= self._pruned_size

    @property
    def _pruned_size(self) -> int:
        """Parameters of a network whose pruned 8-bit file has the target size."""
        room = ROOM * (self.target_bytes or 0)
        return int(room / (1 / 8 + 1 - (SPARSITY if self.sparsity is None else self.sparsity)))

    def sparsity_for(self, weights: Weights) -> float:
        """Returns the sparsity for pruning a network; 0 if its 8-bit file is already small enough."""
        if self.sparsity is not None:
            return self.sparsity
        return SPARSITY if self.target_bytes is None else needed_sparsity(weights, self.target_bytes)

    def sparsities(self, weights: Weights, alone: bool) -> list[float]:
        """Returns the sparsities to try; several if weight pruning is the only method and no target is given."""
        if alone and self.sparsity is None and self.target_bytes is None:
            return list(SPARSITIES)
        return [share] if (share := self.sparsity_for(weights)) else []


def needed_sparsity(weights: Weights, wanted_bytes: float) -> float:
    """Returns the share of zeros, 0 to 0.95, at which the 8-bit sparse file fits into `wanted_bytes` with a margin.

    0 if it already fits. n weights with a bitmap take n / 8 + (1 - s) n bytes; unpruned tensors and the file's header
    do not shrink.
    """
    values, scales, _ = narrowed(weights, "int8")
    dense = len(sparse.encode(values, scales)[0])
    if dense <= wanted_bytes:
        return 0.0
    names = prunable(weights)
    n = sum(weights[name].size for name in names)
    fixed = dense - n + 2 * sparse.ENTRY_BYTES * len(names)  # a second entry, and its line in the table of shapes
    share = 1 - ((ROOM * wanted_bytes - fixed) / n - 1 / 8)
    return float(min(0.95, max(0.0, share)))


def named(parameters: int, start: int) -> str:
    """Returns a name for a network with fewer channels that is valid as a folder name."""
    return f"channels-{100 * parameters / start:.3g}"
