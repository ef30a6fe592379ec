"""A model into MLflow's model registry, and back out of it.

Runs in the child alone: MLflow with transformers imports torch. `MLFLOW_TRACKING_URI` says where the registry is,
`MLFLOW_EXPERIMENT_NAME` under which experiment the export's run goes.
"""

from __future__ import annotations

import importlib.metadata
import os
from pathlib import Path
from typing import Any

from tunebus.contracts.recipes import ExportRecipe
from tunebus.services.platform.child.failures import ChildFailure

_LIBRARIES = ("torch", "transformers", "accelerate", "safetensors", "tokenizers")


class ModelRegistry:
    """MLflow's. Errors: `bad_configuration` where it is not installed, or cannot be reached."""

    def __init__(self) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")
        try:
            import mlflow.transformers
        except ImportError as error:
            raise ChildFailure(
                "bad_configuration",
                f"MLflow cannot be used where the evaluator runs: {error}",
                "install it there: pip install 'tunebus[evaluator]'",
            ) from None
        self._mlflow = mlflow
        self._uri = os.environ["MLFLOW_TRACKING_URI"]
        self._experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tunebus")
        mlflow.set_tracking_uri(self._uri)
        mlflow.set_registry_uri(self._uri)

    def register(self, recipe: ExportRecipe, job_id: str, model: Any, tokenizer: Any, readme: Path) -> str:
        """A new version of the recipe's registered model; returns `models:/NAME/VERSION`."""
        from huggingface_hub import ModelCard

        mlflow = self._mlflow
        name = recipe.registered_model or recipe.card.name
        # MLflow asks the Hub about whatever is called like a repository, and would keep the path of this machine.
        model.name_or_path = model.config._name_or_path = f"{recipe.card.name}, exported by Tunebus"
        try:
            with mlflow.start_run(experiment_id=self._experiment_id(), run_name=f"export {recipe.card.name}") as run:
                mlflow.set_tags(_tags(recipe, job_id))
                mlflow.log_artifact(str(readme))
                logged = mlflow.transformers.log_model(
                    {"model": model, "tokenizer": tokenizer},
                    name="model",
                    task="text-generation",
                    model_card=ModelCard(readme.read_text(encoding="utf-8")),
                    pip_requirements=[f"{library}=={importlib.metadata.version(library)}" for library in _LIBRARIES],
                    registered_model_name=name,
                )
            version = str(logged.registered_model_version)
            client = mlflow.MlflowClient()
            client.update_model_version(name, version, description=readme.read_text(encoding="utf-8")[:5000])
            for key, value in {**_tags(recipe, job_id), "tunebus.run_id": run.info.run_id}.items():
                client.set_model_version_tag(name, version, key, value)
        except mlflow.exceptions.MlflowException as error:
            raise self._unusable(error) from None
        return f"models:/{name}/{version}"

    def load(self, uri: str) -> Any:
        """The registered model, as whoever uses it gets it."""
        try:
            return self._mlflow.transformers.load_model(uri, return_type="components")["model"]
        except self._mlflow.exceptions.MlflowException as error:
            raise self._unusable(error) from None

    def delete(self, uri: str) -> None:
        """Take a version back."""
        name, version = uri.removeprefix("models:/").rsplit("/", 1)
        self._mlflow.MlflowClient().delete_model_version(name, version)

    def _experiment_id(self) -> str:
        client = self._mlflow.MlflowClient()
        artifacts = None
        if self._uri.startswith("sqlite:///"):
            database = Path(self._uri.removeprefix("sqlite:///"))
            database.parent.mkdir(parents=True, exist_ok=True)
            artifacts = (database.parent / "artifacts").as_uri()
        found = client.get_experiment_by_name(self._experiment)
        if found is not None:
            return str(found.experiment_id)
        return str(client.create_experiment(self._experiment, artifact_location=artifacts))

    def _unusable(self, error: Exception) -> ChildFailure:
        reason = str(error).strip().split("\n", 1)[0]
        return ChildFailure(
            "bad_configuration",
            f"MLflow's model registry did not take the model: {reason}",
            "look at TUNEBUS_MLFLOW_TRACKING_URI, and whether a server answers there",
        )


def _tags(recipe: ExportRecipe, job_id: str) -> dict[str, str]:
    card = recipe.card
    tags = {
        "tunebus.export_job_id": job_id,
        "tunebus.base_model": card.base_model,
        "tunebus.base_sha256": card.base_sha256,
        "tunebus.adapter": card.adapter,
        "tunebus.adapter_sha256": card.adapter_sha256,
        "tunebus.fine_tuning_job_id": card.fine_tuning_job_id,
    }
    return {name: value for name, value in tags.items() if value}
