# Loads every batch once. A batch that stands in stock/ is loaded, and gets there as a whole: that is the checkpoint.
set -eu
mkdir -p stock
report() {
    loaded=$(ls stock | wc -l)
    if [ "$loaded" -eq 0 ]; then return; fi
    intercom-mux progress import --percent $((100 * loaded / $(ls batches | wc -l))) \
        --note "$(ls stock | tail -n 1) is loaded"
}
# Killed between a checkpoint and its report, the program before us has not said it.
report
for batch in $(ls batches); do
    if [ -e "stock/$batch" ]; then continue; fi
    sleep 0.5
    sort "batches/$batch" >part
    mv part "stock/$batch"
    report
done
exec sleep 3600
