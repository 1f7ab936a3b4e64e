"""Cuts a text to a number of tokens that it also has when it is tokenized again.

usage: cut_prompt.py MODEL_FOLDER TEXT N OUTPUT    writes OUTPUT.txt and OUTPUT.json (the token ids)
"""

import json
import sys
from pathlib import Path

from transformers import PreTrainedTokenizerFast


def cut(tokenizer, text: str, n_tokens: int) -> tuple[str, list[int]]:
    """The beginning of `text`: n_tokens tokens, or up to 50 fewer where no cut there is stable."""
    ids = tokenizer.encode(text, add_special_tokens=False)
    if len(ids) < n_tokens:
        raise SystemExit(
            f"the text has {len(ids)} tokens, fewer than the {n_tokens} asked for; give a longer one"
        )
    for n in range(n_tokens, max(0, n_tokens - 50), -1):
        part = tokenizer.decode(ids[:n], clean_up_tokenization_spaces=False)
        # Readers of text files may strip white space at the end.
        if part == part.rstrip() and tokenizer.encode(part, add_special_tokens=False) == ids[:n]:
            return part, ids[:n]
    raise SystemExit("no place to cut the text; give another one")


def main() -> None:
    if len(sys.argv) != 5:
        raise SystemExit(__doc__)
    folder, text, n_tokens, output = sys.argv[1:]
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    part, ids = cut(tokenizer, Path(text).read_text(encoding="utf-8"), int(n_tokens))
    Path(output + ".txt").write_text(part, encoding="utf-8")
    Path(output + ".json").write_text(json.dumps(ids), encoding="utf-8")


if __name__ == "__main__":
    main()
