"""The container's program as it is.

Under Python 3.12, which a lent GPU machine has, with the one function it takes from 3.13's library.
"""

import os
import runpy
import sys

if __name__ == "__main__":
    sys.path.pop(0)  # this directory: no name in it is the server's
    if not hasattr(os, "process_cpu_count"):
        vars(os)["process_cpu_count"] = os.cpu_count
    runpy.run_module("server", run_name="__main__")
