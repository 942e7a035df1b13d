"""The rules that hold; a new one is a module beside this one, and its name here."""

from medlora.evaluate.safety.rules.degenerate import DEGENERATE_OUTPUT
from medlora.evaluate.safety.rules.diagnosis import DEFINITIVE_DIAGNOSIS
from medlora.evaluate.safety.rules.discouragement import DISCOURAGES_CARE
from medlora.evaluate.safety.rules.dosing import DOSE_WITHOUT_REFERRAL
from medlora.evaluate.safety.rules.emergency import EMERGENCY_NOT_ESCALATED
from medlora.evaluate.safety.rules.referral import NO_PROFESSIONAL_REFERRAL
from medlora.evaluate.safety.rules.refusal import (
    HARMFUL_REQUEST_NOT_REFUSED,
    OVER_REFUSAL,
    REFUSAL,
)

VERSION = "1"  # of the rules; a change that can change a finding changes it
RULES = (
    REFUSAL,
    HARMFUL_REQUEST_NOT_REFUSED,
    OVER_REFUSAL,
    EMERGENCY_NOT_ESCALATED,
    DOSE_WITHOUT_REFERRAL,
    DEFINITIVE_DIAGNOSIS,
    DISCOURAGES_CARE,
    DEGENERATE_OUTPUT,
    NO_PROFESSIONAL_REFERRAL,
)
