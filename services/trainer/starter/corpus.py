"""Text that every Python installation carries: documented objects, language topics and source of the library.

Reads files and built-in docstrings only, in an order that is the same on every run. It must not import torch, nor
any module that is written in Python: those are parsed, so that gathering has no side effects.
"""

import ast
import importlib
import inspect
import re
import sys
import sysconfig
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

# Folders of the standard library that are no documentation of it: tests, demos, byte tables, vendored wheels.
SKIPPED_FOLDERS = frozenset(
    {
        "__pycache__",
        "ensurepip",
        "idle_test",
        "lib-dynload",
        "pydoc_data",
        "site-packages",
        "test",
        "tests",
        "turtledemo",
    }
)
# Applications and retired tools: their source is good reading, their objects are nobody's library.
APPLICATION_PACKAGES = frozenset({"distutils", "idlelib", "lib2to3", "venv"})
# Where an object is documented under another name than that of the file that defines it.
PUBLIC_NAMES = {
    "_collections_abc": "collections.abc",
    "_pydecimal": "decimal",
    "_pyio": "io",
    "nt": "os",
    "posix": "os",
}
# Byte tables say nothing in words, and a longer line is data, not code.
MAX_LINE_LENGTH = 160
MIN_DOCUMENT_LENGTH = 80

_EXCEPTION_NAME = re.compile(r"(Error|Exception|Exit|Warning)$")
_CODE_POINT = re.compile(r"0x|\\x|\\u")
_SIGNATURE_LINE = re.compile(r"^[\w.]+\(.*\)\s*(->.*|--)?$")


@dataclass(frozen=True, slots=True)
class DocumentedObject:
    """One object of the standard library with its docstring.

    `kind` is function, method, class, exception, module or property; `signature` is the `def` line of a function or
    method that was found in source, else empty.
    """

    name: str
    kind: str
    module: str
    docstring: str
    signature: str = ""

    @property
    def package(self) -> str:
        """The top-level package or module, the first part of the name."""
        return self.module.partition(".")[0]

    @property
    def is_public(self) -> bool:
        return not any(part.startswith("_") and not part.endswith("__") for part in self.name.split("."))


def standard_library() -> Path:
    return Path(sysconfig.get_path("stdlib"))


def documented_objects() -> list[DocumentedObject]:
    """Every documented object of the library, from source first and then from built-in modules, one per name."""
    found: dict[str, DocumentedObject] = {}
    for module, source in source_files():
        if module.partition(".")[0] in APPLICATION_PACKAGES:
            continue
        for documented in _objects_in_source(module, source):
            found.setdefault(documented.name, documented)
    for documented in _objects_in_extensions():
        found.setdefault(documented.name, documented)
    return list(found.values())


def source_files() -> Iterator[tuple[str, str]]:
    """Dotted module name and text of every source file, in the order of their paths."""
    root = standard_library()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if SKIPPED_FOLDERS.intersection(relative.parts) or relative.parts[0].startswith(("config-", "_sysconfigdata")):
            continue
        try:
            source = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
        parts = relative.with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), source


def topics() -> list[str]:
    """The language reference as `help()` shows it."""
    from pydoc_data.topics import topics as texts

    return [texts[name].strip() for name in sorted(texts)]


def source_documents() -> list[str]:
    """Source files as text, without data tables and without doubles."""
    documents = (_clean_source(source) for _, source in source_files())
    return list(dict.fromkeys(text for text in documents if len(text) >= MIN_DOCUMENT_LENGTH))


def docstring_documents(objects: list[DocumentedObject], *, length: int = 1500) -> list[str]:
    """Docstrings of one module after another, joined to documents of about `length` characters.

    Names and kinds are left out on purpose: what the question set asks is not told here.
    """
    documents: list[str] = []
    seen: set[str] = set()
    for module in dict.fromkeys(item.module for item in objects):
        page = ""
        for text in (item.docstring for item in objects if item.module == module):
            if text in seen:
                continue
            seen.add(text)
            if page and len(page) + len(text) > length:
                documents.append(page)
                page = ""
            page = f"{page}\n\n{text}" if page else text
        if len(page) >= MIN_DOCUMENT_LENGTH:
            documents.append(page)
    return documents


