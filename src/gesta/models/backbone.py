"""The base of the image networks: a trunk of named steps, features at a stage, a linear classifier `fc`.

In: images uint8 or float 0..255 [B, C, H, W]. Letters: B images, C channels, D features, N classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from gesta.models.layers import to_unit

Step = tuple[str, Callable[[Tensor], Tensor]]

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of red, green and blue that the published ResNets expect."""
SIGNED = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
"""[-1, 1]: what the published Inceptions expect (torchvision uses `transform_input` for this)."""


def normalized(images: Tensor, mean: Sequence[float], deviation: Sequence[float]) -> Tensor:
    """uint8 or float 0..255 [B, C, ...] -> (images / 255 - mean) / deviation; gray statistics if C is not 3."""
    channels = images.shape[1]
    if channels != 3:
        mean, deviation = [sum(mean) / 3] * channels, [sum(deviation) / 3] * channels
    scaled = to_unit(images)
    shape = (1, channels, *[1] * (images.ndim - 2))
    return (scaled - scaled.new_tensor(mean).reshape(shape)) / scaled.new_tensor(deviation).reshape(shape)


class Backbone(nn.Module):
    """A trunk, the mean over the image, dropout, a linear layer `fc`. Subclasses set `fc` and implement `steps`.

    `stages`: channels of each named stage, in order; the last one feeds `fc`. `size`: the published input size in
    pixels. `heads`: name prefixes of the tensors of auxiliary heads in published files.
    """

    heads: tuple[str, ...] = ()

    def __init__(self, stages: dict[str, int], size: int, statistics: tuple, dropout: float) -> None:
        super().__init__()
        self.stages = stages
        self.size = size
        self.mean, self.deviation = statistics
        self.dropout = nn.Dropout(dropout)
        self.fc: nn.Linear

    def steps(self) -> list[Step]:
        """(name, function) of each trunk step in order; features can be taken at those named in `stages`."""
        raise NotImplementedError

    def reset_classifier(self, classes: int) -> None:
        """Replaces the last layer with a new, untrained one for `classes` classes; auxiliary heads are removed."""
        self.fc = nn.Linear(self.fc.in_features, classes).to(self.fc.weight.device)
        for name in self.heads:
            self._modules.pop(name, None)

    def prepare(self, images: Tensor) -> Tensor:
        """uint8 or float 0..255 -> the input of the first convolution."""
        return normalized(images, self.mean, self.deviation)

    def forward_maps(self, images: Tensor, stage: str | None = None) -> Tensor:
        """Feature maps at the end of a stage, [B, stages[stage], h, w]; None: the last one.

        Raises ValueError for an unknown stage, with the list.
        """
        stage = stage or next(reversed(self.stages))
        if stage not in self.stages:
            raise ValueError(f"no stage {stage!r}; choose from {', '.join(self.stages)}")
        maps = self.prepare(images)
        for name, step in self.steps():
            maps = step(maps)
            if name == stage:
                break
        return maps

    def forward_features(self, images: Tensor, stage: str | None = None) -> Tensor:
        """The mean of a stage's maps over the image, [B, D]."""
        return self.forward_maps(images, stage).mean((2, 3))

    def forward_head(self, features: Tensor) -> Tensor:
        return self.fc(self.dropout(features))

    def forward(self, images: Tensor) -> Tensor:
        return self.forward_head(self.forward_features(images))


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalization (eps 0.001), ReLU: `conv`, `bn` as in torchvision's Inceptions."""

    def __init__(
        self,
        before: int,
        now: int,
        kernel: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(before, now, kernel, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(now, eps=0.001)

    def forward(self, maps: Tensor) -> Tensor:
        return self.bn(self.conv(maps)).relu()
