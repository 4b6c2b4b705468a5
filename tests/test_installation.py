"""The base distribution alone: what a user of remote encoders installs. Needs the package index, as `make test` does."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MEGABYTES = 150


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_base_install_is_small_and_has_neither_torch_nor_the_agents_packages(tmp_path: Path) -> None:
    python = str(tmp_path / "venv" / "bin" / "python")
    run([sys.executable, "-m", "venv", str(tmp_path / "venv")])
    before = size(tmp_path / "venv")
    run([python, "-m", "pip", "install", "--quiet", "-c", str(ROOT / "constraints.txt"), str(ROOT)])
    installed = run([python, "-m", "pip", "list", "--format=freeze"]).casefold()
    for heavy in ("torch", "transformers", "sentence-transformers", "langgraph", "langchain-core", "chromadb", "bm25s"):
        assert f"\n{heavy}==" not in f"\n{installed}"
    assert (size(tmp_path / "venv") - before) / 1e6 < MEGABYTES
    assert "index" in run([str(tmp_path / "venv" / "bin" / "reasonir"), "--help"])
    refused = subprocess.run(
        [str(tmp_path / "venv" / "bin" / "reasonir"), "index", str(ROOT / "examples" / "corpus"), "--store", "s"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert refused.returncode == 2
    assert "pip install 'reasonir-agent[agent]'" in refused.stderr


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_shipped_adapter_travels_with_the_package(tmp_path: Path) -> None:
    """Weights beside the code are easily left out of a distribution; then the default would be another one."""
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "reasonir_agent", copy / "reasonir_agent", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"):
        shutil.copyfile(ROOT / name, copy / name)
    adapter = Path("reasonir_agent", "encoder", "adapters", "some-adapter")
    (copy / adapter).mkdir(parents=True)
    names = {"adapter_config.json", "adapter_model.safetensors", "README.md"}
    for name in names:
        (copy / adapter / name).write_text(name)
    wheel = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path / "dist")]
    run([*wheel, "-c", str(ROOT / "constraints.txt"), str(copy)])
    (made,) = (tmp_path / "dist").iterdir()
    held = zipfile.ZipFile(made).namelist()
    assert {f"{adapter.as_posix()}/{name}" for name in names} <= set(held)


def run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def size(folder: Path) -> int:
    """Bytes of the files that were installed, without the bytecode that Python makes of them."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sum(path.stat().st_size for path in files if path.suffix != ".pyc")
