# Sourced by the scripts of this directory: a home that goes away with the script, and a way to show what is run.

# Have a state home of its own ($1 names it), in which nothing of it is left running when the script ends.
own_home() {
    home=$(mktemp -d "${TMPDIR:-/tmp}/intercom-mux-$1.XXXXXX")
    export XDG_STATE_HOME="$home/state" XDG_CONFIG_HOME="$home/config"
    unset INTERCOM_MUX_IDENTITY INTERCOM_MUX_SOCKET
    trap leave EXIT
    trap 'exit 130' INT TERM
}

leave() {
    cd /
    intercom-mux down --all >/dev/null 2>&1 || true
    intercom-mux broker stop >/dev/null 2>&1 || true
    rm -rf "$home"
}

# Begin the example in the directory of the script $0: a copy of it becomes the project, so that nothing is written here.
begin() {
    cd "$(dirname "$0")"
    name=$(basename "$PWD")
    PATH="$(cd ../.. && pwd)/.venv/bin:$PATH"
    command -v intercom-mux >/dev/null 2>&1 || {
        echo "intercom-mux is not installed. Run \`sh examples/quickstart.sh\` once, which does that." >&2
        exit 1
    }
    own_home "$name"
    mkdir "$home/copy"
    cp -R . "$home/copy/$name"
    cd "$home/copy/$name"
    intercom-mux name boss >/dev/null
}

# Tell the reader something.
say() {
    printf '\n# %s\n' "$@"
}

# Show a command line as one would type it, and run it.
step() {
    printf '\n$ %s\n' "$1"
    eval "$1"
}

# Wait until a command succeeds, 20 seconds at most, without showing it.
soon() {
    tries=0
    until eval "$1" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || {
            echo "this did not come about: $1" >&2
            exit 1
        }
        sleep 0.2
    done
}
