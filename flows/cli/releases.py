"""Releases: declared, compared, promoted, rolled back, handed on."""

from __future__ import annotations

from functools import partial
from typing import Annotated

import typer

from flows.options import By, Config, Expires, Json, OneChallenger, RunId

PANEL = "Releases"
app = typer.Typer()
command = partial(app.command, rich_help_panel=PANEL)
release = typer.Typer(no_args_is_help=True, help="Declare, list and compare releases.")
prompt = typer.Typer(no_args_is_help=True, help="Compare prompts.")

Named = Annotated[str, typer.Argument(metavar="NAME|DIGEST", help="release, or its digest")]


@command()
def promote(
    run_id: RunId = "",
    challenger: OneChallenger = "",
    override: Annotated[
        str, typer.Option("--override", metavar="REASON", help="against the verdict")
    ] = "",
    expires: Expires = "",
    by: By = "",
    from_mlflow: Annotated[
        bool, typer.Option("--from-mlflow", help="what the alias champion was moved to there")
    ] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make the challenger of a run the champion, where its verdict lets it ship.

    Exit code 1 where it is held: another verdict, another champion by now, another release."""
    from flows.commands.promote import promote as promote_challenger
    from flows.commands.promote import promote_wanted
    from flows.promoting import Asked
    from tasks.errors import UsageError

    if from_mlflow:
        if said := run_id or challenger or override or expires:
            raise UsageError(
                "--from-mlflow names the release by itself",
                received=said,
                allowed="--from-mlflow alone, or with --by",
            )
        raise typer.Exit(promote_wanted(by=by, config=config, as_json=as_json))
    asked = Asked(run_id=run_id, challenger=challenger, override=override, expires=expires, by=by)
    raise typer.Exit(promote_challenger(asked, config=config, as_json=as_json))


@command()
def rollback(
    why: Annotated[str, typer.Option("--why", help="for the audit")] = "",
    by: By = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Make the release before the champion champion again."""
    from flows.commands.promote import rollback as roll_back

    raise typer.Exit(roll_back(why=why, by=by, config=config, as_json=as_json))


@command()
def export(
    to: Annotated[str, typer.Option("--format", help="env, vllm, litellm, envoy or kong")],
    out: Annotated[
        str, typer.Option("--out", metavar="FILE", help="[default: standard output]")
    ] = "",
    config: Config = None,
) -> None:
    """The champion as configuration that a gateway or server reads."""
    from flows.commands.export import export_champion

    raise typer.Exit(export_champion(to, out, config=config))


@release.command(name="list")
def show_all(config: Config = None, as_json: Json = False) -> None:
    """The releases that are declared, and those that runs have compared."""
    from flows.commands.release import list_releases

    raise typer.Exit(list_releases(config=config, as_json=as_json))


@release.command()
def show(name: Named, config: Config = None, as_json: Json = False) -> None:
    """All that a release is: model, prompts, sampling, engine, and its verdicts."""
    from flows.commands.release import show_release

    raise typer.Exit(show_release(name, config=config, as_json=as_json))


@release.command()
def diff(old: Named, new: Named, config: Config = None, as_json: Json = False) -> None:
    """In which factors two releases differ: model, prompt, sampling, engine."""
    from flows.commands.release import diff_releases

    raise typer.Exit(diff_releases(old, new, config=config, as_json=as_json))


@release.command()
def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="of [releases.NAME]")],
    model: Annotated[str, typer.Option("--model", help="folder, .gguf file, hub id or API's name")],
    prompt_file: Annotated[
        str, typer.Option("--prompt", metavar="FILE|FOLDER", help="[default: as logged]")
    ] = "",
    max_tokens: Annotated[int | None, typer.Option("--max-tokens", min=1)] = None,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0)] = None,
    top_p: Annotated[float | None, typer.Option("--top-p")] = None,
    api: Annotated[str, typer.Option("--api", help="openai, anthropic or gemini")] = "",
    base_url: Annotated[str, typer.Option("--base-url", help="of the API")] = "",
    api_key_env: Annotated[
        str, typer.Option("--api-key-env", metavar="NAME", help="variable with its key")
    ] = "",
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Write a [releases.NAME] at the end of flywheel.toml, where it is one that can be read."""
    from flows.commands.release_add import add_release

    values = {
        "model": model, "prompt": prompt_file, "api": api, "base_url": base_url,
        "api_key_env": api_key_env,
    }  # fmt: skip
    sampling = {"max_tokens": max_tokens, "temperature": temperature, "top_p": top_p}
    raise typer.Exit(add_release(name, values, sampling, config=config, as_json=as_json))


@prompt.command(name="diff")
def diff_prompt(
    old: Annotated[str, typer.Argument(metavar="OLD", help="release, digest, file or folder")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="release, digest, file or folder")],
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Two versions of prompts, task by task and word by word."""
    from flows.commands.prompt_diff import diff_prompts

    raise typer.Exit(diff_prompts(old, new, config=config, as_json=as_json))
