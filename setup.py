"""Builds kcore: the metadata, and one extension module that holds the kernels for each SIMD level.

Read from the environment: KCORE_NO_EXTENSION=1 builds without the extension, KCORE_CHECKED=1 with
index checks and assertions, KCORE_SANITIZE=1 with the address and undefined-behaviour sanitizers.
"""

import os
import re
import shlex
import subprocess
import sysconfig
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
NATIVE = "kcore/_native"

CHECKED = os.environ.get("KCORE_CHECKED") == "1"
SANITIZE = os.environ.get("KCORE_SANITIZE") == "1"
WITH_EXTENSION = os.environ.get("KCORE_NO_EXTENSION") != "1"
X86 = sysconfig.get_platform().endswith(("x86_64", "amd64"))

# No -ffast-math, which breaks nan and infinities, and no -march=native: a wheel runs elsewhere.
FLAGS = [
    "-std=c++17",
    "-O3",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-ffp-contract=fast",
    "-fvisibility=hidden",
    "-Wno-psabi",  # vectors pass between inlined functions only
]
# The SIMD levels: bytes of a vector, and the flags of the level alone.
LEVELS = {"baseline": (16, [])}
if X86:
    LEVELS["avx2"] = (32, ["-march=x86-64-v3"])
    LEVELS["avx512"] = (64, ["-march=x86-64-v4", "-mprefer-vector-width=512"])
# These are compiled once; every other source in src/ is a family of kernels, compiled for each level.
COMMON = ("levels", "memory")


class BuildPackage(build_py):
    """Takes the benchmarks along, as kcore.benchmarks: `kcore bench` runs them wherever kcore is installed."""

    def run(self):
        super().run()
        if not self.editable_mode:  # a checkout has them beside kcore
            target = Path(self.build_lib) / "kcore" / "benchmarks"
            target.mkdir(parents=True, exist_ok=True)
            for source in self.benchmarks():
                self.copy_file(str(source), str(target / source.name))

    @staticmethod
    def benchmarks():
        files = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "benchmarks").glob("*.json")]
        return sorted(f for f in files if f.name != "conftest.py")

    def get_source_files(self):
        return [*super().get_source_files(), *(str(f.relative_to(ROOT)) for f in self.benchmarks())]


