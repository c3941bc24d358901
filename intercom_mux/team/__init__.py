"""Running teams: plan, up, daemon, routes, down."""
