"""Texts of a benchmark's own: sentences that look like English, the same for the same seed."""

import random
from collections.abc import Callable

ADJECTIVES = """old quiet narrow bright heavy patient hidden broken distant careful early wooden northern empty famous
    cold restless plain curious faithful""".split()
NOUNS = """harbour ledger engineer garden bridge letter teacher river machine winter captain market orchard signal
    library mountain printer question valley window traveller lantern council festival archive""".split()
VERBS = """carried measured repaired followed described forgot counted painted crossed questioned moved opened
    borrowed replaced remembered divided watched answered""".split()
PLACES = """behind beside under across near within above beyond before after""".split()
ENDINGS = """without a word|in less than an hour|for the second time that year|as nobody had expected|against all
    advice|with great care|once the rain had stopped|while the others slept""".split("|")
SYLLABLES = "ba cor del fen gra hol im jur kel lor mi nor os pra quil ros ten ul ver wyn".split()


def sentence(random_: random.Random) -> str:
    def thing() -> str:
        return f"{random_.choice(['the', 'a', 'every', 'that'])} {random_.choice(ADJECTIVES)} {random_.choice(NOUNS)}"

    def name() -> str:
        return "".join(random_.choices(SYLLABLES, k=random_.randint(2, 3))).capitalize()

    start = name() if random_.random() < 0.4 else thing().capitalize()
    words = f"{start} {random_.choice(VERBS)} {thing()} {random_.choice(PLACES)} {thing()}"
    if random_.random() < 0.3:
        words += f", {random_.randint(3, 1900)} steps from {name()}"
    if random_.random() < 0.3:
        words += " " + " ".join(random_.choice(ENDINGS).split())
    return words + "."


def document(seed: int, words: int) -> str:
    random_ = random.Random(seed)
    text: list[str] = []
    while len(text) < words:
        text += sentence(random_).split()
    return " ".join(text[:words])


def words_for(seed: int, tokens: int, count: Callable[[str], int]) -> tuple[int, int]:
    """Words whose document has at most so many tokens, and nearly as many; and how many these are."""
    least, least_tokens, most = 0, 0, 2 * tokens
    guess = int(tokens / 1.6) + 1
    while most - least > 1 and least_tokens < tokens - 2:
        guess = min(max(guess, least + 1), most - 1)
        counted = count(document(seed, guess))
        if counted <= tokens:
            least, least_tokens = guess, counted
        else:
            most = guess
        guess = round(guess * tokens / counted)
    return least, least_tokens
