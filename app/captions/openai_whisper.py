"""openai-whisper, the reference engine: PyTorch in 32-bit floats. An extra of the installation, never the default."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import whisper
from faster_whisper.vad import SpeechTimestampsMap, collect_chunks, get_speech_timestamps

from app.captions import convert
from app.captions.audio import RATE, Samples, as_floats
from app.captions.guards import Heard
from app.captions.words import Word
from app.errors import Misconfigured

BEAM = 5
_TEMPERATURES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)


class Engine:
    """A loaded model; see `app.captions.engines.Transcriber`."""

    name = "openai-whisper"

    def __init__(self, model: Path, threads: int, device: str = "cpu") -> None:
        """Load `model`: a folder in CTranslate2's format, converted in memory, or a `.pt` checkpoint."""
        on_gpu = device == "cuda" or (device == "auto" and torch.cuda.is_available())
        torch.set_num_threads(threads)
        torch.manual_seed(1)  # hard passages are decoded again with sampling
        if model.is_dir():
            variables = convert.read(model / "model.bin")
            self._model = whisper.model.Whisper(whisper.model.ModelDimensions(**convert.dimensions(variables)))
            tensors = {name: torch.from_numpy(value.copy()) for name, value in convert.state(variables).items()}
            self._model.load_state_dict(tensors)
        else:
            self._model = whisper.load_model(str(model), device="cpu")
        self._model = self._model.to("cuda" if on_gpu else "cpu")
        self._model.eval()
        _restore_alignment(self._model)

    def detect(self, speech: Samples) -> tuple[str, float]:
        """See `Transcriber.detect`: by the first thirty seconds, as the engine itself does it."""
        if not self._model.is_multilingual:
            return "en", 1.0
        sound = whisper.pad_or_trim(torch.from_numpy(as_floats(speech)))
        mel = whisper.log_mel_spectrogram(sound, n_mels=self._model.dims.n_mels).to(self._model.device)
        beliefs: dict[str, float] = self._model.detect_language(mel)[1]
        best = max(beliefs, key=lambda code: beliefs[code])
        return best, beliefs[best]

    def hear(self, samples: Samples, *, language: str, prompt: str) -> tuple[float, Iterator[Heard]]:
        """See `Transcriber.hear`. The engine has no voice activity detection, so it is given the speech alone."""
        sound = as_floats(samples)
        speech = get_speech_timestamps(sound)
        if not speech:
            return 0.0, iter(())
        alone = np.concatenate(collect_chunks(sound, speech)[0])
        result = self._model.transcribe(
            alone,
            language=language,
            beam_size=BEAM,
            best_of=BEAM,
            temperature=_TEMPERATURES,
            word_timestamps=True,
            condition_on_previous_text=False,
            initial_prompt=prompt or None,
            carry_initial_prompt=bool(prompt),
            fp16=False,
            verbose=None,
        )
        times = SpeechTimestampsMap(speech, RATE)
        return len(alone) / RATE, (_heard(segment, times) for segment in result["segments"])


def _restore_alignment(model: Any) -> None:
    """A model that is loaded by path forgets which attention heads follow the sound, and its word times suffer. The
    heads are published with the names of OpenAI's models; sizes and vocabulary tell which one this is."""
    names = {
        (384, 4, 51865): "tiny",
        (384, 4, 51864): "tiny.en",
        (512, 6, 51865): "base",
        (512, 6, 51864): "base.en",
        (768, 12, 51865): "small",
        (768, 12, 51864): "small.en",
        (1024, 24, 51865): "medium",
        (1024, 24, 51864): "medium.en",
        (1280, 4, 51866): "turbo",
        (1280, 32, 51866): "large-v3",
    }
    key = (model.dims.n_text_state, model.dims.n_text_layer, model.dims.n_vocab)
    if key not in names:
        raise Misconfigured("The speech model is none of those whose word times openai-whisper knows.")
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS[names[key]])


def _heard(segment: dict[str, Any], times: SpeechTimestampsMap) -> Heard:
    words = []
    for word in segment["words"]:
        # One stretch of speech for both ends, or a word at a cut would be stretched over the silence.
        stretch = times.get_chunk_index((word["start"] + word["end"]) / 2)
        words.append(
            Word(
                float(times.get_original_time(word["start"], stretch)),
                float(times.get_original_time(word["end"], stretch)),
                word["word"],
                float(word["probability"]),
            )
        )
    return Heard(tuple(words), segment["no_speech_prob"], segment["avg_logprob"], segment["compression_ratio"])
