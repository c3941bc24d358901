#!/bin/sh
# Three escalations at once: two decisions and an interview wait side by side, and are answered in another order.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
step 'intercom-mux task add "Price an order" --id price --to pricing --note "Open: Are prices net or gross?"'
step 'intercom-mux task add "Store orders" --id store --to storage --note "Open: Which store? sqlite | postgres
Open: How long are orders kept?"'
step 'intercom-mux task add "Ship orders" --id ship --to shipping --note "Open: Ship parts of an order, or wait?"'
for task in price store ship; do
    step "intercom-mux wait --task $task --until done --timeout 30s"
done

soon 'intercom-mux logs lead | grep "to pricing ·"'
say "The lead's screen: what was open, and its answers."
step 'intercom-mux logs lead'
say "What the worker that asked two questions made of the answers:"
soon 'intercom-mux inbox --peek | grep "Done store"'
step 'intercom-mux inbox | grep -A4 "^Done store"'
step 'intercom-mux down'
