"""Skeleton networks as clip networks: coordinates and mask in one tensor, as produced by `to_network`.

In: clip float32 [B, T, J, D + 1], the last value 1 if the joint is present, else 0; lengths int64 [B], None = T.
Out: logits [B, N]. Letters as in gesta.models.skeleton_layers.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from gesta.models.layers import Wrapper


class SkeletonClips(Wrapper):
    """A network that processes whole clips of any length."""

    takes_lengths = True

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes."""
        self.network.reset_classifier(classes)

    def forward_features(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Features [B, C] of a whole clip."""
        return self.network.forward_features(*_parts(clip), lengths)

    @property
    def layer_widths(self) -> tuple[int, ...]:
        """Channels of the layer outputs."""
        return self.network.layer_widths

    def forward_layers(self, clip: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
        """The layer outputs for a whole clip, [B, C] each ([B, T, C] if the network has an output per frame)."""
        return self.network.forward_layers(*_parts(clip), lengths)

    def forward_head(self, features: Tensor) -> Tensor:
        return self.network.forward_head(features)

    def forward(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        return self.forward_head(self.forward_features(clip, lengths))


class SkeletonSteps(SkeletonClips):
    """A network with an output after every frame: successive calls of `step` equal `forward_steps` on the clip."""

    chunk = 1

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the named state of `step`, zeros at a reset; -1 denotes the batch."""
        return self.network.state_shapes

    def forward_steps(self, clip: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Logits after every frame [B, T, N]; those past a clip's length are meaningless."""
        return self.network.forward_steps(*_parts(clip), lengths)

    def answers(self, steps: Tensor) -> Tensor:
        """The output after every frame, unchanged: [B, T, N]."""
        return steps

    def step(self, chunk: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """One frame [B, 1, J, D + 1] and the state -> logits [B, N], the new state."""
        return self.network.step(*_parts(chunk), *state)

    def advance_layers(self, chunk: Tensor, state: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """The next frames [B, t, J, D + 1] and the state -> the layer outputs, [B, t, C] each, the new state."""
        return self.network.advance_layers(*_parts(chunk), state)


def _parts(clip: Tensor) -> tuple[Tensor, Tensor]:
    """Skeleton [B, T, J, D] and mask [B, T, J]."""
    return clip[..., :-1], clip[..., -1]
