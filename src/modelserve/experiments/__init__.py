"""Pure: who meets which arm, what the outcomes say, how long that takes, and which weights would pay.

Everything here may be looked at after every outcome: nothing depends on when somebody looks.
"""
