#!/bin/sh
# Progress is told as it comes. A task that cannot go on says what it needs, and goes on when that is there.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
step 'intercom-mux task add "Convert the prices" --id rates --to worker --note "Needs: rates.csv"'
step 'intercom-mux wait --task rates --until blocked --timeout 20s'

say "You gave the task, so you are told, and asked."
soon 'intercom-mux pending | grep worker'
step 'intercom-mux pending'
step 'cp rates.csv shop/'
step 'intercom-mux reply "It is there now."'
step 'intercom-mux wait --task rates --until done --timeout 20s'

say "The whole way of the task:"
step 'intercom-mux task show rates'
step 'intercom-mux down'
