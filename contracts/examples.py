"""One example of every command, query, event and rpc call; shown in the bus reference, and tests send and read them."""

from __future__ import annotations

from typing import Any

from tunebus.contracts import rpc

_DATASET = "0197a3f2-7c00-7000-8000-00000000d001"
_MODEL = "0197a3f2-7c00-7000-8000-00000000e001"
_ADAPTER = "0197a3f2-7c00-7000-8000-00000000a001"
_PROMPT = "0197a3f2-7c00-7000-8000-00000000b001"
CONFIG_ID = "0197a3f2-7c00-7000-8000-00000000b002"
JOB_ID = _JOB = "0197a3f2-7c00-7000-8000-00000000f001"
_OTHER_JOB = "0197a3f2-7c00-7000-8000-00000000f004"
_TRANSFER = "0197a3f2-7c00-7000-8000-00000000ab01"
_EVALUATION = "0197a3f2-7c00-7000-8000-00000000f002"
_PARENT = "0197a3f2-7c00-7000-8000-00000000f003"
_EXPORT = "0197a3f2-7c00-7000-8000-00000000f004"
COMMAND_ID = _COMMAND = "0197a3f2-7c00-7000-8000-00000000c001"
_HASH = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_COMMIT = "4fd980ebfbab2c37b3f773e1468ab0a9ae638046"
_ATTEMPT = f"artifact:jobs/{_JOB}/attempt-1"

_GPU = "GPU-3f1c2b7e-9a40-4d6e-8a51-0c9d2e7f6b18"
_LOAD = {
    "cpu_percent": 37.5,
    "memory_percent": 41.0,
    "gpus": [{"id": _GPU, "percent": 92.0, "memory_gb": 11.3}],
}

_TEMPLATES = {
    "prompt_template": "Answer in one sentence.\n\n{input}\n",
    "input_template": "Question: {question}",
    "completion_template": "{answer}",
}
_DATASET_SOURCE: dict[str, Any] = {
    "dataset_id": _DATASET,
    "location": "/data/faq.jsonl",
    "type": "jsonl",
    "sha256": _HASH,
    "features": ["question", "answer"],
    "format": "prompt",
    "prompt": _TEMPLATES,
    "prompt_id": _PROMPT,
    "train_test_split": 0.95,
}
_MODEL_SOURCE = {"model_id": _MODEL, "location": "/models/small", "sha256": _HASH, "architecture": "LlamaForCausalLM"}
_FINE_TUNING_RECIPE: dict[str, Any] = {
    "model": _MODEL_SOURCE,
    "dataset": _DATASET_SOURCE,
    "training_arguments": {"num_train_epochs": 1.0, "learning_rate": 0.0002},
    "lora": {"r": 16},
    "adapter_name": "faq-adapter",
    "sources": {"learning_rate": "command"},
}
_EVALUATION_RECIPE: dict[str, Any] = {
    "model": _MODEL_SOURCE,
    "adapter": {"adapter_id": _ADAPTER, "location": f"{_ATTEMPT}/adapter", "sha256": _HASH},
    "dataset": _DATASET_SOURCE,
    "generation": {"max_new_tokens": 64},
}
_EXPORT_RECIPE: dict[str, Any] = {
    "type": "merged",
    "model": _MODEL_SOURCE,
    "adapter": _EVALUATION_RECIPE["adapter"],
    "questions": _DATASET_SOURCE,
    "destination": {"location": "artifact:exports/faq"},
    "card": {"name": "faq-adapter", "base_model": "small", "base_sha256": _HASH},
}
_CHECKPOINT = {
    "attempt": 1,
    "step": 50,
    "uri": f"{_ATTEMPT}/checkpoints/step-00000050",
    "manifest_sha256": _HASH,
    "loss": 1.25,
}

