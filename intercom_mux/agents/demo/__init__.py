"""The embedded demo agent: a small real agent for a terminal pane that needs no account and no network.

`python -I -m intercom_mux.agents.demo --name NAME --role ROLE [--prompt TEXT]`

    cells, editor      pure: how text falls into terminal cells; how keys and pastes become a draft
    terminal           the pane: transcript, composer, title, signals
    inbound            pure: what a courier pasted, taken apart
    words, search      pure: terms of a text, ranked passages of documents
    tree               the bounded walk over the agent's directory
    answer             question to answer text
    task, decisions    pure: tasks, and what they leave to whoever decides, as they stand in messages
    intercom           what the agent needs of the client, as a Protocol
    agent              answers asks (any role); worker and planner add to it
"""
