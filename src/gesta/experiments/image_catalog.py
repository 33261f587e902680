"""Catalog of the documents' tables and figures about image networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reported:
    """Values reported in a document: millions of parameters, and accuracy in %."""

    millions: float
    accuracy: float


@dataclass(frozen=True)
class Pair:
    """One image network trained by SGD and by Adam, the latter then pruned: recipes `recipe`-sgd and -adam."""

    label: str
    recipe: str
    sgd: Reported
    adam: Reported
    reduction: float
    cost: float


@dataclass(frozen=True)
class ImageTable:
    """Results of pruning image networks. `data`: cifar10 or cifar100; `figure`: also plot histograms of log2 |w|."""

    title: str
    source: str
    data: str
    pairs: tuple[Pair, ...]
    figure: bool = False


@dataclass(frozen=True)
class ImageScale:
    """Number of generated training images, recipe overrides, minutes for a training of cost 1 on one core, seeds."""

    images: int
    overrides: tuple[str, ...]
    minutes: float
    seeds: int


_RESNET, _NIN, _VGG = "mullick/cifar-resnet", "mullick/cifar-nin", "mullick/cifar-vgg"
_CIFAR10 = (
    Pair("ResNet", _RESNET, Reported(0.49, 86.39), Reported(0.41, 85.62), 16.5, cost=1.0),
    Pair("Network in Network", _NIN, Reported(1.00, 86.53), Reported(0.89, 85.74), 11.6, cost=2.2),
    Pair("VGG", _VGG, Reported(14.99, 89.46), Reported(3.57, 89.16), 76.19, cost=3.2),
)
_CIFAR100 = (
    Pair("ResNet", _RESNET, Reported(0.49, 56.74), Reported(0.45, 57.59), 8.18, cost=1.0),
    Pair("Network in Network", _NIN, Reported(1.02, 60.68), Reported(0.92, 59.58), 9.85, cost=2.2),
    Pair("VGG", _VGG, Reported(15.04, 63.02), Reported(7.02, 63.25), 53.33, cost=3.2),
)
_PRUNED, _SIZES = "weights below 2**-20 pruned after Adam and after SGD", "log2 |w| after Adam and SGD"
_CHAPTER_4 = "Mullick 2018, chapter 4"

IMAGE_TABLES: dict[str, ImageTable] = {
    "mullick/table-4.4": ImageTable(f"CIFAR-10: {_PRUNED}", f"{_CHAPTER_4}, table 4.4", "cifar10", _CIFAR10),
    "mullick/table-4.5": ImageTable(f"CIFAR-100: {_PRUNED}", f"{_CHAPTER_4}, table 4.5", "cifar100", _CIFAR100),
    "mullick/figure-4.4": ImageTable(f"CIFAR-10: {_SIZES}", f"{_CHAPTER_4}, figure 4.4", "cifar10", _CIFAR10, True),
    "mullick/figure-4.5": ImageTable(f"CIFAR-100: {_SIZES}", f"{_CHAPTER_4}, figure 4.5", "cifar100", _CIFAR100, True),
}

IMAGE_SCALES: dict[str, ImageScale] = {
    "quick": ImageScale(5000, ("training.epochs=2", "training.batch=32"), minutes=0.75, seeds=1),
    "full": ImageScale(50000, (), minutes=350.0, seeds=3),
}
