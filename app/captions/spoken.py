"""Languages that Whisper knows, and how the language of a recording is chosen.

A code of ISO 639-1 (a few have three letters) names a language; `AUTO` asks the engine to find it out. What it finds is
taken only where enough was said and it is sure: noise was once "detected" as Norwegian.
"""

from __future__ import annotations

from app.errors import Invalid

AUTO = "auto"
DEFAULT = "en"

# Speech that must have been found before an engine is asked which language it is, in seconds.
LEAST_SPEECH = 3.0
# Share of its belief that the engine must give to one language. Whisper gives clear speech over 0.9.
LEAST_PROBABILITY = 0.6
# More speech than this says nothing new.
MOST_SPEECH = 60.0

#: Code to name, in the order of the names; those spoken most in Britain stand in front.
NAMES: dict[str, str] = {
    "en": "English", "cy": "Welsh", "pl": "Polish", "pa": "Punjabi", "ur": "Urdu", "bn": "Bengali", "gu": "Gujarati",
    "ar": "Arabic", "fr": "French", "zh": "Chinese", "pt": "Portuguese", "es": "Spanish", "ta": "Tamil",
    "ro": "Romanian",
    "af": "Afrikaans", "sq": "Albanian", "am": "Amharic", "hy": "Armenian", "as": "Assamese", "az": "Azerbaijani",
    "ba": "Bashkir", "eu": "Basque", "be": "Belarusian", "bs": "Bosnian", "br": "Breton", "bg": "Bulgarian",
    "my": "Burmese", "yue": "Cantonese", "ca": "Catalan", "hr": "Croatian", "cs": "Czech", "da": "Danish",
    "nl": "Dutch", "et": "Estonian", "fo": "Faroese", "fi": "Finnish", "gl": "Galician", "ka": "Georgian",
    "de": "German", "el": "Greek", "ht": "Haitian Creole", "ha": "Hausa", "haw": "Hawaiian", "he": "Hebrew",
    "hi": "Hindi", "hu": "Hungarian", "is": "Icelandic", "id": "Indonesian", "it": "Italian", "ja": "Japanese",
    "jw": "Javanese", "kn": "Kannada", "kk": "Kazakh", "km": "Khmer", "ko": "Korean", "lo": "Lao", "la": "Latin",
    "lv": "Latvian", "ln": "Lingala", "lt": "Lithuanian", "lb": "Luxembourgish", "mk": "Macedonian",
    "mg": "Malagasy", "ms": "Malay", "ml": "Malayalam", "mt": "Maltese", "mi": "Maori", "mr": "Marathi",
    "mn": "Mongolian", "ne": "Nepali", "no": "Norwegian", "nn": "Norwegian Nynorsk", "oc": "Occitan",
    "ps": "Pashto", "fa": "Persian", "ru": "Russian", "sa": "Sanskrit", "sr": "Serbian", "sn": "Shona",
    "sd": "Sindhi", "si": "Sinhala", "sk": "Slovak", "sl": "Slovenian", "so": "Somali", "su": "Sundanese",
    "sw": "Swahili", "sv": "Swedish", "tl": "Tagalog", "tg": "Tajik", "tt": "Tatar", "te": "Telugu", "th": "Thai",
    "bo": "Tibetan", "tr": "Turkish", "tk": "Turkmen", "uk": "Ukrainian", "uz": "Uzbek", "vi": "Vietnamese",
    "yi": "Yiddish", "yo": "Yoruba",
}  # fmt: skip


def checked(choice: str, field: str = "language") -> str:
    """A choice as it is kept: a known code, `AUTO`, or empty for what the instance's setting says.

    Raises:
        Invalid: it is none of these.
    """
    code = choice.strip().lower()
    if code in ("", AUTO) or code in NAMES:
        return code
    sentence = f"Select a language that captions can be made in, or {AUTO}"
    raise Invalid(sentence, fields={field: sentence})


def name(code: str) -> str:
    """What people call the language of a code."""
    return "Found out from the sound" if code == AUTO else NAMES.get(code, code)


def fallback(setting: str) -> str:
    """The language that is taken where the sound does not tell it."""
    return DEFAULT if setting == AUTO else setting


def believed(found: tuple[str, float] | None, otherwise: str) -> tuple[str, float | None]:
    """The language to hear in, and how sure the engine was: None where it was not asked or not sure enough."""
    if found is None or found[1] < LEAST_PROBABILITY:
        return otherwise, None
    return found
