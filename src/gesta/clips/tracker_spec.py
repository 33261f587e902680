"""The tracker in a transform: only the specification. `tracking.py` runs it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gesta.trackers.joints import What, joint_names, skeleton_names
from gesta.trackers.tracker import Model, identity


class TrackerSpec(BaseModel):
    """Which tracker to use; it runs on frames at the transform's rate. `sha256`: of its networks and settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: What
    hand_model: Model = "full"
    max_hands: int = Field(2, ge=1, le=2)
    mask: bool = Field(False, description="also find the person's mask, for pixels")
    sha256: str

    @classmethod
    def of_this_computer(cls, what: What, *, mask: bool = False) -> TrackerSpec:
        """Specification with the networks on this computer. Raises GestaError if they are missing."""
        return cls(what=what, mask=mask, sha256=identity(what, mask=mask))

    @property
    def joints(self) -> tuple[str, ...]:
        """Joint names of the skeleton stream: those of the tracker."""
        return joint_names(self.what)

    @property
    def crop_joints(self) -> tuple[str, ...]:
        """Names of the joints used by the crops."""
        return skeleton_names(self.what)

    @property
    def line(self) -> str:
        """Human-readable description."""
        return f"tracker: {self.what} in color images, sha256 {self.sha256[:12]}... (gesta fetch trackers)"
