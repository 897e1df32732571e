"""Puts bytecode beside an environment's sources: shared from the store where it has the same content, else compiled on all cores.

A program of its own, run by `bytecode` with the interpreter an environment is made from and `-I -S`: nothing of the environment
is imported or executed, so the store holds only what that interpreter made of sources it has read itself. Standard library only,
Python >= 3.9. Its argument is the path of a JSON file: {"sources", "store", "requirements", "everything", "processes"}.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import os
import re
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

Work = Callable[[str], bool]
"""What is done with a path, and whether it shall be reported."""

_TAG = str(sys.implementation.cache_tag)
FLAVORS = {"torch": "pytorch"}
"""MLflow flavors named unlike the package they are for."""
_LINE = re.compile(rb"^(?:([ \t]+)(?=from |import )|(\w+)[^\n]*)", re.MULTILINE)
"""An indented import, or a line that begins a statement of the module."""
_IMPORT = re.compile(rb"from\s+(\.*)([\w.]*)\s+import\s+(\([^)]*\)|[^\n]*)|import\s+([^\n]*)")
_CONDITIONAL = (b"if", b"else", b"elif", b"try", b"except", b"finally", b"with")


class Source(NamedTuple):
    """A source file as it was read."""

    path: str
    digest: str
    """SHA-256 of its content."""
    mtime: int
    size: int

    @property
    def header(self) -> bytes:
        """What CPython compares before it believes bytecode: magic number, kind, the source's time and size."""
        numbers = (0, self.mtime & 0xFFFFFFFF, self.size & 0xFFFFFFFF)
        return importlib.util.MAGIC_NUMBER + b"".join(number.to_bytes(4, "little") for number in numbers)


def read(path: str) -> tuple[Source, bytes]:
    """A source and its content."""
    with open(path, "rb") as file:
        told = os.fstat(file.fileno())
        content = file.read()
    return Source(path, hashlib.sha256(content).hexdigest(), int(told.st_mtime), len(content)), content


class Store:
    """Bytecode by interpreter and content of the source: `<tag>-<magic>/<sha256>.<length>.pyc`.

    The length tells a file that a crash of the machine cut short. A file's own time is that of the source in its header.
    """

    def __init__(self, folder: str) -> None:
        self._folder = os.path.join(folder, f"{_TAG}-{importlib.util.MAGIC_NUMBER.hex()}")
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        names = re.findall(r"^(\w+)\.(\d+)\.pyc$", "\n".join(os.listdir(self._folder)), re.MULTILINE)
        self._lengths = {digest: int(length) for digest, length in names}

    @property
    def is_empty(self) -> bool:
        return not self._lengths

    def put_beside(self, source: Source) -> bool:
        """Gives the source its bytecode from the store. False when the store has none."""
        length = self._lengths.get(source.digest)
        if length is None:
            return False
        blob = self._path(source.digest, length)
        try:
            told = os.stat(blob)
            if told.st_size != length:
                return False
            _place(source, blob if int(told.st_mtime) == source.mtime else "", blob)
        except FileNotFoundError:  # pruned a moment ago, or the whole environment has gone
            return False
        return True

    def add(self, source: Source, content: bytes) -> bool:
        """Compiles the source into the store. False when Python cannot compile it (templates, code for other versions)."""
        try:
            # The name is put right when the bytecode is loaded.
            code = compile(content, os.path.basename(source.path), "exec", dont_inherit=True)
            made = source.header + marshal.dumps(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
            return False
        blob = self._path(source.digest, len(made))
        _write(blob, made, source.mtime)
        self._lengths[source.digest] = len(made)
        return True

    def _path(self, digest: str, length: int) -> str:
        return os.path.join(self._folder, f"{digest}.{length}.pyc")


def _place(source: Source, same: str, blob: str) -> None:
    """Bytecode beside a source: a link to `same` if its header fits, else a copy of `blob` with the header that fits."""
    folder, name = os.path.split(source.path)
    target = os.path.join(folder, "__pycache__", f"{name[:-3]}.{_TAG}.pyc")
    if same:
        try:
            _link(same, target)
            return
        except FileNotFoundError:
            raise
        except OSError:
            pass  # another file system, or too many links to an empty module
    if not _is_valid(target, source):
        with open(blob, "rb") as file:
            content = file.read()
        _make_folder(target)
        _write(target, source.header + content[16:], source.mtime)


def _link(blob: str, target: str) -> None:
    """Also replaces what an import has written there."""
    try:
        os.link(blob, target)
    except FileNotFoundError:
        _make_folder(target)
        os.link(blob, target)
    except FileExistsError:
        if not os.path.samefile(blob, target):
            temporary = f"{target}.{os.getpid()}.tmp"
            os.link(blob, temporary)
            os.replace(temporary, target)


def _make_folder(target: str) -> None:
    """`__pycache__` only: what is above it may just have been deleted, and stays so."""
    try:
        os.mkdir(os.path.dirname(target))
    except FileExistsError:
        pass


def _is_valid(target: str, source: Source) -> bool:
    try:
        with open(target, "rb") as file:
            return file.read(16) == source.header
    except OSError:
        return False


def _write(path: str, content: bytes, mtime: int) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o444)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
        os.utime(temporary, (mtime, mtime))
        os.replace(temporary, path)
    except OSError:  # the disk is full, or the environment has gone
        os.unlink(temporary)
        raise


