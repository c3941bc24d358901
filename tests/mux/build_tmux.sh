#!/bin/sh
# Build the tmux of other Debian suites, for the contract tests:  sh tests/mux/build_tmux.sh DIR [SUITE...]
# DIR gets one DIR/VERSION/tmux each; then  INTERCOM_MUX_TEST_TMUX_DIR=DIR pytest tests/mux  runs over all of them.
# Needs dpkg-dev, a C compiler, make, bison, libevent-dev and libncurses-dev; changes nothing of the system's own apt.
set -eu

target=${1:?usage: build_tmux.sh DIR [SUITE...]}
shift
[ $# -gt 0 ] || set -- trixie forky sid
mkdir -p "$target"
target=$(cd "$target" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
for suite in "$@"; do
    echo "deb-src [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:?no Debian mirror in apt\'s sources} $suite main"
done >"$work/sources.list"
cat >"$work/apt.conf" <<EOF
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "-";
Dir::State::lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "root";
EOF
export APT_CONFIG="$work/apt.conf"
apt-get -qq update

cd "$work"
apt-cache madison tmux | awk '/Sources/ { print $3 }' | sort -u | while read -r version; do
    name=${version%-*}
    if [ -x "$target/$name/tmux" ]; then
        echo "tmux $name is in $target already"
        continue
    fi
    echo "building tmux $version"
    if ! apt-get -qq source "tmux=$version" >"$work/log" 2>&1; then
        tail -n 3 "$work/log" >&2
        echo "left out: the source of $version cannot be had"
        continue
    fi
    (
        cd "tmux-$name"
        [ -x configure ] || sh autogen.sh
        ./configure --disable-dependency-tracking
        make
    ) >"$work/log" 2>&1 </dev/null || { tail -n 20 "$work/log" >&2 && exit 1; }
    mkdir -p "$target/$name"
    cp "tmux-$name/tmux" "$target/$name/tmux"
    "$target/$name/tmux" -V
done
