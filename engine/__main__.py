"""The command line: `python -m engine generate | score | bench | serve`.

Arguments in, exit code out; bodies are imported only when they run. Exit codes: 0 fine, 2 usage
(arguments, input, model), 4 the system failed (file, port), 130 interrupted. Results go to standard
output, all else to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from engine.errors import EngineError
from engine.options import EngineOptions
from engine.sampling.params import SamplingParams

SERVE_INSTALL = "pip install 'llm-flywheel[serve]'"


#: the fields of SamplingParams as flags: type and help
SAMPLING: dict[str, tuple[Callable[[str], object], str]] = {
    "max_tokens": (int, "of the answer, at most"),
    "temperature": (float, "0: greedy"),
    "top_p": (float, "keep the smallest set of tokens with this probability"),
    "top_k": (int, "keep so many most probable tokens; 0: all"),
    "min_p": (float, "keep tokens this fraction as probable as the first; 0: all"),
    "repetition_penalty": (float, "on tokens of prompt and answer; 1: none"),
    "seed": (int, "of the draws"),
    "n": (int, "completions of each prompt"),
    "min_tokens": (int, "no end before so many"),
    "stop": (str, "ends the text; repeatable"),
    "stop_token_ids": (int, "ends the answer; repeatable"),
    "logprobs": (int, "log-probabilities, with so many alternatives a token"),
    "json_schema": (str, "that the answer must follow, as JSON text"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    run: Callable[[argparse.Namespace], None] = options.run
    try:
        run(options)
    except EngineError as error:
        return _told(str(error), 2)
    except OSError as error:
        return _told(str(error), 4)
    except KeyboardInterrupt:
        return _told("Interrupted; nothing was written.", 130)
    return 0


def _told(reason: str, code: int) -> int:
    print(f"engine: {reason}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m engine", description="Batched LLM inference on one machine."
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name: str, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
        text = run.__doc__ or ""
        added = commands.add_parser(name, help=text, description=text, formatter_class=formatter)
        added.set_defaults(run=run)
        _add_model(added)
        return added

    generate = command("generate", _generate)
    _add_files(generate, '"a text", {"prompt": text or token ids} or {"messages": […]}')
    _add_sampling(generate)
    _add_files(command("score", _score), '{"context": …, "continuation": …}')
    _add_bench(command("bench", _bench))
    _add_serve(command("serve", _serve))
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument("--model", required=True, help="folder, .gguf file or hub id")
    group.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:N")
    group.add_argument("--dtype", default="auto", help="auto, float32, bfloat16, float16")
    group.add_argument(
        "--batch-invariant",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="the same bits in every batch",
    )
    group.add_argument("--kv-cache-bytes", type=int, help="memory for K and V; None: a share")
    group.add_argument("--max-batch-tokens", type=int, help="tokens of one step; None: 512")
    group.add_argument("--quantization", choices=("int8", "int4"), help="of the layers' matrices")


def _add_files(parser: argparse.ArgumentParser, line: str) -> None:
    parser.add_argument("--input", default="-", help=f"JSON lines; -: standard input. Each: {line}")
    parser.add_argument("--output", default="-", help="JSON lines; -: standard output")
    parser.add_argument("--replicas", type=int, default=1, help="copies of the model, one a GPU")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object about the run on standard output"
    )


def _add_sampling(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group(
        "sampling", "a line may give each of these a value of its own"
    )
    usual = SamplingParams()
    for name, (kind, text) in SAMPLING.items():
        flag, default = "--" + name.replace("_", "-"), getattr(usual, name)
        if isinstance(default, tuple):
            group.add_argument(flag, type=kind, action="append", default=[], help=text)
        else:
            group.add_argument(flag, type=kind, default=default, help=text)


def _add_bench(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--num-requests", type=int, default=64)
    parser.add_argument("--prompt-tokens", type=int, default=128)
    parser.add_argument("--output-tokens", type=int, default=64)
    parser.add_argument("--json", action="store_true", help="one JSON object instead of a table")


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=8000, help="0: any that is free")
    parser.add_argument("--name", default="", help="of the model, for clients; empty: its path's")
    parser.add_argument(
        "--max-requests", type=int, default=512, help="running or waiting, then 429"
    )
    parser.add_argument("--max-body-bytes", type=int, default=8 << 20, help="larger ones get 413")
    parser.add_argument("--grace-s", type=int, default=30, help="for running requests at the end")


def _generate(options: argparse.Namespace) -> None:
    """Complete prompts from JSON lines."""
    from engine.commands.jsonlines import generate_lines

    sampling = {name: getattr(options, name) for name in SAMPLING}
    generate_lines(
        options.model,
        _engine_options(options),
        options.replicas,
        options.input,
        options.output,
        sampling,
        options.json,
    )


def _score(options: argparse.Namespace) -> None:
    """Log-likelihoods of continuations from JSON lines."""
    from engine.commands.jsonlines import score_lines

    score_lines(
        options.model,
        _engine_options(options),
        options.replicas,
        options.input,
        options.output,
        options.json,
    )


def _bench(options: argparse.Namespace) -> None:
    """Tokens a second, time to first token, and the share of what this machine could do."""
    from engine.measuring.bench import Workload, bench, print_bench

    workload = Workload(options.num_requests, options.prompt_tokens, options.output_tokens)
    print_bench(bench(options.model, _engine_options(options), workload), options.json)


def _serve(options: argparse.Namespace) -> None:
    """Serve the OpenAI API until SIGTERM or Ctrl-C."""
    try:
        from engine.server.serve import Limits, ServeOptions, serve
    except ModuleNotFoundError as error:
        raise EngineError(f"The server needs {error.name}: {SERVE_INSTALL}") from None
    serve(
        ServeOptions(
            model=options.model,
            engine=_engine_options(options),
            host=options.host,
            port=options.port,
            name=options.name,
            limits=Limits(options.max_requests, options.max_body_bytes),
            grace_s=options.grace_s,
        )
    )


def _engine_options(options: argparse.Namespace) -> EngineOptions:
    return EngineOptions(
        options.device,
        options.dtype,
        options.batch_invariant,
        options.kv_cache_bytes,
        options.max_batch_tokens,
        options.quantization,
    )


if __name__ == "__main__":
    sys.exit(main())
