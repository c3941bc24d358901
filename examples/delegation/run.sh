#!/bin/sh
# A planner delegates two tasks. What the first one leaves open, its worker asks, and is answered from the plan.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
soon 'intercom-mux task show T2'
step 'intercom-mux wait --task T1 --until done --timeout 30s'
step 'intercom-mux wait --task T2 --until done --timeout 30s'

say "How T1 went: blocked until the planner had answered."
step 'intercom-mux task show T1'
soon 'intercom-mux history --peer worker-1 | grep "Done T1"'
say "What was said to and by its worker:"
step 'intercom-mux history --peer worker-1'
step 'intercom-mux down'
