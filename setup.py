"""Maps the four root folders to `tunebus.*`: every folder with an `__init__.py` becomes a package.

`tunebus` itself stays a namespace. Everything else about the distribution stands in pyproject.toml.
"""

from pathlib import Path

from setuptools import setup

ROOT = Path(__file__).parent
ROOTS = ("contracts", "projections", "services", "ui")


def package_folders() -> dict[str, str]:
    """Package name -> folder, for every folder with an `__init__.py` below the four roots."""
    found = {}
    for root in ROOTS:
        for marker in sorted((ROOT / root).rglob("__init__.py")):
            folder = marker.parent.relative_to(ROOT)
            found["tunebus." + ".".join(folder.parts)] = folder.as_posix()
    return found


folders = package_folders()
setup(packages=list(folders), package_dir=folders)
