"""The ``neurosim`` command, a file a subcommand where it is more than a few lines."""

from neurosim.cli.command import app as app
from neurosim.cli.command import main as main
