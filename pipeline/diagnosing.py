"""Which packages there are and which are missing, by modelexport's own list of what it needs.

Nothing is imported to find out, and nothing is listed twice: the requirements and the versions
are those that the installed packages declare.
"""

import platform
from collections.abc import Iterator
from importlib import metadata

import msgspec
from packaging.requirements import Requirement

from modelexport.errors import UsageError

_NAME = "modelexport"
_OF_A_CHECKOUT = frozenset({"dev", "demo", "bench", "docs"})
"""Extras for working on modelexport itself, which users need not know."""


class PackageState(msgspec.Struct, frozen=True):
    """One package that is needed, for everything or for something.

    Attributes:
        name: Of the package.
        wanted: Which versions will do; empty for any.
        found: The installed version; None when there is none.
        good: Whether that will do.
        extra: The extra that brings it; None when everything needs it.
    """

    name: str
    wanted: str
    found: str | None
    good: bool
    extra: str | None


class Diagnosis(msgspec.Struct, frozen=True):
    """What there is, and what is missing.

    Attributes:
        modelexport: Its version.
        python: Its version.
        system: The operating system and the processor.
        packages: What modelexport needs.
        missing: How to get what is missing, by extra; that of `""` everything needs.
    """

    modelexport: str
    python: str
    system: str
    packages: tuple[PackageState, ...]
    missing: dict[str, str]

    @property
    def good(self) -> bool:
        """Whether all is there that every command needs."""
        return all(package.good for package in self.packages if package.extra is None)


def diagnose() -> Diagnosis:
    """Look what is installed; imports none of it.

    Raises:
        UsageError: modelexport itself is not installed, so nothing says what it needs.
    """
    try:
        own = metadata.version(_NAME)
        wanted = metadata.requires(_NAME) or []
    except metadata.PackageNotFoundError as error:
        raise UsageError(f"{_NAME} runs without being installed: pip install it first.") from error
    packages = tuple(state for text in wanted for state in _states(Requirement(text)))
    lacking = dict.fromkeys(package.extra for package in packages if not package.good)
    return Diagnosis(
        modelexport=own,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        packages=packages,
        missing={extra or "": _command(extra) for extra in lacking},
    )


def _states(wanted: Requirement) -> Iterator[PackageState]:
    """The state of a required package, for each extra that requires it here."""
    try:
        found: str | None = metadata.version(wanted.name)
    except metadata.PackageNotFoundError:
        found = None
    good = found is not None and wanted.specifier.contains(found, prereleases=True)
    for extra in _extras(wanted):
        yield PackageState(wanted.name, str(wanted.specifier), found, good, extra)


def _extras(wanted: Requirement) -> Iterator[str | None]:
    """The extras that a requirement belongs to; None for one that belongs to no extra."""
    if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
        yield None
        return
    for extra in metadata.metadata(_NAME).get_all("Provides-Extra") or ():
        if extra not in _OF_A_CHECKOUT and wanted.marker.evaluate({"extra": extra}):
            yield extra


def _command(extra: str | None) -> str:
    return "pip install --upgrade " + (f"'{_NAME}[{extra}]'" if extra else _NAME)
