# The program that breaks: adds up the orders (article,count,cents) on its input.
awk -F, '$2 !~ /^[0-9]+$/ || $3 !~ /^[0-9]+$/ { exit bad = 1 } { total += $2 * $3 } END { if (bad) exit 1; print total }'
