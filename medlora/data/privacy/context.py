"""Words whose neighbourhood makes a name of a word, or takes that from it."""

TITLES = frozenset(
    "dr drs mr mrs ms mx miss prof professor doctor sir madam dame lord lady rev reverend "
    "rabbi imam "
    "pastor hon judge capt captain sgt sergeant lt lieutenant col colonel maj gen officer "
    "detective "
    "señor señora sr sra srta herr frau monsieur madame mme mlle signor signora dott dra don doña "
    "nurse sister brother father mother aunt auntie uncle grandma grandpa granny nana "
    "cousin".split()
)
SURE_TITLES = frozenset(
    "dr drs mr mrs ms mx prof herr frau mme mlle sr sra srta dott dra señor señora".split()
)

KIN = frozenset(
    "wife husband son sons daughter daughters mother father brother brothers sister sisters "
    "mom mum "
    "dad mommy daddy aunt uncle niece nephew cousin cousins grandmother grandfather grandson "
    "granddaughter grandma grandpa partner spouse fiance fiancee fiancé fiancée girlfriend "
    "boyfriend "
    "friend neighbor neighbour roommate caregiver carer guardian stepmother stepfather stepson "
    "stepdaughter twin baby infant newborn sibling parent parents in-law mother-in-law "
    "father-in-law son-in-law daughter-in-law brother-in-law sister-in-law widow widower".split()
)
PEOPLE = frozenset(
    "patient pt pts patients client resident attending physician surgeon provider clinician "
    "cardiologist neurologist oncologist psychiatrist psychologist therapist counselor dentist "
    "pharmacist pcp gp nurse midwife coach teacher employer coworker colleague supervisor intern "
    "fellow consultant radiologist pathologist anesthesiologist dermatologist urologist "
    "pediatrician gynecologist endocrinologist nephrologist gastroenterologist hospitalist "
    "victim driver donor recipient subject participant veteran member gentleman lady guy man woman "
    "boy girl male female".split()
)
NAMING = frozenset(
    "name names named surname firstname lastname alias aka nickname nicknamed dear hi hello hey "
    "signed sincerely regards cc attn attention author dictated transcribed interpreter witness "
    "signature undersigned me i'm i’m contact".split()
)
BY = frozenset(
    "seen evaluated examined treated referred followed managed signed dictated reviewed performed "
    "ordered prescribed verified written operated assessed interviewed accompanied cared "
    "interpreted reported witnessed".split()
)
LINKS = frozenset("is was are being called named a the by with of under under: for and to".split())
REPORTS = frozenset(
    "reports reported denies denied states stated complains complained presents presented "
    "says said "
    "endorses endorsed admits describes described underwent returns returned arrived lives works "
    "called phoned requested asked agreed consented".split()
)
DEGREES = (
    r"\s?,?\s?(?:M\.?D\.?|D\.?O\.?|R\.?N\.?|N\.?P\.?|P\.?A\.?(?:-C)?|Ph\.?D\.?|DDS|DMD|DPM|"
    r"PharmD|LCSW|MSW|"
    r"CNM|FNP|APRN|CRNA|MBBS|FACS|FACP|FRCS|DPT|LPN|LVN|EMT|OD|MPH|BSN|MSN|Jr|Sr|III|IV|II|Esq)\b"
)
EPONYM_NOUNS = frozenset(
    "disease diseases syndrome syndromes sign signs test tests testing score scores scale scales "
    "criteria criterion classification palsy phenomenon reflex maneuver manoeuvre angina "
    "thyroiditis "
    "chorea ataxia contracture fracture hernia tumor tumour sarcoma lymphoma esophagus oesophagus "
    "lesion ulcer anomaly malformation tetralogy procedure operation repair technique "
    "catheter tube "
    "position staging stage stages grade gradation index method formula equation law "
    "principle node "
    "nodes nodules cells cell bodies body syndrome's dementia paralysis triad aphasia area murmur "
    "line lines ring rings spots pneumonia study studies trial heart protocol diet regimen "
    "rule rules "
    "fever virus bacterium agar stain stains forceps retractor clamp needle drain suture pouch "
    "purpura nephritis arteritis granulomatosis encephalopathy psychosis macroglobulinemia "
    "dystrophy osteotomy inventory questionnaire assessment interview exercise exercises "
    "guidelines "
    "hearing patch space duct gland glands canal loop crisis reaction lymphadenopathy respiration "
    "respirations breathing deformity granuloma keratoma mask method kidney cyst cysts cancer "
    "disorder disorders condition phase coma depression anxiety risk mutation gene".split()
)
GUIDANCE = frozenset(
    "guideline guidelines criteria recommendation recommendations score scale study studies trial "
    "trials classification protocol protocols standards staging virus fever agreement declaration "
    "convention consensus index questionnaire inventory coma heart disease syndrome oncology "
    "prognostic risk model test wire".split()
)
NOT_NAMES = frozenset(
    "ace ada aha acc acr asa ana elisa tia iga gad als copd hiv aids dka chf uti mri ct ecg "
    "ekg eeg "
    "icu er ed or nicu picu cdc fda nih who cms hipaa usa us uk eu covid sars mers ebola "
    "zika monday "
    "tuesday wednesday thursday friday saturday sunday january february march april june "
    "july august "
    "september october november december english spanish french german italian chinese japanese "
    "korean russian arabic portuguese hindi vietnamese american african asian hispanic "
    "latino latina "
    "latinx caucasian european indian mexican canadian british irish jewish muslim christian "
    "catholic "
    "god jesus christ allah bible medicare medicaid tylenol advil motrin aleve google facebook "
    "internet mediterranean caesarean cesarean bluetooth iphone android microsoft amazon walmart "
    "costco pfizer moderna merck novartis roche bayer alli allegra asia africa america europe "
    "australia antarctica atlantic pacific patient doctor hx tx dx rx sx pt pts dob mrn ssn "
    "gustaf gusto allhat sprint accord jupiter advance ascot hope invest life value charm "
    "copernicus merit solvd consensus isis gissi timi rely aristotle rocket amplify einstein "
    "escape dawn diamond crash prowess rivers arise process promise sepsis rales emphasis paradigm "
    "emperor empa-reg empareg leader sustain rewind declare credence dapa victor fourier odyssey "
    "improve-it courage ischemia freedom syntax orbita partner notion surtavi whi nurses' "
    "victoria-hf "
    "paradise parallax select".split()
)
