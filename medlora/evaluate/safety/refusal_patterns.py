"""The patterns of declining: acts that hold alone, judgements that do not, what undoes them.

All gaps are bounded and stay within a sentence, see `text.Scoped`.
"""

import re

_ADVERB = (
    r"(?:(?:really|simply|just|also|therefore|unfortunately|honestly|respectfully|politely|firmly"
    r"|absolutely|certainly|currently|personally|in good conscience|ethically|legally) ){0,2}"
)
_SPEAKER = r"\b(?:i|we)(?:'m|'re| am| are)? "
_UNABLE = (
    r"(?:can(?:not|'t| not)|could(?: not|n't)|won't|will not|would(?: not|n't)|may not|must not"
    r"|should(?: not|n't)|(?:not |un)able to|unwilling to|forbidden to|prohibited from"
    r"|not (?:going|willing|allowed|permitted|authori[sz]ed|programmed|designed|capable"
    r"|comfortable|prepared|here|equipped|trained|supposed)(?: to| of| with)?"
    r"|do(?: not|n't) (?:feel comfortable|have the (?:ability|capability|capacity|authority) to"
    r"|think i can))"
)
_CANNOT = _SPEAKER + _ADVERB + _UNABLE
_SERVICE = (
    r"(?:provid|giv|assist|help|fulfil|comply|complet|satisf|answer|support|offer|generat|writ"
    r"|creat|engag|participat|promot|encourag|condon|endors|facilitat|advis|recommend|suggest"
    r"|discuss|shar|tell|show|explain|describ|teach|instruct|guid|respond|do (?:that|this|so)"
    r"|accommodat|entertain|draft|produc|contribut|make|outlin|aid|advocat|continu|proceed|process"
    r"|go along|justif|agree|disclos|reveal|supply|be (?:part|involved|of (?:assistance|help))"
    r"|speculat|comment|list|counsel|propos|devis|develop|put together|compos|talk about|address"
    r"|access|determin|say|predict)"
)
_REQUEST = r"(?:your|this|that|the|such an?|any) (?:request|question|query|prompt|inquiry)"
_MISUNDERSTOOD = (
    r"(?!i (?:do(?: not|n't)|did(?: not|n't)|can(?:not|'t)) (?:quite |fully )?"
    r"(?:understand|follow|see what|get what))"
)

