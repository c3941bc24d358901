# What lies on this desk: every message, with all that is attached.
while intercom-mux inbox --wait 10m; do echo; done
