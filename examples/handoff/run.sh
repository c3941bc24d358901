#!/bin/sh
# Research first, then build: what the researcher found goes to the implementer as a file, with the task.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
step 'intercom-mux ask researcher "When is a token renewed before it expires?" >findings.md'
step 'head -4 findings.md'

say "The task goes out with the findings. The mark [task:renew] makes it one of the team's tasks."
step 'intercom-mux send implementer --attach findings.md "[task:renew] Renew the token of the warehouse in time"'
step 'intercom-mux wait --task renew --until done --timeout 30s'

say "The implementer has read both: what was attached, and its own code."
soon 'intercom-mux inbox --peek | grep "Done renew"'
step 'intercom-mux inbox'
step 'intercom-mux down'
