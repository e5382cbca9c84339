"""What the agents stand on: bus, model calls, tasks, evaluation, search, reports. It knows no agent."""
