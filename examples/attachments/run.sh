#!/bin/sh
# Files, lines of a file and loose text travel with a message, whole, whatever is in them.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
say "The reviewer answers from what is attached as from its own files."
step 'intercom-mux ask reviewer --attach change.patch "Where is the budget of retries shared?"'
step 'intercom-mux send desk --snippet src/retry.py:4-6 --context "seen in production on Monday" "This never ends:"'
step 'printf "%s\n" "From a pipe," "in two lines." | intercom-mux send desk -'

say "The desk has it all."
soon 'intercom-mux logs desk | grep "in two lines"'
step 'intercom-mux logs desk'
step 'intercom-mux down'
