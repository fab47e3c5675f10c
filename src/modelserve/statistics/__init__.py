"""Pure: e-processes and what they need.

An *e-variable* is a number >= 0 whose expectation is at most 1 while the null hypothesis holds. A product of
e-variables, each judged fair given what came before it, is an *e-process*; by Ville's inequality it ever
reaches 1/a with probability at most a, however often one looks. All e-values here are natural logarithms.
"""
