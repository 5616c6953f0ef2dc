//! Who may do what, and what it costs: identity, limits, budgets, reservations, settlement.
