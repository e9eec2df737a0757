"""The languages that captions can be in: BCP 47 tags with the name in English and in the language itself.

The list is short on purpose: the languages of the United Kingdom and those most asked for by its patients and staff. It
says what can be chosen; a track in another language, from an engine, is shown by its tag.
"""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Language:
    """`own` is what its speakers call it; `direction` is the HTML attribute dir."""

    tag: str
    name: str
    own: str
    direction: str = "ltr"

    @property
    def label(self) -> str:
        """For those who look for their own language, and for those who look for it in English."""
        return self.name if self.name == self.own else f"{self.own} ({self.name})"


LANGUAGES: dict[str, Language] = {
    language.tag: language
    for language in (
        Language("en", "English", "English"),
        Language("cy", "Welsh", "Cymraeg"),
        Language("gd", "Scottish Gaelic", "Gàidhlig"),
        Language("ga", "Irish", "Gaeilge"),
        Language("sq", "Albanian", "Shqip"),
        Language("am", "Amharic", "አማርኛ"),
        Language("ar", "Arabic", "العربية", "rtl"),
        Language("bn", "Bengali", "বাংলা"),
        Language("bg", "Bulgarian", "Български"),
        Language("zh-Hans", "Chinese, simplified", "简体中文"),
        Language("zh-Hant", "Chinese, traditional", "繁體中文"),
        Language("cs", "Czech", "Čeština"),
        Language("prs", "Dari", "دری", "rtl"),
        Language("nl", "Dutch", "Nederlands"),
        Language("fil", "Filipino", "Filipino"),
        Language("fr", "French", "Français"),
        Language("de", "German", "Deutsch"),
        Language("el", "Greek", "Ελληνικά"),
        Language("gu", "Gujarati", "ગુજરાતી"),
        Language("ha", "Hausa", "Hausa"),
        Language("he", "Hebrew", "עברית", "rtl"),
        Language("hi", "Hindi", "हिन्दी"),
        Language("hu", "Hungarian", "Magyar"),
        Language("ig", "Igbo", "Igbo"),
        Language("it", "Italian", "Italiano"),
        Language("ku", "Kurdish, Kurmanji", "Kurmancî"),
        Language("ckb", "Kurdish, Sorani", "سۆرانی", "rtl"),
        Language("lv", "Latvian", "Latviešu"),
        Language("lt", "Lithuanian", "Lietuvių"),
        Language("ml", "Malayalam", "മലയാളം"),
        Language("ne", "Nepali", "नेपाली"),
        Language("ps", "Pashto", "پښتو", "rtl"),
        Language("fa", "Persian", "فارسی", "rtl"),
        Language("pl", "Polish", "Polski"),
        Language("pt", "Portuguese", "Português"),
        Language("pa", "Punjabi", "ਪੰਜਾਬੀ"),
        Language("pnb", "Punjabi, Western", "پنجابی", "rtl"),
        Language("ro", "Romanian", "Română"),
        Language("ru", "Russian", "Русский"),
        Language("si", "Sinhala", "සිංහල"),
        Language("sk", "Slovak", "Slovenčina"),
        Language("so", "Somali", "Soomaali"),
        Language("es", "Spanish", "Español"),
        Language("sw", "Swahili", "Kiswahili"),
        Language("ta", "Tamil", "தமிழ்"),
        Language("te", "Telugu", "తెలుగు"),
        Language("ti", "Tigrinya", "ትግርኛ"),
        Language("tr", "Turkish", "Türkçe"),
        Language("uk", "Ukrainian", "Українська"),
        Language("ur", "Urdu", "اردو", "rtl"),
        Language("vi", "Vietnamese", "Tiếng Việt"),
        Language("yo", "Yoruba", "Yorùbá"),
    )
}


def of(tag: str) -> Language:
    """The language of a tag, whatever region or script it names; one that is not on the list is called by its tag."""
    found = LANGUAGES.get(tag) or LANGUAGES.get(tag.partition("-")[0])
    return replace(found, tag=tag) if found is not None else Language(tag, tag, tag)
