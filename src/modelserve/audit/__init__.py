"""Pure: what was recorded of a rollout → whether the judge says the same again, and the story in words.

``explain`` gives the judge every recorded look anew and compares the verdicts to the last bit. ``course`` is
the same way as a series over time, to be drawn.
"""

from __future__ import annotations

from modelserve.audit.course import course
from modelserve.audit.explain import explain
from modelserve.audit.record import Record

__all__ = ["Record", "course", "explain"]
