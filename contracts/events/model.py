"""What happens to base models."""

from __future__ import annotations

from pydantic import BaseModel, Field
from tunebus.contracts import subjects
from tunebus.contracts.events.event import Event
from tunebus.contracts.numbers import Int64


class ModelShape(BaseModel):
    """What memory and work depend on. `linear` sums the inputs and outputs of all linear layers of a name, the output
    head left out; `linear_parameters` is how many weights they have.
    """

    layers: int
    hidden_size: int
    intermediate_size: int
    attention_heads: int
    key_value_heads: int
    linear: dict[str, int] = Field(default_factory=dict)
    linear_parameters: int = 0


class ModelAdded(Event):
    aggregates = (subjects.MODEL,)

    name: str
    type: str
    description: str = ""
    location: str
    architecture: str
    model_family: str
    parameters: Int64
    dtype: str
    context_length: Int64 | None = None
    vocabulary_size: Int64 | None = None
    has_chat_template: bool = False
    shape: ModelShape | None = None
    bytes: Int64
    sha256: str
    fine_tuning_job_id: str | None = None
    huggingface_name: str | None = None
    revision: str | None = Field(default=None, description="the commit that was fetched")
    licence: str | None = Field(default=None, description="as the model's card names it")
    gated: bool = False
    remote_code: list[str] = Field(default_factory=list, description="files of the repository that run, as approved")
    base_model_id: str | None = Field(default=None, description="the model it was fine-tuned from")


class RemoteCodeApproved(Event):
    """An operator lets the code of one commit of a Hub model run. An entity of its own, not a model's."""

    aggregates = (subjects.MODEL,)

    huggingface_name: str
    revision: str
    reason: str = ""


class ModelRenamed(Event):
    aggregates = (subjects.MODEL,)

    name: str


class ModelRemoved(Event):
    """`name` is what it was called last, for those who still refer to it."""

    aggregates = (subjects.MODEL,)

    name: str
