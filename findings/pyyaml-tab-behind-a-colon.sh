#!/usr/bin/env bash
# PyYAML 6.0.4: its two parsers do not read the same documents. White space may be a tab where it separates tokens (YAML
# 1.1, 5.5 and 6.1). Expected: `license:<tab>mit` is a mapping for SafeLoader and for CSafeLoader, which is documented as
# the faster one. Seen: CSafeLoader (libyaml) reads it, SafeLoader raises ScannerError. Its documentation says that there
# are "some subtle (but not really significant) differences" and names none. Who switches to the C parser, as model cards
# of megabytes ask for, accepts what huggingface_hub's ModelCard, which uses safe_load, refuses as a whole.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check "pyyaml==6.0.4" 2>/dev/null || {
    echo "pyyaml 6.0.4 cannot be installed"
    exit 1
}
"$folder/venv/bin/python" - <<'PYTHON'
import sys

import yaml

text = "license:\tmit\n"
fast = yaml.load(text, Loader=yaml.CSafeLoader)
try:
    slow = yaml.load(text, Loader=yaml.SafeLoader)
except yaml.YAMLError as error:
    slow = type(error).__name__
print(f"{text!r}: CSafeLoader {fast!r}, SafeLoader {slow!r}")
sys.exit(0 if fast == {"license": "mit"} and slow == "ScannerError" else 1)
PYTHON
