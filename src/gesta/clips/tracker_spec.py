"""Which tracker stands in a transform: a specification only. `tracking.py` runs it."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from gesta.trackers.joints import What, joint_names, skeleton_names
from gesta.trackers.tracker import Model, identity


class TrackerSpec(BaseModel):
    """Which tracker: it follows what frames of the transform's rate show. `sha256`: of its networks and settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    what: What
    hand_model: Model = "full"
    max_hands: int = Field(2, ge=1, le=2)
    mask: bool = Field(False, description="the person's mask as well, for pixels")
    sha256: str

    @classmethod
    def of_this_computer(cls, what: What, *, mask: bool = False) -> TrackerSpec:
        """With the networks that lie here. Raises GestaError if they do not."""
        return cls(what=what, mask=mask, sha256=identity(what, mask=mask))

    @property
    def joints(self) -> tuple[str, ...]:
        """Names of the joints of the skeleton stream: those of the tracker."""
        return joint_names(self.what)

    @property
    def crop_joints(self) -> tuple[str, ...]:
        """Names of the joints that crops follow."""
        return skeleton_names(self.what)

    @property
    def line(self) -> str:
        """What it is, for people."""
        return f"tracker: {self.what} in the colors, sha256 {self.sha256[:12]}... (gesta fetch trackers)"
