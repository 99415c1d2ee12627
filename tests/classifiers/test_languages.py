"""Which language a text is in, and which one is asked for."""

from __future__ import annotations

import pytest

from penstock.classifiers.languages import asked_language, is_in, latin_language, script_of

TEXTS = {
    "english": ["The weather is nice today and we will go out.", "I don't know the answer to this question."],
    "french": ["La capitale de l'Allemagne est Berlin, en raison de 1990.", "Il fait beau et nous sortons."],
    "german": ["Der Himmel ist blau, weil das Licht gestreut wird.", "Berlin ist die Hauptstadt von Deutschland."],
    "spanish": ["La capital de Francia es París.", "No sé la respuesta a esta pregunta."],
    "italian": ["La capitale della Francia è Parigi.", "Non conosco la risposta a questa domanda."],
    "portuguese": ["A capital da França é Paris.", "Eu não sei a resposta para essa pergunta."],
    "dutch": ["De hoofdstad van Frankrijk is Parijs.", "De lucht is blauw omdat het licht wordt verstrooid."],
    "swedish": ["Himlen är blå eftersom ljuset sprids och det är vackert."],
    "polish": ["Niebo jest niebieskie, ponieważ światło się rozprasza."],
    "turkish": ["Gökyüzü mavi çünkü ışık saçılır ve bu çok güzel bir şey."],
    "japanese": ["空が青いのは光が散乱するからです。とても綺麗です。"],
    "chinese": ["天空是蓝色的因为光被散射，这是一个非常美丽的现象。"],
    "russian": ["Небо голубое из-за рассеяния света."],
    "korean": ["하늘이 파란 이유는 빛이 산란되기 때문입니다."],
    "arabic": ["السماء زرقاء بسبب تشتت الضوء في الغلاف الجوي."],
}


@pytest.mark.parametrize(("language", "text"), [(language, text) for language in TEXTS for text in TEXTS[language]])
def test_a_text_is_in_its_language_and_in_no_other(language: str, text: str) -> None:
    assert [other for other in TEXTS if is_in(other, text)] == [language]


@pytest.mark.parametrize("text", ["Paris", "x = 3 + 4", "Photosynthesis turns light into sugar.", ""])
def test_what_has_no_small_words_is_in_no_language(text: str) -> None:
    assert latin_language(text) is None
    assert is_in("french", text) is None


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Answer in French.", "french"),
        ("Translate into German: hello", "german"),
        ("Please write a poem about rain in Spanish", "spanish"),
        ("Antworte auf Deutsch: wer bist du?", "german"),
        ("Responde en español, por favor.", "spanish"),
        ("Please respond only in Italian", "italian"),
        ("Say it in Dutch first. Then answer in Polish.", "polish"),
        ("Answer in French and explain why.", "french"),
        ("Respond in Spanish or English.", None),
        ("Explain the grammar of verbs in Spanish and French.", None),
        ("Explain the matter in English law.", None),
        ("I live in Poland. Say hello.", None),
        ("Who plays in French football?", None),
    ],
)
def test_the_language_asked_for_is_read(question: str, language: str | None) -> None:
    assert asked_language(question) == language


def test_the_script_is_that_of_most_letters() -> None:
    assert script_of("Der Fluss heißt Днепр in der Sprache.") == "LATIN"
    assert script_of("7 + 8 = 15") == ""
