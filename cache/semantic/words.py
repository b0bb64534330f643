"""The words that decide whether two questions ask the same: closed classes of English, no topic's vocabulary."""

STOP = frozenset(
    """a an the of to in on at for from by with as into about over under between through and or but if then than so
    that this these those there here it its i me my mine we us our you your he him his she her they them their be am
    is are was were been being do does did done have has had having will would shall should can could may might
    must ought
    what which who whom whose when where why how please kindly just really actually also too very quite some any get got
    one ones someone somebody anyone people person thing things way ways tell know want like need let help explain show
    give hi hello hey thanks thank go going make makes made use using used exactly currently basically ever even much
    many most best good
    better""".split()
)

# English, and those of other languages in Latin letters that people ask in: to take one for a word that denies costs a
# hit at most.
NEGATIONS = frozenset(
    """not no never none nobody nothing nowhere neither nor cannot without isn't hardly barely except unless non
    nicht kein keine keinen keinem keiner keines nie niemals ohne pas jamais sans rien aucun aucune nunca jamás sin
    ningún ninguna ninguno não nem sem niet geen nooit zonder mai senza nessun nessuna""".split()
)

NUMBER_WORDS = {
    word: str(value)
    for value, words in enumerate(
        "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
        "seventeen|eighteen|nineteen".split("|")
    )
    for word in words.split()
    if value != 1
} | {
    "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "seventy": "70", "eighty": "80",
    "ninety": "90", "hundred": "100", "thousand": "1000", "million": "1000000", "billion": "1000000000",
    "dozen": "12", "third": "#3", "fourth": "#4", "fifth": "#5", "sixth": "#6", "seventh": "#7", "eighth": "#8",
    "ninth": "#9", "tenth": "#10", "eleventh": "#11", "twelfth": "#12", "thirteenth": "#13", "fourteenth": "#14",
    "fifteenth": "#15", "sixteenth": "#16", "seventeenth": "#17", "eighteenth": "#18", "nineteenth": "#19",
    "twentieth": "#20",
}  # fmt: skip

# How an answer begins that says yes or no.
ANSWERS: dict[str, str] = {
    **dict.fromkeys("yes yeah yep true correct ja oui sí sim si tak evet да".split(), "yes"),
    **dict.fromkeys("no nope false incorrect nein non não nie nej нет".split(), "no"),
}

# As written in capitals; what a single letter means only its neighbours tell.
ROMAN_NUMBERS = {
    "II": "2", "III": "3", "IV": "4", "VI": "6", "VII": "7", "VIII": "8", "IX": "9", "XI": "11", "XII": "12",
    "XIII": "13", "XIV": "14", "XV": "15", "XVI": "16", "XVII": "17", "XVIII": "18", "XIX": "19", "XX": "20",
}  # fmt: skip
# Months that are other words too, unless they are written as names or behind "in".
DOUBTFUL_MONTHS = frozenset(("march", "may"))
# What stands behind these and a colon is no question but a text to be worked on, word for word.
TASKS = frozenset(
    """translate classify fix correct uppercase lowercase capitalize summarize summarise rewrite rephrase paraphrase
    count sort reverse explain is proofread detect extract convert spell simplify solve evaluate complete continue say
    repeat format tag label rate""".split()
)

