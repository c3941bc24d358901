"""`python -m orders` serves the orders on port 8080 of this machine."""

import os

from orders.server import serve
from orders.warehouse import Warehouse

serve(Warehouse("https://warehouse.example.com", os.environ.get("WAREHOUSE_TOKEN", "")), port=8080)
