"""How claims are decided: each function here makes a check of statements of one form."""
