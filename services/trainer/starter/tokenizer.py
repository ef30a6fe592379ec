"""The starter model's tokenizer: byte-level BPE, trained on the corpus, with a chat template that marks the answer.

Byte-level, so that any text can be written. Runs only in the pretraining script, never in a service.
"""

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel, Sequence, Split
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import PreTrainedTokenizerFast

VOCABULARY_SIZE = 4096
BOS, END, PAD, USER, ASSISTANT, SYSTEM = (
    "<|begin|>",
    "<|end|>",
    "<|pad|>",
    "<|user|>",
    "<|assistant|>",
    "<|system|>",
)
RESERVED = tuple(f"<|reserved_{number}|>" for number in range(4))
# Words with their leading space, single digits (numbers of any length then share their parts), runs of punctuation,
# indentation as one piece.
WORDS = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"

# The end of turn lies inside the generation part: a model that is tuned on answers has to learn to stop.
CHAT_TEMPLATE = """\
{{- bos_token }}
{%- for message in messages %}
    {%- if message['role'] == 'assistant' %}
        {{- '<|assistant|>' }}{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}
    {%- elif message['role'] in ('user', 'system') %}
        {{- '<|' + message['role'] + '|>' + message['content'] + eos_token }}
    {%- else %}
        {{- raise_exception('roles are system, user and assistant, not ' + message['role']) }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|assistant|>' }}
{%- endif %}
"""


def train_tokenizer(texts: Iterable[str], *, context_length: int) -> PreTrainedTokenizerFast:
    """Learn `VOCABULARY_SIZE` tokens from the texts; the same texts in the same order give the same tokenizer."""
    specials = [BOS, END, PAD, USER, ASSISTANT, SYSTEM, *RESERVED]
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = Sequence(
        [Split(Regex(WORDS), behavior="isolated"), ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = ByteLevelDecoder()
    trainer = BpeTrainer(
        vocab_size=VOCABULARY_SIZE,
        special_tokens=specials,
        initial_alphabet=sorted(ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(
        single=f"{BOS} $A", pair=f"{BOS} $A {BOS} $B:1", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[USER, ASSISTANT, SYSTEM, *RESERVED],
        chat_template=CHAT_TEMPLATE,
        model_max_length=context_length,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )


def chat_text(user: str, assistant: str) -> str:
    """What the chat template makes of one question and one answer, without the beginning token."""
    return f"{USER}{user}{END}{ASSISTANT}{assistant}{END}"
