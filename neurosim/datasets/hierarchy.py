"""Coarse classes of the datasets that have them, for codes whose first bits are the coarse class.

CIFAR-100's 20 superclasses are those of its authors, in their order; CIFAR-10 is divided into vehicles and animals.

Example:
    >>> from neurosim import Hierarchical
    >>> Hierarchical(10, coarse_classes("cifar10")).length, Hierarchical(100, coarse_classes("cifar100")).length
    (4, 8)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from neurosim.errors import DataError, UnknownNameError

_CIFAR10 = {
    "vehicle": "airplane automobile ship truck",
    "animal": "bird cat deer dog frog horse",
}
_CIFAR100 = {
    "aquatic_mammals": "beaver dolphin otter seal whale",
    "fish": "aquarium_fish flatfish ray shark trout",
    "flowers": "orchid poppy rose sunflower tulip",
    "food_containers": "bottle bowl can cup plate",
    "fruit_and_vegetables": "apple mushroom orange pear sweet_pepper",
    "household_electrical_devices": "clock keyboard lamp telephone television",
    "household_furniture": "bed chair couch table wardrobe",
    "insects": "bee beetle butterfly caterpillar cockroach",
    "large_carnivores": "bear leopard lion tiger wolf",
    "large_man-made_outdoor_things": "bridge castle house road skyscraper",
    "large_natural_outdoor_scenes": "cloud forest mountain plain sea",
    "large_omnivores_and_herbivores": "camel cattle chimpanzee elephant kangaroo",
    "medium_mammals": "fox porcupine possum raccoon skunk",
    "non-insect_invertebrates": "crab lobster snail spider worm",
    "people": "baby boy girl man woman",
    "reptiles": "crocodile dinosaur lizard snake turtle",
    "small_mammals": "hamster mouse rabbit shrew squirrel",
    "trees": "maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vehicles_1": "bicycle bus motorcycle pickup_truck train",
    "vehicles_2": "lawn_mower rocket streetcar tank tractor",
}

#: dataset -> coarse class -> its classes
HIERARCHIES: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        dataset: MappingProxyType({coarse: tuple(names.split()) for coarse, names in groups.items()})
        for dataset, groups in (("cifar10", _CIFAR10), ("cifar100", _CIFAR100))
    }
)


def coarse_classes(dataset: str, class_names: Sequence[str] | None = None) -> tuple[int, ...]:
    """The coarse class of every class of a dataset, numbered in the order of :data:`HIERARCHIES`.

    Args:
        dataset: a key of :data:`HIERARCHIES`.
        class_names: the classes in the order of their labels; by default in alphabetical order, as both datasets
            number them.

    Raises:
        UnknownNameError: a dataset without a hierarchy.
        DataError: class names that are not those of the dataset.

    Example:
        >>> coarse_classes("cifar10")  # vehicles 0, animals 1
        (0, 0, 1, 1, 1, 1, 1, 1, 0, 0)
    """
    if dataset not in HIERARCHIES:
        raise UnknownNameError("hierarchy", dataset, HIERARCHIES)
    place = {name: number for number, names in enumerate(HIERARCHIES[dataset].values()) for name in names}
    given = sorted(place) if class_names is None else list(class_names)
    if sorted(given) != sorted(place):
        wrong = sorted(set(given) ^ set(place)) or sorted(name for name in given if given.count(name) > 1)
        raise DataError(
            f"hierarchy of '{dataset}': expected its {len(place)} class names, each once, found {len(given)} with a "
            f"difference in: {', '.join(wrong[:5])}"
        )
    return tuple(place[name] for name in given)
