"""Words for the names that tasks make up: real ones, and syllables for coined ones, split into seen and unseen.

Nothing here knows of trees, prompts or tokens. A word or a syllable belongs to one side for good, by a hash of its
letters, so that a reader trained on seen words meets unseen ones for the first time when it is evaluated.
"""

from __future__ import annotations

import random
import zlib
from functools import lru_cache
from string import ascii_lowercase

UNSEEN_SHARE = 0.2

# Words as they occur in directories, services, parts and places.
_WORDS = """
access account action adapter address admin agent alarm album alert alias alpha amber anchor android animal api apple
archive arctic area arena arrow asset atlas atom audio audit auth author autumn avatar backup badge balance band bank
banner base basket batch beacon beam bench beta billing binary bird block blog blue board body bolt book border bottle
bottom bounds branch brand bridge brief broker browser bucket budget buffer build bundle button cabin cable cache
calendar camera campus canal candle canvas capital card cargo cart case castle catalog cedar cell center chain chamber
channel charge chart chat check cherry circle circuit city claim class clean client clinic clock cloud cluster coast
code coffee color column comet command common compass compile config connect console contact content context control
cookie copper copy coral core corner counter country courier cover crane crash create credit crew crystal curve custom
customer cycle daemon daily dairy dark dash data database date deck decode default delay delivery delta depot desert
design desk detail detect device dialog diary digest digital direct disk display dock doctor document domain door
dragon draft drive driver dust eagle east echo edge editor effect electric element email ember empire encode energy
engine entry error estate event exam export extra fabric face factory falcon family farm fast feature feed fern fiber
field figure file filter final finance fire first fish flag flame fleet flight flood floor flow flower folder font
forest fork form format forum frame freight fresh front frost fuel garden gate gateway gear general ghost giant
glacier glass global gold grain grant graph gravity green grid ground group guard guide hall hammer handler harbor
hash hawk header health heart heat helper hero hidden hill history holder home honey hook horizon host hotel house
human icon image import inbox index indigo info ingest input insect insight install invoice iron island item ivory
jacket job journal jungle kernel kettle key kitchen label lake lamp land lantern laser launch layer layout leaf ledger
legacy legal lemon lens letter level library light lime limit line link linux list loader local lock log login loop
lotus lunar machine magnet mail main manager manual map maple marble market mask master match matrix media member
memory menu mercury mesh message metal meteor meter metric middle migrate mill mirror mobile model module monitor moon
motion motor mount mountain mouse museum music native nature navy nebula nest network night node north note notify
number nurse oak object ocean office olive online opal open option oracle orange orbit order organ origin output owner
oxygen package page paint palace panel paper parcel parent park parser partner patch patient pattern payment peak
pearl pepper phone photo pilot pine pipe pixel plan planet plant plastic plate player plugin pocket point policy
polish pond pool portal post power press price print prism private process product profile project proof proxy public
pulse pump purple python quality quartz query queue quick quiet rack radar radio rain raven reader record recovery red
region relay release remote render repair report request rescue reserve resolve result retail return review ribbon
ring river road robot rocket roof room root rose route router ruby rule runner rural safety sail salt sample sand
saturn scale scan scene schema school science scope score scout screen script search season second secret section
secure seed select sensor serial server service session setting setup shadow shape share shelf shell shield ship shop
signal silver simple single site sketch sky slate sleep slide small smart smoke snapshot snow socket solar solid
source south space spark special spider spirit spring square stable stack staff stage star state static station status
steam steel stem step stock stone storage store storm stream street string studio style summer summit support surface
survey swan switch symbol sync system table tablet target task tax team temple tenant term test text theme thread
ticket tiger time title token tool topic torch total tower track trade traffic train transfer travel tree trial tunnel
turbine twin type union unit update upload upper urban user utils valid valley value vault vector vendor version video
view violet visit vision voice volume wagon wallet warehouse water wave weather web welcome west wheel white widget
wild wind window winter wire wolf wood worker world yard yellow young zebra zone
"""
WORDS = tuple(_WORDS.split())

# Coined words are made of these: an opening, a vowel and an ending a syllable; no ending is the commonest.
_OPENINGS = "b bl br c ch cl d dr f fl g gl gr h j k kl kr l m n p pl pr qu r s sh sk st t tr v w y z"
_VOWELS = "a e i o u ai ea"
_ENDINGS = ("", "", "", "l", "m", "n", "r", "s", "t", "x", "nd")


def is_unseen(word: str) -> bool:
    """Whether a word or syllable is held out from training.

    >>> is_unseen("core"), is_unseen("harbor")
    (False, False)
    """
    return zlib.crc32(word.encode()) % 1000 < 1000 * UNSEEN_SHARE


@lru_cache(maxsize=2)
def words(unseen: bool) -> tuple[str, ...]:
    """The real words of one side."""
    return tuple(w for w in WORDS if is_unseen(w) == unseen)


@lru_cache(maxsize=2)
def syllables(unseen: bool) -> tuple[str, ...]:
    """The syllables of one side; those without an ending stand in the list several times."""
    every = (o + v + e for o in _OPENINGS.split() for v in _VOWELS.split() for e in _ENDINGS)
    return tuple(s for s in every if is_unseen(s) == unseen)


def coin(rng: random.Random, unseen: bool) -> str:
    """A word that nobody knows: two syllables of its side, or now and then letters in any order.

    >>> [coin(random.Random(i), unseen=False) for i in range(4)]
    ['bzmxv', 'chetkleas', 'cj', 'funqui']
    """
    while True:
        if rng.random() < 0.8:
            word = rng.choice(syllables(unseen)) + rng.choice(syllables(unseen))
        else:
            word = "".join(rng.choices(ascii_lowercase, k=rng.randint(2, 6)))
        if is_unseen(word) == unseen:
            return word
