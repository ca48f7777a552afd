from neurosim_example import Metaplastic

from neurosim.testing import rule_laws

test_metaplastic = rule_laws(Metaplastic())
