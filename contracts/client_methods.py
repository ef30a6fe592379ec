"""A typed method for every command and query. Written by `python -m tunebus.contracts.methods`; do not edit.

Arguments left None are not sent: the registry's defaults hold. Ids may be names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from tunebus.contracts.commands import EvaluationCombination
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.queries import Page
from tunebus.contracts.recipes import GenerationSettings


class AsyncMethods(Protocol):
    """The commands and queries of the asynchronous client."""

    async def send(self, command: str, data: dict[str, Any], /) -> Outcome: ...

    async def query(self, name: str, data: dict[str, Any], /) -> dict[str, Any]: ...

    async def add_dataset(
        self,
        *,
        name: str,
        path: str,
        type: Literal["csv", "json", "jsonl"] | None = None,
        description: str | None = None,
    ) -> Outcome:
        """Register a file of rows. `path` is a file inside an allowed root, or an `artifact:` URI; a missing
        `type` is its suffix.
        """
        return await self.send("AddDataset", {"name": name, "path": path, "type": type, "description": description})

    async def add_model(
        self,
        *,
        name: str,
        path: str,
        type: Literal["local"] | None = None,
        description: str | None = None,
    ) -> Outcome:
        """Register a base model: a folder with a config and safetensors weights."""
        return await self.send("AddModel", {"name": name, "path": path, "type": type, "description": description})

    async def add_adapter(
        self,
        *,
        name: str,
        model_id: str,
        path: str,
        type: Literal["local"] | None = None,
        fine_tuning_job_id: str | None = None,
        prompt_id: str | None = None,
    ) -> Outcome:
        """Register an adapter folder (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere."""
        return await self.send(
            "AddAdapter",
            {
                "name": name,
                "model_id": model_id,
                "path": path,
                "type": type,
                "fine_tuning_job_id": fine_tuning_job_id,
                "prompt_id": prompt_id,
            },
        )

    async def add_prompt(
        self,
        *,
        name: str,
        dataset_id: str,
        prompt_template: str,
        input_template: str,
        completion_template: str,
    ) -> Outcome:
        """Register the templates that turn a dataset's columns into a prompt and its completion; `{{` and `}}` are
        literal braces.
        """
        return await self.send(
            "AddPrompt",
            {
                "name": name,
                "dataset_id": dataset_id,
                "prompt_template": prompt_template,
                "input_template": input_template,
                "completion_template": completion_template,
            },
        )

    async def add_config(
        self,
        *,
        type: Literal["training_arguments", "quantization", "generation", "lora", "custom"],
        config: dict[str, Any] | str,
        description: str | None = None,
        model_family: str | None = None,
        is_default: bool | None = None,
    ) -> Outcome:
        """Register a settings document, JSON or YAML text or an object; an equal body of the same type is the same
        config.
        """
        return await self.send(
            "AddConfig",
            {
                "type": type,
                "config": config,
                "description": description,
                "model_family": model_family,
                "is_default": is_default,
            },
        )

    async def start_fine_tuning_job(
        self,
        *,
        base_model_id: str,
        dataset_id: str,
        prompt_id: str | None = None,
        adapter_name: str | None = None,
        method: str | None = None,
        num_workers: int | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
        num_epochs: float | None = None,
        learning_rate: float | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        save_steps: int | None = None,
        eval_steps: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        training_arguments: str | dict[str, Any] | None = None,
        lora: str | dict[str, Any] | None = None,
        quantization: str | dict[str, Any] | None = None,
        framework_type: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        register_adapter: bool | None = None,
    ) -> Outcome:
        """Queue a fine-tuning. `base_model_id` and `dataset_id` are enough; what is given wins over a config, a
        config over defaults. `training_arguments`, `lora` and `quantization` take a config's id or an object of
        settings.
        """
        return await self.send(
            "StartFineTuningJob",
            {
                "base_model_id": base_model_id,
                "dataset_id": dataset_id,
                "prompt_id": prompt_id,
                "adapter_name": adapter_name,
                "method": method,
                "num_workers": num_workers,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
                "num_epochs": num_epochs,
                "learning_rate": learning_rate,
                "max_steps": max_steps,
                "batch_size": batch_size,
                "max_length": max_length,
                "seed": seed,
                "save_steps": save_steps,
                "eval_steps": eval_steps,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "training_arguments": training_arguments,
                "lora": lora,
                "quantization": quantization,
                "framework_type": framework_type,
                "text_format": text_format,
                "register_adapter": register_adapter,
            },
        )

    async def stop_fine_tuning_job(
        self,
        *,
        id: str,
        force: bool | None = None,
    ) -> Outcome:
        """Stop a job: after its next checkpoint, or at once with `force`."""
        return await self.send("StopFineTuningJob", {"id": id, "force": force})

    async def start_evaluation_job(
        self,
        *,
        combinations: Sequence[EvaluationCombination | dict[str, Any]],
        generation: GenerationSettings | dict[str, Any] | str | None = None,
        max_rows: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
    ) -> Outcome:
        """Queue one evaluation per combination under one parent. The split is that of the job that made the
        compared adapter.
        """
        return await self.send(
            "StartEvaluationJob",
            {
                "combinations": combinations,
                "generation": generation,
                "max_rows": max_rows,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "seed": seed,
                "batch_size": batch_size,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
            },
        )

    async def stop_evaluation_job(
        self,
        *,
        id: str,
    ) -> Outcome:
        """Stop an evaluation at once; its rows so far are discarded."""
        return await self.send("StopEvaluationJob", {"id": id})

    async def report_attempt_running(
        self,
        *,
        job_id: str,
        attempt: int,
        total_steps: int,
        resumed_from_step: int | None = None,
        resolved: dict[str, Any] | None = None,
        versions: dict[str, str] | None = None,
    ) -> Outcome:
        """The child has loaded everything; the first step follows. `resolved` is what it really runs with."""
        return await self.send(
            "ReportAttemptRunning",
            {
                "job_id": job_id,
                "attempt": attempt,
                "total_steps": total_steps,
                "resumed_from_step": resumed_from_step,
                "resolved": resolved,
                "versions": versions,
            },
        )

    async def record_checkpoint(
        self,
        *,
        job_id: str,
        attempt: int,
        step: int,
        uri: str,
        manifest_sha256: str,
        loss: float | None = None,
        eval_loss: float | None = None,
    ) -> Outcome:
        """A checkpoint is whole on disk: its manifest is written and hashes to `manifest_sha256`."""
        return await self.send(
            "RecordCheckpoint",
            {
                "job_id": job_id,
                "attempt": attempt,
                "step": step,
                "uri": uri,
                "manifest_sha256": manifest_sha256,
                "loss": loss,
                "eval_loss": eval_loss,
            },
        )

    async def complete_attempt(
        self,
        *,
        job_id: str,
        attempt: int,
        outcome: Literal["finished", "stopped"],
        step: int | None = None,
        result_uri: str | None = None,
        result_sha256: str | None = None,
        metrics: dict[str, float | None] | None = None,
    ) -> Outcome:
        """The child ended well: it finished, or it stopped because it was asked to. `result_uri` is the adapter or
        the rows' table.
        """
        return await self.send(
            "CompleteAttempt",
            {
                "job_id": job_id,
                "attempt": attempt,
                "outcome": outcome,
                "step": step,
                "result_uri": result_uri,
                "result_sha256": result_sha256,
                "metrics": metrics,
            },
        )

    async def fail_attempt(
        self,
        *,
        job_id: str,
        attempt: int,
        cause: Literal[
            "bad_configuration",
            "bad_data",
            "out_of_memory",
            "nan_loss",
            "disk_full",
            "killed_by_signal",
            "crashed",
            "worker_shutdown",
        ],
        message: str,
        detail: str | None = None,
        hint: str | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
    ) -> Outcome:
        """The child did not end well. `cause` decides whether the job is tried again; `detail` holds the last
        lines of its stderr.
        """
        return await self.send(
            "FailAttempt",
            {
                "job_id": job_id,
                "attempt": attempt,
                "cause": cause,
                "message": message,
                "detail": detail,
                "hint": hint,
                "signal": signal,
                "exit_code": exit_code,
            },
        )

    async def list_datasets(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListDatasets`."""
        return Page.model_validate(await self.query("ListDatasets", {"limit": limit, "after": after, "type": type}))

    async def list_models(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListModels`."""
        return Page.model_validate(await self.query("ListModels", {"limit": limit, "after": after, "type": type}))

    async def list_adapters(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListAdapters`."""
        return Page.model_validate(
            await self.query("ListAdapters", {"limit": limit, "after": after, "model_id": model_id})
        )

    async def list_prompts(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        dataset_id: str | None = None,
    ) -> Page:
        """Ask `ListPrompts`."""
        return Page.model_validate(
            await self.query("ListPrompts", {"limit": limit, "after": after, "dataset_id": dataset_id})
        )

    async def list_configs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        type: str | None = None,
        model_family: str | None = None,
    ) -> Page:
        """Ask `ListConfigs`."""
        return Page.model_validate(
            await self.query(
                "ListConfigs", {"limit": limit, "after": after, "type": type, "model_family": model_family}
            )
        )

    async def list_fine_tuning_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        state: str | None = None,
    ) -> Page:
        """Ask `ListFineTuningJobs`."""
        return Page.model_validate(
            await self.query("ListFineTuningJobs", {"limit": limit, "after": after, "state": state})
        )

    async def list_evaluation_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        state: str | None = None,
        parent_id: str | None = None,
    ) -> Page:
        """Ask `ListEvaluationJobs`."""
        return Page.model_validate(
            await self.query(
                "ListEvaluationJobs", {"limit": limit, "after": after, "state": state, "parent_id": parent_id}
            )
        )

    async def get_dataset(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetDataset`."""
        return await self.query("GetDataset", {"id": id})

    async def get_model(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetModel`."""
        return await self.query("GetModel", {"id": id})

    async def get_adapter(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetAdapter`."""
        return await self.query("GetAdapter", {"id": id})

    async def get_prompt(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetPrompt`."""
        return await self.query("GetPrompt", {"id": id})

    async def get_config(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetConfig`."""
        return await self.query("GetConfig", {"id": id})

    async def get_fine_tuning_job(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetFineTuningJob`."""
        return await self.query("GetFineTuningJob", {"id": id})

    async def get_evaluation_job(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetEvaluationJob`."""
        return await self.query("GetEvaluationJob", {"id": id})

    async def preview_dataset(
        self,
        *,
        id: str,
        limit: int | None = None,
        prompt_id: str | None = None,
    ) -> dict[str, Any]:
        """The first rows with per-column null and length statistics; rendered through a prompt where one is named."""
        return await self.query("PreviewDataset", {"id": id, "limit": limit, "prompt_id": prompt_id})

    async def get_metrics(
        self,
        *,
        job_id: str,
        names: list[str] | None = None,
        since_step: int | None = None,
    ) -> dict[str, Any]:
        """A job's curves. Per step and name the value of the highest attempt; `since_step` leaves out what a
        client has.
        """
        return await self.query("GetMetrics", {"job_id": job_id, "names": names, "since_step": since_step})

    async def get_log(
        self,
        *,
        job_id: str,
        attempt: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """The text of an attempt's output from a byte offset on; the newest attempt when none is named."""
        return await self.query("GetLog", {"job_id": job_id, "attempt": attempt, "offset": offset, "limit": limit})

    async def get_evaluation_rows(
        self,
        *,
        job_id: str,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """The scored rows of an evaluation: question, reference, answer and each row's metrics."""
        return Page.model_validate(
            await self.query("GetEvaluationRows", {"limit": limit, "after": after, "job_id": job_id})
        )

    async def list_events(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        from_position: int | None = None,
        aggregate: str | None = None,
        entity_id: str | None = None,
        type: str | None = None,
    ) -> Page:
        """The record itself, in order of `position`. `from` is the first position wanted."""
        return Page.model_validate(
            await self.query(
                "ListEvents",
                {
                    "limit": limit,
                    "after": after,
                    "from": from_position,
                    "aggregate": aggregate,
                    "entity_id": entity_id,
                    "type": type,
                },
            )
        )

    async def get_command_outcome(
        self,
        *,
        command_id: str,
    ) -> Outcome:
        """The outcome kept for a command id; `not_found` when the registry has not handled it yet."""
        return Outcome.model_validate(await self.query("GetCommandOutcome", {"command_id": command_id}))

    async def list_dead_letters(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """Ask `ListDeadLetters`."""
        return Page.model_validate(await self.query("ListDeadLetters", {"limit": limit, "after": after}))

    async def get_dead_letter(
        self,
        *,
        id: int,
    ) -> dict[str, Any]:
        """Ask `GetDeadLetter`."""
        return await self.query("GetDeadLetter", {"id": id})

    async def list_workers(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """Workers that asked for work lately, with what they offer."""
        return Page.model_validate(await self.query("ListWorkers", {"limit": limit, "after": after}))

    async def get_overview(
        self,
    ) -> dict[str, Any]:
        """What runs, what waits, what failed: the counts and newest jobs of the first page."""
        return await self.query("GetOverview", {})


class Methods(Protocol):
    """The commands and queries of the synchronous client."""

    def send(self, command: str, data: dict[str, Any], /) -> Outcome: ...

    def query(self, name: str, data: dict[str, Any], /) -> dict[str, Any]: ...

    def add_dataset(
        self,
        *,
        name: str,
        path: str,
        type: Literal["csv", "json", "jsonl"] | None = None,
        description: str | None = None,
    ) -> Outcome:
        """Register a file of rows. `path` is a file inside an allowed root, or an `artifact:` URI; a missing
        `type` is its suffix.
        """
        return self.send("AddDataset", {"name": name, "path": path, "type": type, "description": description})

    def add_model(
        self,
        *,
        name: str,
        path: str,
        type: Literal["local"] | None = None,
        description: str | None = None,
    ) -> Outcome:
        """Register a base model: a folder with a config and safetensors weights."""
        return self.send("AddModel", {"name": name, "path": path, "type": type, "description": description})

    def add_adapter(
        self,
        *,
        name: str,
        model_id: str,
        path: str,
        type: Literal["local"] | None = None,
        fine_tuning_job_id: str | None = None,
        prompt_id: str | None = None,
    ) -> Outcome:
        """Register an adapter folder (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere."""
        return self.send(
            "AddAdapter",
            {
                "name": name,
                "model_id": model_id,
                "path": path,
                "type": type,
                "fine_tuning_job_id": fine_tuning_job_id,
                "prompt_id": prompt_id,
            },
        )

    def add_prompt(
        self,
        *,
        name: str,
        dataset_id: str,
        prompt_template: str,
        input_template: str,
        completion_template: str,
    ) -> Outcome:
        """Register the templates that turn a dataset's columns into a prompt and its completion; `{{` and `}}` are
        literal braces.
        """
        return self.send(
            "AddPrompt",
            {
                "name": name,
                "dataset_id": dataset_id,
                "prompt_template": prompt_template,
                "input_template": input_template,
                "completion_template": completion_template,
            },
        )

    def add_config(
        self,
        *,
        type: Literal["training_arguments", "quantization", "generation", "lora", "custom"],
        config: dict[str, Any] | str,
        description: str | None = None,
        model_family: str | None = None,
        is_default: bool | None = None,
    ) -> Outcome:
        """Register a settings document, JSON or YAML text or an object; an equal body of the same type is the same
        config.
        """
        return self.send(
            "AddConfig",
            {
                "type": type,
                "config": config,
                "description": description,
                "model_family": model_family,
                "is_default": is_default,
            },
        )

    def start_fine_tuning_job(
        self,
        *,
        base_model_id: str,
        dataset_id: str,
        prompt_id: str | None = None,
        adapter_name: str | None = None,
        method: str | None = None,
        num_workers: int | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
        num_epochs: float | None = None,
        learning_rate: float | None = None,
        max_steps: int | None = None,
        batch_size: int | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        save_steps: int | None = None,
        eval_steps: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        training_arguments: str | dict[str, Any] | None = None,
        lora: str | dict[str, Any] | None = None,
        quantization: str | dict[str, Any] | None = None,
        framework_type: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        register_adapter: bool | None = None,
    ) -> Outcome:
        """Queue a fine-tuning. `base_model_id` and `dataset_id` are enough; what is given wins over a config, a
        config over defaults. `training_arguments`, `lora` and `quantization` take a config's id or an object of
        settings.
        """
        return self.send(
            "StartFineTuningJob",
            {
                "base_model_id": base_model_id,
                "dataset_id": dataset_id,
                "prompt_id": prompt_id,
                "adapter_name": adapter_name,
                "method": method,
                "num_workers": num_workers,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
                "num_epochs": num_epochs,
                "learning_rate": learning_rate,
                "max_steps": max_steps,
                "batch_size": batch_size,
                "max_length": max_length,
                "seed": seed,
                "save_steps": save_steps,
                "eval_steps": eval_steps,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "training_arguments": training_arguments,
                "lora": lora,
                "quantization": quantization,
                "framework_type": framework_type,
                "text_format": text_format,
                "register_adapter": register_adapter,
            },
        )

    def stop_fine_tuning_job(
        self,
        *,
        id: str,
        force: bool | None = None,
    ) -> Outcome:
        """Stop a job: after its next checkpoint, or at once with `force`."""
        return self.send("StopFineTuningJob", {"id": id, "force": force})

    def start_evaluation_job(
        self,
        *,
        combinations: Sequence[EvaluationCombination | dict[str, Any]],
        generation: GenerationSettings | dict[str, Any] | str | None = None,
        max_rows: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
    ) -> Outcome:
        """Queue one evaluation per combination under one parent. The split is that of the job that made the
        compared adapter.
        """
        return self.send(
            "StartEvaluationJob",
            {
                "combinations": combinations,
                "generation": generation,
                "max_rows": max_rows,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "seed": seed,
                "batch_size": batch_size,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
            },
        )

    def stop_evaluation_job(
        self,
        *,
        id: str,
    ) -> Outcome:
        """Stop an evaluation at once; its rows so far are discarded."""
        return self.send("StopEvaluationJob", {"id": id})

    def report_attempt_running(
        self,
        *,
        job_id: str,
        attempt: int,
        total_steps: int,
        resumed_from_step: int | None = None,
        resolved: dict[str, Any] | None = None,
        versions: dict[str, str] | None = None,
    ) -> Outcome:
        """The child has loaded everything; the first step follows. `resolved` is what it really runs with."""
        return self.send(
            "ReportAttemptRunning",
            {
                "job_id": job_id,
                "attempt": attempt,
                "total_steps": total_steps,
                "resumed_from_step": resumed_from_step,
                "resolved": resolved,
                "versions": versions,
            },
        )

    def record_checkpoint(
        self,
        *,
        job_id: str,
        attempt: int,
        step: int,
        uri: str,
        manifest_sha256: str,
        loss: float | None = None,
        eval_loss: float | None = None,
    ) -> Outcome:
        """A checkpoint is whole on disk: its manifest is written and hashes to `manifest_sha256`."""
        return self.send(
            "RecordCheckpoint",
            {
                "job_id": job_id,
                "attempt": attempt,
                "step": step,
                "uri": uri,
                "manifest_sha256": manifest_sha256,
                "loss": loss,
                "eval_loss": eval_loss,
            },
        )

    def complete_attempt(
        self,
        *,
        job_id: str,
        attempt: int,
        outcome: Literal["finished", "stopped"],
        step: int | None = None,
        result_uri: str | None = None,
        result_sha256: str | None = None,
        metrics: dict[str, float | None] | None = None,
    ) -> Outcome:
        """The child ended well: it finished, or it stopped because it was asked to. `result_uri` is the adapter or
        the rows' table.
        """
        return self.send(
            "CompleteAttempt",
            {
                "job_id": job_id,
                "attempt": attempt,
                "outcome": outcome,
                "step": step,
                "result_uri": result_uri,
                "result_sha256": result_sha256,
                "metrics": metrics,
            },
        )

    def fail_attempt(
        self,
        *,
        job_id: str,
        attempt: int,
        cause: Literal[
            "bad_configuration",
            "bad_data",
            "out_of_memory",
            "nan_loss",
            "disk_full",
            "killed_by_signal",
            "crashed",
            "worker_shutdown",
        ],
        message: str,
        detail: str | None = None,
        hint: str | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
    ) -> Outcome:
        """The child did not end well. `cause` decides whether the job is tried again; `detail` holds the last
        lines of its stderr.
        """
        return self.send(
            "FailAttempt",
            {
                "job_id": job_id,
                "attempt": attempt,
                "cause": cause,
                "message": message,
                "detail": detail,
                "hint": hint,
                "signal": signal,
                "exit_code": exit_code,
            },
        )

    def list_datasets(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListDatasets`."""
        return Page.model_validate(self.query("ListDatasets", {"limit": limit, "after": after, "type": type}))

    def list_models(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListModels`."""
        return Page.model_validate(self.query("ListModels", {"limit": limit, "after": after, "type": type}))

    def list_adapters(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListAdapters`."""
        return Page.model_validate(self.query("ListAdapters", {"limit": limit, "after": after, "model_id": model_id}))

    def list_prompts(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        dataset_id: str | None = None,
    ) -> Page:
        """Ask `ListPrompts`."""
        return Page.model_validate(
            self.query("ListPrompts", {"limit": limit, "after": after, "dataset_id": dataset_id})
        )

    def list_configs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        type: str | None = None,
        model_family: str | None = None,
    ) -> Page:
        """Ask `ListConfigs`."""
        return Page.model_validate(
            self.query("ListConfigs", {"limit": limit, "after": after, "type": type, "model_family": model_family})
        )

    def list_fine_tuning_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        state: str | None = None,
    ) -> Page:
        """Ask `ListFineTuningJobs`."""
        return Page.model_validate(self.query("ListFineTuningJobs", {"limit": limit, "after": after, "state": state}))

    def list_evaluation_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        state: str | None = None,
        parent_id: str | None = None,
    ) -> Page:
        """Ask `ListEvaluationJobs`."""
        return Page.model_validate(
            self.query("ListEvaluationJobs", {"limit": limit, "after": after, "state": state, "parent_id": parent_id})
        )

    def get_dataset(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetDataset`."""
        return self.query("GetDataset", {"id": id})

    def get_model(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetModel`."""
        return self.query("GetModel", {"id": id})

    def get_adapter(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetAdapter`."""
        return self.query("GetAdapter", {"id": id})

    def get_prompt(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetPrompt`."""
        return self.query("GetPrompt", {"id": id})

    def get_config(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetConfig`."""
        return self.query("GetConfig", {"id": id})

    def get_fine_tuning_job(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetFineTuningJob`."""
        return self.query("GetFineTuningJob", {"id": id})

    def get_evaluation_job(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Ask `GetEvaluationJob`."""
        return self.query("GetEvaluationJob", {"id": id})

    def preview_dataset(
        self,
        *,
        id: str,
        limit: int | None = None,
        prompt_id: str | None = None,
    ) -> dict[str, Any]:
        """The first rows with per-column null and length statistics; rendered through a prompt where one is named."""
        return self.query("PreviewDataset", {"id": id, "limit": limit, "prompt_id": prompt_id})

    def get_metrics(
        self,
        *,
        job_id: str,
        names: list[str] | None = None,
        since_step: int | None = None,
    ) -> dict[str, Any]:
        """A job's curves. Per step and name the value of the highest attempt; `since_step` leaves out what a
        client has.
        """
        return self.query("GetMetrics", {"job_id": job_id, "names": names, "since_step": since_step})

    def get_log(
        self,
        *,
        job_id: str,
        attempt: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """The text of an attempt's output from a byte offset on; the newest attempt when none is named."""
        return self.query("GetLog", {"job_id": job_id, "attempt": attempt, "offset": offset, "limit": limit})

    def get_evaluation_rows(
        self,
        *,
        job_id: str,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """The scored rows of an evaluation: question, reference, answer and each row's metrics."""
        return Page.model_validate(self.query("GetEvaluationRows", {"limit": limit, "after": after, "job_id": job_id}))

    def list_events(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        from_position: int | None = None,
        aggregate: str | None = None,
        entity_id: str | None = None,
        type: str | None = None,
    ) -> Page:
        """The record itself, in order of `position`. `from` is the first position wanted."""
        return Page.model_validate(
            self.query(
                "ListEvents",
                {
                    "limit": limit,
                    "after": after,
                    "from": from_position,
                    "aggregate": aggregate,
                    "entity_id": entity_id,
                    "type": type,
                },
            )
        )

    def get_command_outcome(
        self,
        *,
        command_id: str,
    ) -> Outcome:
        """The outcome kept for a command id; `not_found` when the registry has not handled it yet."""
        return Outcome.model_validate(self.query("GetCommandOutcome", {"command_id": command_id}))

    def list_dead_letters(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """Ask `ListDeadLetters`."""
        return Page.model_validate(self.query("ListDeadLetters", {"limit": limit, "after": after}))

    def get_dead_letter(
        self,
        *,
        id: int,
    ) -> dict[str, Any]:
        """Ask `GetDeadLetter`."""
        return self.query("GetDeadLetter", {"id": id})

    def list_workers(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """Workers that asked for work lately, with what they offer."""
        return Page.model_validate(self.query("ListWorkers", {"limit": limit, "after": after}))

    def get_overview(
        self,
    ) -> dict[str, Any]:
        """What runs, what waits, what failed: the counts and newest jobs of the first page."""
        return self.query("GetOverview", {})
