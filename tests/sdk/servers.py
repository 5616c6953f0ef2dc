"""How servers are started, and the picture they are shown."""

import os
import re

BINARY = os.environ.get("POINTSMAN", "pointsman")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def wait_for(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} ended without saying {pattern}")
