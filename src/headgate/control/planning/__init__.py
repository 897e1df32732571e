"""The parts of the plan. All pure: worlds in, actions or numbers out. Called by `control.plan` only."""