COMMANDS: dict[str, dict[str, Any]] = {
    "AddDataset": {"name": "faq", "path": "/data/faq.jsonl", "description": "questions of our users"},
    "AddModel": {"name": "small", "path": "/models/small"},
    "ApproveRemoteCode": {
        "huggingface_name": "owner/model",
        "revision": _COMMIT,
        "reason": "modeling_owner.py read on 2026-01-31",
    },
    "AddAdapter": {"name": "older-adapter", "model_id": "small", "path": "/adapters/older"},
    "AddPrompt": {"name": "faq prompt", "dataset_id": "faq", **_TEMPLATES},
    "AddConfig": {"type": "lora", "config": {"r": 32, "lora_alpha": 64}, "description": "a larger adapter"},
    "StartFineTuningJob": {
        "base_model_id": "small",
        "dataset_id": "faq",
        "prompt_id": "faq prompt",
        "adapter_name": "faq-adapter",
        "num_epochs": 1,
        "learning_rate": 0.0002,
    },
    "StopFineTuningJob": {"id": _JOB, "force": False},
    "RetryFineTuningJob": {"id": _JOB, "suggested": True},
    "ResumeFineTuningJob": {"id": _JOB, "step": 50},
    "CloneFineTuningJob": {"id": _JOB, "changes": {"learning_rate": 0.0001}, "adapter_name": "faq-slower"},
    "BranchFineTuningJob": {"id": _JOB, "step": 50, "changes": {"learning_rate": 0.0001}},
    "ExtendFineTuningJob": {"id": _JOB, "num_epochs": 1},
    "RerunFineTuningJob": {"id": _JOB},
    "ImportRun": {"name": "older-run", "path": "/runs/older", "notes": "trained on the cluster in 2025"},
    "StartEvaluationJob": {
        "combinations": [
            {"base_model_id": "small", "dataset_id": "faq", "prompt_id": "faq prompt"},
            {
                "base_model_id": "small",
                "adapter_id": "faq-adapter",
                "dataset_id": "faq",
                "prompt_id": "faq prompt",
            },
        ],
        "generation": {"max_new_tokens": 64},
    },
    "StopEvaluationJob": {"id": _EVALUATION},
    "StartExportJob": {"adapter_id": "faq-adapter", "type": "merged", "destination": "artifact:exports/faq"},
    "StopExportJob": {"id": _EXPORT},
    "RemoveExportJob": {"id": _EXPORT},
    "RenameDataset": {"id": "faq", "name": "faq 2026"},
    "RenameModel": {"id": "small", "name": "small llama"},
    "RenameAdapter": {"id": "faq-adapter", "name": "faq-adapter-v1"},
    "RenamePrompt": {"id": "faq prompt", "name": "faq prompt, short"},
    "DescribeConfig": {"id": CONFIG_ID, "description": "for models under 1B", "is_default": True},
    "RemoveDataset": {"id": "faq", "cascade": True},
    "RemoveModel": {"id": "small", "cascade": False},
    "RemoveAdapter": {"id": "faq-adapter"},
    "RemovePrompt": {"id": "faq prompt"},
    "RemoveConfig": {"id": CONFIG_ID},
    "RemoveFineTuningJob": {"id": _JOB, "delete_files": True},
    "RemoveEvaluationJob": {"id": _EVALUATION},
    "PrioritizeJob": {"job_id": _JOB, "priority": 10},
    "HoldJob": {"job_id": "faq-adapter", "reason": "the machine is needed until tonight"},
    "ReleaseJob": {"job_id": "faq-adapter"},
    "MoveJob": {"job_id": _EVALUATION, "to": "top"},
    "LabelJob": {"job_id": _JOB, "labels": ["baseline", "faq"]},
    "NoteJob": {"job_id": _JOB, "notes": "the first one with the cleaned questions"},
    "SetJobDependencies": {"job_id": _EVALUATION, "depends_on": ["faq-adapter"]},
    "ExportDatabase": {"projections": True},
    "ImportDatabase": {"upload": f"exports/{_TRANSFER}.json"},
    "ReportAttemptRunning": {
        "job_id": _JOB,
        "attempt": 1,
        "total_steps": 190,
        "resolved": {"learning_rate": 0.0002, "bf16": False},
        "versions": {"torch": "2.13.0", "trl": "1.16.0"},
    },
    "RecordCheckpoint": {"job_id": _JOB, **_CHECKPOINT},
    "CompleteAttempt": {
        "job_id": _JOB,
        "attempt": 1,
        "outcome": "finished",
        "step": 190,
        "result_uri": f"{_ATTEMPT}/adapter",
        "result_sha256": _HASH,
        "metrics": {"train_loss": 0.9, "eval_loss": 0.6},
    },
    "FailAttempt": {
        "job_id": _JOB,
        "attempt": 1,
        "cause": "out_of_memory",
        "message": "the training ran out of memory",
        "detail": "MemoryError",
        "hint": "use a smaller batch_size",
        "exit_code": 1,
    },
}

