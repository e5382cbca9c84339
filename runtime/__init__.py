"""The layer below the agents: bus, model calls, tasks, evaluation, search, reports. It knows no agent."""
