"""How servers are started and keys made, and the picture they are shown."""

import os
import re
import subprocess
import time

BINARY = os.environ.get("POINTSMAN", "pointsman")
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def wait_for(process, pattern):
    for line in process.stdout:
        found = re.search(pattern, line)
        if found:
            return found.group(1)
    raise RuntimeError(f"{process.args} ended without saying {pattern}")


def make_key(folder, *options):
    command = [BINARY, "key", "create", "--database", f"sqlite://{folder}/p.db", *options]
    key = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    time.sleep(1)  # a running gateway notices new keys within half a second
    return key