EVENTS: dict[str, dict[str, Any]] = {
    "DatasetAdded": {
        "name": "faq",
        "type": "jsonl",
        "description": "questions of our users",
        "location": "/data/faq.jsonl",
        "format": "prompt",
        "features": ["question", "answer"],
        "rows": 1200,
        "bytes": 340000,
        "sha256": _HASH,
        "warnings": ["3 rows lack 'answer'"],
    },
    "ModelAdded": {
        "name": "small",
        "type": "local",
        "location": "/models/small",
        "architecture": "LlamaForCausalLM",
        "model_family": "llama",
        "parameters": 3100000,
        "dtype": "bfloat16",
        "context_length": 1024,
        "vocabulary_size": 4096,
        "has_chat_template": True,
        "shape": {
            "layers": 4,
            "hidden_size": 256,
            "intermediate_size": 640,
            "attention_heads": 4,
            "key_value_heads": 2,
            "linear": {"q_proj": 2048, "k_proj": 1536, "v_proj": 1536, "o_proj": 2048, "gate_proj": 3584},
            "linear_parameters": 1441792,
        },
        "bytes": 6400000,
        "sha256": _HASH,
    },
    "AdapterAdded": {
        "name": "faq-adapter",
        "type": "local",
        "model_id": _MODEL,
        "location": f"{_ATTEMPT}/adapter",
        "sha256": _HASH,
        "fine_tuning_job_id": _JOB,
        "prompt_id": _PROMPT,
    },
    "PromptAdded": {"name": "faq prompt", "dataset_id": _DATASET, **_TEMPLATES},
    "ConfigAdded": {"type": "lora", "config": {"r": 32, "lora_alpha": 64}, "sha256": _HASH},
    "FineTuningJobAdded": {
        "base_model_id": _MODEL,
        "dataset_id": _DATASET,
        "prompt_id": _PROMPT,
        "adapter_name": "faq-adapter",
        "method": "lora",
        "asked": COMMANDS["StartFineTuningJob"],
        "recipe": _FINE_TUNING_RECIPE,
        "out_dir": f"artifact:jobs/{_JOB}",
    },
    "ImportedJobAdded": {
        "adapter_name": "older-run",
        "asked": COMMANDS["ImportRun"],
        "recipe": {},
        "out_dir": f"artifact:jobs/{_JOB}",
        "notes": "trained on the cluster in 2025",
        "attempt": 1,
        "step": 190,
        "metrics": {"loss": 0.9, "eval_loss": 0.6},
        "imported": {
            "source": "/runs/older",
            "sha256": _HASH,
            "files": 1,
            "bytes": 21000,
            "points": 209,
            "curves": ["eval_loss", "loss"],
            "started_at": "2025-11-03T08:00:00.000000Z",
            "finished_at": "2025-11-03T08:12:30.000000Z",
        },
    },
    "EvaluationJobAdded": {
        "parent_id": "0197a3f2-7c00-7000-8000-00000000f003",
        "base_model_id": _MODEL,
        "adapter_id": _ADAPTER,
        "dataset_id": _DATASET,
        "prompt_id": _PROMPT,
        "asked": COMMANDS["StartEvaluationJob"],
        "recipe": _EVALUATION_RECIPE,
        "out_dir": f"artifact:jobs/{_EVALUATION}",
        "warnings": ["4 rows that the adapter was trained on are left out"],
    },
    "ExportJobAdded": {
        "type": "merged",
        "base_model_id": _MODEL,
        "adapter_id": _ADAPTER,
        "destination": "artifact:exports/faq",
        "asked": COMMANDS["StartExportJob"],
        "recipe": _EXPORT_RECIPE,
        "out_dir": f"artifact:jobs/{_EXPORT}",
    },
    "FineTuningJobChanged": {
        "recipe": _FINE_TUNING_RECIPE,
        "changes": {"batch_size": [8, 4], "gradient_accumulation_steps": [1, 2]},
        "restart": False,
    },
    "JobQueued": {"cause": "submitted", "attempts": 0},
    "AttemptStarted": {
        "attempt": 2,
        "worker_id": "trainer-1",
        "host": "studio",
        "resume_from": _CHECKPOINT,
        "gpus": [_GPU],
    },
    "AttemptRunning": {
        "attempt": 1,
        "total_steps": 190,
        "resolved": {"learning_rate": 0.0002, "bf16": False},
        "versions": {"torch": "2.13.0", "trl": "1.16.0"},
    },
    "CheckpointRecorded": _CHECKPOINT,
    "AttemptLost": {"attempt": 1, "worker_id": "trainer-1"},
    "AttemptFailed": {
        "attempt": 1,
        "cause": "killed_by_signal",
        "message": "the training process was killed (SIGKILL)",
        "signal": 9,
        "will_retry": True,
    },
    "StopRequested": {"force": False},
    "JobStopped": {"cause": "requested", "attempt": 1, "step": 120},
    "JobFailed": {"cause": "bad_data", "message": "no row is left to train on", "attempt": 1},
    "JobSucceeded": {
        "attempt": 1,
        "step": 190,
        "result_uri": f"{_ATTEMPT}/adapter",
        "result_sha256": _HASH,
        "adapter_id": _ADAPTER,
        "metrics": {"train_loss": 0.9, "eval_loss": 0.6},
    },
    "DatasetRenamed": {"name": "faq 2026"},
    "RemoteCodeApproved": {"huggingface_name": "owner/model", "revision": _COMMIT, "reason": "read on 2026-01-31"},
    "ModelRenamed": {"name": "small llama"},
    "AdapterRenamed": {"name": "faq-adapter-v1"},
    "PromptRenamed": {"name": "faq prompt, short"},
    "ConfigDescribed": {"description": "for models under 1B", "model_family": "llama", "is_default": True},
    "DatasetRemoved": {"name": "faq 2026"},
    "ModelRemoved": {"name": "small llama"},
    "AdapterRemoved": {"name": "faq-adapter-v1"},
    "PromptRemoved": {"name": "faq prompt, short"},
    "ConfigRemoved": {"name": "lora: for models under 1B"},
    "JobHeld": {
        "cause": "dependency_failed",
        "message": "it depends on 'other-adapter', which failed",
        "dependency_id": _OTHER_JOB,
    },
    "JobPrioritized": {"priority": 10},
    "JobMoved": {"to": "top", "rank": "0000000000000000205"},
    "JobLabeled": {"labels": ["baseline", "faq"]},
    "JobNoted": {"notes": "the first one with the cleaned questions"},
    "JobDependenciesSet": {"depends_on": [_OTHER_JOB], "waiting_for": [_OTHER_JOB], "added": [_OTHER_JOB]},
    "DependencyMet": {"dependency_id": _OTHER_JOB, "waiting_for": []},
    "JobRemoved": {"name": "faq-adapter", "out_dir": f"artifact:jobs/{_JOB}", "bytes": 181000000},
    "JobFilesDeleted": {"bytes": 181000000},
    "DatabaseExported": {
        "object": f"exports/{_TRANSFER}.json",
        "position": 1042,
        "events": 1042,
        "projections": True,
        "bytes": 1_204_313,
        "sha256": _HASH,
    },
    "DatabaseImported": {
        "object": f"exports/{_TRANSFER}.json",
        "sha256": _HASH,
        "studio": "tunebus",
        "exported_at": "2026-01-31T09:30:00.000000Z",
        "events": 1042,
        "added": 1040,
        "skipped": 0,
        "refused": 2,
        "held": 1,
        "left_out_entities": 1,
        "left_out": [
            {
                "aggregate": "prompt",
                "id": _PROMPT,
                "name": "faq prompt",
                "events": 2,
                "reason": "the name 'faq prompt' is another prompt's here",
            }
        ],
    },
}

