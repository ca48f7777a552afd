"""Finds the packages; everything else about the project stands in pyproject.toml.

The discovery that pyproject.toml offers cannot see a package whose folder lies elsewhere, as rules/ and circuits/ do.
"""

from setuptools import find_packages, setup

PACKAGE_DIR = {"neurosim.circuits": "circuits", "neurosim.rules": "rules"}

packages = find_packages(include=["neurosim", "neurosim.*"])
for package, folder in PACKAGE_DIR.items():
    packages += [package, *(f"{package}.{inner}" for inner in find_packages(folder))]

setup(packages=packages, package_dir=PACKAGE_DIR)
