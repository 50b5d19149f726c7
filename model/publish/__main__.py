"""``python -m publish``: see ``command_line``."""

import sys

from publish.command_line import main

sys.exit(main(sys.argv[1:]))
