# Sourced by examples/quickstart.sh and tests/run.sh, with the checkout as working directory: what both need.

VENV=.venv

fail() {
    printf '%s\n' "$@" >&2
    exit 1
}

# Have tmux, through the system's package manager where we may; else say exactly what to run.
need_tmux() {
    if command -v tmux >/dev/null 2>&1; then return; fi
    for entry in "apt-get:apt-get install -y tmux" "dnf:dnf install -y tmux" "pacman:pacman -S --noconfirm tmux" \
        "apk:apk add tmux" "zypper:zypper install -y tmux" "brew:brew install tmux"; do
        command -v "${entry%%:*}" >/dev/null 2>&1 || continue
        install=${entry#*:}
        case "$install" in
        brew*) run="$install" ;;
        *) if [ "$(id -u)" = 0 ]; then run="$install"; elif sudo -n true 2>/dev/null; then run="sudo $install"; else
            fail "tmux is not installed, and this user may not install it. Run:" "  sudo $install" "and start this again."
        fi ;;
        esac
        echo "installing tmux: $run"
        $run >/dev/null 2>&1 || { apt-get update >/dev/null 2>&1 && $run >/dev/null; } ||
            fail "could not install tmux. Run:" "  $install" "and start this again."
        return
    done
    fail "tmux is not installed. Install it with your system's package manager and start this again."
}

# Have a virtual environment with this checkout in it ($1 is what pip installs); done again only when pyproject.toml changed.
make_venv() {
    stamp="$VENV/.installed-$(printf '%s' "$1" | cksum | cut -d' ' -f1)"
    if [ -x "$VENV/bin/intercom-mux" ] && [ "$stamp" -nt pyproject.toml ]; then return; fi
    python=$(find_python) || fail "Python 3.11 or newer is needed; none was found on PATH."
    "$python" -m venv "$VENV" >/dev/null 2>&1 ||
        fail "could not make a virtual environment. On Debian and Ubuntu run:" "  sudo apt-get install -y python3-venv" \
            "and start this again."
    echo "installing intercom-mux into $VENV"
    "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check -e "$1"
    touch "$stamp"
}

find_python() {
    for name in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11; do
        if "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
    done
    return 1
}