def imports(content: bytes, package: str) -> set[str]:
    """Modules a source imports when it is imported, roughly: what functions import later and only type checkers see is left out."""
    found: set[str] = set()
    inside = b""
    for line in _LINE.finditer(content):
        if line.group(2) is not None:
            inside = b"" if b"TYPE_CHECKING" in line.group() else line.group(2)
        if inside in (b"from", b"import") or (line.group(1) and inside in _CONDITIONAL):
            start = line.end() if line.group(1) else line.start()
            statement = _IMPORT.match(content, start)
            if statement is not None:
                found.update(_named(statement, package))
    return found


def _named(statement: re.Match[bytes], package: str) -> Iterator[str]:
    dots, module, names, modules = (part.decode("utf-8", "replace") if part else "" for part in statement.groups())
    if modules:
        yield from (item.split()[0] for item in modules.split("#")[0].split(",") if item.split())
        return
    if dots:
        above = package.rsplit(".", len(dots) - 1)[0] if len(dots) > 1 else package
        module = f"{above}.{module}" if module else above
    yield module
    for name in re.findall(r"(?:^|,)[\s(]*(\w+)", re.sub(r"#[^\n]*", "", names)):
        yield f"{module}.{name}"


def modules_of(sources: str, paths: Iterable[str]) -> dict[str, str]:
    """Path by dotted name of the modules below a folder on sys.path."""
    found = {}
    for path in paths:
        name = path[len(sources) + 1 : -3].replace(os.sep, ".")
        found[name[: -len(".__init__")] if name.endswith(".__init__") else name] = path
    return found


def reachable(modules: dict[str, str], wanted: Iterable[str]) -> Iterator[str]:
    """Paths of what is imported when `wanted` is, as far as the sources tell."""
    queue, seen = deque(wanted), set()
    while queue:
        name = queue.popleft()
        if name in seen:
            continue
        seen.add(name)
        parent = name.rpartition(".")[0]
        if parent:
            queue.append(parent)
        path = modules.get(name)
        if path is not None:
            yield path
            package = name if path.endswith("__init__.py") else parent
            queue.extend(imports(_content(path), package) - seen)


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def entrances(sources: str, modules: dict[str, str], requirements: Iterable[str]) -> Iterator[str]:
    """What a model with these direct requirements imports first: MLflow, their packages, the modules those name, the flavors."""
    yield from ("mlflow.pyfunc", "mlflow.pyfunc.model", "mlflow.pyfunc.scoring_server")
    for top in packages(sources, requirements):
        yield top
        yield f"mlflow.{FLAVORS.get(top, top)}"
        public = set(re.findall(rb"[\"']([A-Za-z]\w*)[\"']", _content(modules.get(top, ""))))
        yield from (f"{top}.{name.decode()}" for name in public if f"{top}.{name.decode()}" in modules)