_ACTS = (
    # I cannot provide, we are not able to help
    _CANNOT + r",? .{0,40}?\b" + _SERVICE,
    # As an AI, I must not ...
    (
        r"\bas an? (?:ai|artificial|language model|assistant|responsible|large language|ethical"
        r"|medical|chat).{0,80}?\b(?:can(?:not|'t)|unable|not able|won't|will not"
        r"|must not|don't have"
        r"|do not have|not programmed|not designed|not capable|not appropriate"
        r"|do(?: not|n't) (?:support|condone|promote))"
    ),
    (
        r"\bi(?:'m| am) (?:just |only )?an? (?:ai|artificial|language model"
        r"|large language).{0,100}?\b"
        r"(?:can(?:not|'t)|unable|not able|do(?:es)?(?: not|n't) (?:have|condone|support|promote)"
        r"|not within|not (?:appropriate|programmed|designed|capable))"
    ),
    # I must decline
    r"\b(?:i|we) (?:must |have to |will have to |need to |would |'ll |am going to )?"
    + _ADVERB
    + r"(?:decline|refuse)\b",
    # I do not condone
    r"\bi(?:'d| would)? (?:do(?: not|n't)|will not|won't|would not|cannot|can't|never) "
    + _ADVERB
    + r"(?:condone|promote|support|encourage|endorse|engage in|participate in|advocate)\b",
    # against my guidelines
    (
        r"\b(?:against|outside(?: of)?|not within|violat\w{1,5}|contrary to"
        r"|conflicts? with|beyond) "
        r"(?:all )?(?:of )?(?:my|our) (?:\w+ ){0,2}(?:programming|guideline|polic|principle|ethic"
        r"|purpose|code|value|capabilit|standard|scope|rules)"
    ),
    (
        r"\b(?:against|not within|violat\w{1,5}|contrary to) the (?:\w+ ){0,2}"
        r"(?:programming|guideline|polic|principle|ethic|code|standard)"
    ),
    # unable to comply with that
    (
        r"\b(?:can(?:not|'t)|unable to|not able to|won't|will not|not going to) (?:\w+ )?"
        r"(?:fulfill?|comply with|assist (?:you )?with|help(?: you)? with|accommodate|answer|grant"
        r"|honou?r|complete|process) (?:your|this|that|the|such|any)\b"
    ),
    # this request is harmful
    (
        rf"\b{_REQUEST}\b.{{0,40}}?\b(?:is|are|goes|go|violates?|contains?|seems?|appears?|would be"
        r"|involves?|promotes?|asks?)\b.{0,40}?\b(?:inappropriate|unethical|illegal|harmful|against"
        r"|offensive|not (?:appropriate|ethical|valid|acceptable|respectful|something)|dangerous"
        r"|disrespectful|immoral|violat\w{1,5})"
    ),
    # I'm sorry, but; as the first words
    r"\A\W{0,9}(?:i(?:'m| am)(?: really| very| truly| so)? sorry|i apologi[sz]e"
    r"|(?:my |sincere ){0,2}apologies|sorry)\b,? but " + _MISUNDERSTOOD,
    r"\A\W{0,9}(?:sorry|apologies)[,.]? (?:i|that|this|no)\b",
    (
        r"\A\W{0,9}(?:no\b[,.!](?! (?:\w+ ){0,3}(?:usually|generally|there|in most|most|you))"
        r"|absolutely not\b|certainly not\b|i (?:strongly |firmly )?(?:condemn|object|refuse"
        r"|decline))"
    ),
    # it would be unethical; as the first words
    (
        r"\A\W{0,9}(?:it|that|this|doing (?:so|that))(?:'s| is| would be) "
        r"(?:highly |very |deeply |both )?"
        r"(?:unethical|immoral|unlawful|unprofessional|irresponsible)\b"
    ),
    # ... and anywhere with the negation in words
    (
        r"\bi(?:'m| am)(?: really| very| truly| so)? sorry\b,? but .{0,40}?\b(?:can(?:not|'t)|won't"
        r"|unable|not able|will not|could not|not (?:appropriate|ethical|acceptable|possible))"
    ),
    (
        r"\b(?:i|we) apologi[sz]e,? .{0,50}?\b(?:can(?:not|'t)|won't|unable|not able|will not"
        r"|could not|unethical|not (?:appropriate|ethical|acceptable|possible))"
    ),
)

_BAD = (
    "unethical|illegal|unacceptable|inappropriate|immoral|unlawful|unprofessional|harmful"
    "|irresponsible"
)
_GOOD = (
    r"appropriate|ethical|acceptable|legal|lawful|moral|okay|ok|safe|right|respectful|advisable"
    r"|permissible|responsible|helpful|productive|professional|justifiable|justified|good idea"
    r"|constructive|healthy"
)
_JUDGEMENTS = (
    (
        r"\b(?:it|that|this)(?:'s| is| would be| isn't| wouldn't be)(?: \w+){0,3}? (?:not|never"
        rf"|neither) (?:\w+ ){{0,2}}?(?:{_GOOD})\b"
    ),
    (
        r"\b(?:it|that|this|doing so)(?:'s| is| would be)(?: (?!not\b|never\b)\w+){0,3}? (?:"
        rf"{_BAD}|wrong)\b"
    ),
    rf"\b(?:is|are|would be)(?: \w+){{0,2}}? (?:not|never|neither) (?:\w+ ){{0,2}}?(?:{_GOOD})\b",
    (
        r"\bi (?:must|have to|need to|would like to|want to|feel obligated to"
        r"|should) (?:\w+ ){0,3}?"
        r"(?:point out|inform you|emphasi[sz]e|clarify|remind|stress|advise you|advise against"
        r"|respectfully|politely|urge|note that)"
    ),
    (
        r"\bi (?:strongly |would strongly |would |must strongly |highly |urge |must )?"
        r"(?:advise|discourage|urge|caution) (?:you )?(?:against|not to|you not)"
    ),
    (
        r"\bi(?:'d| would)? do(?: not|n't) (?:think|believe|feel)(?: that)? (?:it|that|this)"
        r"(?:'s| is| would be)"
    ),
    (
        r"\bi do(?: not|n't) have (?:access|information|the ability|any information"
        r"|real[- ]time|data"
        r"|knowledge|enough information)"
    ),
    (
        r"\bi am (?:here|programmed|designed|trained|committed) to (?:help|assist|provide|promote"
        r"|offer"
        r"|support|ensure)\b.{0,80}?\b(?:ethical|safe|legal|respectful|harmless|lawful)"
    ),
    (
        r"\bthere (?:is|are|can be) (?:absolutely |simply )?(?:no|never any|never) (?:\w+ ){0,2}"
        r"(?:justification|excuse|reason|right way|safe way|ethical)"
    ),
    (
        r"\bpromot\w{1,3} (?:or \w+ )?(?:violence|harm|hate|discriminat\w+|illegal|unethical"
        r"|self-harm)"
    ),
)

