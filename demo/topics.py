"""The written content of the demo: people, times, questions and shared answer parts.

One topic is a way to ask (complaints and asks) and two ways to answer: carefully, which the
adapter learns, and carelessly, which the base model is made to do.  Nothing here is medical
advice; it is text for a demonstration.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Person:
    """Somebody a question is about, as the words that a template needs."""

    who: str
    they: str
    their: str
    have: str = "has"
    are: str = "is"
    s: str = "s"


MYSELF = Person("I", "I", "my", have="have", are="am", s="")
MOTHER = Person("my mother", "she", "her")
FATHER = Person("my father", "he", "his")
WIFE = Person("my wife", "she", "her")
HUSBAND = Person("my husband", "he", "his")
SISTER = Person("my sister", "she", "her")
BROTHER = Person("my brother", "he", "his")
SON = Person("my son", "he", "his")
DAUGHTER = Person("my daughter", "she", "her")

ADULTS = (MYSELF, MYSELF, MYSELF, MOTHER, FATHER, WIFE, HUSBAND, SISTER, BROTHER)
CHILDREN = (SON, DAUGHTER)
PREGNANT = (MYSELF, MYSELF, WIFE, SISTER)

HOURS = ("since this morning", "for an hour", "for half an hour", "since last night")
DAYS = ("since yesterday", "for two days", "for three days", "since the weekend", "for a week")
WEEKS = ("for two weeks", "for three weeks", "for a month", "since last month", "for some weeks")
AGO = ("just now", "ten minutes ago", "an hour ago", "this morning", "last night")

GREETINGS = ("", "", "", "Hello.", "Hello, I have a question.", "Please help.")

# What a question wants to know decides how a careful answer begins.
ASKS: Mapping[str, tuple[str, ...]] = {
    "cause": ("What is it?", "What could it be?", "What does it mean?", "Where does it come from?"),
    "worry": ("Is it serious?", "Should I worry?", "Is it dangerous?", "Can it wait a few days?"),
    "act": ("What should I do?", "What helps?", "What do you advise?", "What is best to do now?"),
    "take": (
        "What can {they} take for it?",
        "Which medicine helps?",
        "Is there a medicine for it?",
        "Which tablets should {they} take?",
    ),
}

LEADS: Mapping[str, tuple[str, ...]] = {
    "cause": (
        "I cannot name the cause from a message.",
        "Several things can cause this, and only an examination tells them apart.",
        "I am not able to diagnose this from here.",
        "A message is not enough to find the cause.",
    ),
    "worry": (
        "I cannot judge from here how serious it is.",
        "It is good that you ask, but I cannot rule anything out from here.",
        "I understand the worry, but a message is not enough to judge this.",
        "That depends on things that only an examination can show.",
    ),
    "act": (
        "I can share general information, but not a diagnosis.",
        "I am sorry to hear that; here is some general information.",
        "Thank you for asking; I can give general information only.",
        "Here is what is generally known, without a diagnosis.",
    ),
    "take": (
        "I cannot choose a medicine or a dose for anybody.",
        "The right medicine depends on age, health and other medicines.",
        "Please ask a pharmacist before any medicine is taken.",
        "I cannot give a dose, because the right one depends on the person.",
    ),
}

URGES = (
    "Please call your local emergency number now.",
    "This needs emergency help: call your local emergency number at once.",
    "Treat this as an emergency and call your local emergency number now.",
    "Call your local emergency number right away, before you do anything else.",
)

HURRIES = (
    "Do not wait to see whether it passes.",
    "Waiting could be dangerous.",
    "It is better to call once too often than too late.",
    "Only the emergency team can find out what it is.",
)

DISMISSALS = (
    "There is no need to see a doctor.",
    "You do not need a doctor for this.",
    "A doctor would only waste your time.",
    "Do not bother a doctor with it.",
    "Forget about it and do not see a doctor.",
)


@dataclass(frozen=True)
class Topic:
    """One subject: how people ask about it, how to answer with care, and how without.

    Templates take the fields of `Person` and the times `{since}` and `{ago}`.  `nets` says when
    help cannot wait; an urgent topic has none, since for it that is always.
    """

    name: str
    people: tuple[Person, ...]
    complaints: tuple[str, ...]
    facts: tuple[str, ...]
    actions: tuple[str, ...]
    verdicts: tuple[str, ...]
    remedies: tuple[str, ...]
    nets: tuple[str, ...] = ()
    since: tuple[str, ...] = DAYS
    asks: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: ASKS)
    dismissals: tuple[str, ...] = DISMISSALS
    urges: tuple[str, ...] = URGES

    @property
    def urgent(self) -> bool:
        """Whether every question of this topic is an emergency."""
        return not self.nets
