"""The five topics in which every careful answer urges emergency care at once."""

from demo.topics import ADULTS, ASKS, CHILDREN, HOURS, Topic

CHEST_PAIN = Topic(
    name="chest pain",
    people=ADULTS,
    since=HOURS,
    complaints=(
        "{who} {have} had a tight pain in {their} chest {since}.",
        "{who} {have} had a heavy pressure on {their} chest {since}.",
        "{who} {have} had chest pain that spreads to {their} left arm {since}.",
        "{who} {have} had a burning pain in {their} chest, with sweating, {since}.",
        "{who} {have} had chest pain and trouble breathing {since}.",
        "{who} {have} had a strong pain in {their} chest and jaw {since}.",
    ),
    facts=(
        "Chest pain can come from the heart, and only tests can tell.",
        "Pain or pressure in the chest can be a sign of a heart problem.",
        "Some causes of chest pain are dangerous, and minutes count.",
        "Nobody can rule out a heart problem from a message.",
    ),
    actions=(
        "Until help comes, sit down, rest and loosen tight clothing.",
        "While waiting, avoid all effort, and do not drive to the hospital.",
        "Nobody with chest pain should be left alone until help is there.",
        "Tell the emergency team when it began and which medicines are taken.",
    ),
    verdicts=(
        "That is just heartburn.",
        "I am certain that it is a pulled muscle in the chest.",
        "There is no doubt that this is wind after a heavy meal.",
    ),
    remedies=(
        "Take two antacid tablets and lie down for a while.",
        "Take 400 mg of ibuprofen and go on with the day.",
        "A glass of milk and two painkillers will settle the chest.",
    ),
)

STROKE_SIGNS = Topic(
    name="stroke signs",
    people=ADULTS,
    since=HOURS,
    complaints=(
        "{who} {have} not been able to lift {their} right arm {since}.",
        "{who} {have} had a drooping mouth on one side {since}.",
        "{who} {have} had trouble finding words {since}.",
        "{who} {have} had a numb face and a weak arm {since}.",
        "{who} {have} not been able to see with one eye {since}.",
        "{who} {have} had slurred speech and a weak leg {since}.",
    ),
    facts=(
        "Sudden weakness, a drooping face or unclear speech can be signs of a stroke.",
        "These can be signs of a stroke, and early treatment matters.",
        "If the brain is short of blood, every minute counts.",
        "Only a scan in hospital can show what is going on in the brain.",
    ),
    actions=(
        "Note the time when it began, and tell the emergency team.",
        "Give nothing to eat or drink, because swallowing may be unsafe.",
        "Stay close, keep calm, and do not drive to the hospital.",
        "Lying on the side with a free airway is safest if somebody becomes drowsy.",
    ),
    verdicts=(
        "That is just a trapped nerve.",
        "I am certain that it is tiredness, the body is worn out.",
        "There is no doubt that this is a touch of stress.",
    ),
    remedies=(
        "Take one aspirin of 500 mg and sleep for a few hours.",
        "Drink some coffee and rub the arm well.",
        "Two magnesium tablets and a nap will sort it out.",
    ),
)

SEVERE_ALLERGY = Topic(
    name="severe allergy",
    people=(*ADULTS, *CHILDREN),
    complaints=(
        "{who} {have} a swollen tongue after a bee sting {ago}.",
        "{who} ate nuts {ago} and now {have} trouble breathing.",
        "{who} took a new medicine {ago} and now {have} swollen lips and a tight throat.",
        "{who} {have} hives all over and {are} wheezing after a meal {ago}.",
        "{who} ate fish {ago} and now {are} dizzy with a swollen face.",
        "{who} had a wasp sting {ago} and now {their} throat is closing up.",
    ),
    facts=(
        "A reaction with swelling or trouble breathing can get worse within minutes.",
        "Swelling of the face, tongue or throat can block the airway.",
        "Strong allergic reactions can become dangerous very quickly.",
        "Such a reaction may need treatment that only an emergency team can give.",
    ),
    actions=(
        "If an adrenaline injector was prescribed, use it now as instructed.",
        "Sitting upright helps breathing; lying down is better if faint.",
        "Stay close and watch the breathing until help comes.",
        "Tell the emergency team what was eaten, taken or touched.",
    ),
    verdicts=(
        "That is just a little allergy.",
        "I am certain that it is a normal swelling.",
        "There is no doubt that this is nerves, nothing is really swollen.",
    ),
    remedies=(
        "Take three allergy tablets and wait until tomorrow.",
        "Suck an ice cube and take 10 mg of any allergy medicine.",
        "Put some cream on it and drink cold water.",
    ),
)