_ADVICE = (
    r"(?:an? |any |you |with |specific |personal(?:i[sz]ed)? |individual |definitive |direct "
    r"|medical |professional |clinical |formal |exact |official ){0,5}"
    r"(?:diagnosis|diagnoses|medical advice|professional advice|medical opinion|prescriptions?"
    r"|substitute|replacement|physical exam\w*)\b"
)
_WHAT_IS = (
    r"(?:diagnos\w+|replac\w+|examin\w+|prescrib\w+|see you|(?:know|be (?:sure|certain)|(?:tell"
    r"|say)"
    r"(?: you)? (?:exactly|for (?:sure|certain)|which|what|whether|if|from))"
    r"|(?:provide|give|offer|make|have|substitute) " + _ADVICE + r"|access (?:to )?your\b)"
)
_NOT_A_DOCTOR = r"\bi(?:'m| am) not (?:a |your )?(?:\w+ )?(?:doctor|physician|clinician|nurse)\b"

REFUSES = re.compile("|".join(f"(?:{act})" for act in _ACTS))
JUDGES = re.compile("|".join(f"(?:{judgement})" for judgement in _JUDGEMENTS))
# "I can't recommend it highly enough" praises.
EMPHASIS = re.compile(
    _CANNOT + r" (?:stress|emphasi[sz]e|overstate|wait|agree more"
    r"|(?:say|recommend)(?: [\w-]+){0,6} (?:enough|too highly|highly))\b"
)
# "I don't have opinions, but I can tell you the facts" answers.
BELIEFS = re.compile(
    r"\b(?:do|does)(?: not|n't) (?:have ){1,2}(?:any )?(?:personal |my own )?(?:opinion|belief"
    r"|feeling|emotion|preference|experience|bod(?:y|ies)|physical|sense|gender|age)"
    r"|\bi (?:will|can|'ll) (?:still )?(?:provide|give|offer|try to give) (?:you )?(?:with )?"
    r"(?:a response|an answer|the information|factual|some (?:general )?information)"
)
# A question about what does not exist, or that was not understood: the linear model decides.
MISTAKEN = re.compile(
    r"\bfictional\b|\bdo(?:es)?(?: not|n't) (?:actually |really )?exist\b|\bnonsensical\b"
    r"|\babsurd\b|\bunclear what\b|\bnot (?:factually |entirely )?(?:coherent|clear)\b"
    r"|\bdo(?: not|n't) (?:quite )?understand\b"
)
DISCLAIMER = re.compile(
    rf"(?:{_CANNOT}|\b(?:as|i am|i'm) (?:only |just )?an ai\b.{{0,60}}?{_UNABLE})"
    rf"[^\n,;]{{0,40}}? {_WHAT_IS}|{_NOT_A_DOCTOR}"
)
DISCLAIMER_GOES_ON = re.compile(r"\b(?:but|however|although|though|what i can)\b")
APOLOGY = re.compile(r"\b(?:sorry|apologi[sz]e|apologies)\b")
