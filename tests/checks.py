"""One battery for every clip network, at reduced width: what each must do, whatever it is."""

from __future__ import annotations

from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 3


def clips(
    batch: int = 4, frames: int = 8, streams: int = 2, channels: int = 2, size: int = 32, seed: int = 0
) -> Tensor:
    """uint8 [B, S, C, T, H, W]; clip i is bright in another stripe, so that a handful can be learned."""
    generator = torch.Generator().manual_seed(seed)
    clip = torch.randint(0, 60, (batch, streams, channels, frames, size, size), generator=generator, dtype=torch.uint8)
    for i in range(batch):
        row = i % CLASSES * (size // CLASSES)
        clip[i, ..., row : row + size // CLASSES, :] += 150
    return clip


def check_shapes(network: nn.Module, clip: Tensor) -> None:
    """forward = forward_head(forward_features), [B, N]; reset_classifier changes N; uint8 and float 0..255 agree."""
    network.eval()
    with torch.no_grad():
        logits = network(clip)
        assert logits.shape == (len(clip), CLASSES)
        torch.testing.assert_close(network.forward_head(network.forward_features(clip)), logits)
        torch.testing.assert_close(network(clip.float()), logits)
        network.reset_classifier(5)
        assert network(clip).shape == (len(clip), 5)
    network.reset_classifier(CLASSES)


def check_gradients(network: nn.Module, clip: Tensor) -> None:
    """Every parameter gets a finite gradient that is not all zero."""
    network.train()
    network.zero_grad()
    F.cross_entropy(network(clip), torch.arange(len(clip)) % CLASSES).backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def check_saves(network: nn.Module, fresh: nn.Module, clip: Tensor, folder: Path) -> None:
    """Saved tensors, loaded into a fresh network, give the same logits."""
    tensors = {k: v.contiguous() for k, v in network.state_dict().items()}
    safetensors.torch.save_file(tensors, folder / "net.safetensors")
    fresh.load_state_dict(safetensors.torch.load_file(folder / "net.safetensors"))
    with torch.no_grad():
        torch.testing.assert_close(fresh.eval()(clip), network.eval()(clip))


def check_overfits(network: nn.Module, clip: Tensor, steps: int = 25, learning_rate: float = 3e-3) -> None:
    """Learns a handful of clips by heart."""
    target = torch.arange(len(clip)) % CLASSES
    optimizer = torch.optim.Adam(network.parameters(), lr=learning_rate)
    network.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(clip), target)
        loss.backward()
        optimizer.step()
        if loss.item() < 0.1:
            break
    assert loss.item() < 0.2, loss.item()
    assert (network(clip).argmax(1) == target).all()


def check_independence(network: nn.Module, clip: Tensor) -> None:
    """In eval, a clip's logits do not depend on its neighbors in the batch."""
    network.eval()
    with torch.no_grad():
        together = network(clip)
        alone = torch.cat([network(clip[i : i + 1]) for i in range(len(clip))])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)


def check_streaming(network: nn.Module, clip: Tensor) -> None:
    """Chunk by chunk with carried state equals the whole clip, at every chunk."""
    network.eval()
    state = [torch.zeros(1, len(clip), shape[2]) for shape in network.state_shapes.values()]
    found = []
    with torch.no_grad():
        for start in range(0, clip.shape[3], network.chunk):
            logits, *state = network.step(clip[:, :, :, start : start + network.chunk], *state)
            found.append(logits)
        whole = network.answers(network.forward_steps(clip))
        torch.testing.assert_close(torch.stack(found, 1), whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found[-1], network(clip), rtol=1e-4, atol=1e-5)


