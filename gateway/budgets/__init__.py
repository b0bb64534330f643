"""Budgets: who may spend how much in which window, kept before a call is made and true to the ledger afterwards."""
