"""Which packages are installed and which are missing, by modelexport's own list of requirements.

No package is imported to find out. The requirements and the versions are those that the installed
packages declare, so that nothing is listed twice.
"""

import platform
from collections.abc import Iterator
from importlib import metadata

import msgspec
from packaging.requirements import Requirement

from modelexport.errors import UsageError

_NAME = "modelexport"
_EXTRAS_OF_DEVELOPERS = frozenset({"dev", "demo", "bench", "docs"})
"""Extras for work on modelexport itself. Users do not need them."""


class PackageState(msgspec.Struct, frozen=True):
    """The state of one required package.

    Attributes:
        name: Name of the package.
        required: The versions that are accepted; empty for any.
        installed: The installed version; None when it is not installed.
        good: Whether the installed version is accepted.
        extra: The extra that requires the package; None when every command needs it.
    """

    name: str
    required: str
    installed: str | None
    good: bool
    extra: str | None


class Diagnosis(msgspec.Struct, frozen=True):
    """What is installed, and what is missing.

    Attributes:
        modelexport: Version of modelexport.
        python: Version of Python.
        system: The operating system and the processor.
        packages: The required packages.
        missing: Commands that install what is missing, by extra; `""` is what every command needs.
    """

    modelexport: str
    python: str
    system: str
    packages: tuple[PackageState, ...]
    missing: dict[str, str]

    @property
    def good(self) -> bool:
        """Whether everything is installed that every command needs."""
        return all(package.good for package in self.packages if package.extra is None)


def diagnose() -> Diagnosis:
    """Find out which required packages are installed. Imports none of them.

    Raises:
        UsageError: modelexport itself is not installed, so its requirements are not known.
    """
    try:
        version = metadata.version(_NAME)
        requirements = metadata.requires(_NAME) or []
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"{_NAME} runs without being installed: pip install it first.") from error
    packages = tuple(state for text in requirements for state in _states(Requirement(text)))
    incomplete = dict.fromkeys(package.extra for package in packages if not package.good)
    return Diagnosis(
        modelexport=version,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        packages=packages,
        missing={extra or "": _install_command(extra) for extra in incomplete},
    )


def _states(requirement: Requirement) -> Iterator[PackageState]:
    """The state of a required package, once for each extra that requires it on this machine."""
    try:
        version: str | None = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        version = None
    specifier = requirement.specifier
    good = version is not None and specifier.contains(version, prereleases=True)
    for extra in _extras(requirement):
        yield PackageState(requirement.name, str(specifier), version, good, extra)


def _extras(requirement: Requirement) -> Iterator[str | None]:
    """The extras that a requirement belongs to; None when it belongs to no extra."""
    if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
        yield None
        return
    for extra in metadata.metadata(_NAME).get_all("Provides-Extra") or ():
        if extra not in _EXTRAS_OF_DEVELOPERS and requirement.marker.evaluate({"extra": extra}):
            yield extra


def _install_command(extra: str | None) -> str:
    return "pip install --upgrade " + (f"'{_NAME}[{extra}]'" if extra else _NAME)
