#!/bin/sh
# A long task reports after every batch. Its program is killed in the midst and started again: no batch is loaded twice.
set -eu
. "$(dirname "$0")/../stage.sh"
begin

step 'intercom-mux up team.yaml'
soon 'intercom-mux task show import | grep "2.csv is loaded"'
step 'intercom-mux restart importer'
say "It goes on behind the last checkpoint."
step 'intercom-mux wait --task import --until done --timeout 30s'
step 'ls stock'
step 'cat stock/*.csv | wc -l'
step 'intercom-mux down'
