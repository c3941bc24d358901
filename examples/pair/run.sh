#!/bin/sh
# Pair debugging: adding up sixteen orders fails. Two programs find the one to blame, in four questions and answers.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'sh total.sh <orders.csv || echo "exit code $?"'
step 'intercom-mux up team.yaml'
step 'intercom-mux task add "Find the order that breaks the total" --id find --to driver'
step 'intercom-mux wait --task find --until done --timeout 30s'

soon 'intercom-mux logs driver | grep 100%'
say "The driver's screen. The line has the letter O for a zero."
step 'intercom-mux logs driver'
step 'intercom-mux task show find'
step 'intercom-mux down'
