"""What a person reads when a build failed."""

from __future__ import annotations

import pytest

from headgate.replicas.building import failure

PREFIX = "Using Python 3.11.7 environment at: venv\n"


@pytest.mark.parametrize(
    ("output", "hint"),
    [
        ("error: No solution found when resolving dependencies\n  cause: Because nope was not found in the package registry", "does not exist in the configured indexes"),
        ("error: No solution found when resolving dependencies\n  cause: Because there is no version of six==99", "pinned version does not exist"),
        ("error: No solution found when resolving dependencies\n  cause: Because a==1 depends on b<2 and you require b==3", "contradict each other"),
        ("error: Failed to fetch: http://x\n  cause: Connection refused (os error 111)", "index cannot be reached"),
        ("error: failed to write: No space left on device (os error 28)", "disk is full"),
        ("error: The build backend returned an error\n  cause: boom", "built from source"),
        ("error: Distribution not found at: file:///m/code/x.whl", "local file"),
    ],
)  # fmt: skip
def test_it_says_what_to_do_and_then_the_tools_own_words(output, hint):
    message = failure.explain(PREFIX + output)
    first, _, rest = message.partition("\n")
    assert hint in first
    assert rest == output


def test_unknown_output_is_shown_as_it_is_and_long_output_is_cut():
    assert failure.explain("error: something new") == "error: something new"
    assert len(failure.explain("error: " + "x" * 100_000)) < 4000
    assert failure.explain("") == "the command printed nothing"