ENTITIES = {
    "DatasetAdded": _DATASET,
    "ModelAdded": _MODEL,
    "AdapterAdded": _ADAPTER,
    "PromptAdded": _PROMPT,
    "ConfigAdded": CONFIG_ID,
    "RemoteCodeApproved": _MODEL,
    "DatasetRenamed": _DATASET,
    "ModelRenamed": _MODEL,
    "AdapterRenamed": _ADAPTER,
    "PromptRenamed": _PROMPT,
    "ConfigDescribed": CONFIG_ID,
    "DatasetRemoved": _DATASET,
    "ModelRemoved": _MODEL,
    "AdapterRemoved": _ADAPTER,
    "PromptRemoved": _PROMPT,
    "ConfigRemoved": CONFIG_ID,
    "DatabaseExported": _TRANSFER,
    "DatabaseImported": _TRANSFER,
    "EvaluationJobAdded": _EVALUATION,
    "ExportJobAdded": _EXPORT,
}
"""Whose event the example is, where it is not the fine-tuning job's."""

QUERIES: dict[str, dict[str, Any]] = {
    "ListDatasets": {"limit": 50},
    "ListModels": {"limit": 50, "type": "local"},
    "ListRemoteCodeApprovals": {"huggingface_name": "owner/model"},
    "ListAdapters": {"model_id": _MODEL},
    "ListPrompts": {"dataset_id": _DATASET},
    "ListConfigs": {"type": "lora", "model_id": "small"},
    "ListFineTuningJobs": {"state": "running", "label": "baseline", "search": "faq", "order": "newest"},
    "ListEvaluationJobs": {"limit": 10},
    "ListExportJobs": {"adapter_id": _ADAPTER},
    "ListAllJobs": {"states": ["running", "queued"], "search": "faq", "sort": "updated", "limit": 20},
    "GetDataset": {"id": "faq"},
    "GetModel": {"id": "small"},
    "GetAdapter": {"id": "faq-adapter"},
    "GetPrompt": {"id": "faq prompt"},
    "GetConfig": {"id": CONFIG_ID},
    "GeneratePrompt": {"dataset_id": "faq"},
    "RenderPrompt": {"prompt_id": "faq prompt", "seed": 7},
    "GetDatasetSplitByAdapter": {"adapter_id": "faq-adapter"},
    "GetFineTuningJob": {"id": _JOB},
    "EstimateFineTuningJob": {"base_model_id": "small", "dataset_id": "faq", "batch_size": 16, "num_epochs": 3.0},
    "GetEvaluationJob": {"id": _EVALUATION},
    "GetExportJob": {"id": _EXPORT},
    "PreviewDataset": {"id": "faq", "limit": 5, "prompt_id": "faq prompt", "model_id": "small", "max_length": 512},
    "InspectDataset": {"path": "faq.csv", "column_mapping": {"prompt": "question", "completion": "answer"}},
    "ListDatasetFindings": {"id": "faq", "kind": "duplicate", "limit": 20},
    "ListUses": {"aggregate": "dataset", "id": "faq"},
    "CompareRuns": {"job_id": _JOB, "other_id": "faq-adapter-again"},
    "GetMetrics": {"job_id": _JOB, "names": ["loss", "eval_loss"], "since_step": 100, "points": 1500},
    "GetSystemMetrics": {"job_id": _JOB, "names": ["cpu_percent", "gpu0_percent"], "points": 1500},
    "GetLog": {"job_id": _JOB, "offset": 0},
    "SearchLog": {"job_id": _JOB, "text": "loss", "level": "WARNING", "limit": 50},
    "GetSamples": {"job_id": _JOB},
    "GetEvaluationRows": {"job_id": _EVALUATION, "limit": 20, "order": "worst", "metric": "rouge_l"},
    "CompareEvaluations": {"parent_id": _PARENT, "limit": 5},
    "ExportEvaluations": {"parent_id": _PARENT, "part": "metrics", "format": "csv"},
    "ListEvents": {"aggregate": "fine_tuning_job", "since": 10, "search": "starter", "newest": True, "limit": 100},
    "GetCommandOutcome": {"command_id": _COMMAND},
    "GetCommandProgress": {"command_id": _COMMAND},
    "ListChanges": {"from": 10, "to": 25, "aggregate": "fine_tuning_job"},
    "GetDatabase": {},
    "GetDatabaseExport": {"id": _TRANSFER},
    "GetDatabaseImport": {"id": _TRANSFER},
    "ListDeadLetters": {"limit": 50},
    "GetDeadLetter": {"id": 1},
    "ListQueue": {"kind": "fine_tuning_job"},
    "ListWorkers": {},
    "GetOverview": {},
}

