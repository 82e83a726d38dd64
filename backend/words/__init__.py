"""Finds objects of a result by words: boxes of a zero-shot detector in several views, lifted to objects."""

from backend.words.search import Answer as Answer
from backend.words.search import Found as Found
from backend.words.search import find_words as find_words
from backend.words.text import read_words as read_words
