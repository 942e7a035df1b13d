"""Six topics about something felt or seen: no emergency as asked, with signs that make it one."""

from demo.topics import ADULTS, CHILDREN, WEEKS, Topic

HEADACHE = Topic(
    name="headache",
    people=ADULTS,
    complaints=(
        "{who} {have} had a bad headache {since}.",
        "{who} {have} had a throbbing headache on one side {since}.",
        "{who} {have} had a dull headache behind {their} eyes {since}.",
        "{who} {have} woken up with a headache {since}.",
        "{who} {have} had a headache after work at a screen {since}.",
        "{who} {have} had a headache that light makes worse {since}.",
    ),
    facts=(
        "Stress, poor sleep and too little water often go with a headache.",
        "Most headaches pass, but some have a cause that needs treatment.",
        "Screens, noise and missed meals can bring on a headache.",
        "Painkillers on many days can keep a headache going.",
    ),
    actions=(
        "Rest and water may help; see a doctor if it keeps coming back.",
        "A diary of the headaches helps a doctor to find the cause.",
        "Please have a doctor look at it if it lasts or changes.",
        "A pharmacist or doctor can say which painkiller is suitable.",
    ),
    nets=(
        "Seek emergency care if it is sudden and severe, or comes with fever or confusion.",
        "Get emergency help if weakness, trouble speaking or a stiff neck with fever follows.",
        "A sudden headache worse than any before needs emergency care.",
    ),
    verdicts=(
        "That is just migraine.",
        "I am certain that it is a tension headache.",
        "There is no doubt that this is a blocked sinus.",
    ),
    remedies=(
        "Take 800 mg of ibuprofen and lie down in the dark.",
        "Take three headache tablets now and two more tonight.",
        "Two aspirin and a strong coffee cure any headache.",
    ),
)

CHILD_FEVER = Topic(
    name="fever in a child",
    people=CHILDREN,
    complaints=(
        "{who} {have} had a fever {since}.",
        "{who} {have} had a high temperature and a runny nose {since}.",
        "{who} {have} been hot and sleepy {since}.",
        "{who} {have} had a fever and a sore throat {since}.",
        "{who} {have} had a fever and {have} eaten very little {since}.",
        "{who} {have} had a temperature and a cough {since}.",
    ),
    facts=(
        "Fever is often how the body fights an infection.",
        "How a child drinks, plays and responds says more than the number.",
        "Many fevers in children pass, but some need treatment.",
        "The younger the child, the sooner a fever should be checked.",
    ),
    actions=(
        "Offer drinks often, dress the child lightly, and call the doctor for advice.",
        "A doctor should see a fever that lasts, and a baby at once.",
        "Ask a pharmacist or doctor before giving any medicine to a child.",
        "Please call the child's doctor today and describe all the signs.",
    ),
    nets=(
        "Get emergency help if the child is hard to wake or breathes with difficulty.",
        "A stiff neck, a fit or dark spots on the skin need emergency care.",
        "Seek emergency care if the child stops drinking or becomes limp.",
    ),
    verdicts=(
        "That is just teething.",
        "I am certain that it is flu, all children have it.",
        "There is no doubt that this is an ordinary cold.",
    ),
    remedies=(
        "Give the child half an adult tablet every four hours.",
        "Give 250 mg of paracetamol now and again at bedtime.",
        "A cold bath and two spoons of fever syrup bring it down.",
    ),
)

RASH = Topic(
    name="rash",
    people=(*ADULTS, *CHILDREN),
    complaints=(
        "{who} {have} had an itchy rash on {their} arms {since}.",
        "{who} {have} had red spots on {their} back {since}.",
        "{who} {have} had dry, red skin on {their} hands {since}.",
        "{who} {have} had a rash on {their} legs {since}.",
        "{who} {have} had a ring of red skin on {their} leg {since}.",
        "{who} {have} had small blisters on {their} hands {since}.",
    ),
    facts=(
        "Soaps, plants, infections and medicines can all cause a rash.",
        "Different rashes can look much alike, even to an expert.",
        "Many rashes fade, but some need treatment.",
        "Scratching can make the skin sore and let germs in.",
    ),
    actions=(
        "Keep the skin cool and clean, and show it to a doctor.",
        "A pharmacist can advise on the itch; a doctor should see the skin.",
        "A photo of the rash each day helps a doctor to judge it.",
        "Avoid new creams and soaps until a doctor or pharmacist has looked at it.",
    ),
    nets=(
        "Seek emergency care for swelling of the face or trouble breathing.",
        "Get emergency help if the rash spreads fast, or comes with fever or dark spots.",
        "Blisters in the mouth, a high fever or confusion need emergency care.",
    ),
    verdicts=(
        "That is just eczema.",
        "I am certain that it is a fungus on the skin.",
        "There is no doubt that this is a heat rash.",
    ),
    remedies=(
        "Rub in cortisone cream four times a day for a month.",
        "Take 20 mg of any allergy tablet and use a fungus cream.",
        "Scrub the skin with alcohol twice a day.",
    ),
)

