"""What a process may use."""

from __future__ import annotations

import sys

if sys.platform == "win32":

    def allow_open_files(_wanted: int) -> None:
        """Raise the limit of open files: here there is none to raise."""

else:

    def allow_open_files(wanted: int) -> None:
        """Raise the limit of open files, often 1,024, up to `wanted` or as far as we may: each session is one."""
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard != resource.RLIM_INFINITY:
            wanted = min(hard, wanted)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
