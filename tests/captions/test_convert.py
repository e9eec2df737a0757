"""The same numbers under openai-whisper's names."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from app.captions import convert
from app.errors import Misconfigured

N, MELS, VOCAB, AUDIO, TEXT = 4, 3, 7, 6, 5


def variables() -> dict[str, np.ndarray]:
    """A Whisper of one layer a side, in CTranslate2's layout, every number different."""
    shapes: dict[str, tuple[int, ...]] = {
        "encoder/conv1/weight": (N, MELS, 3),
        "encoder/conv1/bias": (N,),
        "encoder/conv2/weight": (N, N, 3),
        "encoder/conv2/bias": (N,),
        "encoder/position_encodings/encodings": (AUDIO, N),
        "decoder/position_encodings/encodings": (TEXT, N),
        "decoder/embeddings/weight": (VOCAB, N),
    }

    def linear(name: str, out: int, inner: int = N) -> None:
        shapes[f"{name}/weight"], shapes[f"{name}/bias"] = (out, inner), (out,)

    def norm(name: str) -> None:
        shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (N,)

    for side in ("encoder", "decoder"):
        layer = f"{side}/layer_0"
        linear(f"{layer}/self_attention/linear_0", 3 * N)
        linear(f"{layer}/self_attention/linear_1", N)
        linear(f"{layer}/ffn/linear_0", 4 * N)
        linear(f"{layer}/ffn/linear_1", N, 4 * N)
        for part in ("self_attention", "ffn"):
            norm(f"{layer}/{part}/layer_norm")
        norm(f"{side}/layer_norm")
    linear("decoder/layer_0/attention/linear_0", N)
    linear("decoder/layer_0/attention/linear_1", 2 * N)
    linear("decoder/layer_0/attention/linear_2", N)
    norm("decoder/layer_0/attention/layer_norm")
    made: dict[str, np.ndarray] = {
        "encoder/num_heads": np.array(2, np.int16),
        "decoder/num_heads": np.array(2, np.int16),
    }
    at = 1
    for name, shape in shapes.items():
        size = int(np.prod(shape))
        made[name] = np.arange(at, at + size, dtype=np.float16).reshape(shape)
        at += size
    made["encoder/layer_0/self_attention/linear_0/bias"][N : 2 * N] = 0
    made["decoder/layer_0/self_attention/linear_0/bias"][N : 2 * N] = 0
    made["decoder/layer_0/attention/linear_1/bias"][:N] = 0
    return made


def serialised(values: dict[str, np.ndarray], specification: str = "WhisperSpec") -> bytes:
    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    kinds = {np.dtype(np.float32): 0, np.dtype(np.int8): 1, np.dtype(np.int16): 2, np.dtype(np.float16): 4}
    out = struct.pack("<I", 6) + text(specification) + struct.pack("<II", 3, len(values))
    for name, value in values.items():
        data = value.tobytes()
        out += text(name) + struct.pack("<B", value.ndim) + struct.pack(f"<{value.ndim}I", *value.shape)
        out += struct.pack("<BI", kinds[value.dtype], len(data)) + data
    return out + struct.pack("<I", 1) + text("decoder/projection/weight") + text("decoder/embeddings/weight")


def test_every_number_comes_through_once_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(serialised(variables()))
    read = convert.read(path)
    assert read["decoder/projection/weight"] is read["decoder/embeddings/weight"]
    assert convert.dimensions(read) == {
        "n_mels": MELS,
        "n_vocab": VOCAB,
        "n_audio_ctx": AUDIO,
        "n_audio_state": N,
        "n_audio_head": 2,
        "n_audio_layer": 1,
        "n_text_ctx": TEXT,
        "n_text_state": N,
        "n_text_head": 2,
        "n_text_layer": 1,
    }
    made = convert.state(read)
    before = sorted(float(x) for n, v in variables().items() if "num_heads" not in n for x in v.ravel() if x)
    assert sorted(float(x) for v in made.values() for x in v.ravel()) == before
    assert {v.dtype for v in made.values()} == {np.dtype(np.float16)}
    assert "encoder.blocks.0.attn.key.bias" not in made
    stacked = variables()["decoder/layer_0/attention/linear_1/weight"]
    assert (made["decoder.blocks.0.cross_attn.value.weight"] == stacked[N:]).all()


@pytest.mark.parametrize("cut", [0, 3, 20, 200, -1])
def test_a_file_that_is_cut_short_is_refused(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(serialised(variables())[:cut])
    with pytest.raises(Misconfigured):
        convert.read(path)


def test_another_model_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(serialised(variables(), "TransformerSpec"))
    with pytest.raises(Misconfigured, match="not a Whisper model"):
        convert.read(path)
    changed = variables()
    changed["encoder/layer_0/self_attention/linear_0/bias"][N] = 1
    with pytest.raises(Misconfigured, match="laid out"):
        convert.state(changed)
    changed = variables()
    changed["encoder/conv1/weight"] = changed["encoder/conv1/weight"].astype(np.int8)
    with pytest.raises(Misconfigured, match="float16"):
        convert.state(changed)


@pytest.mark.weights
def test_the_real_weights_have_the_shape_of_base(weights: Path) -> None:
    read = convert.read(weights / "model.bin")
    assert convert.dimensions(read)["n_audio_state"] == 512
    assert len(convert.state(read)) == 245
    assert sum(v.size for v in convert.state(read).values()) == 72_593_920
