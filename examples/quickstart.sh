#!/bin/sh
# See the main job: a team comes up in tmux, its peers talk, you ask one of them, and all of it goes away.
# Needs Python 3.11+ and nothing else: no account, no agent. Runs in a home of its own and cleans up after itself.
set -eu
cd "$(dirname "$0")/.."
. examples/setup.sh
. examples/stage.sh
need_tmux
make_venv "."

PATH="$PWD/$VENV/bin:$PATH"
own_home quickstart

cd examples/quickstart
step "intercom-mux up planner-worker.yaml --agent demo"
step 'intercom-mux ask reference-auth "How does this repo structure token refresh retries?"'
printf '\nThe planner has handed out its tasks; waiting until the workers have done them'
tries=0
while [ "$(intercom-mux tasks --json | grep -c '"state": "done"')" -lt 3 ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 120 ] || fail "" "the workers did not finish in time; see: intercom-mux status"
    printf '.'
    sleep 0.5
done
printf '\n'
step "intercom-mux status"
step "intercom-mux down"
printf '\nThat was the main job. Try it by hand:\n'
printf '  . %s/bin/activate && cd examples/quickstart && intercom-mux up planner-worker.yaml --attach\n' "$VENV"
