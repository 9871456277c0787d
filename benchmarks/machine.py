"""What the measurements ran on."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def processor() -> dict[str, str | int]:
    """Processor, cores this process may use, its widest vectors and the system."""
    name, flags = platform.processor() or platform.machine(), set[str]()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                name = value.strip()
            elif key.strip() == "flags":
                flags = set(value.split())
    vectors = next((flag for flag in ("avx512f", "avx2", "sse2") if flag in flags), "unknown")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"processor": name, "cores": cores, "vectors": vectors, "system": platform.platform(terse=True)}
