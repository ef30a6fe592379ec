"""Recipes: how a method of fine-tuning is done. `RECIPES` maps the methods of the contracts to them."""

from collections.abc import Callable

from tunebus.services.platform.child.attempt import Attempt, Ending
from tunebus.services.trainer.recipes import lora

RECIPES: dict[str, Callable[[Attempt], Ending]] = {"lora": lora.train}
