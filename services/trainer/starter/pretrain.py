"""Makes the whole starter pack: tokenizer, model pretrained from scratch, question set, licence and cards.

    nice python -m tunebus.services.trainer.starter.pretrain --out pack

About 25 minutes on two idle cores with AVX512-BF16. It needs torch 2.9 or newer; what uses the pack does not.
The question set's own task is never in the pretraining text.
"""

import argparse
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from torch import Tensor
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from tunebus.services.trainer.starter import corpus
from tunebus.services.trainer.starter.contents import ModelFacts, python_licence, write_pack
from tunebus.services.trainer.starter.corpus import DocumentedObject
from tunebus.services.trainer.starter.tokenizer import VOCABULARY_SIZE, chat_text, train_tokenizer

CONTEXT_LENGTH = 512
# 3.8 million parameters: 7.6 MB as bf16. Few wide layers with large heads are the quickest on a CPU.
ARCHITECTURE = {
    "hidden_size": 256,
    "intermediate_size": 640,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
HELD_OUT_EVERY = 100  # one document in so many is kept for the validation loss


@dataclass(frozen=True, slots=True)
class Schedule:
    """Warm-up, a constant stretch, and a linear fall to zero over the last part."""

    steps: int
    warm_up: int = 50
    fall: float = 0.6

    def __call__(self, step: int) -> float:
        rise = (step + 1) / self.warm_up
        descent = (self.steps - step) / max(1.0, self.steps * self.fall)
        return min(1.0, rise, descent)


def training_texts(objects: list[DocumentedObject]) -> tuple[list[str], list[str]]:
    """Documents for training, with repeats, and the documents held out for the validation loss.

    The prose is repeated because it is a fifth of the text and most of what the model is for.
    """
    prose = corpus.topics() + corpus.docstring_documents(objects)
    source = corpus.source_documents()
    turns = chat_documents(objects)
    training, held_out = [], []
    for documents, repeats in ((prose, 3), (source, 1), (turns, 1)):
        held_out += documents[::HELD_OUT_EVERY]
        kept = [text for index, text in enumerate(documents) if index % HELD_OUT_EVERY]
        training += kept * repeats
    return training, held_out


def chat_documents(objects: list[DocumentedObject]) -> list[str]:
    """Turns that teach the chat format on other tasks: writing a docstring, and going on with a text."""
    documents = []
    for item in objects:
        text = item.docstring[:1200]
        if item.signature and len(text) >= 20:
            first_paragraph = text.partition("\n\n")[0]
            documents.append(chat_text(f"Write a docstring for this function.\n{item.signature}", first_paragraph))
        words = text.split(" ")
        if len(words) >= 16:
            middle = len(words) // 2
            beginning, rest = " ".join(words[:middle]), " ".join(words[middle:])
            documents.append(chat_text(f"Go on with this text.\n{beginning}", rest))
    return list(dict.fromkeys(documents))


def pack_documents(tokenizer: PreTrainedTokenizerFast, texts: list[str]) -> Tensor:
    """Token ids of the texts end to end, cut to rows of the context length plus one (n, CONTEXT_LENGTH + 1)."""
    bos, eos = tokenizer.bos_token_id, tokenizer.eos_token_id
    stream: list[int] = []
    for encoding in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False):
        ids = encoding.ids
        stream += [bos, *ids] if ids and ids[-1] == eos else [bos, *ids, eos]
    width = CONTEXT_LENGTH + 1
    rows = len(stream) // width
    return torch.tensor(stream[: rows * width], dtype=torch.int32).view(rows, width)


