# Waits until all three have escalated, looks at what is open, and answers each from the file of its name.
until [ "$(intercom-mux pending --json | grep -c '"with"')" = 3 ]; do sleep 0.2; done
intercom-mux pending
intercom-mux reply --to storage --file ../answers/storage.json
intercom-mux reply --to shipping --file ../answers/shipping.txt
intercom-mux reply --to pricing --file ../answers/pricing.txt
exec sleep 3600
