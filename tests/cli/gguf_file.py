"""Models made from another one: with more metadata, or much smaller."""

import pathlib
import re
import struct

ALIGNMENT = 32
UINT32, FLOAT32, STRING, ARRAY = 4, 6, 8, 9
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}


class GgufFile:
    """The parts of a GGUF file, as bytes."""

    def __init__(self, path):
        self.data = memoryview(pathlib.Path(path).read_bytes())
        n_tensors, n_pairs = struct.unpack_from("<QQ", self.data, 8)
        self.at = 24
        self.pairs = [self.pair() for _ in range(n_pairs)]  # key, bytes
        infos = [self.tensor() for _ in range(n_tensors)]  # name, bytes up to the offset, offset
        tensors = self.data[self.at + -self.at % ALIGNMENT :]
        ends = dict(zip(starts := sorted(offset for _, _, offset in infos), [*starts[1:], len(tensors)]))
        self.tensors = [(name, info, tensors[offset : ends[offset]]) for name, info, offset in infos]

    def pair(self):
        start = self.at
        key = self.string()
        self.skip_value(self.number("<I"))
        return key, self.data[start : self.at]

    def tensor(self):
        start = self.at
        name = self.string()
        self.skip(8 * self.number("<I") + 4)
        return name, self.data[start : self.at], self.number("<Q")

    def skip(self, n_bytes):
        self.at += n_bytes

    def number(self, form):
        self.skip(struct.calcsize(form))
        return struct.unpack_from(form, self.data, self.at - struct.calcsize(form))[0]

    def string(self):
        length = self.number("<Q")
        self.skip(length)
        return bytes(self.data[self.at - length : self.at]).decode()

    def skip_value(self, kind):
        if kind == STRING:
            self.skip(self.number("<Q"))
        elif kind != ARRAY:
            self.skip(SIZES[kind])
        else:
            kind, count = self.number("<I"), self.number("<Q")
            if kind in SIZES:
                self.skip(SIZES[kind] * count)
            else:
                for _ in range(count):
                    self.skip_value(kind)

    def bytes(self):
        parts = [bytes(self.data[:8]), struct.pack("<QQ", len(self.tensors), len(self.pairs))]
        parts += [pair for _, pair in self.pairs]
        offset = 0
        for _, info, numbers in self.tensors:
            parts += [info, struct.pack("<Q", offset)]
            offset += len(numbers) + -len(numbers) % ALIGNMENT
        head = b"".join(parts)
        parts = [head, bytes(-len(head) % ALIGNMENT)]
        for _, _, numbers in self.tensors:
            parts += [numbers, bytes(-len(numbers) % ALIGNMENT)]
        return b"".join(parts)


def scalar(key, kind, form, value):
    name = key.encode()
    return key, struct.pack("<Q", len(name)) + name + struct.pack("<I" + form, kind, value)


def with_metadata(path, key, value):
    """The file with one more F32 in its metadata."""
    file = GgufFile(path)
    file.pairs.append(scalar(key, FLOAT32, "f", value))
    return file.bytes()


def array_head(pair):
    """Where the kind of an array's elements stands in a pair of the metadata, that kind, and their number."""
    start = 8 + struct.unpack_from("<Q", pair)[0] + 4
    return start, *struct.unpack_from("<IQ", pair, start)


def without_last(pair, n_removed):
    """The pair with so many strings or numbers of its array less."""
    start, kind, count = array_head(pair)
    at = start + 12
    for _ in range(count - n_removed):
        at += SIZES[kind] if kind in SIZES else 8 + struct.unpack_from("<Q", pair, at)[0]
    return bytes(pair[:start]) + struct.pack("<IQ", kind, count - n_removed) + bytes(pair[start + 12 : at])


def smaller(path, n_layers, n_tokens):
    """The file with its first layers and tokens only: a model of the same kind that is fast and knows nothing.

    For tokenizers of pairs whose tokens end with one for each merge, in the same order, and a model whose
    only matrix by tokens is that of embeddings.
    """
    file = GgufFile(path)
    pairs = dict(file.pairs)
    architecture = bytes(pairs["general.architecture"]).rsplit(b"\0", 1)[-1].decode()
    _, _, n_all = array_head(pairs["tokenizer.ggml.tokens"])
    for name, value in {"block_count": n_layers, "vocab_size": n_tokens}.items():
        key, pairs[key] = scalar(f"{architecture}.{name}", UINT32, "I", value)
    for key in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type", "tokenizer.ggml.merges"):
        pairs[key] = without_last(pairs[key], n_all - n_tokens)
    file.pairs = list(pairs.items())

    layer = re.compile(r"blk\.(\d+)\.")
    file.tensors = [t for t in file.tensors if not (found := layer.match(t[0])) or int(found[1]) < n_layers]
    for i, (name, info, numbers) in enumerate(file.tensors):
        if name == "token_embd.weight":
            at = 8 + len(name) + 4 + 8  # of the second dimension
            n_before = struct.unpack_from("<Q", info, at)[0]
            info = bytes(info[:at]) + struct.pack("<Q", n_tokens) + bytes(info[at + 8 :])
            file.tensors[i] = name, info, numbers[: len(numbers) // n_before * n_tokens]
    return file.bytes()
