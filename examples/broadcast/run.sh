#!/bin/sh
# Tell several workers the same, ask all of them at once, and name them one by one.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
say "Everybody of a role; everybody; those that you name."
step 'intercom-mux send --role worker "The release is on Friday."'
step 'intercom-mux send --all "The freeze begins at noon."'
step 'intercom-mux send --to billing --to search "You two deploy first."'

say "A question to all of them. Each reply comes under its name, as soon as it is there."
step 'intercom-mux ask --all "Where is the timeout set?"'

say "Nobody is told anything twice, and a name that nobody has spoils nothing for the others."
step 'intercom-mux send --to mail --to post "Thanks." || echo "exit code $?"'
step 'intercom-mux down'
