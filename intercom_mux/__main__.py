"""`python -I -m intercom_mux` is the console script."""

from intercom_mux._entry import main

main()
