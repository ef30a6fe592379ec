"""A typed method for every command and query. Written by `python -m tunebus.contracts.methods`; do not edit.

Arguments left None are not sent: the registry's defaults hold. Ids may be names.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

from tunebus.contracts.commands import EvaluationCombination
from tunebus.contracts.envelope import Outcome
from tunebus.contracts.queries import Page
from tunebus.contracts.recipes import ChatMessage, Checked, GenerationSettings


class AsyncMethods(Protocol):
    """The commands and queries of the asynchronous client."""

    async def send(self, command: str, data: dict[str, Any], /) -> Outcome: ...

    async def query(self, name: str, data: dict[str, Any], /) -> dict[str, Any]: ...

    async def add_dataset(
        self,
        *,
        name: str,
        path: str | None = None,
        upload: str | None = None,
        type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder", "huggingface"] | None = None,
        huggingface_name: str | None = None,
        config_name: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        description: str | None = None,
        format: Literal["prompt", "messages", "prompt_completion", "alpaca", "sharegpt", "preference", "text"]
        | None = None,
        column_mapping: dict[str, str] | None = None,
        skip_broken: bool | None = None,
    ) -> Outcome:
        """Register rows to train and evaluate on: a file, or a folder of files with named splits, by `path` inside
        an allowed root (or an `artifact:` URI), a file of the file bucket by the name it was uploaded under, or
        a dataset of the Hub, pinned to the commit that `revision` (main, if not given) stands for now.
        """
        return await self.send(
            "AddDataset",
            {
                "name": name,
                "path": path,
                "upload": upload,
                "type": type,
                "huggingface_name": huggingface_name,
                "config_name": config_name,
                "split": split,
                "revision": revision,
                "description": description,
                "format": format,
                "column_mapping": column_mapping,
                "skip_broken": skip_broken,
            },
        )

    async def add_model(
        self,
        *,
        name: str,
        path: str | None = None,
        huggingface_name: str | None = None,
        revision: str | None = None,
        type: Literal["local", "huggingface"] | None = None,
        description: str | None = None,
    ) -> Outcome:
        """Register a base model: a folder with a config and safetensors weights, by `path`, or a model of the Hub,
        fetched at once and pinned to the commit that `revision` (main, if not given) stands for now.
        """
        return await self.send(
            "AddModel",
            {
                "name": name,
                "path": path,
                "huggingface_name": huggingface_name,
                "revision": revision,
                "type": type,
                "description": description,
            },
        )

    async def approve_remote_code(
        self,
        *,
        huggingface_name: str,
        revision: str,
        reason: str | None = None,
    ) -> Outcome:
        """Let the code of one commit of a Hub model run in trainings and evaluations. Read it first: it runs as
        you.
        """
        return await self.send(
            "ApproveRemoteCode", {"huggingface_name": huggingface_name, "revision": revision, "reason": reason}
        )

    async def add_adapter(
        self,
        *,
        name: str,
        model_id: str,
        path: str | None = None,
        huggingface_name: str | None = None,
        revision: str | None = None,
        type: Literal["local", "huggingface"] | None = None,
        fine_tuning_job_id: str | None = None,
        prompt_id: str | None = None,
    ) -> Outcome:
        """Register an adapter (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere: a
        folder, by `path`, or one of the Hub.
        """
        return await self.send(
            "AddAdapter",
            {
                "name": name,
                "model_id": model_id,
                "path": path,
                "huggingface_name": huggingface_name,
                "revision": revision,
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

    async def rename_dataset(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give a dataset another name."""
        return await self.send("RenameDataset", {"id": id, "name": name})

    async def rename_model(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give a model another name."""
        return await self.send("RenameModel", {"id": id, "name": name})

    async def rename_adapter(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give an adapter another name."""
        return await self.send("RenameAdapter", {"id": id, "name": name})

    async def rename_prompt(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give a prompt another name."""
        return await self.send("RenamePrompt", {"id": id, "name": name})

    async def describe_config(
        self,
        *,
        id: str,
        description: str | None = None,
        model_family: str | None = None,
        is_default: bool | None = None,
    ) -> Outcome:
        """Say anew what a config is for; what is not given stays. A config has no name: this is its renaming. An
        empty `model_family` makes it a config for every family.
        """
        return await self.send(
            "DescribeConfig",
            {"id": id, "description": description, "model_family": model_family, "is_default": is_default},
        )

    async def remove_dataset(
        self,
        *,
        id: str,
        cascade: bool | None = None,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove a dataset; its file stays. Refused `in_use` while a prompt or a job that has not ended uses it;
        `cascade` removes its prompts as well. With `delete_files` the studio's copy of a dataset that was
        uploaded is deleted, unless another dataset, or a job that has not ended, reads the same copy; the event
        says who. Sent again with it, by id, it deletes the copy of a dataset that was removed before. What was
        added by its path is never deleted.
        """
        return await self.send("RemoveDataset", {"id": id, "cascade": cascade, "delete_files": delete_files})

    async def remove_model(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove a base model; its files stay. Refused `in_use` while an adapter or a job that has not ended uses
        it; `cascade` removes its adapters as well.
        """
        return await self.send("RemoveModel", {"id": id, "cascade": cascade})

    async def remove_adapter(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove an adapter; its files stay. Refused `in_use` while a job that has not ended uses it, with
        `cascade` as well: nothing goes with an adapter.
        """
        return await self.send("RemoveAdapter", {"id": id, "cascade": cascade})

    async def remove_prompt(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove a prompt. Refused `in_use` while an adapter or a job that has not ended uses it, with `cascade`
        as well: nothing goes with a prompt.
        """
        return await self.send("RemovePrompt", {"id": id, "cascade": cascade})

    async def remove_config(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove a config. Refused `in_use` while a job that has not ended was started with it, with `cascade` as
        well: nothing goes with a config.
        """
        return await self.send("RemoveConfig", {"id": id, "cascade": cascade})

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
        gradient_accumulation_steps: int | None = None,
        gradient_checkpointing: bool | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        save_steps: int | None = None,
        eval_steps: int | None = None,
        save_total_limit: int | None = None,
        load_best_model_at_end: bool | None = None,
        early_stopping_patience: int | None = None,
        early_stopping_threshold: float | None = None,
        eval_samples: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        training_arguments: str | dict[str, Any] | None = None,
        lora: str | dict[str, Any] | None = None,
        quantization: str | dict[str, Any] | None = None,
        framework_type: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        register_adapter: bool | None = None,
        user_script: str | None = None,
        user_config: str | dict[str, Any] | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Queue a fine-tuning. `base_model_id` and `dataset_id` are enough; what is given wins over a config, a
        config over defaults. `training_arguments`, `lora`, `quantization` and `user_config` take a config's id
        or an object of settings. Method `lora` makes an adapter named `adapter_name`, method `full` a model of
        that name. A `user_script` runs in place of the method's own training, where the operator has named a
        folder of such scripts.
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
                "gradient_accumulation_steps": gradient_accumulation_steps,
                "gradient_checkpointing": gradient_checkpointing,
                "max_length": max_length,
                "seed": seed,
                "save_steps": save_steps,
                "eval_steps": eval_steps,
                "save_total_limit": save_total_limit,
                "load_best_model_at_end": load_best_model_at_end,
                "early_stopping_patience": early_stopping_patience,
                "early_stopping_threshold": early_stopping_threshold,
                "eval_samples": eval_samples,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "training_arguments": training_arguments,
                "lora": lora,
                "quantization": quantization,
                "framework_type": framework_type,
                "text_format": text_format,
                "register_adapter": register_adapter,
                "user_script": user_script,
                "user_config": user_config,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
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

    async def retry_fine_tuning_job(
        self,
        *,
        id: str,
        suggested: bool | None = None,
    ) -> Outcome:
        """Queue a failed or stopped job again, as the same job, from its newest checkpoint. With `suggested` the
        change that its failure suggests is made first; where steps then mean something else, it starts from the
        beginning.
        """
        return await self.send("RetryFineTuningJob", {"id": id, "suggested": suggested})

    async def resume_fine_tuning_job(
        self,
        *,
        id: str,
        step: int | None = None,
    ) -> Outcome:
        """Let a stopped or failed job go on from a recorded checkpoint: the newest, or that of `step`."""
        return await self.send("ResumeFineTuningJob", {"id": id, "step": step})

    async def clone_fine_tuning_job(
        self,
        *,
        id: str,
        changes: dict[str, Any] | None = None,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue a new job that asks for what another asked for, with changes."""
        return await self.send("CloneFineTuningJob", {"id": id, "changes": changes, "adapter_name": adapter_name})

    async def branch_fine_tuning_job(
        self,
        *,
        id: str,
        step: int | None = None,
        changes: dict[str, Any] | None = None,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue a new job that goes on from the weights of another's checkpoint, with another learning rate, other
        data or whatever else `changes` say. It has a schedule of its own, whose warm-up begins at the rate that
        was reached.
        """
        return await self.send(
            "BranchFineTuningJob", {"id": id, "step": step, "changes": changes, "adapter_name": adapter_name}
        )

    async def extend_fine_tuning_job(
        self,
        *,
        id: str,
        num_epochs: float | None = None,
        max_steps: int | None = None,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue a new job that trains the result of a finished one for so many more epochs or steps."""
        return await self.send(
            "ExtendFineTuningJob",
            {"id": id, "num_epochs": num_epochs, "max_steps": max_steps, "adapter_name": adapter_name},
        )

    async def rerun_fine_tuning_job(
        self,
        *,
        id: str,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue the same training again, from its recorded recipe, data, revisions, threads and seed, to see
        whether it comes to the same; `CompareRuns` tells. It registers nothing unless it is given an
        `adapter_name`.
        """
        return await self.send("RerunFineTuningJob", {"id": id, "adapter_name": adapter_name})

    async def import_run(
        self,
        *,
        name: str,
        path: str | None = None,
        uploads: list[str] | None = None,
        base_model_id: str | None = None,
        dataset_id: str | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Take in a training that ran elsewhere: its TensorBoard event files, from the folder `path` or from the
        file bucket. It is shown as a job that has ended, with its curves; nobody can start it. Files that were
        imported before are that job, whatever name is given.
        """
        return await self.send(
            "ImportRun",
            {
                "name": name,
                "path": path,
                "uploads": uploads,
                "base_model_id": base_model_id,
                "dataset_id": dataset_id,
                "labels": labels,
                "notes": notes,
            },
        )

    async def start_evaluation_job(
        self,
        *,
        combinations: Sequence[EvaluationCombination | dict[str, Any]],
        prompts: Sequence[str | Sequence[ChatMessage | dict[str, Any]]] | None = None,
        generation: GenerationSettings | dict[str, Any] | str | None = None,
        quantization: str | dict[str, Any] | None = None,
        selected_features: list[str] | None = None,
        leakage: Literal["warn", "exclude"] | None = None,
        max_rows: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Queue one evaluation per combination under one parent; the reply's `ids` are those of all. The split is
        that of the job that made the compared adapter or model. With `prompts` in place of datasets, each is
        answered by every combination ("try it"). `leakage` says what becomes of rows that another compared
        adapter was trained on: `warn` scores each adapter on its own held-out rows, `exclude` all on the rows
        that none has seen.
        """
        return await self.send(
            "StartEvaluationJob",
            {
                "combinations": combinations,
                "prompts": prompts,
                "generation": generation,
                "quantization": quantization,
                "selected_features": selected_features,
                "leakage": leakage,
                "max_rows": max_rows,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "seed": seed,
                "batch_size": batch_size,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
            },
        )

    async def stop_evaluation_job(
        self,
        *,
        id: str,
    ) -> Outcome:
        """Stop an evaluation at once; its rows so far are discarded."""
        return await self.send("StopEvaluationJob", {"id": id})

    async def start_export_job(
        self,
        *,
        type: str,
        adapter_id: str | None = None,
        model_id: str | None = None,
        job_id: str | None = None,
        destination: str | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None,
        registered_model: str | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Queue the export of an adapter or of a model, verified by reloading it. `type`: `adapter` (the adapter
        alone), `merged` (adapter and base in one model, or a model as it is) or `registry` (the merged model
        into MLflow's model registry). `destination` is a folder that is empty or not there: an absolute path
        below one of `TUNEBUS_EXPORT_ROOTS`, or `artifact:exports/NAME`, which is chosen when not given. With
        `job_id` in place of an adapter or a model, what that fine-tuning makes is exported, once it is there.
        """
        return await self.send(
            "StartExportJob",
            {
                "adapter_id": adapter_id,
                "model_id": model_id,
                "job_id": job_id,
                "type": type,
                "destination": destination,
                "dtype": dtype,
                "registered_model": registered_model,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
            },
        )

    async def stop_export_job(
        self,
        *,
        id: str,
        force: bool | None = None,
    ) -> Outcome:
        """Stop an export after its present step, or at once with `force`; nothing of it stands at its destination."""
        return await self.send("StopExportJob", {"id": id, "force": force})

    async def remove_fine_tuning_job(
        self,
        *,
        id: str,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove a fine-tuning that has ended. Refused `in_use` while the adapter it made is there. Its files stay
        unless `delete_files` is set; the event says how many bytes they are. Sent again with `delete_files`, by
        id, it deletes the files of a job that was removed before.
        """
        return await self.send("RemoveFineTuningJob", {"id": id, "delete_files": delete_files})

    async def remove_evaluation_job(
        self,
        *,
        id: str,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove an evaluation that has ended. Its files stay unless `delete_files` is set; the event says how
        many bytes they are. Sent again with `delete_files`, by id, it deletes the files of a job that was
        removed before.
        """
        return await self.send("RemoveEvaluationJob", {"id": id, "delete_files": delete_files})

    async def remove_export_job(
        self,
        *,
        id: str,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove an export that has ended. What it wrote to its destination stays. The files of its attempts stay
        unless `delete_files` is set; the event says how many bytes they are.
        """
        return await self.send("RemoveExportJob", {"id": id, "delete_files": delete_files})

    async def prioritize_job(
        self,
        *,
        job_id: str,
        priority: int,
    ) -> Outcome:
        """Change the priority of a job that waits: higher goes first, whatever came before."""
        return await self.send("PrioritizeJob", {"job_id": job_id, "priority": priority})

    async def hold_job(
        self,
        *,
        job_id: str,
        reason: str | None = None,
    ) -> Outcome:
        """Keep a job that waits from being started, until `ReleaseJob`. `reason` is shown beside it."""
        return await self.send("HoldJob", {"job_id": job_id, "reason": reason})

    async def release_job(
        self,
        *,
        job_id: str,
    ) -> Outcome:
        """Let a held job be started again. Refused `wrong_state` while a job it depends on has failed or was
        stopped.
        """
        return await self.send("ReleaseJob", {"job_id": job_id})

    async def move_job(
        self,
        *,
        job_id: str,
        to: Literal["up", "down", "top", "bottom"],
    ) -> Outcome:
        """Change the order among the jobs of the same kind and priority that wait."""
        return await self.send("MoveJob", {"job_id": job_id, "to": to})

    async def label_job(
        self,
        *,
        job_id: str,
        labels: list[str],
    ) -> Outcome:
        """Give a job these labels, in place of those it had; an empty list takes them away."""
        return await self.send("LabelJob", {"job_id": job_id, "labels": labels})

    async def note_job(
        self,
        *,
        job_id: str,
        notes: str,
    ) -> Outcome:
        """Write notes on a job, in place of those it had."""
        return await self.send("NoteJob", {"job_id": job_id, "notes": notes})

    async def set_job_dependencies(
        self,
        *,
        job_id: str,
        depends_on: list[str],
    ) -> Outcome:
        """Let a job that waits depend on these jobs, in place of those it depended on. It starts when all have
        succeeded; one that fails or is stopped holds it.
        """
        return await self.send("SetJobDependencies", {"job_id": job_id, "depends_on": depends_on})

    async def export_database(
        self,
        *,
        projections: bool | None = None,
    ) -> Outcome:
        """Write every event into one JSON document, left in the file bucket for a day. `GetDatabaseExport` with
        the outcome's id names the object.
        """
        return await self.send("ExportDatabase", {"projections": projections})

    async def import_database(
        self,
        *,
        upload: str,
    ) -> Outcome:
        """Take in a document that `ExportDatabase` wrote: the whole of it is checked before anything is written.
        What is already there by id is skipped; `GetDatabaseImport` with the outcome's id says what became of
        the rest.
        """
        return await self.send("ImportDatabase", {"upload": upload})

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
        best: bool | None = None,
    ) -> Outcome:
        """A checkpoint is whole on disk: its manifest is written and hashes to `manifest_sha256`. `best`: no
        checkpoint of the job before it had a lower held-out loss.
        """
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
                "best": best,
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
        result_type: Literal["adapter", "model"] | None = None,
        early_stopping: str | None = None,
        metrics: dict[str, float | None] | None = None,
        checked: Checked | dict[str, Any] | None = None,
        registered_model: str | None = None,
    ) -> Outcome:
        """The child ended well: it finished, or it stopped because it was asked to. `result_uri` is the adapter,
        the model or the rows' table. `early_stopping` says why the training ended before its last step, where
        it did.
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
                "result_type": result_type,
                "early_stopping": early_stopping,
                "metrics": metrics,
                "checked": checked,
                "registered_model": registered_model,
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
            "bad_checkpoint",
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
        suggestion: dict[str, Any] | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
    ) -> Outcome:
        """The child did not end well. `cause` decides whether the job is tried again; `detail` holds the last
        lines of its stderr. `suggestion` are fields of the command that started the job, changed so that the
        same would most likely not happen again.
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
                "suggestion": suggestion,
                "signal": signal,
                "exit_code": exit_code,
            },
        )

    async def list_datasets(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListDatasets`."""
        return Page.model_validate(
            await self.query(
                "ListDatasets",
                {"limit": limit, "after": after, "as_of": as_of, "search": search, "order": order, "type": type},
            )
        )

    async def list_models(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListModels`."""
        return Page.model_validate(
            await self.query(
                "ListModels",
                {"limit": limit, "after": after, "as_of": as_of, "search": search, "order": order, "type": type},
            )
        )

    async def list_remote_code_approvals(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        huggingface_name: str | None = None,
    ) -> Page:
        """Which commits of Hub models may run code of their own, who said so and why."""
        return Page.model_validate(
            await self.query(
                "ListRemoteCodeApprovals",
                {"limit": limit, "after": after, "as_of": as_of, "huggingface_name": huggingface_name},
            )
        )

    async def list_adapters(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListAdapters`."""
        return Page.model_validate(
            await self.query(
                "ListAdapters",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "search": search,
                    "order": order,
                    "model_id": model_id,
                },
            )
        )

    async def list_prompts(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        dataset_id: str | None = None,
    ) -> Page:
        """Ask `ListPrompts`."""
        return Page.model_validate(
            await self.query(
                "ListPrompts",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "search": search,
                    "order": order,
                    "dataset_id": dataset_id,
                },
            )
        )

    async def list_configs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        type: str | None = None,
        model_family: str | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListConfigs`."""
        return Page.model_validate(
            await self.query(
                "ListConfigs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "search": search,
                    "order": order,
                    "type": type,
                    "model_family": model_family,
                    "model_id": model_id,
                },
            )
        )

    async def list_fine_tuning_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        state: str | None = None,
        label: str | None = None,
        search: str | None = None,
        order: Literal["added", "newest", "queue"] | None = None,
    ) -> Page:
        """Ask `ListFineTuningJobs`."""
        return Page.model_validate(
            await self.query(
                "ListFineTuningJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "state": state,
                    "label": label,
                    "search": search,
                    "order": order,
                },
            )
        )

    async def list_evaluation_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        state: str | None = None,
        label: str | None = None,
        search: str | None = None,
        order: Literal["added", "newest", "queue"] | None = None,
        parent_id: str | None = None,
        adapter_id: str | None = None,
        model_id: str | None = None,
        typed: bool | None = None,
    ) -> Page:
        """Ask `ListEvaluationJobs`."""
        return Page.model_validate(
            await self.query(
                "ListEvaluationJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "state": state,
                    "label": label,
                    "search": search,
                    "order": order,
                    "parent_id": parent_id,
                    "adapter_id": adapter_id,
                    "model_id": model_id,
                    "typed": typed,
                },
            )
        )

    async def list_export_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        state: str | None = None,
        label: str | None = None,
        search: str | None = None,
        order: Literal["added", "newest", "queue"] | None = None,
        adapter_id: str | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListExportJobs`."""
        return Page.model_validate(
            await self.query(
                "ListExportJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "state": state,
                    "label": label,
                    "search": search,
                    "order": order,
                    "adapter_id": adapter_id,
                    "model_id": model_id,
                },
            )
        )

    async def list_all_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        kinds: list[Literal["fine_tuning_job", "evaluation_job", "export_job"]] | None = None,
        states: list[str] | None = None,
        search: str | None = None,
        label: str | None = None,
        model_id: str | None = None,
        dataset_id: str | None = None,
        sort: Literal["created", "updated", "name", "state", "duration", "loss"] | None = None,
        descending: bool | None = None,
    ) -> Page:
        """Jobs of every kind, chosen and sorted: `{"items", "next", "total"}`. `total` counts all that were
        chosen; `after` is how many of them to leave out, so that any page can be had at once. `losses` are a
        few points of a job's curve.
        """
        return Page.model_validate(
            await self.query(
                "ListAllJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "kinds": kinds,
                    "states": states,
                    "search": search,
                    "label": label,
                    "model_id": model_id,
                    "dataset_id": dataset_id,
                    "sort": sort,
                    "descending": descending,
                },
            )
        )

    async def get_dataset(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetDataset`."""
        return await self.query("GetDataset", {"id": id, "as_of": as_of})

    async def get_model(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetModel`."""
        return await self.query("GetModel", {"id": id, "as_of": as_of})

    async def get_adapter(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetAdapter`."""
        return await self.query("GetAdapter", {"id": id, "as_of": as_of})

    async def get_prompt(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetPrompt`."""
        return await self.query("GetPrompt", {"id": id, "as_of": as_of})

    async def get_config(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetConfig`."""
        return await self.query("GetConfig", {"id": id, "as_of": as_of})

    async def generate_prompt(
        self,
        *,
        dataset_id: str,
        output_column: str | None = None,
    ) -> dict[str, Any]:
        """Templates made from the names of a dataset's columns, ready for `AddPrompt`. The answer is the column
        whose name ranks first among the usual ones (answer, response, output, label, target, …), else the last,
        unless `output_column` names it; the other columns are inputs in order.
        """
        return await self.query("GeneratePrompt", {"dataset_id": dataset_id, "output_column": output_column})

    async def render_prompt(
        self,
        *,
        prompt_id: str | None = None,
        dataset_id: str | None = None,
        prompt_template: str | None = None,
        input_template: str | None = None,
        completion_template: str | None = None,
        model_id: str | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """A random row of a dataset as a prompt shows it: input, prompt and completion; the same `seed` takes the
        same row. Through the prompt `prompt_id`, or templates given here, or generated ones where there are
        none. With `model_id` also as that model's chat template writes it.
        """
        return await self.query(
            "RenderPrompt",
            {
                "prompt_id": prompt_id,
                "dataset_id": dataset_id,
                "prompt_template": prompt_template,
                "input_template": input_template,
                "completion_template": completion_template,
                "model_id": model_id,
                "seed": seed,
            },
        )

    async def get_dataset_split_by_adapter(
        self,
        *,
        adapter_id: str,
    ) -> dict[str, Any]:
        """The fraction and the split that an adapter's job was trained with, so that others score the same rows;
        the defaults (`source`: default) for an adapter that no job of this studio made.
        """
        return await self.query("GetDatasetSplitByAdapter", {"adapter_id": adapter_id})

    async def get_fine_tuning_job(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetFineTuningJob`."""
        return await self.query("GetFineTuningJob", {"id": id, "as_of": as_of})

    async def estimate_fine_tuning_job(
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
        gradient_accumulation_steps: int | None = None,
        gradient_checkpointing: bool | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        save_steps: int | None = None,
        eval_steps: int | None = None,
        save_total_limit: int | None = None,
        load_best_model_at_end: bool | None = None,
        early_stopping_patience: int | None = None,
        early_stopping_threshold: float | None = None,
        eval_samples: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        training_arguments: str | dict[str, Any] | None = None,
        lora: str | dict[str, Any] | None = None,
        quantization: str | dict[str, Any] | None = None,
        framework_type: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        register_adapter: bool | None = None,
        user_script: str | None = None,
        user_config: str | dict[str, Any] | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> dict[str, Any]:
        """What a fine-tuning would need: memory term by term, steps, tokens, disk and time, and whether a trainer
        that is present has it. Takes what `StartFineTuningJob` takes, refuses what that refuses, and starts
        nothing.
        """
        return await self.query(
            "EstimateFineTuningJob",
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
                "gradient_accumulation_steps": gradient_accumulation_steps,
                "gradient_checkpointing": gradient_checkpointing,
                "max_length": max_length,
                "seed": seed,
                "save_steps": save_steps,
                "eval_steps": eval_steps,
                "save_total_limit": save_total_limit,
                "load_best_model_at_end": load_best_model_at_end,
                "early_stopping_patience": early_stopping_patience,
                "early_stopping_threshold": early_stopping_threshold,
                "eval_samples": eval_samples,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "training_arguments": training_arguments,
                "lora": lora,
                "quantization": quantization,
                "framework_type": framework_type,
                "text_format": text_format,
                "register_adapter": register_adapter,
                "user_script": user_script,
                "user_config": user_config,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
            },
        )

    async def get_evaluation_job(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetEvaluationJob`."""
        return await self.query("GetEvaluationJob", {"id": id, "as_of": as_of})

    async def get_export_job(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetExportJob`."""
        return await self.query("GetExportJob", {"id": id, "as_of": as_of})

    async def preview_dataset(
        self,
        *,
        id: str,
        limit: int | None = None,
        offset: int | None = None,
        prompt_id: str | None = None,
        model_id: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        max_length: int | None = None,
        lengths: bool | None = None,
    ) -> dict[str, Any]:
        """Rows from `offset` on, as they are and as they are trained on: through a prompt where one is named, else
        as their format says. With a model, also its tokens with the part that carries loss, and how many tokens
        rows have.
        """
        return await self.query(
            "PreviewDataset",
            {
                "id": id,
                "limit": limit,
                "offset": offset,
                "prompt_id": prompt_id,
                "model_id": model_id,
                "text_format": text_format,
                "max_length": max_length,
                "lengths": lengths,
            },
        )

    async def inspect_dataset(
        self,
        *,
        path: str | None = None,
        upload: str | None = None,
        type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder"] | None = None,
        format: Literal["prompt", "messages", "prompt_completion", "alpaca", "sharegpt", "preference", "text"]
        | None = None,
        column_mapping: dict[str, str] | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """What a file or folder would be recognised as, judged by its first rows; nothing is added. Takes what
        `AddDataset` takes of a file. `formats` says of each format what it needs and what is missing for it.
        """
        return await self.query(
            "InspectDataset",
            {
                "path": path,
                "upload": upload,
                "type": type,
                "format": format,
                "column_mapping": column_mapping,
                "limit": limit,
            },
        )

    async def list_dataset_findings(
        self,
        *,
        id: str,
        kind: Literal["duplicate", "empty_answer", "overlap", "broken"],
        limit: int | None = None,
        after: str | None = None,
    ) -> dict[str, Any]:
        """Rows of a dataset that deserve a look, each with its number, its place in its file and its beginning:
        those that an earlier row of the same split equals, those whose answer is empty, held-out rows that are
        training rows as well, and those that were left out as broken. `looked_at` counts those that were looked
        at, `complete` says whether that was all.
        """
        return await self.query("ListDatasetFindings", {"id": id, "kind": kind, "limit": limit, "after": after})

    async def get_metrics(
        self,
        *,
        job_id: str,
        names: list[str] | None = None,
        since_step: int | None = None,
        points: int | None = None,
    ) -> dict[str, Any]:
        """A job's curves. Per step and name the value of the highest attempt and when it was measured;
        `since_step` leaves out what a client has. A series of more than `points` is thinned out, its ends,
        extremes and gaps kept.
        """
        return await self.query(
            "GetMetrics", {"job_id": job_id, "names": names, "since_step": since_step, "points": points}
        )

    async def get_system_metrics(
        self,
        *,
        job_id: str,
        names: list[str] | None = None,
        since_time: float | None = None,
        points: int | None = None,
    ) -> dict[str, Any]:
        """How busy a job's machine was, by time (Unix seconds): `cpu_percent` and `rss_bytes` of the job's
        process, `machine_cpu_percent`, `memory_bytes`, `disk_percent`, and of each GPU `gpu0_percent`,
        `gpu0_memory_bytes`, `gpu0_temperature_celsius`, `gpu0_power_watts`. Long series are thinned out, their
        ends and extremes kept.
        """
        return await self.query(
            "GetSystemMetrics", {"job_id": job_id, "names": names, "since_time": since_time, "points": points}
        )

    async def compare_runs(
        self,
        *,
        job_id: str,
        other_id: str,
        tolerance: float | None = None,
    ) -> dict[str, Any]:
        """Whether two fine-tunings measured the same: `equal`, `within_tolerance` (of the relative difference), or
        that they part at a step; and which library versions differ.
        """
        return await self.query("CompareRuns", {"job_id": job_id, "other_id": other_id, "tolerance": tolerance})

    async def get_log(
        self,
        *,
        job_id: str,
        attempt: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
        tail: int | None = None,
    ) -> dict[str, Any]:
        """The text of an attempt's output from a byte offset on, or its last `tail` bytes; the newest attempt when
        none is named.
        """
        return await self.query(
            "GetLog", {"job_id": job_id, "attempt": attempt, "offset": offset, "limit": limit, "tail": tail}
        )

    async def search_log(
        self,
        *,
        job_id: str,
        attempt: int | None = None,
        text: str | None = None,
        level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None = None,
        after_offset: int | None = None,
        limit: int | None = None,
    ) -> Page:
        """The lines of an attempt's output that hold a text, or are of a level or a graver one, with the byte at
        which each begins. One answer looks through some megabytes; `next` is the `after_offset` to go on from,
        null at the end.
        """
        return Page.model_validate(
            await self.query(
                "SearchLog",
                {
                    "job_id": job_id,
                    "attempt": attempt,
                    "text": text,
                    "level": level,
                    "after_offset": after_offset,
                    "limit": limit,
                },
            )
        )

    async def get_samples(
        self,
        *,
        job_id: str,
        since_step: int | None = None,
    ) -> dict[str, Any]:
        """What a fine-tuning's model answered to a few held-out rows at each evaluation, and the base model's
        answers. Of an evaluation of typed prompts, what of its answers is written so far.
        """
        return await self.query("GetSamples", {"job_id": job_id, "since_step": since_step})

    async def get_evaluation_rows(
        self,
        *,
        job_id: str,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        order: Literal["original", "best", "worst", "random"] | None = None,
        metric: str | None = None,
        seed: int | None = None,
    ) -> Page:
        """The scored rows of an evaluation: question, reference, answer and each row's metrics."""
        return Page.model_validate(
            await self.query(
                "GetEvaluationRows",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "order": order,
                    "metric": metric,
                    "seed": seed,
                    "job_id": job_id,
                },
            )
        )

    async def compare_evaluations(
        self,
        *,
        parent_id: str,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        order: Literal["original", "best", "worst", "random"] | None = None,
        metric: str | None = None,
        seed: int | None = None,
        job_id: str | None = None,
    ) -> dict[str, Any]:
        """The evaluations of one parent side by side: each metric with its differences to the first combination
        and the best marked, and the same rows with everyone's answers. `job_id` is the one whose rows make the
        order; the last when not given.
        """
        return await self.query(
            "CompareEvaluations",
            {
                "limit": limit,
                "after": after,
                "as_of": as_of,
                "order": order,
                "metric": metric,
                "seed": seed,
                "parent_id": parent_id,
                "job_id": job_id,
            },
        )

    async def export_evaluations(
        self,
        *,
        parent_id: str,
        part: Literal["metrics", "rows"] | None = None,
        format: Literal["csv", "json"] | None = None,
        after: str | None = None,
    ) -> dict[str, Any]:
        """A comparison as the text of a file, in pieces: ask again with `next` as `after` until there is none;
        join them. `part`: every metric of every combination, or every row with everyone's answers and figures.
        In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
        """
        return await self.query(
            "ExportEvaluations", {"parent_id": parent_id, "part": part, "format": format, "after": after}
        )

    async def list_events(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        from_position: int | None = None,
        since: int | str | None = None,
        aggregate: Literal[
            "dataset",
            "model",
            "adapter",
            "prompt",
            "config",
            "fine_tuning_job",
            "evaluation_job",
            "export_job",
            "database",
        ]
        | None = None,
        entity_id: str | None = None,
        type: str | None = None,
        actor: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        search: str | None = None,
        newest: bool | None = None,
        named: bool | None = None,
    ) -> Page:
        """The record itself, in order of `position`, or backwards. `from` is the first position wanted."""
        return Page.model_validate(
            await self.query(
                "ListEvents",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "from": from_position,
                    "since": since,
                    "aggregate": aggregate,
                    "entity_id": entity_id,
                    "type": type,
                    "actor": actor,
                    "correlation_id": correlation_id,
                    "causation_id": causation_id,
                    "search": search,
                    "newest": newest,
                    "named": named,
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

    async def get_command_progress(
        self,
        *,
        command_id: str,
    ) -> dict[str, Any]:
        """How far a command that takes long has come before it is decided. `phase` is null while nothing is known
        of it: not begun yet, or over.
        """
        return await self.query("GetCommandProgress", {"command_id": command_id})

    async def list_changes(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        from_moment: int | str | None = None,
        to_moment: int | str | None = None,
        aggregate: Literal[
            "dataset",
            "model",
            "adapter",
            "prompt",
            "config",
            "fine_tuning_job",
            "evaluation_job",
            "export_job",
            "database",
        ]
        | None = None,
        entity_id: str | None = None,
    ) -> Page:
        """What differs between the state after one moment and the state after a later one, entity by entity and
        field by field. A moment is a position or a time; without `to` it is now.
        """
        return Page.model_validate(
            await self.query(
                "ListChanges",
                {
                    "limit": limit,
                    "after": after,
                    "from": from_moment,
                    "to": to_moment,
                    "aggregate": aggregate,
                    "entity_id": entity_id,
                },
            )
        )

    async def get_database(
        self,
    ) -> dict[str, Any]:
        """The record as a whole: its kind of database, its size in bytes, its events and its projections."""
        return await self.query("GetDatabase", {})

    async def get_database_export(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Where an export's document lies and what it holds."""
        return await self.query("GetDatabaseExport", {"id": id})

    async def get_database_import(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """What an import took in, what it found there already, and what it left out and why."""
        return await self.query("GetDatabaseImport", {"id": id})

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

    async def list_queue(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        kind: Literal["fine_tuning_job", "evaluation_job", "export_job"] | None = None,
    ) -> Page:
        """The jobs that have not ended, of every kind: those that run, then those that wait, as they are given
        out, then those held. `queue_position` counts from 1, `waiting_reason` says why a job does not run yet.
        """
        return Page.model_validate(await self.query("ListQueue", {"limit": limit, "after": after, "kind": kind}))

    async def list_workers(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """Workers that asked for work lately, with what they offer."""
        return Page.model_validate(await self.query("ListWorkers", {"limit": limit, "after": after}))

    async def list_uses(
        self,
        *,
        aggregate: Literal["dataset", "model", "adapter", "prompt", "config"],
        id: str,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """What refers to an entity: prompts and adapters, then jobs from the newest on. `blocks` marks what stands
        in the way of its removal: entities, and jobs that have not ended. `total` counts all, also those beyond
        `limit`.
        """
        return await self.query("ListUses", {"aggregate": aggregate, "id": id, "limit": limit})

    async def get_overview(
        self,
        *,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """What runs, what waits, what failed: the counts and newest jobs of the first page. Of an earlier moment
        it says what events say: no workers, no dead letters.
        """
        return await self.query("GetOverview", {"as_of": as_of})


class Methods(Protocol):
    """The commands and queries of the synchronous client."""

    def send(self, command: str, data: dict[str, Any], /) -> Outcome: ...

    def query(self, name: str, data: dict[str, Any], /) -> dict[str, Any]: ...

    def add_dataset(
        self,
        *,
        name: str,
        path: str | None = None,
        upload: str | None = None,
        type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder", "huggingface"] | None = None,
        huggingface_name: str | None = None,
        config_name: str | None = None,
        split: str | None = None,
        revision: str | None = None,
        description: str | None = None,
        format: Literal["prompt", "messages", "prompt_completion", "alpaca", "sharegpt", "preference", "text"]
        | None = None,
        column_mapping: dict[str, str] | None = None,
        skip_broken: bool | None = None,
    ) -> Outcome:
        """Register rows to train and evaluate on: a file, or a folder of files with named splits, by `path` inside
        an allowed root (or an `artifact:` URI), a file of the file bucket by the name it was uploaded under, or
        a dataset of the Hub, pinned to the commit that `revision` (main, if not given) stands for now.
        """
        return self.send(
            "AddDataset",
            {
                "name": name,
                "path": path,
                "upload": upload,
                "type": type,
                "huggingface_name": huggingface_name,
                "config_name": config_name,
                "split": split,
                "revision": revision,
                "description": description,
                "format": format,
                "column_mapping": column_mapping,
                "skip_broken": skip_broken,
            },
        )

    def add_model(
        self,
        *,
        name: str,
        path: str | None = None,
        huggingface_name: str | None = None,
        revision: str | None = None,
        type: Literal["local", "huggingface"] | None = None,
        description: str | None = None,
    ) -> Outcome:
        """Register a base model: a folder with a config and safetensors weights, by `path`, or a model of the Hub,
        fetched at once and pinned to the commit that `revision` (main, if not given) stands for now.
        """
        return self.send(
            "AddModel",
            {
                "name": name,
                "path": path,
                "huggingface_name": huggingface_name,
                "revision": revision,
                "type": type,
                "description": description,
            },
        )

    def approve_remote_code(
        self,
        *,
        huggingface_name: str,
        revision: str,
        reason: str | None = None,
    ) -> Outcome:
        """Let the code of one commit of a Hub model run in trainings and evaluations. Read it first: it runs as
        you.
        """
        return self.send(
            "ApproveRemoteCode", {"huggingface_name": huggingface_name, "revision": revision, "reason": reason}
        )

    def add_adapter(
        self,
        *,
        name: str,
        model_id: str,
        path: str | None = None,
        huggingface_name: str | None = None,
        revision: str | None = None,
        type: Literal["local", "huggingface"] | None = None,
        fine_tuning_job_id: str | None = None,
        prompt_id: str | None = None,
    ) -> Outcome:
        """Register an adapter (`adapter_config.json`, `adapter_model.safetensors`) that was made elsewhere: a
        folder, by `path`, or one of the Hub.
        """
        return self.send(
            "AddAdapter",
            {
                "name": name,
                "model_id": model_id,
                "path": path,
                "huggingface_name": huggingface_name,
                "revision": revision,
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

    def rename_dataset(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give a dataset another name."""
        return self.send("RenameDataset", {"id": id, "name": name})

    def rename_model(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give a model another name."""
        return self.send("RenameModel", {"id": id, "name": name})

    def rename_adapter(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give an adapter another name."""
        return self.send("RenameAdapter", {"id": id, "name": name})

    def rename_prompt(
        self,
        *,
        id: str,
        name: str,
    ) -> Outcome:
        """Give a prompt another name."""
        return self.send("RenamePrompt", {"id": id, "name": name})

    def describe_config(
        self,
        *,
        id: str,
        description: str | None = None,
        model_family: str | None = None,
        is_default: bool | None = None,
    ) -> Outcome:
        """Say anew what a config is for; what is not given stays. A config has no name: this is its renaming. An
        empty `model_family` makes it a config for every family.
        """
        return self.send(
            "DescribeConfig",
            {"id": id, "description": description, "model_family": model_family, "is_default": is_default},
        )

    def remove_dataset(
        self,
        *,
        id: str,
        cascade: bool | None = None,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove a dataset; its file stays. Refused `in_use` while a prompt or a job that has not ended uses it;
        `cascade` removes its prompts as well. With `delete_files` the studio's copy of a dataset that was
        uploaded is deleted, unless another dataset, or a job that has not ended, reads the same copy; the event
        says who. Sent again with it, by id, it deletes the copy of a dataset that was removed before. What was
        added by its path is never deleted.
        """
        return self.send("RemoveDataset", {"id": id, "cascade": cascade, "delete_files": delete_files})

    def remove_model(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove a base model; its files stay. Refused `in_use` while an adapter or a job that has not ended uses
        it; `cascade` removes its adapters as well.
        """
        return self.send("RemoveModel", {"id": id, "cascade": cascade})

    def remove_adapter(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove an adapter; its files stay. Refused `in_use` while a job that has not ended uses it, with
        `cascade` as well: nothing goes with an adapter.
        """
        return self.send("RemoveAdapter", {"id": id, "cascade": cascade})

    def remove_prompt(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove a prompt. Refused `in_use` while an adapter or a job that has not ended uses it, with `cascade`
        as well: nothing goes with a prompt.
        """
        return self.send("RemovePrompt", {"id": id, "cascade": cascade})

    def remove_config(
        self,
        *,
        id: str,
        cascade: bool | None = None,
    ) -> Outcome:
        """Remove a config. Refused `in_use` while a job that has not ended was started with it, with `cascade` as
        well: nothing goes with a config.
        """
        return self.send("RemoveConfig", {"id": id, "cascade": cascade})

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
        gradient_accumulation_steps: int | None = None,
        gradient_checkpointing: bool | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        save_steps: int | None = None,
        eval_steps: int | None = None,
        save_total_limit: int | None = None,
        load_best_model_at_end: bool | None = None,
        early_stopping_patience: int | None = None,
        early_stopping_threshold: float | None = None,
        eval_samples: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        training_arguments: str | dict[str, Any] | None = None,
        lora: str | dict[str, Any] | None = None,
        quantization: str | dict[str, Any] | None = None,
        framework_type: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        register_adapter: bool | None = None,
        user_script: str | None = None,
        user_config: str | dict[str, Any] | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Queue a fine-tuning. `base_model_id` and `dataset_id` are enough; what is given wins over a config, a
        config over defaults. `training_arguments`, `lora`, `quantization` and `user_config` take a config's id
        or an object of settings. Method `lora` makes an adapter named `adapter_name`, method `full` a model of
        that name. A `user_script` runs in place of the method's own training, where the operator has named a
        folder of such scripts.
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
                "gradient_accumulation_steps": gradient_accumulation_steps,
                "gradient_checkpointing": gradient_checkpointing,
                "max_length": max_length,
                "seed": seed,
                "save_steps": save_steps,
                "eval_steps": eval_steps,
                "save_total_limit": save_total_limit,
                "load_best_model_at_end": load_best_model_at_end,
                "early_stopping_patience": early_stopping_patience,
                "early_stopping_threshold": early_stopping_threshold,
                "eval_samples": eval_samples,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "training_arguments": training_arguments,
                "lora": lora,
                "quantization": quantization,
                "framework_type": framework_type,
                "text_format": text_format,
                "register_adapter": register_adapter,
                "user_script": user_script,
                "user_config": user_config,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
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

    def retry_fine_tuning_job(
        self,
        *,
        id: str,
        suggested: bool | None = None,
    ) -> Outcome:
        """Queue a failed or stopped job again, as the same job, from its newest checkpoint. With `suggested` the
        change that its failure suggests is made first; where steps then mean something else, it starts from the
        beginning.
        """
        return self.send("RetryFineTuningJob", {"id": id, "suggested": suggested})

    def resume_fine_tuning_job(
        self,
        *,
        id: str,
        step: int | None = None,
    ) -> Outcome:
        """Let a stopped or failed job go on from a recorded checkpoint: the newest, or that of `step`."""
        return self.send("ResumeFineTuningJob", {"id": id, "step": step})

    def clone_fine_tuning_job(
        self,
        *,
        id: str,
        changes: dict[str, Any] | None = None,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue a new job that asks for what another asked for, with changes."""
        return self.send("CloneFineTuningJob", {"id": id, "changes": changes, "adapter_name": adapter_name})

    def branch_fine_tuning_job(
        self,
        *,
        id: str,
        step: int | None = None,
        changes: dict[str, Any] | None = None,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue a new job that goes on from the weights of another's checkpoint, with another learning rate, other
        data or whatever else `changes` say. It has a schedule of its own, whose warm-up begins at the rate that
        was reached.
        """
        return self.send(
            "BranchFineTuningJob", {"id": id, "step": step, "changes": changes, "adapter_name": adapter_name}
        )

    def extend_fine_tuning_job(
        self,
        *,
        id: str,
        num_epochs: float | None = None,
        max_steps: int | None = None,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue a new job that trains the result of a finished one for so many more epochs or steps."""
        return self.send(
            "ExtendFineTuningJob",
            {"id": id, "num_epochs": num_epochs, "max_steps": max_steps, "adapter_name": adapter_name},
        )

    def rerun_fine_tuning_job(
        self,
        *,
        id: str,
        adapter_name: str | None = None,
    ) -> Outcome:
        """Queue the same training again, from its recorded recipe, data, revisions, threads and seed, to see
        whether it comes to the same; `CompareRuns` tells. It registers nothing unless it is given an
        `adapter_name`.
        """
        return self.send("RerunFineTuningJob", {"id": id, "adapter_name": adapter_name})

    def import_run(
        self,
        *,
        name: str,
        path: str | None = None,
        uploads: list[str] | None = None,
        base_model_id: str | None = None,
        dataset_id: str | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Take in a training that ran elsewhere: its TensorBoard event files, from the folder `path` or from the
        file bucket. It is shown as a job that has ended, with its curves; nobody can start it. Files that were
        imported before are that job, whatever name is given.
        """
        return self.send(
            "ImportRun",
            {
                "name": name,
                "path": path,
                "uploads": uploads,
                "base_model_id": base_model_id,
                "dataset_id": dataset_id,
                "labels": labels,
                "notes": notes,
            },
        )

    def start_evaluation_job(
        self,
        *,
        combinations: Sequence[EvaluationCombination | dict[str, Any]],
        prompts: Sequence[str | Sequence[ChatMessage | dict[str, Any]]] | None = None,
        generation: GenerationSettings | dict[str, Any] | str | None = None,
        quantization: str | dict[str, Any] | None = None,
        selected_features: list[str] | None = None,
        leakage: Literal["warn", "exclude"] | None = None,
        max_rows: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        seed: int | None = None,
        batch_size: int | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Queue one evaluation per combination under one parent; the reply's `ids` are those of all. The split is
        that of the job that made the compared adapter or model. With `prompts` in place of datasets, each is
        answered by every combination ("try it"). `leakage` says what becomes of rows that another compared
        adapter was trained on: `warn` scores each adapter on its own held-out rows, `exclude` all on the rows
        that none has seen.
        """
        return self.send(
            "StartEvaluationJob",
            {
                "combinations": combinations,
                "prompts": prompts,
                "generation": generation,
                "quantization": quantization,
                "selected_features": selected_features,
                "leakage": leakage,
                "max_rows": max_rows,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "seed": seed,
                "batch_size": batch_size,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
            },
        )

    def stop_evaluation_job(
        self,
        *,
        id: str,
    ) -> Outcome:
        """Stop an evaluation at once; its rows so far are discarded."""
        return self.send("StopEvaluationJob", {"id": id})

    def start_export_job(
        self,
        *,
        type: str,
        adapter_id: str | None = None,
        model_id: str | None = None,
        job_id: str | None = None,
        destination: str | None = None,
        dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None,
        registered_model: str | None = None,
        num_cpu: int | None = None,
        num_gpu: int | None = None,
        num_memory: float | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> Outcome:
        """Queue the export of an adapter or of a model, verified by reloading it. `type`: `adapter` (the adapter
        alone), `merged` (adapter and base in one model, or a model as it is) or `registry` (the merged model
        into MLflow's model registry). `destination` is a folder that is empty or not there: an absolute path
        below one of `TUNEBUS_EXPORT_ROOTS`, or `artifact:exports/NAME`, which is chosen when not given. With
        `job_id` in place of an adapter or a model, what that fine-tuning makes is exported, once it is there.
        """
        return self.send(
            "StartExportJob",
            {
                "adapter_id": adapter_id,
                "model_id": model_id,
                "job_id": job_id,
                "type": type,
                "destination": destination,
                "dtype": dtype,
                "registered_model": registered_model,
                "num_cpu": num_cpu,
                "num_gpu": num_gpu,
                "num_memory": num_memory,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
            },
        )

    def stop_export_job(
        self,
        *,
        id: str,
        force: bool | None = None,
    ) -> Outcome:
        """Stop an export after its present step, or at once with `force`; nothing of it stands at its destination."""
        return self.send("StopExportJob", {"id": id, "force": force})

    def remove_fine_tuning_job(
        self,
        *,
        id: str,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove a fine-tuning that has ended. Refused `in_use` while the adapter it made is there. Its files stay
        unless `delete_files` is set; the event says how many bytes they are. Sent again with `delete_files`, by
        id, it deletes the files of a job that was removed before.
        """
        return self.send("RemoveFineTuningJob", {"id": id, "delete_files": delete_files})

    def remove_evaluation_job(
        self,
        *,
        id: str,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove an evaluation that has ended. Its files stay unless `delete_files` is set; the event says how
        many bytes they are. Sent again with `delete_files`, by id, it deletes the files of a job that was
        removed before.
        """
        return self.send("RemoveEvaluationJob", {"id": id, "delete_files": delete_files})

    def remove_export_job(
        self,
        *,
        id: str,
        delete_files: bool | None = None,
    ) -> Outcome:
        """Remove an export that has ended. What it wrote to its destination stays. The files of its attempts stay
        unless `delete_files` is set; the event says how many bytes they are.
        """
        return self.send("RemoveExportJob", {"id": id, "delete_files": delete_files})

    def prioritize_job(
        self,
        *,
        job_id: str,
        priority: int,
    ) -> Outcome:
        """Change the priority of a job that waits: higher goes first, whatever came before."""
        return self.send("PrioritizeJob", {"job_id": job_id, "priority": priority})

    def hold_job(
        self,
        *,
        job_id: str,
        reason: str | None = None,
    ) -> Outcome:
        """Keep a job that waits from being started, until `ReleaseJob`. `reason` is shown beside it."""
        return self.send("HoldJob", {"job_id": job_id, "reason": reason})

    def release_job(
        self,
        *,
        job_id: str,
    ) -> Outcome:
        """Let a held job be started again. Refused `wrong_state` while a job it depends on has failed or was
        stopped.
        """
        return self.send("ReleaseJob", {"job_id": job_id})

    def move_job(
        self,
        *,
        job_id: str,
        to: Literal["up", "down", "top", "bottom"],
    ) -> Outcome:
        """Change the order among the jobs of the same kind and priority that wait."""
        return self.send("MoveJob", {"job_id": job_id, "to": to})

    def label_job(
        self,
        *,
        job_id: str,
        labels: list[str],
    ) -> Outcome:
        """Give a job these labels, in place of those it had; an empty list takes them away."""
        return self.send("LabelJob", {"job_id": job_id, "labels": labels})

    def note_job(
        self,
        *,
        job_id: str,
        notes: str,
    ) -> Outcome:
        """Write notes on a job, in place of those it had."""
        return self.send("NoteJob", {"job_id": job_id, "notes": notes})

    def set_job_dependencies(
        self,
        *,
        job_id: str,
        depends_on: list[str],
    ) -> Outcome:
        """Let a job that waits depend on these jobs, in place of those it depended on. It starts when all have
        succeeded; one that fails or is stopped holds it.
        """
        return self.send("SetJobDependencies", {"job_id": job_id, "depends_on": depends_on})

    def export_database(
        self,
        *,
        projections: bool | None = None,
    ) -> Outcome:
        """Write every event into one JSON document, left in the file bucket for a day. `GetDatabaseExport` with
        the outcome's id names the object.
        """
        return self.send("ExportDatabase", {"projections": projections})

    def import_database(
        self,
        *,
        upload: str,
    ) -> Outcome:
        """Take in a document that `ExportDatabase` wrote: the whole of it is checked before anything is written.
        What is already there by id is skipped; `GetDatabaseImport` with the outcome's id says what became of
        the rest.
        """
        return self.send("ImportDatabase", {"upload": upload})

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
        best: bool | None = None,
    ) -> Outcome:
        """A checkpoint is whole on disk: its manifest is written and hashes to `manifest_sha256`. `best`: no
        checkpoint of the job before it had a lower held-out loss.
        """
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
                "best": best,
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
        result_type: Literal["adapter", "model"] | None = None,
        early_stopping: str | None = None,
        metrics: dict[str, float | None] | None = None,
        checked: Checked | dict[str, Any] | None = None,
        registered_model: str | None = None,
    ) -> Outcome:
        """The child ended well: it finished, or it stopped because it was asked to. `result_uri` is the adapter,
        the model or the rows' table. `early_stopping` says why the training ended before its last step, where
        it did.
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
                "result_type": result_type,
                "early_stopping": early_stopping,
                "metrics": metrics,
                "checked": checked,
                "registered_model": registered_model,
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
            "bad_checkpoint",
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
        suggestion: dict[str, Any] | None = None,
        signal: int | None = None,
        exit_code: int | None = None,
    ) -> Outcome:
        """The child did not end well. `cause` decides whether the job is tried again; `detail` holds the last
        lines of its stderr. `suggestion` are fields of the command that started the job, changed so that the
        same would most likely not happen again.
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
                "suggestion": suggestion,
                "signal": signal,
                "exit_code": exit_code,
            },
        )

    def list_datasets(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListDatasets`."""
        return Page.model_validate(
            self.query(
                "ListDatasets",
                {"limit": limit, "after": after, "as_of": as_of, "search": search, "order": order, "type": type},
            )
        )

    def list_models(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        type: str | None = None,
    ) -> Page:
        """Ask `ListModels`."""
        return Page.model_validate(
            self.query(
                "ListModels",
                {"limit": limit, "after": after, "as_of": as_of, "search": search, "order": order, "type": type},
            )
        )

    def list_remote_code_approvals(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        huggingface_name: str | None = None,
    ) -> Page:
        """Which commits of Hub models may run code of their own, who said so and why."""
        return Page.model_validate(
            self.query(
                "ListRemoteCodeApprovals",
                {"limit": limit, "after": after, "as_of": as_of, "huggingface_name": huggingface_name},
            )
        )

    def list_adapters(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListAdapters`."""
        return Page.model_validate(
            self.query(
                "ListAdapters",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "search": search,
                    "order": order,
                    "model_id": model_id,
                },
            )
        )

    def list_prompts(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        dataset_id: str | None = None,
    ) -> Page:
        """Ask `ListPrompts`."""
        return Page.model_validate(
            self.query(
                "ListPrompts",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "search": search,
                    "order": order,
                    "dataset_id": dataset_id,
                },
            )
        )

    def list_configs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        search: str | None = None,
        order: Literal["added", "newest"] | None = None,
        type: str | None = None,
        model_family: str | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListConfigs`."""
        return Page.model_validate(
            self.query(
                "ListConfigs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "search": search,
                    "order": order,
                    "type": type,
                    "model_family": model_family,
                    "model_id": model_id,
                },
            )
        )

    def list_fine_tuning_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        state: str | None = None,
        label: str | None = None,
        search: str | None = None,
        order: Literal["added", "newest", "queue"] | None = None,
    ) -> Page:
        """Ask `ListFineTuningJobs`."""
        return Page.model_validate(
            self.query(
                "ListFineTuningJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "state": state,
                    "label": label,
                    "search": search,
                    "order": order,
                },
            )
        )

    def list_evaluation_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        state: str | None = None,
        label: str | None = None,
        search: str | None = None,
        order: Literal["added", "newest", "queue"] | None = None,
        parent_id: str | None = None,
        adapter_id: str | None = None,
        model_id: str | None = None,
        typed: bool | None = None,
    ) -> Page:
        """Ask `ListEvaluationJobs`."""
        return Page.model_validate(
            self.query(
                "ListEvaluationJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "state": state,
                    "label": label,
                    "search": search,
                    "order": order,
                    "parent_id": parent_id,
                    "adapter_id": adapter_id,
                    "model_id": model_id,
                    "typed": typed,
                },
            )
        )

    def list_export_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        state: str | None = None,
        label: str | None = None,
        search: str | None = None,
        order: Literal["added", "newest", "queue"] | None = None,
        adapter_id: str | None = None,
        model_id: str | None = None,
    ) -> Page:
        """Ask `ListExportJobs`."""
        return Page.model_validate(
            self.query(
                "ListExportJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "state": state,
                    "label": label,
                    "search": search,
                    "order": order,
                    "adapter_id": adapter_id,
                    "model_id": model_id,
                },
            )
        )

    def list_all_jobs(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        kinds: list[Literal["fine_tuning_job", "evaluation_job", "export_job"]] | None = None,
        states: list[str] | None = None,
        search: str | None = None,
        label: str | None = None,
        model_id: str | None = None,
        dataset_id: str | None = None,
        sort: Literal["created", "updated", "name", "state", "duration", "loss"] | None = None,
        descending: bool | None = None,
    ) -> Page:
        """Jobs of every kind, chosen and sorted: `{"items", "next", "total"}`. `total` counts all that were
        chosen; `after` is how many of them to leave out, so that any page can be had at once. `losses` are a
        few points of a job's curve.
        """
        return Page.model_validate(
            self.query(
                "ListAllJobs",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "kinds": kinds,
                    "states": states,
                    "search": search,
                    "label": label,
                    "model_id": model_id,
                    "dataset_id": dataset_id,
                    "sort": sort,
                    "descending": descending,
                },
            )
        )

    def get_dataset(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetDataset`."""
        return self.query("GetDataset", {"id": id, "as_of": as_of})

    def get_model(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetModel`."""
        return self.query("GetModel", {"id": id, "as_of": as_of})

    def get_adapter(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetAdapter`."""
        return self.query("GetAdapter", {"id": id, "as_of": as_of})

    def get_prompt(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetPrompt`."""
        return self.query("GetPrompt", {"id": id, "as_of": as_of})

    def get_config(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetConfig`."""
        return self.query("GetConfig", {"id": id, "as_of": as_of})

    def generate_prompt(
        self,
        *,
        dataset_id: str,
        output_column: str | None = None,
    ) -> dict[str, Any]:
        """Templates made from the names of a dataset's columns, ready for `AddPrompt`. The answer is the column
        whose name ranks first among the usual ones (answer, response, output, label, target, …), else the last,
        unless `output_column` names it; the other columns are inputs in order.
        """
        return self.query("GeneratePrompt", {"dataset_id": dataset_id, "output_column": output_column})

    def render_prompt(
        self,
        *,
        prompt_id: str | None = None,
        dataset_id: str | None = None,
        prompt_template: str | None = None,
        input_template: str | None = None,
        completion_template: str | None = None,
        model_id: str | None = None,
        seed: int | None = None,
    ) -> dict[str, Any]:
        """A random row of a dataset as a prompt shows it: input, prompt and completion; the same `seed` takes the
        same row. Through the prompt `prompt_id`, or templates given here, or generated ones where there are
        none. With `model_id` also as that model's chat template writes it.
        """
        return self.query(
            "RenderPrompt",
            {
                "prompt_id": prompt_id,
                "dataset_id": dataset_id,
                "prompt_template": prompt_template,
                "input_template": input_template,
                "completion_template": completion_template,
                "model_id": model_id,
                "seed": seed,
            },
        )

    def get_dataset_split_by_adapter(
        self,
        *,
        adapter_id: str,
    ) -> dict[str, Any]:
        """The fraction and the split that an adapter's job was trained with, so that others score the same rows;
        the defaults (`source`: default) for an adapter that no job of this studio made.
        """
        return self.query("GetDatasetSplitByAdapter", {"adapter_id": adapter_id})

    def get_fine_tuning_job(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetFineTuningJob`."""
        return self.query("GetFineTuningJob", {"id": id, "as_of": as_of})

    def estimate_fine_tuning_job(
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
        gradient_accumulation_steps: int | None = None,
        gradient_checkpointing: bool | None = None,
        max_length: int | None = None,
        seed: int | None = None,
        save_steps: int | None = None,
        eval_steps: int | None = None,
        save_total_limit: int | None = None,
        load_best_model_at_end: bool | None = None,
        early_stopping_patience: int | None = None,
        early_stopping_threshold: float | None = None,
        eval_samples: int | None = None,
        dataset_fraction: float | None = None,
        train_test_split: float | None = None,
        training_arguments: str | dict[str, Any] | None = None,
        lora: str | dict[str, Any] | None = None,
        quantization: str | dict[str, Any] | None = None,
        framework_type: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        register_adapter: bool | None = None,
        user_script: str | None = None,
        user_config: str | dict[str, Any] | None = None,
        priority: int | None = None,
        hold: bool | None = None,
        depends_on: list[str] | None = None,
        labels: list[str] | None = None,
        notes: str | None = None,
    ) -> dict[str, Any]:
        """What a fine-tuning would need: memory term by term, steps, tokens, disk and time, and whether a trainer
        that is present has it. Takes what `StartFineTuningJob` takes, refuses what that refuses, and starts
        nothing.
        """
        return self.query(
            "EstimateFineTuningJob",
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
                "gradient_accumulation_steps": gradient_accumulation_steps,
                "gradient_checkpointing": gradient_checkpointing,
                "max_length": max_length,
                "seed": seed,
                "save_steps": save_steps,
                "eval_steps": eval_steps,
                "save_total_limit": save_total_limit,
                "load_best_model_at_end": load_best_model_at_end,
                "early_stopping_patience": early_stopping_patience,
                "early_stopping_threshold": early_stopping_threshold,
                "eval_samples": eval_samples,
                "dataset_fraction": dataset_fraction,
                "train_test_split": train_test_split,
                "training_arguments": training_arguments,
                "lora": lora,
                "quantization": quantization,
                "framework_type": framework_type,
                "text_format": text_format,
                "register_adapter": register_adapter,
                "user_script": user_script,
                "user_config": user_config,
                "priority": priority,
                "hold": hold,
                "depends_on": depends_on,
                "labels": labels,
                "notes": notes,
            },
        )

    def get_evaluation_job(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetEvaluationJob`."""
        return self.query("GetEvaluationJob", {"id": id, "as_of": as_of})

    def get_export_job(
        self,
        *,
        id: str,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """Ask `GetExportJob`."""
        return self.query("GetExportJob", {"id": id, "as_of": as_of})

    def preview_dataset(
        self,
        *,
        id: str,
        limit: int | None = None,
        offset: int | None = None,
        prompt_id: str | None = None,
        model_id: str | None = None,
        text_format: Literal["chat", "plain"] | None = None,
        max_length: int | None = None,
        lengths: bool | None = None,
    ) -> dict[str, Any]:
        """Rows from `offset` on, as they are and as they are trained on: through a prompt where one is named, else
        as their format says. With a model, also its tokens with the part that carries loss, and how many tokens
        rows have.
        """
        return self.query(
            "PreviewDataset",
            {
                "id": id,
                "limit": limit,
                "offset": offset,
                "prompt_id": prompt_id,
                "model_id": model_id,
                "text_format": text_format,
                "max_length": max_length,
                "lengths": lengths,
            },
        )

    def inspect_dataset(
        self,
        *,
        path: str | None = None,
        upload: str | None = None,
        type: Literal["csv", "tsv", "json", "jsonl", "parquet", "folder"] | None = None,
        format: Literal["prompt", "messages", "prompt_completion", "alpaca", "sharegpt", "preference", "text"]
        | None = None,
        column_mapping: dict[str, str] | None = None,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """What a file or folder would be recognised as, judged by its first rows; nothing is added. Takes what
        `AddDataset` takes of a file. `formats` says of each format what it needs and what is missing for it.
        """
        return self.query(
            "InspectDataset",
            {
                "path": path,
                "upload": upload,
                "type": type,
                "format": format,
                "column_mapping": column_mapping,
                "limit": limit,
            },
        )

    def list_dataset_findings(
        self,
        *,
        id: str,
        kind: Literal["duplicate", "empty_answer", "overlap", "broken"],
        limit: int | None = None,
        after: str | None = None,
    ) -> dict[str, Any]:
        """Rows of a dataset that deserve a look, each with its number, its place in its file and its beginning:
        those that an earlier row of the same split equals, those whose answer is empty, held-out rows that are
        training rows as well, and those that were left out as broken. `looked_at` counts those that were looked
        at, `complete` says whether that was all.
        """
        return self.query("ListDatasetFindings", {"id": id, "kind": kind, "limit": limit, "after": after})

    def get_metrics(
        self,
        *,
        job_id: str,
        names: list[str] | None = None,
        since_step: int | None = None,
        points: int | None = None,
    ) -> dict[str, Any]:
        """A job's curves. Per step and name the value of the highest attempt and when it was measured;
        `since_step` leaves out what a client has. A series of more than `points` is thinned out, its ends,
        extremes and gaps kept.
        """
        return self.query("GetMetrics", {"job_id": job_id, "names": names, "since_step": since_step, "points": points})

    def get_system_metrics(
        self,
        *,
        job_id: str,
        names: list[str] | None = None,
        since_time: float | None = None,
        points: int | None = None,
    ) -> dict[str, Any]:
        """How busy a job's machine was, by time (Unix seconds): `cpu_percent` and `rss_bytes` of the job's
        process, `machine_cpu_percent`, `memory_bytes`, `disk_percent`, and of each GPU `gpu0_percent`,
        `gpu0_memory_bytes`, `gpu0_temperature_celsius`, `gpu0_power_watts`. Long series are thinned out, their
        ends and extremes kept.
        """
        return self.query(
            "GetSystemMetrics", {"job_id": job_id, "names": names, "since_time": since_time, "points": points}
        )

    def compare_runs(
        self,
        *,
        job_id: str,
        other_id: str,
        tolerance: float | None = None,
    ) -> dict[str, Any]:
        """Whether two fine-tunings measured the same: `equal`, `within_tolerance` (of the relative difference), or
        that they part at a step; and which library versions differ.
        """
        return self.query("CompareRuns", {"job_id": job_id, "other_id": other_id, "tolerance": tolerance})

    def get_log(
        self,
        *,
        job_id: str,
        attempt: int | None = None,
        offset: int | None = None,
        limit: int | None = None,
        tail: int | None = None,
    ) -> dict[str, Any]:
        """The text of an attempt's output from a byte offset on, or its last `tail` bytes; the newest attempt when
        none is named.
        """
        return self.query(
            "GetLog", {"job_id": job_id, "attempt": attempt, "offset": offset, "limit": limit, "tail": tail}
        )

    def search_log(
        self,
        *,
        job_id: str,
        attempt: int | None = None,
        text: str | None = None,
        level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] | None = None,
        after_offset: int | None = None,
        limit: int | None = None,
    ) -> Page:
        """The lines of an attempt's output that hold a text, or are of a level or a graver one, with the byte at
        which each begins. One answer looks through some megabytes; `next` is the `after_offset` to go on from,
        null at the end.
        """
        return Page.model_validate(
            self.query(
                "SearchLog",
                {
                    "job_id": job_id,
                    "attempt": attempt,
                    "text": text,
                    "level": level,
                    "after_offset": after_offset,
                    "limit": limit,
                },
            )
        )

    def get_samples(
        self,
        *,
        job_id: str,
        since_step: int | None = None,
    ) -> dict[str, Any]:
        """What a fine-tuning's model answered to a few held-out rows at each evaluation, and the base model's
        answers. Of an evaluation of typed prompts, what of its answers is written so far.
        """
        return self.query("GetSamples", {"job_id": job_id, "since_step": since_step})

    def get_evaluation_rows(
        self,
        *,
        job_id: str,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        order: Literal["original", "best", "worst", "random"] | None = None,
        metric: str | None = None,
        seed: int | None = None,
    ) -> Page:
        """The scored rows of an evaluation: question, reference, answer and each row's metrics."""
        return Page.model_validate(
            self.query(
                "GetEvaluationRows",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "order": order,
                    "metric": metric,
                    "seed": seed,
                    "job_id": job_id,
                },
            )
        )

    def compare_evaluations(
        self,
        *,
        parent_id: str,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        order: Literal["original", "best", "worst", "random"] | None = None,
        metric: str | None = None,
        seed: int | None = None,
        job_id: str | None = None,
    ) -> dict[str, Any]:
        """The evaluations of one parent side by side: each metric with its differences to the first combination
        and the best marked, and the same rows with everyone's answers. `job_id` is the one whose rows make the
        order; the last when not given.
        """
        return self.query(
            "CompareEvaluations",
            {
                "limit": limit,
                "after": after,
                "as_of": as_of,
                "order": order,
                "metric": metric,
                "seed": seed,
                "parent_id": parent_id,
                "job_id": job_id,
            },
        )

    def export_evaluations(
        self,
        *,
        parent_id: str,
        part: Literal["metrics", "rows"] | None = None,
        format: Literal["csv", "json"] | None = None,
        after: str | None = None,
    ) -> dict[str, Any]:
        """A comparison as the text of a file, in pieces: ask again with `next` as `after` until there is none;
        join them. `part`: every metric of every combination, or every row with everyone's answers and figures.
        In CSV a cell that a spreadsheet would take for a formula begins with an apostrophe.
        """
        return self.query("ExportEvaluations", {"parent_id": parent_id, "part": part, "format": format, "after": after})

    def list_events(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        as_of: int | str | None = None,
        from_position: int | None = None,
        since: int | str | None = None,
        aggregate: Literal[
            "dataset",
            "model",
            "adapter",
            "prompt",
            "config",
            "fine_tuning_job",
            "evaluation_job",
            "export_job",
            "database",
        ]
        | None = None,
        entity_id: str | None = None,
        type: str | None = None,
        actor: str | None = None,
        correlation_id: str | None = None,
        causation_id: str | None = None,
        search: str | None = None,
        newest: bool | None = None,
        named: bool | None = None,
    ) -> Page:
        """The record itself, in order of `position`, or backwards. `from` is the first position wanted."""
        return Page.model_validate(
            self.query(
                "ListEvents",
                {
                    "limit": limit,
                    "after": after,
                    "as_of": as_of,
                    "from": from_position,
                    "since": since,
                    "aggregate": aggregate,
                    "entity_id": entity_id,
                    "type": type,
                    "actor": actor,
                    "correlation_id": correlation_id,
                    "causation_id": causation_id,
                    "search": search,
                    "newest": newest,
                    "named": named,
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

    def get_command_progress(
        self,
        *,
        command_id: str,
    ) -> dict[str, Any]:
        """How far a command that takes long has come before it is decided. `phase` is null while nothing is known
        of it: not begun yet, or over.
        """
        return self.query("GetCommandProgress", {"command_id": command_id})

    def list_changes(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        from_moment: int | str | None = None,
        to_moment: int | str | None = None,
        aggregate: Literal[
            "dataset",
            "model",
            "adapter",
            "prompt",
            "config",
            "fine_tuning_job",
            "evaluation_job",
            "export_job",
            "database",
        ]
        | None = None,
        entity_id: str | None = None,
    ) -> Page:
        """What differs between the state after one moment and the state after a later one, entity by entity and
        field by field. A moment is a position or a time; without `to` it is now.
        """
        return Page.model_validate(
            self.query(
                "ListChanges",
                {
                    "limit": limit,
                    "after": after,
                    "from": from_moment,
                    "to": to_moment,
                    "aggregate": aggregate,
                    "entity_id": entity_id,
                },
            )
        )

    def get_database(
        self,
    ) -> dict[str, Any]:
        """The record as a whole: its kind of database, its size in bytes, its events and its projections."""
        return self.query("GetDatabase", {})

    def get_database_export(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """Where an export's document lies and what it holds."""
        return self.query("GetDatabaseExport", {"id": id})

    def get_database_import(
        self,
        *,
        id: str,
    ) -> dict[str, Any]:
        """What an import took in, what it found there already, and what it left out and why."""
        return self.query("GetDatabaseImport", {"id": id})

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

    def list_queue(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
        kind: Literal["fine_tuning_job", "evaluation_job", "export_job"] | None = None,
    ) -> Page:
        """The jobs that have not ended, of every kind: those that run, then those that wait, as they are given
        out, then those held. `queue_position` counts from 1, `waiting_reason` says why a job does not run yet.
        """
        return Page.model_validate(self.query("ListQueue", {"limit": limit, "after": after, "kind": kind}))

    def list_workers(
        self,
        *,
        limit: int | None = None,
        after: str | None = None,
    ) -> Page:
        """Workers that asked for work lately, with what they offer."""
        return Page.model_validate(self.query("ListWorkers", {"limit": limit, "after": after}))

    def list_uses(
        self,
        *,
        aggregate: Literal["dataset", "model", "adapter", "prompt", "config"],
        id: str,
        limit: int | None = None,
    ) -> dict[str, Any]:
        """What refers to an entity: prompts and adapters, then jobs from the newest on. `blocks` marks what stands
        in the way of its removal: entities, and jobs that have not ended. `total` counts all, also those beyond
        `limit`.
        """
        return self.query("ListUses", {"aggregate": aggregate, "id": id, "limit": limit})

    def get_overview(
        self,
        *,
        as_of: int | str | None = None,
    ) -> dict[str, Any]:
        """What runs, what waits, what failed: the counts and newest jobs of the first page. Of an earlier moment
        it says what events say: no workers, no dead letters.
        """
        return self.query("GetOverview", {"as_of": as_of})
