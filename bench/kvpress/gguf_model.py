"""A GGUF file of a Llama-like model as transformers model and tokenizer: the same weights on both sides.

usage: gguf_model.py MODEL.gguf FOLDER float32|bfloat16    writes a folder that transformers loads directly
"""

import os
import sys

import torch
from gguf import GGUFReader, TokenType
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast


def load_model(path: str, dtype: torch.dtype = torch.float32, **options):
    """The weights of `path`, dequantised."""
    folder, name = os.path.split(os.path.abspath(path))
    return AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=dtype, **options).eval()


def load_tokenizer(path: str) -> PreTrainedTokenizerFast:
    """The byte-level BPE tokenizer of `path`: no BOS, special tokens are recognised."""
    fields = GGUFReader(path).fields

    def value(key: str):
        return fields[f"tokenizer.ggml.{key}"].contents()

    if (value("model"), value("pre")) != ("gpt2", "smollm"):
        raise SystemExit(
            f"{path}: only the tokenizer kind of SmolLM is supported, not {value('model')}/{value('pre')}"
        )
    tokens = value("tokens")
    merges = [tuple(merge.split(" ")) for merge in value("merges")]
    tokenizer = Tokenizer(models.BPE({token: i for i, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = [t for t, kind in zip(tokens, value("token_type")) if kind == TokenType.CONTROL]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in control])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=tokens[value("eos_token_id")])


def main() -> None:
    if len(sys.argv) != 4:
        raise SystemExit(__doc__)
    source, folder, dtype = sys.argv[1:]
    load_model(source, getattr(torch, dtype)).save_pretrained(folder)
    load_tokenizer(source).save_pretrained(folder)


if __name__ == "__main__":
    main()
