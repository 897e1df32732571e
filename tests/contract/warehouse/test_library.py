"""What the process that writes tables tells deltalake of memory is understood by it: another allocator would need other words."""

from __future__ import annotations

import os
import subprocess
import sys

from headgate import loaded


def test_deltalake_takes_its_settings_of_memory_from_where_they_are_written() -> None:
    name = "_RJEM_MALLOC_CONF"
    said = {**loaded.LIBRARY, name: f"{loaded.LIBRARY[name]},stats_print:true,stats_print_opts:mdablxe"}
    ran = subprocess.run(
        [sys.executable, "-c", "import deltalake"],
        env={**os.environ, **said},
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=True,
    )
    told = {tuple(line.split(": ", 1)) for line in map(str.strip, ran.stderr.splitlines()) if ": " in line}
    assert ("opt.narenas", "2") in told, ran.stderr
    assert ("opt.tcache", "false") in told, ran.stderr
    assert any(one[0] == "opt.dirty_decay_ms" and one[1].startswith("500") for one in told), ran.stderr
