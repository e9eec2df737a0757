"""CTranslate2's Whisper weights as an openai-whisper checkpoint, without loss: the same numbers under other names.

So that one pinned file serves both engines. `python -m app.captions.convert MODEL.bin OUT.pt` writes a checkpoint; the
openai-whisper engine also loads straight from the folder. Format of the file: `ModelSpec.save` in CTranslate2.
"""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from app.errors import Misconfigured

Array = NDArray[Any]

# CTranslate2's numbering of data types.
_TYPES = {0: np.float32, 1: np.int8, 2: np.int16, 3: np.int32, 4: np.float16}


def read(path: Path) -> dict[str, Array]:
    """All variables of a `model.bin`, by CTranslate2's names.

    Raises:
        Misconfigured: not a Whisper model, or cut short.
    """
    variables: dict[str, Array] = {}
    with path.open("rb") as file:
        try:
            _number(file, "I")  # version of the container
            specification = _string(file)
            _number(file, "I")  # revision of the specification
            if specification != "WhisperSpec":
                raise Misconfigured(f"{path} holds a {specification!r}, not a Whisper model.")
            for _ in range(_number(file, "I")):
                name = _string(file)
                shape = [_number(file, "I") for _ in range(_number(file, "B"))]
                kind = _TYPES[_number(file, "B")]
                variables[name] = np.frombuffer(_exactly(file, _number(file, "I")), dtype=kind).reshape(shape)
            for _ in range(_number(file, "I")):
                alias = _string(file)
                variables[alias] = variables[_string(file)]
        except (KeyError, ValueError, EOFError) as error:
            raise Misconfigured(f"{path} is not a whole Whisper model.") from error
    return variables


def _exactly(file: BinaryIO, size: int) -> bytes:
    data = file.read(size)
    if len(data) != size:
        raise EOFError
    return data


def _number(file: BinaryIO, format_: str) -> int:
    value: int = struct.unpack("<" + format_, _exactly(file, struct.calcsize(format_)))[0]
    return value


def _string(file: BinaryIO) -> str:
    return _exactly(file, _number(file, "H"))[:-1].decode()


def dimensions(variables: Mapping[str, Array]) -> dict[str, int]:
    """The model's sizes, under the names of openai-whisper's `ModelDimensions`."""
    n_state = variables["encoder/conv1/bias"].shape[0]
    positions = "position_encodings/encodings"
    return {
        "n_mels": variables["encoder/conv1/weight"].shape[1],
        "n_vocab": variables["decoder/embeddings/weight"].shape[0],
        "n_audio_ctx": variables[f"encoder/{positions}"].shape[0],
        "n_audio_state": n_state,
        "n_audio_head": int(variables["encoder/num_heads"]),
        "n_audio_layer": _layers(variables, "encoder"),
        "n_text_ctx": variables[f"decoder/{positions}"].shape[0],
        "n_text_state": n_state,
        "n_text_head": int(variables["decoder/num_heads"]),
        "n_text_layer": _layers(variables, "decoder"),
    }


def _layers(variables: Mapping[str, Array], side: str) -> int:
    return len({name.split("/")[1] for name in variables if name.startswith(f"{side}/layer_") and "/ffn/" in name})


def state(variables: Mapping[str, Array]) -> dict[str, Array]:
    """The state dict of openai-whisper's `Whisper`, in its names; float16 stays float16.

    Raises:
        Misconfigured: the file has variables that Whisper's layout does not explain (quantised weights, for example).
    """
    mapper = _Mapper(variables)
    sizes = dimensions(variables)
    mapper.copy("encoder.positional_embedding", "encoder/position_encodings/encodings")
    for convolution in ("conv1", "conv2"):
        mapper.linear(f"encoder.{convolution}", f"encoder/{convolution}")
    for i in range(sizes["n_audio_layer"]):
        mapper.block(f"encoder.blocks.{i}", f"encoder/layer_{i}", cross=False)
    mapper.norm("encoder.ln_post", "encoder/layer_norm")
    mapper.copy("decoder.positional_embedding", "decoder/position_encodings/encodings")
    mapper.copy("decoder.token_embedding.weight", "decoder/embeddings/weight")
    for i in range(sizes["n_text_layer"]):
        mapper.block(f"decoder.blocks.{i}", f"decoder/layer_{i}", cross=True)
    mapper.norm("decoder.ln", "decoder/layer_norm")
    return mapper.result


class _Mapper:
    """Copies variables of one model into `result` under openai-whisper's names."""

    def __init__(self, variables: Mapping[str, Array]) -> None:
        self._variables = variables
        self._n = variables["encoder/conv1/bias"].shape[0]
        self.result: dict[str, Array] = {}

    def _get(self, name: str) -> Array:
        value = self._variables[name]
        if value.dtype not in (np.float16, np.float32):
            raise Misconfigured("Only float16 and float32 weights can be used by openai-whisper.")
        return value

    def copy(self, to: str, name: str) -> None:
        self.result[to] = np.ascontiguousarray(self._get(name))

    def norm(self, to: str, name: str) -> None:
        self.copy(f"{to}.weight", f"{name}/gamma")
        self.copy(f"{to}.bias", f"{name}/beta")

    def linear(self, to: str, name: str) -> None:
        self.copy(f"{to}.weight", f"{name}/weight")
        self.copy(f"{to}.bias", f"{name}/bias")

    def block(self, to: str, name: str, *, cross: bool) -> None:
        """One transformer layer; decoder layers also attend to the encoder (`cross`)."""
        attention = f"{name}/self_attention"
        self._projections(f"{to}.attn", f"{attention}/linear_0", ("query", "key", "value"))
        self.linear(f"{to}.attn.out", f"{attention}/linear_1")
        self.norm(f"{to}.attn_ln", f"{attention}/layer_norm")
        if cross:
            attention = f"{name}/attention"
            self.linear(f"{to}.cross_attn.query", f"{attention}/linear_0")
            self._projections(f"{to}.cross_attn", f"{attention}/linear_1", ("key", "value"))
            self.linear(f"{to}.cross_attn.out", f"{attention}/linear_2")
            self.norm(f"{to}.cross_attn_ln", f"{attention}/layer_norm")
        self.linear(f"{to}.mlp.0", f"{name}/ffn/linear_0")
        self.linear(f"{to}.mlp.2", f"{name}/ffn/linear_1")
        self.norm(f"{to}.mlp_ln", f"{name}/ffn/layer_norm")

    def _projections(self, to: str, name: str, parts: Sequence[str]) -> None:
        """CTranslate2 stacks the projections of an attention in one matrix; openai-whisper keeps them apart."""
        weight, bias = self._get(f"{name}/weight"), self._get(f"{name}/bias")
        for i, part in enumerate(parts):
            rows = slice(i * self._n, (i + 1) * self._n)
            self.result[f"{to}.{part}.weight"] = np.ascontiguousarray(weight[rows])
            if part != "key":
                self.result[f"{to}.{part}.bias"] = np.ascontiguousarray(bias[rows])
            elif bias[rows].any():  # Whisper's key projection has no bias; a file with one is another model
                raise Misconfigured("The weights are not laid out as Whisper's.")


def save(source: Path, target: Path) -> None:
    """Write the `model.bin` at `source` as an openai-whisper checkpoint. Needs PyTorch."""
    import torch

    variables = read(source)
    tensors = {name: torch.from_numpy(value.copy()) for name, value in state(variables).items()}
    torch.save({"dims": dimensions(variables), "model_state_dict": tensors}, target)


if __name__ == "__main__":
    save(Path(sys.argv[1]), Path(sys.argv[2]))
