"""`python -I -m intercom_mux` is the console script."""

import sys

from intercom_mux._entry import main

sys.exit(main())
