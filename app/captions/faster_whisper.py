"""faster-whisper, the default engine: CTranslate2 in 8-bit integers on the processor, voice activity detection first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import ctranslate2
from faster_whisper import WhisperModel
from faster_whisper.transcribe import Segment

from app.captions.audio import RATE, Samples, as_floats
from app.captions.guards import Heard
from app.captions.words import Word
from app.errors import Misconfigured

BEAM = 5
# What Whisper looks at when it tells the language.
_STRETCH = 30 * RATE


class Engine:
    """A loaded model; see `app.captions.engines.Transcriber`."""

    name = "faster-whisper"

    def __init__(self, model: Path, threads: int, device: str = "cpu") -> None:
        """Load the folder `model`: in 8-bit integers on the processor, in 16-bit floats on a GPU.

        Raises:
            Misconfigured: what is there is not a model in CTranslate2's format.
        """
        if not model.is_dir():
            raise Misconfigured("faster-whisper wants a folder with a model in CTranslate2's format.")
        # Hard passages are decoded again with sampling: the same sound must give the same words each time.
        ctranslate2.set_random_seed(1)
        on_gpu = device == "cuda" or (device == "auto" and ctranslate2.get_cuda_device_count() > 0)
        try:
            self._model = WhisperModel(
                str(model),
                device="cuda" if on_gpu else "cpu",
                compute_type="float16" if on_gpu else "int8",
                cpu_threads=threads,
                local_files_only=True,
            )
        except (RuntimeError, ValueError) as error:
            raise Misconfigured(f"The speech model cannot be loaded: {error}") from error

    def hear(self, samples: Samples, *, language: str, prompt: str) -> tuple[float, Iterator[Heard]]:
        """See `Transcriber.hear`."""
        try:
            segments, info = self._model.transcribe(
                as_floats(samples),
                language=language,
                beam_size=BEAM,
                vad_filter=True,
                word_timestamps=True,
                # One misheard window must not lead the next one astray.
                condition_on_previous_text=False,
                # Unlike an initial prompt, hotwords are given to every window.
                hotwords=prompt or None,
            )
        except ValueError as error:
            raise Misconfigured(f"The engine refuses these settings: {error}") from error
        return info.duration_after_vad, map(_heard, segments)

    def detect(self, speech: Samples) -> tuple[str, float]:
        """See `Transcriber.detect`: the mean of its belief over stretches of thirty seconds."""
        if not self._model.model.is_multilingual:
            return "en", 1.0
        sound = as_floats(speech)
        beliefs: dict[str, float] = {}
        parts = [sound[at : at + _STRETCH] for at in range(0, len(sound), _STRETCH)]
        parts = [part for part in parts if len(part) >= _STRETCH // 10]  # a scrap at the end says little
        for part in parts:
            for code, probability in self._model.detect_language(part)[2]:
                beliefs[code] = beliefs.get(code, 0.0) + float(probability) / len(parts)
        best = max(beliefs, key=lambda code: beliefs[code])
        return best, beliefs[best]


def _heard(segment: Segment) -> Heard:
    return Heard(
        words=tuple(Word(float(w.start), float(w.end), w.word, float(w.probability)) for w in segment.words or ()),
        no_speech=segment.no_speech_prob,
        log_probability=segment.avg_logprob,
        compression_ratio=segment.compression_ratio,
    )
