"""Quality by a text-classification model that the user names, in the chat model's place.

Models of FineWeb-Edu's kind have one output, the quality itself; others have six classes, "0" to "5", and the expected
value counts. Everything else is refused: a score on another scale would be compared with the wrong limit. Weights are
read from safetensors, and no code of the model's folder is run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from reasonir_agent.errors import InputError, boundary, missing_extra

if TYPE_CHECKING:
    import torch

HIGHEST: Final = 5.0
_CLASSES: Final = 6
_LONGEST: Final = 512  # tokens, where the tokenizer names no bound


class QualityClassifier:
    """Judges texts from 0 to 5.

    Args:
        name: a folder, or a name on the hub.
        batch: texts of one forward pass.
        device: where it runs ("cpu", "cuda").

    Raises:
        InputError: it cannot be loaded, or does not judge from 0 to 5.
        MissingExtra: torch or transformers is not installed.
    """

    def __init__(self, name: str, *, batch: int = 16, device: str = "cpu") -> None:
        try:
            import transformers
        except ModuleNotFoundError as cause:
            raise missing_extra("encoder", "a quality classifier", cause) from cause
        safe: dict[str, Any] = {"trust_remote_code": False}
        with boundary(InputError, f"loading the classifier {name!r}"):
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(name, **safe)
            model = transformers.AutoModelForSequenceClassification.from_pretrained(name, use_safetensors=True, **safe)
        self._values = _values(name, model.config)
        self._model = model.eval().to(device)
        self._batch, self._device = batch, device
        positions = getattr(model.config, "max_position_embeddings", None) or _LONGEST
        self._longest = min(self._tokenizer.model_max_length, positions)

    def score(self, texts: Sequence[str]) -> list[float]:
        """A quality from 0 to 5 for each text; what is longer than the model's window is judged by its beginning.

        Raises:
            InputError: the model gives what is no number.
        """
        import torch

        order = sorted(range(len(texts)), key=lambda at: (len(texts[at]), at))  # little padding
        scores = [0.0] * len(texts)
        for begin in range(0, len(order), self._batch):
            places = order[begin : begin + self._batch]
            with torch.inference_mode():
                values = self._forward([texts[at] for at in places]).tolist()
            for at, value in zip(places, values, strict=True):
                if value != value:
                    raise InputError("the classifier gives NaN, no quality; its weights or its precision are damaged")
                scores[at] = min(HIGHEST, max(0.0, value))
        return scores

    def _forward(self, texts: list[str]) -> torch.Tensor:
        """The quality as the model gives it, float [texts]."""
        import torch

        inputs = self._tokenizer(texts, padding=True, truncation=True, max_length=self._longest, return_tensors="pt")
        logits: torch.Tensor = self._model(**inputs.to(self._device)).logits.float()  # [texts, outputs]
        if self._values is None:
            return logits[:, 0]
        return torch.mv(logits.softmax(dim=-1), torch.tensor(self._values, device=logits.device))


def _values(name: str, config: Any) -> list[float] | None:
    """The quality that each class stands for; None for a model whose one output is the quality."""
    if config.num_labels == 1:
        return None
    labels = [str(config.id2label[number]) for number in range(config.num_labels)]
    digits = [match[0] if (match := re.search(r"\d+$", label)) else "" for label in labels]
    if sorted(digits) != [str(number) for number in range(_CLASSES)]:
        raise InputError(
            f"the classifier {name!r} has the classes {', '.join(labels)[:200]}; expected one output from 0 to 5, or six "
            "classes whose names end with 0 to 5"
        )
    return [float(digit) for digit in digits]