class BuildKernels(build_ext):
    """Compiles the kernels once per level, with OpenMP where the compiler has it."""

    def finalize_options(self):
        if self.distribution.ext_modules:
            from Cython.Build import cythonize

            self.distribution.ext_modules[:] = cythonize(
                self.distribution.ext_modules,
                build_dir="build/cython-checked" if CHECKED else "build/cython",
                compiler_directives={
                    "language_level": 3,
                    "boundscheck": CHECKED,
                    "wraparound": CHECKED,
                    "initializedcheck": CHECKED,
                    "cdivision": not CHECKED,
                    "embedsignature": True,
                },
            )
        super().finalize_options()

    def build_extensions(self):
        flags, link = list(FLAGS), []
        if self.has_openmp():
            flags.append("-fopenmp")
            link.append("-fopenmp")
        flags += ["-UNDEBUG", "-g"] if CHECKED else ["-DNDEBUG", "-g0"]
        if SANITIZE:
            # vptr needs type information that a module of plain functions does not have
            sanitizers = "-fsanitize=address,undefined"
            flags += [sanitizers, "-fno-sanitize=vptr", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-O1"]
            flags.append("-fexpensive-optimizations")  # else no multiply-adds are fused, and errors are larger
            # Unrolled tiles, with a branch at each access and what a debugger would need, take many minutes to compile.
            flags += ["-g1", "--param=asan-instrumentation-with-call-threshold=0"]
            link.append(sanitizers)
        for extension in self.extensions:
            extension.extra_compile_args += flags
            extension.extra_link_args += link
        self.compile_levels()
        super().build_extensions()

    def compile_levels(self):
        """Compiles each family for each level, some at a time, and has them linked in."""
        families = [p for p in sorted((ROOT / NATIVE / "src").glob("*.cpp")) if p.stem not in COMMON]
        for extension in self.extensions:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                made = [
                    pool.submit(self.compile_one, extension, source, level) for level in LEVELS for source in families
                ]
            objects = [job.result() for job in made]
            extension.extra_objects += objects
            extension.depends += objects

    def compile_one(self, extension, source, level):
        """A family's object file for a level; made again only where the command or what it reads is another."""
        path = f"{self.build_temp}/{level}/{source.stem}.o"
        vector_bytes, flags = LEVELS[level]
        macros = [*extension.define_macros, ("KCORE_LEVEL", level), ("KCORE_VECTOR_BYTES", vector_bytes)]
        command = [*self.compiler.compiler_so_cxx, *(f"-D{name}={value}" for name, value in macros)]
        command += [*(f"-I{folder}" for folder in extension.include_dirs), *extension.extra_compile_args, *flags]
        command += ["-MMD", "-MF", f"{path}.d", "-c", str(source.relative_to(ROOT)), "-o", path]
        made_by = Path(f"{path}.command")
        if not (made_by.exists() and made_by.read_text() == shlex.join(command) and is_newest(path)):
            made_by.parent.mkdir(parents=True, exist_ok=True)
            made_by.unlink(missing_ok=True)
            subprocess.run(command, check=True)
            made_by.write_text(shlex.join(command))
        return path

    def has_openmp(self):
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "probe.cpp"
            source.write_text("#include <omp.h>\nint main() { return omp_get_max_threads() < 1; }\n")
            try:
                objects = self.compiler.compile([str(source)], output_dir=folder, extra_postargs=["-fopenmp"])
                self.compiler.link_executable(objects, "probe", output_dir=folder, extra_postargs=["-fopenmp"])
            except Exception:  # each compiler class raises its own
                return False
        return True


def is_newest(path):
    """Whether an object file is younger than what its compiler read, as it noted in a Makefile rule."""
    try:
        read = Path(f"{path}.d").read_text().replace("\\\n", " ").split(":", 1)[1].split()
        return all(os.path.getmtime(name) <= os.path.getmtime(path) for name in read)
    except OSError:  # a file is gone
        return False


def extensions():
    if not WITH_EXTENSION:
        return []
    try:
        import numpy
    except ImportError as error:
        raise SystemExit("building kcore's kernels needs numpy and cython.") from error
    macros = [("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")]
    if X86:
        macros.append(("KCORE_X86_LEVELS", "1"))
    sources = [f"{NATIVE}/src/{name}.cpp" for name in COMMON]
    return [
        Extension(
            "kcore._native._kernels",
            sources=[f"{NATIVE}/_kernels.pyx", *sources],
            depends=sorted(
                str(p.relative_to(ROOT))
                for p in [*(ROOT / NATIVE / "src").rglob("*.*"), *(ROOT / NATIVE).glob("*.pxi")]
            ),
            include_dirs=[numpy.get_include(), f"{NATIVE}/src"],
            define_macros=macros,
            language="c++",
        )
    ]


def version():
    text = (ROOT / "kcore" / "version.py").read_text()
    return re.search(r'__version__ = "(.+)"', text).group(1)


FRAMEWORKS = {
    "jax": ["jax==0.10.2"],
    "tensorflow": ["tensorflow-cpu==2.21.*"],
    "torch": ["torch==2.13.0"],
}

setup(
    name="kcore",
    version=version(),
    description="The Keras 3 API with a numerical oracle inside.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    classifiers=[
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: C++",
        "Programming Language :: Cython",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
    python_requires=">=3.11",
    install_requires=["numpy>=2.0", "scipy", "ml-dtypes", "h5py", "rich"],
    extras_require={
        **FRAMEWORKS,
        "all": [name for names in FRAMEWORKS.values() for name in names],
        "test": [
            "pytest",
            "pytest-xdist",
            "hypothesis",
            "pandas",
            "keras==3.15.*",
            "mpmath",
            "array-api-strict",
            "jsonschema",
            "selenium",  # drives the report page where a chromium and its chromedriver are installed
        ],
        "bench": ["pytest-benchmark", "onnx", "onnxruntime", "matplotlib"],
    },
    packages=find_packages(include=["kcore", "kcore.*"]),
    package_data={
        "kcore": ["py.typed"],
        "kcore.conformance": ["*.schema.json", "page/*"],
        "kcore.conformance.goldens": ["shipped/*"],
        "": ["*.csv.gz", "*.md"],
    },
    ext_modules=extensions(),
    cmdclass={"build_ext": BuildKernels, "build_py": BuildPackage},
    entry_points={"console_scripts": ["kcore = kcore.cli:main"]},
    zip_safe=False,
)
