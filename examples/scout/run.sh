#!/bin/sh
# Ask a codebase next door through somebody who lives there; bring in a second scout when it is needed, and let it go.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml --agent demo'
step 'intercom-mux ask reference-auth "When is a session expired?"'

say "One question is not worth a second scout, says the spawn rule; for a day with that codebase, bring one in."
step 'intercom-mux spawn reference-billing --role scout --reference billing-service --one-shot --explain'
step 'intercom-mux spawn reference-billing --role scout --agent demo --reference billing-service'

say "Ask without waiting, and fetch the reply later."
step 'ticket=$(intercom-mux ask --async reference-billing "How is an invoice number made?")'
step 'intercom-mux wait reference-billing --until reply --timeout 20s'
step 'intercom-mux result "$ticket"'
step 'intercom-mux kill reference-billing'
step 'intercom-mux down'