UNITS = {
    alias: unit
    for unit, aliases in {
        "second": "second seconds sec secs", "minute": "minute minutes min mins", "hour": "hour hours hr hrs",
        "day": "day days", "week": "week weeks", "month": "month months", "year": "year years yr yrs",
        "km": "km kilometer kilometers kilometre kilometres kms", "mile": "mile miles",
        "meter": "meter meters metre metres", "cm": "cm centimeter centimeters centimetre centimetres",
        "mm": "mm millimeter millimeters", "inch": "inch inches", "foot": "foot feet ft", "yard": "yard yards",
        "kg": "kg kgs kilo kilos kilogram kilograms", "gram": "gram grams", "pound": "pound pounds lb lbs £ gbp",
        "ounce": "ounce ounces oz", "liter": "liter liters litre litres", "ml": "ml milliliter milliliters",
        "gallon": "gallon gallons", "celsius": "celsius centigrade", "fahrenheit": "fahrenheit", "kelvin": "kelvin",
        "dollar": "dollar dollars usd $ bucks", "euro": "euro euros eur €", "rupee": "rupee rupees inr rs",
        "yen": "yen jpy ¥", "percent": "percent percentage %", "gb": "gb gigabyte gigabytes",
        "mb": "mb megabyte megabytes", "tb": "tb terabyte terabytes", "kb": "kb kilobyte kilobytes",
        "watt": "watt watts", "volt": "volt volts", "mph": "mph", "kph": "kph kmh", "acre": "acre acres",
        "hectare": "hectare hectares ha", "cent": "cent cents",
    }.items()
    for alias in aliases.split()
}  # fmt: skip

# Behind a number and without a space between: alone they are no unit.
SHORT_UNITS = {
    "g": "gram", "mg": "mg", "l": "liter", "h": "hour", "s": "second", "w": "watt", "kw": "kw", "v": "volt",
    "c": "celsius", "f": "fahrenheit", "p": "penny", "t": "tonne",
}  # fmt: skip
# What a number before them makes a time of day.
DAY_HALVES = frozenset(("am", "pm"))
# What they say of the time behind them: "last week", "next Monday".
RELATIVES = {
    "last": "last", "previous": "last", "past": "last", "this": "this", "current": "this", "next": "next",
    "coming": "next", "upcoming": "next", "following": "next",
}  # fmt: skip
PERIODS = frozenset("week month year quarter semester term season decade century".split())

DATES = {
    alias: date
    for date, aliases in {
        "january": "january jan", "february": "february feb", "march": "", "april": "april apr", "june": "june jun",
        "july": "july jul", "august": "august aug", "september": "september sept sep", "october": "october oct",
        "november": "november nov", "december": "december dec", "monday": "monday mon", "tuesday": "tuesday tue",
        "wednesday": "wednesday wed", "thursday": "thursday thu", "friday": "friday fri", "saturday": "saturday",
        "sunday": "sunday", "today": "today", "tomorrow": "tomorrow", "yesterday": "yesterday", "tonight": "tonight",
        "spring": "spring", "summer": "summer", "autumn": "autumn", "winter": "winter", "morning": "morning",
        "evening": "evening", "afternoon": "afternoon", "night": "night", "weekend": "weekend weekends",
        "weekday": "weekday weekdays", "midnight": "midnight", "noon": "noon", "christmas": "christmas",
        "easter": "easter", "daily": "daily", "weekly": "weekly", "monthly": "monthly",
        "yearly": "yearly annually annual",
    }.items()
    for alias in aliases.split()
}  # fmt: skip

