"""The command line: `python -m engine generate | score | bench | serve`.

Arguments in, exit code out; bodies are imported only when they run. Exit codes: 0 fine, 2 usage
(arguments, input, model), 4 the system failed (file, port), 130 interrupted. Results go to standard
output, all else to standard error.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from engine.errors import EngineError
from engine.options import EngineOptions
from engine.sampling.params import SamplingParams
from engine.server.options import Limits, ServeOptions

if TYPE_CHECKING:
    from engine.commands.jsonlines import Files

T = TypeVar("T")

SERVE_INSTALL = "pip install 'llm-flywheel[serve]'"


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
    """A reason may quote a model's files or a request: what a terminal would obey is spelled."""
    shown = "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in reason)
    print(f"engine: {shown}", file=sys.stderr)
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
        group = added.add_argument_group("model")
        group.add_argument("--model", required=True, help="folder, .gguf file or hub id")
        _add_options(group, EngineOptions)
        return added

    generate = command("generate", _generate)
    _add_files(generate, '"a text", {"prompt": text or token ids} or {"messages": […]}')
    text = "a line may give each of these a value of its own"
    _add_options(generate.add_argument_group("sampling", text), SamplingParams)
    _add_files(command("score", _score), '{"context": …, "continuation": …}')
    bench = command("bench", _bench)
    bench.add_argument("--num-requests", type=int, default=64)
    bench.add_argument("--prompt-tokens", type=int, default=128)
    bench.add_argument("--output-tokens", type=int, default=64)
    bench.add_argument("--json", action="store_true", help="one JSON object instead of a table")
    serving = command("serve", _serve)
    _add_options(serving, ServeOptions)
    _add_options(serving, Limits)
    return parser


def _add_options(parser: argparse._ActionsContainer, kind: type) -> None:
    """A flag for every field that is an `option`."""
    types = get_type_hints(kind)
    for field in fields(kind):
        if not field.metadata:
            continue
        flag, more = "--" + field.name.replace("_", "-"), {"help": field.metadata["text"]}
        of = next(iter(get_args(types[field.name])), types[field.name])
        if of is bool:
            action = argparse.BooleanOptionalAction
            parser.add_argument(flag, action=action, default=field.default, **more)
        elif isinstance(field.default, tuple):
            parser.add_argument(flag, type=of, action="append", default=[], **more)
        else:
            choices = field.metadata["choices"]
            parser.add_argument(flag, type=of, default=field.default, choices=choices, **more)


def _made(kind: type[T], options: argparse.Namespace, **more: Any) -> T:
    """From the flags of its fields; a repeated flag is a tuple."""
    names = [field.name for field in fields(kind) if field.metadata]  # type: ignore[arg-type]
    values = {name: getattr(options, name) for name in names}
    made = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return kind(**made, **more)


def _add_files(parser: argparse.ArgumentParser, line: str) -> None:
    parser.add_argument("--input", default="-", help=f"JSON lines; -: standard input. Each: {line}")
    parser.add_argument("--output", default="-", help="JSON lines; -: standard output")
    parser.add_argument("--replicas", type=int, default=1, help="copies of the model, one a GPU")
    parser.add_argument(
        "--json", action="store_true", help="a JSON object about the run on standard output"
    )


def _generate(options: argparse.Namespace) -> None:
    """Complete prompts from JSON lines."""
    from engine.commands.jsonlines import generate_lines

    names = [field.name for field in fields(SamplingParams)]
    generate_lines(_files(options), {name: getattr(options, name) for name in names})


def _score(options: argparse.Namespace) -> None:
    """Log-likelihoods of continuations from JSON lines."""
    from engine.commands.jsonlines import score_lines

    score_lines(_files(options))


def _files(options: argparse.Namespace) -> Files:
    from engine.commands.jsonlines import Files

    model, engine = options.model, _made(EngineOptions, options)
    return Files(model, engine, options.replicas, options.input, options.output, options.json)


def _bench(options: argparse.Namespace) -> None:
    """Tokens a second, time to first token, and the share of what this machine could do."""
    from engine.measuring.bench import Workload, bench, print_bench

    workload = Workload(options.num_requests, options.prompt_tokens, options.output_tokens)
    print_bench(bench(options.model, _made(EngineOptions, options), workload), options.json)


def _serve(options: argparse.Namespace) -> None:
    """Serve the OpenAI API until SIGTERM or Ctrl-C."""
    try:
        from engine.server.serve import serve
    except ModuleNotFoundError as error:
        raise EngineError(f"The server needs {error.name}: {SERVE_INSTALL}") from None
    engine, limits = _made(EngineOptions, options), _made(Limits, options)
    serve(_made(ServeOptions, options, model=options.model, engine=engine, limits=limits))


if __name__ == "__main__":
    sys.exit(main())