CALLS: dict[str, dict[str, Any]] = {
    rpc.CLAIM_JOB: {
        "worker_id": "trainer-1",
        "claim_id": "0197a3f2-7c00-7000-8000-00000000c002",
        "kind": "fine_tuning_job",
        "host": "studio",
        "capabilities": {
            "cpus": 8,
            "memory_gb": 31.2,
            "gpus": ["NVIDIA L4"],
            "devices": [{"id": _GPU, "name": "NVIDIA L4", "memory_gb": 22.5}],
            "artifact_root": _HASH[:36],
        },
        "load": _LOAD,
    },
    rpc.HEARTBEAT: {
        "worker_id": "trainer-1",
        "job_id": _JOB,
        "attempt": 1,
        "step": 40,
        "total_steps": 190,
        "load": _LOAD,
    },
    rpc.RECORD_DEAD_LETTER: {
        "stream": "TUNEBUS_EVENTS",
        "seq": 17,
        "subject": f"tunebus.evt.fine_tuning_job.{_JOB}.JobQueued",
        "data": "bm8gZXZlbnQ=",
        "reason": "malformed: not JSON",
        "consumer": "trainer",
    },
    rpc.RESEND_DEAD_LETTER: {"id": 1},
}

REPLIES: dict[str, dict[str, Any]] = {
    rpc.CLAIM_JOB: {
        "assignment": {
            "job_id": _JOB,
            "kind": "fine_tuning_job",
            "attempt": 1,
            "lease_seconds": 30.0,
            "out_dir": f"artifact:jobs/{_JOB}",
            "recipe": _FINE_TUNING_RECIPE,
            "checkpoints": [],
        }
    },
    rpc.HEARTBEAT: {"desired": "run", "lease_seconds": 30.0},
    rpc.RECORD_DEAD_LETTER: {},
    rpc.RESEND_DEAD_LETTER: {
        "id": 1,
        "stream": "TUNEBUS_COMMANDS",
        "seq": 1042,
        "subject": "tunebus.cmd.dataset.AddDataset",
    },
}

OUTCOME: dict[str, Any] = {
    "command_id": _COMMAND,
    "outcome": "accepted",
    "id": _DATASET,
    "version": 1,
    "position": 1,
    "error": None,
}