_PAIRS = """on off|enable disable|activate deactivate|open close|open closed|open shut|buy sell|lend borrow|
increase decrease|increase reduce|increase lower|raise lower|raise reduce|raise cut|rise fall|gain lose|win lose|
start stop|start end|begin end|start finish|add remove|add delete|add subtract|create delete|install uninstall|log out|
sign out|login logout|in out|lock unlock|block unblock|mute unmute|subscribe unsubscribe|follow unfollow|hide show|
hide unhide|join leave|enter leave|enter exit|arrive depart|arrival departure|import export|upload download|
send receive|give receive|deposit withdraw|credit debit|accept reject|accept refuse|accept decline|approve reject|
allow forbid|allow ban|allow prohibit|allow block|legal illegal|lawful unlawful|safe unsafe|safe dangerous|
possible impossible|able unable|true false|right wrong|correct incorrect|good bad|best worst|better worse|more less|
more fewer|most least|maximum minimum|max min|highest lowest|higher lower|high low|largest smallest|biggest smallest|
bigger smaller|larger smaller|large small|big small|long short|longest shortest|longer shorter|tall short|fast slow|
faster slower|fastest slowest|hot cold|warm cold|hottest coldest|wet dry|hard soft|hard easy|difficult easy|
heavy light|rich poor|old young|old new|oldest youngest|oldest newest|older younger|first last|early late|
earliest latest|before after|above below|over under|up down|left right|north south|east west|inside outside|
indoor outdoor|indoors outdoors|public private|male female|man woman|men women|boy girl|boys girls|father mother|
dad mom|dad mum|husband wife|son daughter|brother sister|king queen|his her|advantage disadvantage|
advantages disadvantages|pros cons|benefit drawback|benefits drawbacks|benefits risks|benefits downsides|
benefits disadvantages|strength weakness|strengths weaknesses|positive negative|pro anti|love hate|like dislike|
cause prevent|cause cure|success failure|succeed fail|pass fail|profit loss|strong weak|full empty|full part|
thick thin|wide narrow|deep shallow|include exclude|included excluded|inclusive exclusive|encrypt decrypt|
encode decode|compress decompress|zip unzip|push pull|ascending descending|horizontal vertical|minimize maximize|
single married|single return|single double|optional mandatory|optional required|optional compulsory|
refundable nonrefundable|paid free|paid unpaid|paper online|cheap expensive|cheapest dearest|cheaper dearer|alive dead|
birth death|born died|live die|lives died|employer employee|employers employees|landlord tenant|lender borrower|
buyer seller|buyers sellers|parent child|teacher student|doctor patient|import domestic|domestic international|
freeze unfreeze|attach detach|mount unmount|pause resume|pause continue|merge split|forget remember|forgot remember|
temporary permanent|temporarily permanently|happy sad|active passive|active inactive|internal external|
arrivals departures|incoming outgoing|inbound outbound|lock open|connect disconnect|cancel keep|cancel renew|
cancel book|cancel restart|confirm cancel|expand collapse|gross net|upgrade downgrade|past future|earlier later|
ahead behind|with without|supply demand|grant revoke|grant deny|grant withdraw|grant refuse|allow deny|allow refuse|
permit forbid|permit prohibit|permit ban|welcome banned|agree disagree|agree refuse|confirm deny|confirm reject|
confirm decline|issue revoke|issue withdraw|eat avoid|choose avoid|seek avoid|drink avoid|within after|within outside|
within beyond|during after|until after|until from|grow shrink|expand shrink|expand contract|expand reduce|
improve worsen|improve harm|strengthen weaken|speed slow|accelerate slow|accelerate decelerate|heat cool|
appear disappear|attack defend|build destroy|build demolish|damage repair|break fix|break repair|help harm|help hurt|
encourage discourage|trust distrust|obey disobey|promote demote|hire fire|hire dismiss|employ dismiss|
employed unemployed|earn spend|save spend|save waste|save delete|deposit transfer|pay receive|owe own|invest divest|
appreciate depreciate|inflate deflate|overpay underpay|overpaid underpaid|surplus deficit|asset liability|
assets liabilities|income expense|income expenses|revenue cost|prepaid postpaid|upfront arrears|fixed variable|
fixed floating|secured unsecured|joint sole|joint single|joint individual|individual group|personal business|
residential commercial|local international|national international|home away|urban rural|native foreign|
resident nonresident|citizen foreigner|guest host|guest member|winner loser|victim attacker|plaintiff defendant|
guilty innocent|borrow repay|load unload|pack unpack|plug unplug|screw unscrew|wrap unwrap|fasten unfasten|tie untie|
zip extract|archive restore|archive unarchive|backup restore|commit rollback|do undo|redo undo|copy move|copy cut|
insert delete|insert remove|append prepend|read write|print scan|print display|input output|client server|
frontend backend|source destination|source target|sender recipient|sender receiver|caller callee|author reader|
producer consumer|publisher subscriber|minimum average|maximum average|median mean|even odd|prime composite|
add multiply|multiply divide|plus minus|sum difference|acid base|acidic alkaline|solid liquid|liquid gas|melt freeze|
boil freeze|evaporate condense|inhale exhale|raw cooked|fresh frozen|fresh stale|ripe unripe|vegetarian meat|
sweet sour|sweet savoury|sweet savory|sweet bitter|sugary sugarless|caffeinated decaffeinated|alcoholic nonalcoholic|
clean dirty|tidy messy|loud quiet|noisy quiet|bright dark|day night|sunrise sunset|dawn dusk|breakfast dinner|
breakfast lunch|lunch dinner|weekday weekend|weekdays weekends|summer winter|spring autumn|spring fall|heating cooling|
heater cooler|lend return|checkin checkout|departing arriving|outward return|oneway return|cabin hold|economy business|
first economy|adult child|adults children|adult minor|senior junior|mare stallion|hen rooster|cow bull|ewe ram|
uncle aunt|nephew niece|grandfather grandmother|widow widower|bride groom|prince princess|actor actress|hero villain|
friend enemy|ally enemy|majority minority|convex concave|clockwise anticlockwise|clockwise counterclockwise|
upstream downstream|upstairs downstairs|uphill downhill|upper lower|top bottom|front back|front rear|interior exterior|
inner outer|inward outward|forward backward|forwards backwards|near far|nearest farthest|closest farthest|major minor|
primary secondary|theory practice|theoretical practical|qualitative quantitative|objective subjective|
explicit implicit|abstract concrete|general specific|absolute relative|static dynamic|synchronous asynchronous|
serial parallel|analog digital|analogue digital|wired wireless|manual automatic|manually automatically|online offline|
remote onsite|virtual physical|mobile desktop|phone desktop|symmetric asymmetric|symmetrical asymmetrical|
lossy lossless|mutable immutable|signed unsigned|optimist pessimist|optimistic pessimistic|introvert extrovert|
introverted extroverted|ancient modern|traditional modern|natural artificial|organic synthetic|genuine fake|
original copy|original fake|real fake|fact fiction|fiction nonfiction|war peace|democracy dictatorship|
capitalism socialism|capitalism communism|liberal conservative|republican democrat|christian muslim|heaven hell|
angel demon|beginning end|beginner expert|amateur professional|undergraduate postgraduate|undergraduate graduate|
bachelor master|pass retake|present absent|presence absence|attend skip|awake asleep|find lose|hide reveal|hide seek|
ask answer|teach learn|approved rejected|accepted rejected|accepted declined|increased decreased|allowed banned|
eligible ineligible|covered excluded|included extra|taxable nontaxable|deductible nondeductible|nextday sameday|
inpatient outpatient|heavier lighter|heaviest lightest|frequently rarely|frequently seldom|often rarely|often seldom|
usually rarely|always rarely|believe doubt|felony misdemeanor|viral fungal|bacterial fungal|commonest rarest|
common rare|northeast southeast|northeast northwest|southeast southwest|northwest southwest|northeast southwest|
northwest southeast|singular plural|necessary sufficient|rename delete|boil fry|boil bake|fry bake|boil grill|
previous current|former current|beforehand afterwards|missing present|
hypertension hypotension|hyperthyroidism hypothyroidism|hyperglycemia hypoglycemia|acute chronic|
benign malignant|bacterial viral|vein artery|systolic diastolic|antibiotic antiviral|vaccine antidote|gain reduce|
gain burn|gain shed|same next|next last|next previous|he she|him her|himself herself"""
ANTONYMS: dict[str, frozenset[str]] = {}
for _pair in _PAIRS.replace("\n", "").split("|"):
    _left, _right = _pair.split()
    ANTONYMS[_left] = ANTONYMS.get(_left, frozenset()) | {_right}
    ANTONYMS[_right] = ANTONYMS.get(_right, frozenset()) | {_left}

# Words that bind a condition of time, place or case to a question.
SCOPES = frozenset(
    """before after during until since within without except unless outside inside abroad overseas""".split()
)

SYMMETRIC = frozenset("and or with between vs versus same similar different related equal compare".split())
