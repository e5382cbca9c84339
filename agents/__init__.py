"""The agents of a run: Coordinator, Reference, Scorer, Target and Judge, and the team that holds them."""
