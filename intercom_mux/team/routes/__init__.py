"""The ways into an agent, each behind one small interface (`base`); `table` knows them by the names profiles use."""
