"""Three other programs called cmux, as far as telling them apart needs: shell scripts by name."""

from __future__ import annotations

OTHERS = {
    "relay": """
case "$1" in
  ping) printf '{\\n  "pong": true\\n}\\n' ;;
  version) echo "cmux: unknown command \\"version\\"" >&2; exit 2 ;;
  *) echo "cmux: server error [not_found]: x" >&2; exit 1 ;;
esac
""",
    "tui": """
case "$1" in
  --version|version) echo "cmux 0.13.4" ;;
  ping) echo 'unknown resource scope "ping"' >&2; exit 2 ;;
  *) exit 2 ;;
esac
""",
    "cloud": """
case "$1" in
  --version|-v|version) echo "0.8.3" ;;
  *) echo "Usage: cmux <command>"; exit 0 ;;
esac
""",
}
"""The Go relay that `cmux ssh` installs on Linux hosts, cmux-tui, and the npm package for cloud machines."""
