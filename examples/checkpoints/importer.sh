# Loads every batch once. A batch that stands in stock/ is loaded, and gets there as a whole: that is the checkpoint.
set -eu
mkdir -p stock
all=$(ls batches | wc -l)
for batch in $(ls batches); do
    if [ -e "stock/$batch" ]; then continue; fi
    sleep 0.5
    sort "batches/$batch" >part
    mv part "stock/$batch"
    intercom-mux progress import --percent $((100 * $(ls stock | wc -l) / all)) --note "$batch is loaded"
done
exec sleep 3600