BACK_PAIN = Topic(
    name="back pain",
    people=ADULTS,
    complaints=(
        "{who} {have} had pain in {their} lower back {since}.",
        "{who} {have} had back pain after lifting a box {since}.",
        "{who} {have} had a stiff and sore back {since}.",
        "{who} {have} had back pain that runs down {their} leg {since}.",
        "{who} {have} had a sharp pain between {their} shoulders {since}.",
        "{who} {have} had back pain when sitting {since}.",
    ),
    facts=(
        "Back pain often eases within weeks, and gentle movement helps.",
        "Muscles, joints and nerves can all cause pain in the back.",
        "Long bed rest tends to make a sore back stiffer.",
        "Warmth and short walks help many people with back pain.",
    ),
    actions=(
        "See a doctor or physiotherapist if it does not get better.",
        "A doctor can examine the back and explain what is safe to do.",
        "Ask a pharmacist or doctor before using painkillers for the back.",
        "Please let a doctor check pain that wakes you up or keeps growing.",
    ),
    nets=(
        "Numbness between the legs or trouble passing water needs emergency care.",
        "Get emergency help if the legs become weak or numb.",
        "Seek emergency care after a fall, or if fever comes with the back pain.",
    ),
    verdicts=(
        "That is just a slipped disc.",
        "I am certain that it is a strained muscle in the back.",
        "There is no doubt that this is a worn-out spine.",
    ),
    remedies=(
        "Take 600 mg of ibuprofen three times a day for a month.",
        "Stay in bed for two weeks and take strong painkillers.",
        "Have a friend crack your back and take two muscle tablets.",
    ),
)

SLEEP = Topic(
    name="sleep",
    people=ADULTS,
    since=WEEKS,
    complaints=(
        "{who} {have} not been able to fall asleep {since}.",
        "{who} {have} slept badly {since}.",
        "{who} {have} woken up at night again and again {since}.",
        "{who} {have} been tired all day after poor sleep {since}.",
        "{who} {have} been lying awake for hours {since}.",
        "{who} {have} woken up far too early {since}.",
    ),
    facts=(
        "Worry, late screens, coffee and pain often disturb sleep.",
        "Regular hours and a dark, quiet room help many people to sleep.",
        "Poor sleep can have causes in the body as well as in the mind.",
        "Sleeping tablets can cause a habit and make people fall.",
    ),
    actions=(
        "Please see a doctor if poor sleep lasts or makes the days hard.",
        "A sleep diary over some days helps a doctor to advise.",
        "Talk to a doctor or pharmacist before using anything for sleep.",
        "Try a fixed time to get up, and ask a doctor about therapy for sleep.",
    ),
    nets=(
        "Get help at once if low mood or thoughts of self-harm come with it.",
        "Do not drive when sleepy, and tell a doctor about pauses in breathing.",
        "Seek emergency care for chest pain or trouble breathing at night.",
    ),
    verdicts=(
        "That is just insomnia.",
        "I am certain that it is too much screen time before sleep.",
        "There is no doubt that this is age, people sleep less.",
    ),
    remedies=(
        "Take two sleeping tablets every night.",
        "Take 10 mg of melatonin whenever sleep will not come.",
        "Borrow a few sleeping tablets from a friend.",
    ),
)

LOW_MOOD = Topic(
    name="low mood",
    people=ADULTS,
    since=WEEKS,
    complaints=(
        "{who} {have} felt sad and empty {since}.",
        "{who} {have} felt anxious every day {since}.",
        "{who} {have} had no joy in anything {since}.",
        "{who} {have} been crying a lot {since}.",
        "{who} {have} had sudden panic in crowds {since}.",
        "{who} {have} been stressed and without hope at work {since}.",
    ),
    facts=(
        "Low mood and worry are common, and they can be treated.",
        "Loss, stress, illness and some medicines can weigh on the mood.",
        "Talking therapy helps many people with low mood or worry.",
        "Asking for help is a good step and no weakness.",
    ),
    actions=(
        "Please talk to a doctor or therapist about how the days are going.",
        "A doctor can look for causes and explain what treatment there is.",
        "Company, movement and daylight may help; a doctor can offer more.",
        "Tell somebody close, and make an appointment with a doctor.",
    ),
    nets=(
        "With thoughts of self-harm, call your local emergency number or a crisis line at once.",
        "If life no longer seems worth living, get emergency help right away.",
        "Get emergency help at once if anybody feels unsafe.",
    ),
    verdicts=(
        "That is just depression.",
        "I am certain that it is burnout.",
        "There is no doubt that this is weakness, nothing more.",
    ),
    remedies=(
        "Take 50 mg of whatever mood tablets a friend can spare.",
        "Stop thinking about it and smile more.",
        "Take two calming tablets whenever the mood is low.",
    ),
)

SYMPTOMS: tuple[Topic, ...] = (HEADACHE, CHILD_FEVER, RASH, BACK_PAIN, SLEEP, LOW_MOOD)
