"""`python -I -m intercom_mux.broker`: the broker process, as `lifecycle.ensure_running` starts it."""

import sys

from intercom_mux.broker.lifecycle import serve
from intercom_mux.errors import IntercomError

try:
    serve()
except IntercomError as error:
    sys.exit(error.exit_code)
