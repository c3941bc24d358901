# Finds the one bad line of orders.csv by halving, and has each half tried by the navigator.
set -eu
intercom-mux inbox --wait 10m | sed -n 2p
from=1
to=$(wc -l <orders.csv)
rounds=$(awk "BEGIN { n = $to; while (n > 1) { n = int((n + 1) / 2); r++ } print r }")
round=0
while [ "$from" -lt "$to" ]; do
    middle=$(((from + to) / 2))
    said=$(intercom-mux ask navigator "$from $middle" 2>>errors.txt)
    echo "navigator: $said"
    case $said in
    *fine) from=$((middle + 1)) ;;
    *) to=$middle ;;
    esac
    round=$((round + 1))
    intercom-mux progress find --percent $((90 * round / rounds)) --note "$said"
done
intercom-mux progress find --percent 100 --note "line $from: $(sed -n "${from}p" orders.csv)"
exec sleep 3600
