#!/bin/sh
# Look who is free before you send, see what becomes of a message to somebody who is not, and wait until he is.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
step 'intercom-mux send worker-1 "Task T1: Show prices in a second currency
Open: Which currency? USD | GBP"'
soon 'intercom-mux pending | grep worker-1 && intercom-mux list | grep tool:ask'

say "worker-1 is not free: it asks you something, and waits."
step 'intercom-mux list'
step 'intercom-mux send worker-1 "Tell me when you are through."'

say "Who is free? The first one that is, is given the next task."
step 'free=$(intercom-mux wait worker-1 worker-2 --until idle --any --timeout 20s | cut -d" " -f1)'
step 'intercom-mux send --wait 20s "$free" "Task T2: Show the price of a whole basket"'
step 'intercom-mux wait "$free" --until idle --timeout 20s'

say "Now answer worker-1. It ends its turn, and then has the message that waited."
step 'intercom-mux reply "USD"'
step 'intercom-mux wait worker-1 --until idle --timeout 20s'
step 'intercom-mux tasks'
step 'intercom-mux down'
