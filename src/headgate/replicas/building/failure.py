"""Turns what uv printed into a message that says what was wrong and what to do. Called by the build. Pure."""

from __future__ import annotations

import re

_HINTS = (
    (r"No space left on device|os error 28", "the disk is full: free space in the data directory and in uv's cache, then try again"),
    (r"Failed to download .*python-build-standalone", "the Python it needs could not be downloaded"),
    (r"is not a supported wheel|Distribution not found at", "a local file named in the requirements is missing or does not fit this machine"),
    (r"dns error|error sending request|Connection refused|operation timed out|Failed to fetch", "the package index cannot be reached; check the network, the proxy, and PIP_INDEX_URL or UV_DEFAULT_INDEX"),
    (r"was not found in the package registry|was not found in the provided package locations", "a package does not exist in the configured indexes; check its name, and PIP_INDEX_URL or PIP_EXTRA_INDEX_URL"),
    (r"there (?:is|are) no version", "a pinned version does not exist for this Python in the configured indexes; pin one that does"),
    (r"No solution found", "the model's requirements contradict each other; log the model with requirements that fit together"),
    (r"build backend returned an error|Failed to build", "a package had to be built from source and that failed; pin a version that has a wheel, or install what its build needs"),
    (r"Failed to parse|Couldn't parse requirement|Unsupported requirement", "a line of the requirements cannot be understood"),
)  # fmt: skip
_LIMIT = 3000


def explain(output: str) -> str:
    """A message from a failed command's output: what to do, then the tool's own explanation."""
    own = _own_words(output)
    hint = next((hint for pattern, hint in _HINTS if re.search(pattern, own)), "")
    return f"{hint}.\n{own}" if hint else own or "the command printed nothing"


def _own_words(output: str) -> str:
    start = re.search(r"^(?:error|  [×x] )", output, re.MULTILINE)
    text = (output[start.start() :] if start else output).strip()
    return text if len(text) <= _LIMIT else f"{text[: _LIMIT // 2]}\n…\n{text[-_LIMIT // 2 :]}"
