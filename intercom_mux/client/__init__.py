"""Our side of the wire: a blocking client for commands and an asyncio client for daemons."""