def check_padding(network: nn.Module, clip: Tensor) -> None:
    """What stands behind a clip's last chunk changes nothing, in eval and in training."""
    frames = clip.shape[3]
    lengths = torch.tensor([frames - network.chunk, *[frames] * (len(clip) - 1)])
    dirty = clip.clone()
    dirty[0, :, :, frames - network.chunk :] = 255
    clean = clip.clone()
    clean[0, :, :, frames - network.chunk :] = 0
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(dirty, lengths), network(clean, lengths))
        alone = network(clip[:1, :, :, : frames - network.chunk])
        torch.testing.assert_close(network(dirty, lengths)[:1], alone, rtol=1e-4, atol=1e-5)
    network.train()
    torch.testing.assert_close(network(dirty, lengths), network(clean, lengths))


def skeletons(batch: int = 4, frames: int = 24, joints: int = 20, dimensions: int = 3, seed: int = 0) -> Tensor:
    """Skeletons [B, T, J, D]; in clip i another third of the joints moves, so that a handful can be learned."""
    generator = torch.Generator().manual_seed(seed)
    body = torch.randn(1, 1, joints, dimensions, generator=generator)
    clip = body + 0.05 * torch.randn(batch, frames, joints, dimensions, generator=generator)
    swing = torch.linspace(0, 9, frames).sin().reshape(frames, 1, 1)
    for i in range(batch):
        clip[i, :, i % CLASSES :: CLASSES] += swing
    return clip


def check_skeleton_padding(network: nn.Module, clip: Tensor) -> None:
    """What stands behind a clip's length changes nothing, in eval and in training; alone it gives the same."""
    frames = clip.shape[1] - 8
    lengths = torch.tensor([frames, *[clip.shape[1]] * (len(clip) - 1)])
    dirty, clean = clip.clone(), clip.clone()
    dirty[0, frames:], clean[0, frames:] = 100, 0
    network.eval()
    with torch.no_grad():
        torch.testing.assert_close(network(dirty, None, lengths), network(clean, None, lengths))
        alone = network(clip[:1, :frames])
        torch.testing.assert_close(network(dirty, None, lengths)[:1], alone, rtol=1e-4, atol=1e-5)
    network.train()
    torch.manual_seed(0)
    first = network(dirty, None, lengths)
    torch.manual_seed(0)
    torch.testing.assert_close(first, network(clean, None, lengths))


def check_missing_joints(network: nn.Module, clip: Tensor) -> None:
    """Where the mask is 0, NaN or any number gives the same finite logits; the mask itself tells something."""
    mask = torch.ones(clip.shape[:3], dtype=torch.bool)
    mask[:, 3:9, ::4] = False
    mask[0, :, 5] = False
    network.eval()
    with torch.no_grad():
        lost = network(clip.masked_fill(~mask.unsqueeze(-1), torch.nan), mask)
        torch.testing.assert_close(lost, network(clip.masked_fill(~mask.unsqueeze(-1), 50.0), mask))
        assert torch.isfinite(lost).all()
        assert not torch.allclose(lost, network(clip))
        nobody = network(torch.full_like(clip, torch.nan), torch.zeros_like(mask))
        assert torch.isfinite(nobody).all()


def check_skeleton_streaming(network: nn.Module, clip: Tensor, chunks: tuple[int, ...]) -> None:
    """Chunk by chunk with carried state equals the whole clip, after every frame; a reset forgets."""
    network.eval()
    mask = torch.rand(clip.shape[:3], generator=torch.Generator().manual_seed(0)) > 0.1
    start = [torch.zeros([len(clip) if n == -1 else n for n in s]) for s in network.state_shapes.values()]
    with torch.no_grad():
        whole = network.forward_steps(clip, mask)
        state, found, place = start, [], 0
        for length in chunks:
            part = slice(place, place + length)
            logits, *after = network.step(clip[:, part], mask[:, part], *state)
            every, *state = network.steps(clip[:, part], mask[:, part], *state)
            torch.testing.assert_close(logits, every[:, -1])
            for one, other in zip(after, state, strict=True):
                torch.testing.assert_close(one, other)
            found.append(every)
            place += length
        assert place == clip.shape[1]
        torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(whole[:, -1], network(clip, mask))
        assert [tuple(s.shape) for s in state] == [tuple(s.shape) for s in start]