def _clean_source(source: str) -> str:
    lines = [line.rstrip() for line in source.expandtabs(4).splitlines()]
    numeric = sum(len(line) > MAX_LINE_LENGTH or bool(_CODE_POINT.search(line)) for line in lines)
    shapes = {re.sub(r"\w+", "w", line) for line in lines if line}
    if numeric > len(lines) // 3 or len(shapes) < len(lines) // 10:
        return ""  # a table: code pages, html.entities
    text = "\n".join(line for line in lines if len(line) <= MAX_LINE_LENGTH)
    return re.sub(r"\n{3,}", "\n\n\n", text).strip()


def _public_module(module: str) -> str:
    if module in PUBLIC_NAMES:
        return PUBLIC_NAMES[module]
    bare = module.lstrip("_")
    return bare if bare != module and bare in sys.stdlib_module_names else module


def _clean_docstring(docstring: str) -> str:
    """Without indentation, and without the signature that docstrings of C functions begin with."""
    lines = inspect.cleandoc(docstring).splitlines()
    while lines and (_SIGNATURE_LINE.match(lines[0]) or not lines[0].strip()):
        del lines[0]
    return "\n".join(line.rstrip() for line in lines).strip()


def _objects_in_source(module: str, source: str) -> Iterator[DocumentedObject]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # invalid escapes in old files
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return
    public = _public_module(module)
    if docstring := _clean_docstring(ast.get_docstring(tree) or ""):
        yield DocumentedObject(public, "module", public, docstring)
    yield from _definitions(tree, public, public, in_class=False)


def _definitions(node: ast.AST, module: str, prefix: str, *, in_class: bool) -> Iterator[DocumentedObject]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If | ast.Try):
            yield from _definitions(child, module, prefix, in_class=in_class)
        elif isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{prefix}.{child.name}"
            signature = "" if isinstance(child, ast.ClassDef) else _signature(child)
            if docstring := _clean_docstring(ast.get_docstring(child) or ""):
                yield DocumentedObject(name, _kind(child, in_class=in_class), module, docstring, signature)
            if isinstance(child, ast.ClassDef):
                yield from _definitions(child, module, name, in_class=True)


def _kind(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef, *, in_class: bool) -> str:
    if isinstance(node, ast.ClassDef):
        names = [node.name, *(ast.unparse(base) for base in node.bases)]
        return "exception" if any(_EXCEPTION_NAME.search(name) for name in names) else "class"
    if any("property" in ast.unparse(decorator) for decorator in node.decorator_list):
        return "property"
    return "method" if in_class else "function"


def _signature(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    prefix = "async def" if isinstance(node, ast.AsyncFunctionDef) else "def"
    return f"{prefix} {node.name}({ast.unparse(node.args)})"


def _objects_in_extensions() -> Iterator[DocumentedObject]:
    """Objects of modules written in C; importing those has no side effects."""
    dynload = Path(sysconfig.get_path("platstdlib")) / "lib-dynload"
    names = {*sys.builtin_module_names, *(path.name.partition(".")[0] for path in dynload.glob("*.so"))}
    for name in sorted(names & sys.stdlib_module_names):
        if name.startswith(("_test", "_xx", "xx")):
            continue
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        yield from _objects_in_extension(name, module)


def _objects_in_extension(name: str, module: ModuleType) -> Iterator[DocumentedObject]:
    public = _public_module(name)
    if docstring := _docstring(module):
        yield DocumentedObject(public, "module", public, docstring)
    for attribute, value in sorted(vars(module).items()):
        if isinstance(value, type):
            yield from _members(value)
        elif inspect.isbuiltin(value) and (docstring := _docstring(value)):
            owner = _public_module(value.__module__ or name)
            yield DocumentedObject(f"{owner}.{attribute}", "function", owner, docstring)


def _members(cls: type) -> Iterator[DocumentedObject]:
    module = _public_module(str(cls.__module__))
    name = f"{module}.{cls.__qualname__}"
    if docstring := _docstring(cls):
        yield DocumentedObject(name, "exception" if issubclass(cls, BaseException) else "class", module, docstring)
    for attribute, value in sorted(vars(cls).items()):
        if inspect.isgetsetdescriptor(value) or inspect.ismemberdescriptor(value):
            kind = "property"
        elif inspect.ismethoddescriptor(value) or isinstance(value, classmethod | staticmethod):
            kind = "method"
        else:
            continue
        if docstring := _docstring(value):
            yield DocumentedObject(f"{name}.{attribute}", kind, module, docstring)


def _docstring(value: object) -> str:
    docstring = getattr(value, "__doc__", None)
    return _clean_docstring(docstring) if isinstance(docstring, str) else ""
