"""The `slmfleet` command. Imports wait until a subcommand needs them, so that help and completion stay fast."""

from typing import IO

import click

FORMATS = click.Choice(["yaml", "json"])


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Run fleets of small language models on vLLM."""


@main.command()
@click.option("-o", "--output", type=click.Choice(["text", "yaml", "json"]), default="text", help="Output format.")
def version(output: str) -> None:
    """Print the version of slmfleet and of its API."""
    from slmfleet import __version__
    from slmfleet.api.base import API_VERSION

    if output == "text":
        click.echo(f"slmfleet {__version__} ({API_VERSION})")
        return
    show([{"version": __version__, "apiVersion": API_VERSION}], output)


@main.command()
@click.option("-o", "--output", type=FORMATS, default="yaml", help="Output format.")
def crds(output: str) -> None:
    """Print the CustomResourceDefinitions, to be piped into kubectl apply --server-side -f -."""
    from slmfleet.api.crds import manifests

    show(manifests(), output)


@main.command()
@click.argument("file", type=click.File())
@click.option("-n", "--namespace", default="default", show_default=True, help="Namespace of objects that name none.")
@click.option("-o", "--output", type=FORMATS, default="yaml", help="Output format.")
@click.option(
    "--engine-image",
    "engine_images",
    multiple=True,
    metavar="PLATFORM=IMAGE",
    help="Image where a spec names none, with {version} in it; as the operator's engineImages.",
)
def render(file: IO[str], namespace: str, output: str, engine_images: tuple[str, ...]) -> None:
    """Print what the operator would create for the SLMDeployments in FILE (- for standard input), offline.

    LoRAAdapter and AcceleratorClass objects in FILE take part; others are ignored. Exits 1 when an SLMDeployment or a
    LoRAAdapter cannot be accepted; what an adapter's files say is not known here.
    The guard's token is derived from a key that only the operator in its cluster has: its Secret is printed without
    data, under a name that ends otherwise than there. The NetworkPolicy lacks the entries that an installation adds:
    the operator and its scrapers.
    """
    from slmfleet.cli.manifests import InputError
    from slmfleet.cli.render import parse_images, render_manifests

    try:
        objects = render_manifests(file.read(), namespace, parse_images(engine_images))
    except InputError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    show(objects, output)


@main.command()
@click.option("-f", "--file", type=click.File(), required=True, help="Manifests; - is standard input.")
@click.option("-o", "--output", type=click.Choice(["text", "json"]), default="text", help="Output format.")
@click.option(
    "--diff",
    nargs=2,
    metavar="FROM TO",
    help="Two releases of vLLM: what going from one to the other changes, instead of what is.",
)
def explain(file: IO[str], output: str, diff: tuple[str, str] | None) -> None:
    """Say flag by flag what the engine of each SLMDeployment gets, from where and what for, offline.

    AcceleratorClass objects in the file take part; others are ignored. Exits 1 when a spec would be refused.
    """
    import json

    from slmfleet.cli.explain import difference, explanation, refused
    from slmfleet.cli.explain_text import difference_text, explanation_text
    from slmfleet.cli.manifests import InputError, read

    try:
        found = read(file.read(), "default")
        told = [
            explanation(slm, found.accelerator_of(slm))
            if diff is None
            else difference(slm, found.accelerator_of(slm), *diff)
            for slm in found.deployments
        ]
    except InputError as error:
        raise click.ClickException(f"{file.name}: {error}") from None
    if output == "json":
        click.echo(json.dumps(told[0] if len(told) == 1 else told, indent=2))
    else:
        text = explanation_text if diff is None else difference_text
        click.echo("\n".join(map(text, told)), nl=False)
    if any(map(refused, told)):
        raise SystemExit(1)


@main.group()
def adapter() -> None:
    """Say what a LoRA adapter's files are, before a LoRAAdapter names them."""


@adapter.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
def digest(folder: str) -> None:
    """Print the digest of the adapter in FOLDER, for spec.source.digest.

    It covers the files that a fetch takes; those that it leaves out are named on standard error.
    """
    from slmfleet.cli.adapter import AdapterError, digest_of

    try:
        found, left = digest_of(folder)
    except AdapterError as error:
        raise click.ClickException(str(error)) from None
    for name in left:
        click.echo(f"left out: {name}", err=True)
    click.echo(found)


@adapter.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False))
@click.option("-o", "--output", type=FORMATS, default="yaml", help="Output format.")
def inspect(folder: str, output: str) -> None:
    """Print what the adapter in FOLDER is, as the operator sees it: base model, rank, targets, shapes, digest.

    Nothing is loaded: it reads the configuration and the header of the weights.
    """
    from slmfleet.cli.adapter import AdapterError, facts_of

    try:
        facts = facts_of(folder)
    except AdapterError as error:
        raise click.ClickException(str(error)) from None
    show([facts], output)


def show(objects: list[dict[str, object]], output: str) -> None:
    """Write objects to standard output: coloured in a terminal, plain in a pipe."""
    import sys

    from slmfleet.cli.output import to_json, to_yaml

    text = to_json(objects) if output == "json" else to_yaml(objects)
    if not sys.stdout.isatty():
        click.echo(text, nl=False)
        return
    from rich.console import Console
    from rich.syntax import Syntax

    Console().print(Syntax(text, output, background_color="default"))


if __name__ == "__main__":
    main()
