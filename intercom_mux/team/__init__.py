"""Running teams: plan, up, daemon, courier, down."""
