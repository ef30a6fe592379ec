"""The mapping of root folders to `tunebus.*`: what is installed is what stands in the tree, under one name each."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOTS = ("contracts", "projections", "services", "ui")


def modules_in_tree() -> set[str]:
    return {
        "tunebus/" + path.relative_to(ROOT).as_posix()
        for root in ROOTS
        for path in (ROOT / root).rglob("*.py")
        if "__pycache__" not in path.parts
    }


def test_every_folder_with_code_is_a_package() -> None:
    folders = {path.parent for root in ROOTS for path in (ROOT / root).rglob("*.py") if "__pycache__" not in path.parts}
    assert folders
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []


def test_the_wheel_holds_exactly_the_modules_of_the_tree(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    for name in tracked.stdout.decode().split("\0"):
        if name and not name.startswith("tests/") and (ROOT / name).is_file():
            target = source / name
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import setuptools.build_meta as b, sys; print(b.build_wheel(sys.argv[1]))",
            str(tmp_path),
        ],
        cwd=source,
        check=True,
        capture_output=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {name for name in names if name.endswith(".py")} == modules_in_tree()
    assert {name for name in names if name.startswith("tunebus/__init__")} == set()
    assert {
        "tunebus/services/trainer/starter/pack/questions.jsonl",
        "tunebus/services/trainer/starter/pack/model/model.safetensors",
    } <= names


@pytest.mark.parametrize("folder", [*ROOTS, "tests"])
def test_no_module_is_imported_by_its_bare_folder_name(folder: str) -> None:
    offenders = []
    for path in (ROOT / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            names = (
                [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else [node.module or ""]
                if isinstance(node, ast.ImportFrom) and node.level == 0
                else []
            )
            offenders += [f"{path}: {name}" for name in names if name.split(".")[0] in ROOTS]
    assert offenders == []


def test_the_studio_s_own_name_stays_a_namespace_package() -> None:
    import tunebus

    assert getattr(tunebus, "__file__", None) is None
