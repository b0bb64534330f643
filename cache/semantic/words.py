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

NEGATIONS = frozenset(
    "not no never none nobody nothing nowhere neither nor cannot without isn't hardly barely except unless non".split()
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
    "ninth": "#9", "tenth": "#10",
}  # fmt: skip

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
    }.items()
    for alias in aliases.split()
}  # fmt: skip

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
start stop|start end|begin end|start finish|add remove|add delete|add subtract|create delete|install uninstall|
log out|sign out|login logout|in out|lock unlock|block unblock|mute unmute|subscribe unsubscribe|follow unfollow|
hide show|hide unhide|join leave|enter leave|enter exit|arrive depart|arrival departure|import export|upload download|
send receive|give receive|deposit withdraw|credit debit|accept reject|accept refuse|accept decline|approve reject|
allow forbid|allow ban|allow prohibit|allow block|legal illegal|lawful unlawful|safe unsafe|safe dangerous|
possible impossible|able unable|true false|right wrong|correct incorrect|good bad|best worst|better worse|more less|
more fewer|most least|maximum minimum|max min|highest lowest|higher lower|high low|largest smallest|biggest smallest|
bigger smaller|larger smaller|large small|big small|long short|longest shortest|longer shorter|tall short|fast slow|
faster slower|fastest slowest|hot cold|warm cold|hottest coldest|wet dry|hard soft|hard easy|difficult easy|heavy light|
rich poor|old young|old new|oldest youngest|oldest newest|older younger|first last|early late|earliest latest|
before after|above below|over under|up down|left right|north south|east west|inside outside|indoor outdoor|
indoors outdoors|public private|male female|man woman|men women|boy girl|boys girls|father mother|dad mom|dad mum|
husband wife|son daughter|brother sister|king queen|his her|advantage disadvantage|advantages disadvantages|pros cons|
benefit drawback|benefits drawbacks|benefits risks|benefits downsides|benefits disadvantages|strength weakness|
strengths weaknesses|positive negative|pro anti|love hate|like dislike|cause prevent|cause cure|success failure|
succeed fail|pass fail|profit loss|strong weak|full empty|full part|thick thin|wide narrow|deep shallow|
include exclude|included excluded|inclusive exclusive|encrypt decrypt|encode decode|compress decompress|zip unzip|
push pull|ascending descending|horizontal vertical|minimize maximize|single married|single return|single double|
optional mandatory|optional required|optional compulsory|refundable nonrefundable|paid free|paid unpaid|
paper online|cheap expensive|cheapest dearest|cheaper dearer|alive dead|birth death|born died|live die|lives died|
employer employee|employers employees|landlord tenant|lender borrower|buyer seller|buyers sellers|parent child|
teacher student|doctor patient|import domestic|domestic international|freeze unfreeze|attach detach|mount unmount|
pause resume|pause continue|merge split|forget remember|forgot remember|temporary permanent|temporarily permanently|
happy sad|active passive|active inactive|internal external|arrivals departures|incoming outgoing|inbound outbound|
lock open|connect disconnect|cancel keep|cancel renew|cancel book|cancel restart|confirm cancel|expand collapse|
gross net|upgrade downgrade|past future|earlier later|ahead behind|with without|supply demand|vertical horizontal"""
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
