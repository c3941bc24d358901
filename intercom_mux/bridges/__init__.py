"""How agents and other programs meet us: as an MCP server, and by a text for their repository."""
