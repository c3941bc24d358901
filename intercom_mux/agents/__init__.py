"""Agent programs: how to start, detect and address them, as data; and the embedded demo agent."""