def packages(sources: str, requirements: Iterable[str]) -> list[str]:
    """Top-level packages of installed distributions, at most four each."""
    folders = {_normal(name.split("-")[0]): name for name in os.listdir(sources) if name.endswith(".dist-info")}
    found = [folders[name] for name in map(_normal, requirements) if name in folders]
    return [top for name in found for top in _top_level(os.path.join(sources, name))]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _top_level(dist_info: str) -> list[str]:
    for name, pattern in (("top_level.txt", r"^(\w+)\s*$"), ("RECORD", r"^(\w+)/__init__\.py,")):
        found = re.findall(pattern, _content(os.path.join(dist_info, name)).decode("utf-8", "replace"), re.MULTILINE)
        if found:
            return sorted(set(found))[:4]
    return []


class Crew:
    """Processes that take paths from one queue. A source that crashes the compiler costs one of them, and what it had done."""

    def __init__(self, paths: list[str], processes: int) -> None:
        self._paths, self._processes = paths, processes
        self._numbers = {path: number for number, path in enumerate(paths)}
        self._house = os.getpid()

    def run(self, work: Work, paths: Iterable[str]) -> set[str]:
        """The paths for which `work` was true. It begins with the first path, not with the last."""
        queue, feed = os.pipe()
        reports = [self._start(work, queue, feed) for _ in range(self._processes)]
        os.close(queue)
        try:
            for path in paths:
                os.write(feed, self._numbers[path].to_bytes(4, "little"))
        except BrokenPipeError:
            pass  # nobody is left
        os.close(feed)
        done = {self._paths[number] for report in reports for number in _numbers_in(report)}
        for _ in reports:
            os.wait()
        return done

    def _start(self, work: Work, queue: int, feed: int) -> int:
        ours, theirs = os.pipe()
        if os.fork() == 0:
            code = 1
            try:
                os.close(feed)
                done = [number for number in self._taken(queue) if self._attempt(work, number)]
                with open(theirs, "w") as file:
                    json.dump(done, file)
                code = 0
            finally:
                os._exit(code)
        os.close(theirs)
        return ours

    def _taken(self, queue: int) -> Iterator[int]:
        # A pipe hands out whole what is smaller than its buffer, to one reader each.
        while os.getppid() == self._house and (number := os.read(queue, 4)):
            yield int.from_bytes(number, "little")

    def _attempt(self, work: Work, number: int) -> bool:
        try:
            return work(self._paths[number])
        except OSError:
            return False  # a broken link, or the environment has gone


def _numbers_in(report: int) -> list[int]:
    with open(report) as file:
        text = file.read()
    return [int(number) for number in json.loads(text or "[]")]


def main() -> None:
    """Entry; prints one line that tells what was done."""
    with open(sys.argv[1], encoding="utf-8") as file:
        told = json.load(file)
    warnings.simplefilter("ignore")
    sources = str(told["sources"])
    paths = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(sources)
        if not folder.endswith("__pycache__")
        for name in names
        if name.endswith(".py")
    ]
    store, crew = Store(told["store"]), Crew(paths, int(told["processes"]))

    def is_missing(path: str) -> bool:
        return not store.put_beside(read(path)[0])

    def was_made(path: str) -> bool:
        source, content = read(path)
        return (store.put_beside(source) or store.add(source, content)) and store.put_beside(source)

    missing = set(paths) if store.is_empty else crew.run(is_missing, paths)
    now: Iterable[str] = missing
    if missing and not told["everything"]:
        modules = modules_of(sources, paths)
        needed = reachable(modules, entrances(sources, modules, told["requirements"]))
        now = (path for path in needed if path in missing)
    made = crew.run(was_made, now) if missing else set()
    print(f"bytecode: {len(paths) - len(missing)} files shared, {len(made)} of {len(missing)} others compiled")


if __name__ == "__main__":
    main()
