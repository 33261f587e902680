"""DeepModel (Zhou et al. 2016, "Model-based deep hand pose estimation"): joint angles, then forward kinematics.

hand float32 [B, 1, H, W] -> joints [B, J, 3]. The trunk of DeepPrior, 26 outputs (position, rotation, four angles per
finger) and a layer of forward kinematics, whose only weights are the lengths of the
hand. Angles outside their limits are penalized. At 128 x 128 with NYU's 14 joints: 3.18 million parameters.
Deviations: convolutions keep the size; the lengths of the bones are learned, where the paper fixes them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gesta.models.deep_prior import PLAN
from gesta.models.hand_tree import BASES_MM, BONES_MM, LIMITS, ROLL, YAW, points_for
from gesta.models.pose_layers import PoseNet, joint_loss, made, specs, through

DEGREES_OF_FREEDOM = 26
HALF_CUBE_MM = 150.0
PENALTY = 1.0


class HandKinematics(nn.Module):
    """[B, 26] (position 3, rotation about x, y, z 3, five fingers of four angles, radians) -> joints [B, J, 3].

    `palm` P 3 (the fingers' bases, then further points) and `bones` 5 3 are the lengths of the hand, in half cubes.
    """

    yaw: Tensor
    roll: Tensor
    order: Tensor
    limits: Tensor

    def __init__(self, joint_names: Sequence[str]) -> None:
        super().__init__()
        points = points_for(joint_names)
        self.palm = nn.Parameter(torch.tensor([*BASES_MM, *points.palm_mm]) / HALF_CUBE_MM)
        self.bones = nn.Parameter(torch.tensor(BONES_MM) / HALF_CUBE_MM)
        self.register_buffer("yaw", torch.tensor(YAW), persistent=False)
        self.register_buffer("roll", torch.tensor(ROLL), persistent=False)
        self.register_buffer("order", torch.tensor(points.order), persistent=False)
        self.register_buffer("limits", torch.tensor(LIMITS), persistent=False)

    def forward(self, freedom: Tensor) -> Tensor:
        place, turn = freedom[:, None, :3], freedom[:, 3:6]
        fingers = self._fingers(freedom[:, 6:].unflatten(1, (5, 4)))  # B 20 3
        palm = self.palm[5:].expand(len(freedom), -1, -1)
        points = torch.cat([fingers, palm], dim=1)  # B 20+P 3
        return (points @ _rotation(turn).transpose(1, 2) + place)[:, self.order]  # B J 3

    def _fingers(self, angles: Tensor) -> Tensor:
        """Each finger bends in a plane through the stretched finger. B 5 4 -> its base, joints and tip, B 20 3."""
        yaw = self.yaw + angles[..., 1]  # B 5
        zero = torch.zeros_like(yaw)
        along = torch.stack([yaw.sin(), yaw.cos(), zero], dim=-1)  # B 5 3
        side = torch.stack([yaw.cos(), -yaw.sin(), zero], dim=-1)
        out = torch.stack([zero, zero, zero + 1], dim=-1)
        up = self.roll.cos()[:, None] * out - self.roll.sin()[:, None] * side
        place = self.palm[:5].expand(len(angles), -1, -1)  # B 5 3
        found, bend = [place], zero
        for bone, angle in enumerate((0, 2, 3)):
            bend = bend + angles[..., angle]
            step = bend.cos()[..., None] * along + bend.sin()[..., None] * up
            place = place + self.bones[:, bone, None] * step
            found.append(place)
        return torch.stack(found, dim=2).flatten(1, 2)

    def beyond(self, freedom: Tensor) -> Tensor:
        """How far the angles exceed their limits, in radians, summed over a hand and averaged over the batch."""
        angles = freedom[:, 6:].unflatten(1, (5, 4))
        low, high = self.limits.unbind(1)
        return ((low - angles).clamp(min=0) + (angles - high).clamp(min=0)).sum((1, 2)).mean()


class DeepModel(PoseNet):
    def __init__(
        self, *, joint_names: Sequence[str], channels: int, size: int, hidden: int = 1024, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.joints = len(joint_names)
        self.layers = made(
            specs(PLAN, channels=channels, size=size, hidden=hidden, dropout=dropout, outputs=DEGREES_OF_FREEDOM)
        )
        self.hand = HandKinematics(joint_names)

    def forward(self, hand: Tensor) -> Tensor:
        joints: Tensor = self.hand(through(self.layers, hand))  # B J 3
        return joints

    def learn(self, hand: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
        freedom = through(self.layers, hand)  # B 26
        found = self.hand(freedom)
        return found, joint_loss(found, truth) + PENALTY * self.hand.beyond(freedom)

    @torch.no_grad()
    def start_from(self, poses: Tensor) -> None:
        """Scales the hand to the extent of the training hands, and moves it to their mean position."""
        flat = self.hand(torch.zeros(1, DEGREES_OF_FREEDOM, device=self.hand.palm.device))[0]  # J 3
        reach = (poses - poses.mean(1, keepdim=True)).norm(dim=-1).amax(1).quantile(0.95)
        factor = reach / (flat - flat.mean(0)).norm(dim=-1).amax()
        self.hand.palm.mul_(factor)
        self.hand.bones.mul_(factor)
        out = self.layers["out"]
        assert isinstance(out, nn.Linear)
        out.bias[:3] = poses.mean((0, 1)) - factor * flat.mean(0)


def _rotation(turn: Tensor) -> Tensor:
    """Rotations about x, then y, then z, radians: B 3 -> B 3 3."""
    (cx, cy, cz), (sx, sy, sz) = turn.cos().unbind(1), turn.sin().unbind(1)
    rows = [
        [cz * cy, cz * sy * sx - sz * cx, cz * sy * cx + sz * sx],
        [sz * cy, sz * sy * sx + cz * cx, sz * sy * cx - cz * sx],
        [-sy, cy * sx, cy * cx],
    ]
    return torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
