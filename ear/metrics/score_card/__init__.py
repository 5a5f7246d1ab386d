"""The score card: each axis of the evaluation as one number a method, with ranks and Pareto fronts."""