def batches(rows: Tensor, batch_size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """Batches without end, every row once per round in a new order."""
    while True:
        order = torch.randperm(len(rows), generator=generator)
        for start in range(0, len(order) - batch_size + 1, batch_size):
            yield rows[order[start : start + batch_size]].long()


def make_optimizers(model: LlamaForCausalLM, learning_rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the matrices of the layers, AdamW for the embedding and the norms (Jordan et al., 2024)."""
    matrices = [weight for weight in model.model.layers.parameters() if weight.ndim == 2]
    others = [model.model.embed_tokens.weight, *(weight for weight in model.parameters() if weight.ndim == 1)]
    return [
        torch.optim.Muon(matrices, lr=learning_rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=2 * learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]


def loss_of(model: LlamaForCausalLM, rows: Tensor, *, bf16: bool) -> Tensor:
    """Mean cross-entropy of the next token in nats, for rows of ids (batch, length + 1)."""
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
        logits = model(input_ids=rows[:, :-1], use_cache=False).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten())


def validation_loss(model: LlamaForCausalLM, rows: Tensor, *, bf16: bool) -> float:
    model.eval()
    total = 0.0
    with torch.inference_mode():
        for part in rows.split(8):
            total += float(loss_of(model, part.long(), bf16=bf16)) * len(part)
    return total / len(rows)


def pretrain(
    model: LlamaForCausalLM, rows: Tensor, *, steps: int, batch_size: int, learning_rate: float, seed: int, bf16: bool
) -> None:
    """Train in place for `steps` steps of `batch_size` rows."""
    optimizers = make_optimizers(model, learning_rate)
    schedulers = [torch.optim.lr_scheduler.LambdaLR(optimizer, Schedule(steps)) for optimizer in optimizers]
    source = batches(rows, batch_size, torch.Generator().manual_seed(seed))
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:,.0f} tokens/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    model.train()
    with Progress(TextColumn("pretraining"), *columns) as progress:
        task = progress.add_task("", total=steps, loss=float("nan"), rate=0.0)
        smoothed, started = 0.0, time.perf_counter()
        for step in range(steps):
            batch = next(source)
            loss = loss_of(model, batch, bf16=bf16)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()
            for scheduler in schedulers:
                scheduler.step()
            smoothed = loss.item() if step == 0 else 0.95 * smoothed + 0.05 * loss.item()
            rate = (step + 1) * batch_size * CONTEXT_LENGTH / (time.perf_counter() - started)
            progress.update(task, advance=1, loss=smoothed, rate=rate)
            if not progress.console.is_terminal and (step + 1) % 25 == 0:
                left = (steps - step - 1) * (time.perf_counter() - started) / (step + 1)
                print(
                    f"step {step + 1}/{steps}  loss {smoothed:.3f}  {rate:,.0f} tokens/s  {left / 60:.1f} min left",
                    flush=True,
                )


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    special = {
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    config = LlamaConfig(
        vocab_size=VOCABULARY_SIZE,
        max_position_embeddings=CONTEXT_LENGTH,
        tie_word_embeddings=True,
        dtype="float32",
        **ARCHITECTURE,
        **special,
    )
    model = LlamaForCausalLM(config)
    model.generation_config = GenerationConfig(do_sample=False, max_new_tokens=64, **special)
    return model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the folder to write the pack to")
    parser.add_argument("--steps", type=int, default=1700)
    parser.add_argument("--batch-size", type=int, default=8, help=f"rows of {CONTEXT_LENGTH} tokens")
    parser.add_argument("--learning-rate", type=float, default=5e-3, help="of Muon; AdamW takes twice that")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument(
        "--bf16",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="matrix products in bf16; without AVX512-BF16 or AMX the other way is quicker",
    )
    options = parser.parse_args()
    if not hasattr(torch.optim, "Muon"):
        parser.error(f"torch 2.9 or newer is needed, for its optimizer Muon; this is torch {torch.__version__}")
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)

    python_licence()  # fails now, not after half an hour, where the licence text is missing
    started = time.perf_counter()
    objects = corpus.documented_objects()
    training, held_out = training_texts(objects)
    random.Random(options.seed).shuffle(training)  # noqa: S311
    tokenizer = train_tokenizer(training, context_length=CONTEXT_LENGTH)
    rows, validation = pack_documents(tokenizer, training), pack_documents(tokenizer, held_out)
    model = new_model(tokenizer)
    parameters = sum(weight.numel() for weight in model.parameters())
    print(
        f"{sum(map(len, training)):,} characters, {rows.numel():,} tokens, {parameters:,} parameters, "
        f"{options.steps * options.batch_size * CONTEXT_LENGTH:,} tokens to train on",
        flush=True,
    )
    pretrain(
        model,
        rows,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        bf16=options.bf16,
    )
    loss = validation_loss(model, validation, bf16=options.bf16)

    folder = options.out / "model"
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it readable to the owner alone
    facts = ModelFacts(
        parameters=parameters,
        training_tokens=options.steps * options.batch_size * CONTEXT_LENGTH,
        validation_loss=loss,
        minutes=(time.perf_counter() - started) / 60,
        steps=options.steps,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        seed=options.seed,
        context_length=CONTEXT_LENGTH,
        vocabulary_size=VOCABULARY_SIZE,
    )
    write_pack(options.out, facts)
    print(f"validation loss {loss:.3f} nats a token, {facts.minutes:.1f} minutes -> {options.out}")


if __name__ == "__main__":
    main()
