"""How well and how fast the built-in recognisers find personal data: `python -m bench.pii.measure`.

Precision and recall per kind on the corpus (an entity counts as found when its label is right and the place is the same), and microseconds
of CPU per KiB of text of three sorts, best of several.
"""

from __future__ import annotations

import time
from collections import Counter

from bench.pii import corpus

from headgate.guardrails.pii.recognisers import BuiltIn

PROSE = "The committee met again in the spring, and after some discussion the members agreed to postpone the vote. "
DATED = "On 3 May 2024 the committee met at 10:30 and moved 12 items, 4.5% more than in 2023, to room 101. "


def counted() -> tuple[Counter[str], Counter[str], Counter[str], list[str]]:
    """Found, missed and wrongly found by label, and a line on each mistake."""
    finder = BuiltIn()
    found: Counter[str] = Counter()
    missed: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    mistakes = []
    for line in corpus.lines():
        got = {(one.start, one.end, one.label) for one in finder.find(line.text)}
        wanted = set(line.entities)
        found.update(label for _, _, label in got & wanted)
        missed.update(label for _, _, label in wanted - got)
        wrong.update(label for _, _, label in got - wanted)
        mistakes += [
            f"missed {label} {line.text[start:end]!r} in {line.text!r}" for start, end, label in sorted(wanted - got)
        ]
        mistakes += [
            f"wrong  {label} {line.text[start:end]!r} in {line.text!r}" for start, end, label in sorted(got - wanted)
        ]
    return found, missed, wrong, mistakes


def speed_us_per_kib(text: str, rounds: int = 7) -> float:
    """CPU time of one search, best of several."""
    finder = BuiltIn()
    best = float("inf")
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(20):
            finder.find(text)
        best = min(best, (time.process_time() - began) / 20)
    return best * 1e6 / (len(text) / 1024)


def main() -> None:
    """Prints the table."""
    found, missed, wrong, mistakes = counted()
    print(f"{'':28}{'found':>7}{'missed':>8}{'wrong':>7}{'precision':>11}{'recall':>8}")
    for label in [*sorted(found | missed | wrong), "all"]:
        hits, misses, errors = (
            counter.total() if label == "all" else counter[label] for counter in (found, missed, wrong)
        )
        precision, recall = hits / max(1, hits + errors), hits / max(1, hits + misses)
        print(f"{label:28}{hits:7}{misses:8}{errors:7}{precision:11.3f}{recall:8.3f}")
    print(*mistakes, sep="\n")
    whole = " ".join(line.text for line in corpus.lines())
    for name, text in (
        ("prose", PROSE * 40),
        ("prose with dates and numbers", DATED * 40),
        ("nothing but the corpus", whole),
    ):
        print(f"{name}: {speed_us_per_kib(text):.0f} µs of CPU per KiB")


if __name__ == "__main__":
    main()
