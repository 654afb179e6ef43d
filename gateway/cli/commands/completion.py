"""`sgw completion`."""

import click
from click.shell_completion import get_completion_class

from gateway.cli.lazy import examples


@click.command(
    "completion",
    epilog=examples(
        'eval "$(sgw completion bash)"',
        'eval "$(sgw completion zsh)"',
        "sgw completion fish > ~/.config/fish/completions/sgw.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of SHELL.

    Names of apps and ids of sessions are asked of the gateway that SGW_ADDRESS names.
    """
    script = get_completion_class(shell)
    assert script is not None
    click.echo(script(ctx.find_root().command, {}, "sgw", "_SGW_COMPLETE").source())
