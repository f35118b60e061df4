"""``python -m kamiwaza_sdk``: the command ``kamiwaza``."""

import sys

from kamiwaza_sdk.cli.parser import main

if __name__ == "__main__":
    sys.exit(main())
