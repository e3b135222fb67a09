"""Packaging of fcclf; pyproject.toml holds only the build system and the tools' settings."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (ROOT / "fcclf" / "__init__.py").read_text())[1]
CONVERTERS = {
    "onnx": ["tf2onnx>=1.17", "onnx>=1.17", "onnxruntime>=1.20"],
    "tflite": ["ai-edge-litert>=2"],
}
PARQUET = ["pyarrow>=16"]
DOCS = [
    "sphinx>=8.1",
    "pydata-sphinx-theme>=0.19",
    "sphinx-gallery>=0.22",
    "myst-parser>=4",
    "sphinx-copybutton>=0.5.2",
    "sphinx-design>=0.6.1",
    "optuna>=4",  # in an example
]
BENCH = ["torch>=2.6", "jax>=0.5"]  # what benchmarks/peers.py measures beside fcclf; Keras comes with TensorFlow
SEARCH = ["dask[distributed]>=2025.1", "optuna>=4"]
SERVE = ["starlette>=1.0", "uvicorn>=0.30", "prometheus-client>=0.20"]

setup(
    name="fcclf",
    version=VERSION,
    description="Fully-connected classifiers in TensorFlow's graph mode, with exact resume",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="MIT",
    python_requires=">=3.10,<3.14",
    packages=find_packages(include=["fcclf", "fcclf.*"]),
    package_data={"fcclf.serving.server": ["page.css", "page.html"]},
    install_requires=[
        "tensorflow>=2.21,<2.22",
        "tensorboard>=2.21,<2.22",
        "numpy>=1.26",
        "scipy>=1.11",
        "scikit-learn>=1.6",
        "joblib>=1.2",  # as scikit-learn; counts the cores that a process may use
        "pandas>=2.2,<4",
        "matplotlib>=3.8",
        "pillow>=10",
        "tqdm>=4.66",
        "argcomplete>=3",
        'tomli>=2; python_version < "3.11"',
    ],
    extras_require={
        **CONVERTERS,
        "serve": SERVE,
        "search": SEARCH,
        "parquet": PARQUET,
        "docs": DOCS,
        "bench": BENCH,
        "test": [
            *(package for packages in CONVERTERS.values() for package in packages),
            *SERVE,
            *SEARCH,
            *PARQUET,
            *DOCS,
            "httpx2>=2",
            "pytest>=8",
            "pytest-timeout>=2.3",
            "pytest-xdist>=3.5",
            "hypothesis>=6.100",
            "rich>=13",
            "selenium>=4.20",
            "ruff==0.17.5",
        ],
    },
    entry_points={"console_scripts": ["fcclf = fcclf.cli.entry:run"]},
    classifiers=[
        "Programming Language :: Python :: 3",
        "License :: OSI Approved :: MIT License",
        "Operating System :: POSIX :: Linux",
    ],
)