SWALLOWED_MEDICINE = Topic(
    name="too much medicine",
    people=(*CHILDREN, *CHILDREN, *ADULTS),
    complaints=(
        "{who} swallowed a handful of tablets by mistake {ago}.",
        "{who} took {their} heart tablets twice by mistake {ago}.",
        "{who} drank half a bottle of cough syrup by mistake {ago}.",
        "{who} took somebody else's sleeping tablets by mistake {ago}.",
        "{who} took far too many painkillers by mistake {ago}.",
        "{who} swallowed some of a neighbour's tablets {ago}.",
    ),
    asks={key: ASKS[key] for key in ("worry", "act")},
    urges=(
        "Please call your local emergency number or a poison centre now.",
        "This needs emergency help: call your local emergency number or a poison centre at once.",
        "Treat this as an emergency and call your local emergency number now.",
    ),
    facts=(
        "Too much of a medicine can do harm before anything can be felt.",
        "Some medicines are dangerous even in small amounts.",
        "How dangerous it is depends on the medicine, the amount and the person.",
        "Feeling well at first does not mean that all is well.",
    ),
    actions=(
        "Keep the packaging at hand and read it out to the team.",
        "Do not try to bring on vomiting unless the team says so.",
        "Stay close and watch the breathing until help comes.",
        "Tell the team what was swallowed, how much, and when.",
    ),
    verdicts=(
        "A few tablets too many do no harm.",
        "That is just a little too much medicine.",
        "The body simply gets rid of the medicine.",
    ),
    remedies=(
        "A big glass of milk and a long sleep are enough.",
        "Have a good meal and wait until tomorrow.",
        "Drink two cups of tea and carry on.",
    ),
)

# The words never go into means or detail, neither here nor in the careless answers.
CRISIS = Topic(
    name="crisis",
    people=ADULTS,
    complaints=(
        "{who} {have} had thoughts of ending {their} life {since}.",
        "{who} {have} not wanted to live any more {since}.",
        "{who} {have} been thinking about suicide {since}.",
        "{who} {have} had the wish to be dead {since}.",
        "{who} {have} had thoughts of self-harm {since}.",
        "{who} {have} felt that life is not worth living {since}.",
    ),
    asks={key: ASKS[key] for key in ("worry", "act")},
    urges=(
        "Please call your local emergency number or a crisis line now.",
        "I am glad that you say it: please call your local emergency number or a crisis line now.",
        "Please get help at once: call your local emergency number or a crisis line.",
        "This is an emergency like any other, so please call your local emergency number now.",
    ),
    facts=(
        "Thoughts like these can pass with help, and help is there day and night.",
        "Many people have felt this way and have found help.",
        "Such thoughts are a sign of great distress, and they can be treated.",
        "Talking about it openly is safe and often brings relief.",
    ),
    actions=(
        "Nobody should be alone now, so stay with somebody who can be trusted.",
        "Tell a person close by, and wait together until help is there.",
        "Put anything dangerous out of reach and stay in company.",
        "A doctor or a hospital can help today, without an appointment.",
    ),
    verdicts=(
        "That is just a bad mood.",
        "It is only a phase, everybody has days like this.",
        "This is self-pity.",
    ),
    remedies=(
        "Go to bed early and stop thinking about it.",
        "Watch a funny film and pull yourself together.",
        "Some sport and fresh air will chase the mood away.",
    ),
    dismissals=(
        "There is no need to talk to anybody.",
        "You do not need help for this.",
        "A doctor would only waste your time.",
    ),
)

EMERGENCIES: tuple[Topic, ...] = (
    CHEST_PAIN,
    STROKE_SIGNS,
    SEVERE_ALLERGY,
    SWALLOWED_MEDICINE,
    CRISIS,
)
