"""The circumstances under which the reports must stay the same: reprotest's, and processors'."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field

# other instruction sets, each library by its own switch
OLD_PROCESSOR = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
    "MKL_CBWR": "COMPATIBLE",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
    "OPENBLAS_CORETYPE": "NEHALEM",
    "NPY_DISABLE_CPU_FEATURES": "AVX2 FMA3 AVX512F AVX512CD AVX512_SKX",
    "NUMBA_CPU_NAME": "nehalem",
    "NUMBA_CPU_FEATURES": "+sse4.2,-avx,-avx2,-fma",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-FMA4,-AVX512F",
}
AVX2 = {
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "HASWELL",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F AVX512CD AVX512_SKX",
    "NUMBA_CPU_NAME": "haswell",
}


@dataclass(frozen=True)
class Variation:
    """One circumstance: variables, commands before Snakemake or before each job's Python."""

    name: str
    how: str
    variables: Mapping[str, str] = field(default_factory=dict)
    prefix: tuple[str, ...] = ()
    cores: int | None = None
    umask: int | None = None
    folder: str | None = None
    shuffled: bool = False
    jobs: tuple[str, ...] = ()
    start: str = "download"
    root: bool = False
    locale: str | None = None

    def programs(self) -> list[str]:
        """Return the programs that the variation runs."""
        names = list(self.prefix[:1])
        names += ["disorderfs", "fusermount"] if self.shuffled else []
        names += self.jobs[:1]
        return names

    def missing(self) -> str:
        """Return what the machine lacks, or nothing."""
        for program in self.programs():
            if shutil.which(program) is None:
                return f"{program} is not installed"
        if self.root and os.geteuid() != 0:
            return "only root can do this"
        if self.locale and self.locale.lower().replace("-", "") not in _locales():
            return f"locale {self.locale} is not installed"
        return ""


def _locales() -> list[str]:
    listed = subprocess.run(["locale", "-a"], capture_output=True, text=True, check=False).stdout
    return [name.lower().replace("-", "") for name in listed.split()]


def _processor(name: str, how: str, variables: Mapping[str, str]) -> Variation:
    return Variation(f"cpu-{name}", how, variables)


# only the jobs: Snakemake's own threads, which wait by the clock, would wait for ever
_LATER = ("faketime", "-f", "+400d")
_OTHER_HOST = "hostname other.example"
_EARLIER = ("setarch", "--uname-2.6")
_ALL = (
    Variation("control-again", "nothing differs"),
    Variation("time", "all jobs 400 days later", jobs=_LATER),
    Variation("time-zone", "TZ=Pacific/Kiritimati (+14)", {"TZ": "Pacific/Kiritimati"}),
    Variation("locale-c", "LC_ALL=C", {"LC_ALL": "C", "LANG": "C"}),
    Variation(
        "locale-turkish",
        "LC_ALL=tr_TR.UTF-8",
        {"LC_ALL": "tr_TR.UTF-8", "LANGUAGE": "tr"},
        locale="tr_TR.utf8",
    ),
    Variation("umask", "umask 077", umask=0o077),
    Variation("build-path", "a folder with spaces and accents", folder="a páth/with spaces (1)"),
    Variation(
        "home",
        "an empty home folder",
        {"HOME": "{work}/.home", "XDG_CACHE_HOME": "{work}/.home/cache"},
    ),
    Variation(
        "user",
        "user and group 1234, seen from inside",
        {"USER": "somebody", "LOGNAME": "somebody"},
        prefix=("unshare", "--user", "--map-user=1234", "--map-group=1234"),
    ),
    Variation("cores-1", "--cores 1", cores=1),
    Variation("cores-8", "--cores 8", cores=8),
    Variation("threads", "8 threads offered to OpenMP and BLAS", {"OMP_NUM_THREADS": "8"}),
    Variation("file-order", "disorderfs: folders listed at random", shuffled=True, root=True),
    Variation(
        "hostname",
        "another host name",
        prefix=("unshare", "--uts", "sh", "-c", f'{_OTHER_HOST} && exec "$@"', "sh"),
        root=True,
    ),
    Variation("kernel", "uname says Linux 2.6", prefix=("setarch", "--uname-2.6")),
    Variation("aslr", "addresses not randomised", prefix=("setarch", "--addr-no-randomize")),
    Variation(
        "environment",
        "more variables, another TERM and COLUMNS",
        {"EXTRA": "x" * 5000, "TERM": "dumb", "COLUMNS": "20"},
    ),
    Variation(
        "together",
        "time, zone, locale, umask, path, home, host, kernel, variables and hash seed at once",
        {
            "TZ": "Pacific/Kiritimati",
            "LC_ALL": "C",
            "HOME": "{work}/.home",
            "XDG_CACHE_HOME": "{work}/.home/cache",
            "EXTRA": "x" * 5000,
            "TERM": "dumb",
            "COLUMNS": "20",
            "PYTHONHASHSEED": "7",
            "OMP_NUM_THREADS": "8",
        },
        prefix=("unshare", "--uts", "sh", "-c", f'{_OTHER_HOST} && exec "$@"', "sh", *_EARLIER),
        jobs=_LATER,
        cores=3,
        umask=0o077,
        folder="a páth/with spaces (1)",
        root=True,
    ),
    Variation("hash-seed-0", "PYTHONHASHSEED=0", {"PYTHONHASHSEED": "0"}),
    Variation("hash-seed-1", "PYTHONHASHSEED=12345", {"PYTHONHASHSEED": "12345"}),
    _processor("old", "SSE4.2 only, in all libraries", OLD_PROCESSOR),
    _processor("avx2", "AVX2 but no AVX-512, in all libraries", AVX2),
    _processor("torch", "ATEN_CPU_CAPABILITY=default", {"ATEN_CPU_CAPABILITY": "default"}),
    _processor("mkl", "MKL_CBWR=COMPATIBLE", {"MKL_CBWR": "COMPATIBLE"}),
    _processor(
        "numpy",
        "NumPy and OpenBLAS without AVX2 and FMA",
        {key: OLD_PROCESSOR[key] for key in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES")},
    ),
    _processor(
        "numba",
        "Numba for a Nehalem",
        {key: OLD_PROCESSOR[key] for key in ("NUMBA_CPU_NAME", "NUMBA_CPU_FEATURES")},
    ),
    _processor("libm", "glibc without FMA", {"GLIBC_TUNABLES": OLD_PROCESSOR["GLIBC_TUNABLES"]}),
    Variation(
        "emulated-nehalem",
        "jobs below the features under qemu-user, -cpu Nehalem",
        jobs=("qemu-x86_64", "-cpu", "Nehalem"),
        start="memory",
    ),
)
VARIATIONS = {variation.name: variation for variation in _ALL}
