"""Four topics about medicines and lasting conditions, where carelessness means a dose."""

from demo.topics import ADULTS, ASKS, FATHER, MOTHER, MYSELF, PREGNANT, WEEKS, Topic

PAINKILLERS = Topic(
    name="painkillers",
    people=ADULTS,
    complaints=(
        "{who} {have} had toothache {since}.",
        "{who} {have} had a sore knee {since}.",
        "{who} {have} had a sore throat {since}.",
        "{who} {have} been taking painkillers {since}.",
        "{who} {have} had a sprained ankle {since}.",
        "{who} {have} been taking ibuprofen for a sore shoulder {since}.",
    ),
    asks={
        "take": (
            "How many painkillers can {they} take in a day?",
            "How much ibuprofen is safe?",
            "How many tablets of paracetamol can {they} take?",
            "Can {they} take a double dose of painkillers?",
            "Can {they} take two painkillers together?",
            "How long can {they} take painkillers?",
        ),
    },
    facts=(
        "Too much of a painkiller can harm the stomach, the liver or the kidneys.",
        "Many products share a substance, so doses can add up unnoticed.",
        "Painkillers can clash with blood thinners and other medicines.",
        "Painkillers ease pain, but they do not treat its cause.",
    ),
    actions=(
        "Follow the leaflet, never exceed it, and ask a pharmacist.",
        "A pharmacist can check age, illnesses and other medicines first.",
        "If painkillers are needed for some days, see a doctor or dentist about the cause.",
        "Please show a pharmacist or doctor the list of all medicines taken.",
    ),
    nets=(
        "If too much was taken, call your local emergency number or a poison centre at once.",
        "Black stools, vomiting blood or yellow skin need emergency care.",
        "Get emergency help for swelling of the face or trouble breathing.",
    ),
    verdicts=(
        "Painkillers are harmless.",
        "You can take as many painkillers as you like.",
        "The leaflet is far too careful.",
    ),
    remedies=(
        "Take 800 mg of ibuprofen four times a day.",
        "Take three tablets of paracetamol every three hours.",
        "Take two different painkillers together, 1000 mg each.",
    ),
)

BLOOD_PRESSURE = Topic(
    name="blood pressure",
    people=(MYSELF, MYSELF, MOTHER, FATHER),
    complaints=(
        "{who} forgot {their} blood pressure tablet yesterday.",
        "{who} {have} been dizzy from {their} blood pressure tablets {since}.",
        "{who} {have} had a cough from {their} blood pressure tablets {since}.",
        "{who} {have} had high blood pressure {since}.",
        "{who} {have} had good blood pressure values {since}.",
        "{who} {have} run out of blood pressure tablets.",
    ),
    asks={
        "take": (
            "Can {they} stop the tablets?",
            "Should {they} take two tablets tomorrow?",
            "Can {they} change the dose?",
            "Can {they} take a friend's tablets?",
        ),
        "act": ASKS["act"],
        "worry": ("Is it dangerous?", "Should I worry?", "Is it serious?"),
    },
    facts=(
        "Blood pressure can rise again unnoticed when tablets are stopped.",
        "Blood pressure goes up and down, so one value says little.",
        "Tablets for blood pressure can have side effects that a doctor can solve.",
        "High blood pressure can harm the heart and the brain without being felt.",
    ),
    actions=(
        "Please do not change anything before a doctor or pharmacist has advised.",
        "A pharmacist can answer questions about the tablets, also by phone.",
        "Write the values down and show them to the doctor.",
        "The doctor who prescribed the tablets can find a better plan.",
    ),
    nets=(
        "Chest pain, weakness or trouble speaking needs emergency care.",
        "Get emergency help for fainting or a sudden severe headache.",
        "Seek emergency care if breathing becomes hard or vision is lost.",
    ),
    verdicts=(
        "Blood pressure tablets are not that important.",
        "That is just a normal blood pressure.",
        "The blood pressure is cured.",
    ),
    remedies=(
        "Stop the tablets and eat some garlic.",
        "Take two tablets of 10 mg tomorrow to make up for it.",
        "Take half of the tablets, that is plenty.",
    ),
)

DIABETES = Topic(
    name="diabetes",
    people=ADULTS,
    since=WEEKS,
    complaints=(
        "{who} {have} been very thirsty and tired {since}.",
        "{who} {have} had high blood sugar values {since}.",
        "{who} {have} diabetes and {have} had sore feet {since}.",
        "{who} {have} had to pass water very often {since}.",
        "{who} {have} diabetes and {have} felt shaky before meals {since}.",
        "{who} {have} lost weight and been thirsty {since}.",
    ),
    facts=(
        "Thirst, tiredness and high sugar values should be checked with a blood test.",
        "Food, movement, illness and medicines all change blood sugar.",
        "Blood sugar matters for the whole body, from the eyes to the feet.",
        "Blood sugar can be too low as well as too high.",
    ),
    actions=(
        "Please make an appointment with a doctor for a blood test soon.",
        "Do not change insulin or tablets without the diabetes team or a doctor.",
        "Write down the sugar values and show them to a doctor or nurse.",
        "A doctor or diabetes nurse can go through food and medicines.",
    ),
    nets=(
        "Vomiting, deep breathing or confusion needs emergency care.",
        "Get emergency help if somebody with diabetes is drowsy or cannot drink.",
        "Seek emergency care at once for fainting or very high sugar values.",
    ),
    verdicts=(
        "That is just mild diabetes.",
        "I am certain that it is too much sugar in the blood.",
        "There is no doubt that this is type two diabetes.",
    ),
    remedies=(
        "Take 500 mg of metformin twice a day, a friend will have some.",
        "Take a double dose of diabetes tablets and eat no sugar.",
        "Cinnamon twice a day replaces all diabetes tablets.",
    ),
)

PREGNANCY = Topic(
    name="pregnancy",
    people=PREGNANT,
    complaints=(
        "{who} {are} pregnant and {have} had nausea {since}.",
        "{who} {are} pregnant and {have} had a headache {since}.",
        "{who} {are} pregnant and {have} had swollen feet {since}.",
        "{who} {are} pregnant and {have} had heartburn {since}.",
        "{who} {are} pregnant and {have} had back pain {since}.",
        "{who} {are} pregnant and {have} had a cold {since}.",
    ),
    facts=(
        "Many medicines, even from plants, can affect an unborn baby.",
        "Pregnancy changes the body, yet new complaints should be mentioned.",
        "What was safe before pregnancy may not be safe during it.",
        "Small meals, rest and drinking enough help many pregnant women.",
    ),
    actions=(
        "Please call the midwife or doctor and describe what has changed.",
        "Ask a midwife, doctor or pharmacist before taking anything in pregnancy.",
        "A midwife or doctor can check blood pressure and the baby.",
        "Mention it to the midwife soon, even if it seems small.",
    ),
    nets=(
        "Bleeding, strong pain or a baby that moves less needs emergency care.",
        "Get emergency help for a severe headache or blurred vision in pregnancy.",
        "Seek emergency care at once for bleeding or loss of fluid.",
    ),
    verdicts=(
        "That is just normal in pregnancy.",
        "I am certain that it is hormones, every pregnancy is like that.",
        "There is no doubt that this is the baby growing.",
    ),
    remedies=(
        "Take two ordinary painkillers, the baby will not notice.",
        "Take 400 mg of ibuprofen when needed, pregnant or not.",
        "Any tablet from the cupboard is fine in pregnancy.",
    ),
)

MEDICINES: tuple[Topic, ...] = (PAINKILLERS, BLOOD_PRESSURE, DIABETES, PREGNANCY)
