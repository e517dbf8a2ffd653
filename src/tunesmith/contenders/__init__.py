"""Ways to do the task, each a frozen record and a pure function.

constant, classifier, prompt, few_shot, retrieval, tuned: in the order of the advice, the simplest first, each next one
only if those before fall short.
"""

from tunesmith.contenders import classifier, constant, few_shot, prompt, retrieval, tuned
from tunesmith.contenders.config import ContendersConfig
from tunesmith.contenders.kind import Asking, Context, Predicting, contender_kind, open_contender
from tunesmith.contenders.known import Known

__all__ = ["Asking", "ContendersConfig", "Context", "Known", "Predicting", "contender_kind", "open_contender"]

# Importing a kind's module registers it.
KINDS = (constant, classifier, prompt, few_shot, retrieval, tuned)
